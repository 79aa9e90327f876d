"""The usual first try, to hold a network against: how dark a pixel is in green, inside the field of view."""

import cv2
import numpy as np

from records import field_of_view

BLUR_SHRINK = 8  # a wide blur is as good at an eighth of the size, and hundreds of times cheaper


def color_threshold_map(photograph: np.ndarray, classes: int) -> np.ndarray:
    """Maps uint8 RGB `[H, W, 3]` to "probabilities" float32 `[H, W, C]`: darkness in green against the surroundings.

    Haemorrhages and vessels are darkest in green (their haemoglobin absorbs it). The background is a Gaussian blur over
    a fortieth of the photograph's width, so that uneven light does not decide. Every class gets the same map.
    """
    height, width = photograph.shape[:2]
    green = photograph[..., 1].astype(np.float32)
    retina = field_of_view(photograph).astype(np.float32)
    small = max(round(width / BLUR_SHRINK), 1), max(round(height / BLUR_SHRINK), 1)
    blurred = [
        cv2.GaussianBlur(cv2.resize(values, small, interpolation=cv2.INTER_AREA), (0, 0), small[0] / 40)
        for values in (green * retina, retina)
    ]
    background = cv2.resize(blurred[0] / np.maximum(blurred[1], 1e-3), (width, height))
    darkness = np.clip((background - green) / np.maximum(background, 1), 0, 1) * retina
    return np.repeat(darkness[..., None], classes, axis=-1)
