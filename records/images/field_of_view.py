"""The field of view: where in a photograph there is retina, and not the black surround of the camera's mask."""

import cv2
import numpy as np

from records.grid import scaled_size

# Retina is brighter than this in some channel, and than this share of the photograph's brightest parts: stray light
# lifts the surround of some photographs of IDRiD to 25, where their retina is at 200.
MIN_BRIGHTNESS = 15
MIN_BRIGHTNESS_FRACTION = 0.15
WORKING_SIDE = 512  # the disc's outline needs no more pixels than this


def field_of_view(photograph: np.ndarray) -> np.ndarray:
    """Finds the retina as the largest bright region, holes filled, its outline smoothed.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.

    Returns:
      bool `[H, W]`; all False where nothing is brighter than the surround.
    """
    height, width = photograph.shape[:2]
    small_size = scaled_size(height, width, min(1.0, WORKING_SIDE / max(height, width)))
    small = cv2.resize(photograph, small_size[::-1], interpolation=cv2.INTER_AREA)
    brightness = small.max(axis=-1)
    darkest = max(MIN_BRIGHTNESS, MIN_BRIGHTNESS_FRACTION * float(np.percentile(brightness, 95)))
    bright = (brightness > darkest).astype(np.uint8)
    # Opening takes away letters, dates and single bright pixels of the surround; dark vessels at the rim close again.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    bright = cv2.morphologyEx(cv2.morphologyEx(bright, cv2.MORPH_CLOSE, disc), cv2.MORPH_OPEN, disc)
    contours, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    retina = np.zeros(small_size, np.uint8)
    if contours:
        cv2.drawContours(retina, [max(contours, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return cv2.resize(retina, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
