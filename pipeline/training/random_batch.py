"""Random batches, on which training steps are timed without records."""

import numpy as np


def random_batch(batch: int, crop: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images 0..255 `[B, T, T, 3]` and masks 0/1 `[B, T, T, C]`, float32, with 1 % lesion pixels."""
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (batch, crop, crop, 3))
    masks = random.random((batch, crop, crop, classes)) < 0.01
    return images.astype(np.float32), masks.astype(np.float32)
