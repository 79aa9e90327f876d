"""A baseline to compare networks with: a threshold on colour."""

import numpy as np

from records import field_of_view


def color_threshold_map(photograph: np.ndarray, classes: int) -> np.ndarray:
    """Returns how dark each pixel is in the green channel, as if that were a probability.

    Haemorrhages, like vessels, are darkest in green, which haemoglobin absorbs.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.
      classes: number of classes C; all get the same map.

    Returns:
      float32 0..1 `[H, W, C]`, zero outside the field of view.
    """
    darkness = (1 - photograph[..., 1].astype(np.float32) / 255) * field_of_view(photograph)
    return np.repeat(darkness[..., None], classes, axis=-1)
