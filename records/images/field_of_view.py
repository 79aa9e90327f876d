"""The field of view: where a photograph shows retina, and not the black background around it."""

import cv2
import numpy as np

from records.grid import scaled_size

# The field of view is brighter than this in some channel, and than this fraction of the photograph's brightest parts:
# stray light raises the background of some photographs of IDRiD to 25, where their retina is at 200.
MIN_BRIGHTNESS = 15
MIN_BRIGHTNESS_FRACTION = 0.15
WORKING_SIDE = 512  # pixels; enough for the outline of the field of view


def field_of_view(photograph: np.ndarray) -> np.ndarray:
    """Finds the field of view as the largest bright region, with holes filled and a smoothed outline.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.

    Returns:
      bool `[H, W]`; all False if nothing is brighter than the background.
    """
    height, width = photograph.shape[:2]
    small_size = scaled_size(height, width, min(1.0, WORKING_SIDE / max(height, width)))
    small = cv2.resize(photograph, small_size[::-1], interpolation=cv2.INTER_AREA)
    brightness = small.max(axis=-1)
    darkest = max(MIN_BRIGHTNESS, MIN_BRIGHTNESS_FRACTION * float(np.percentile(brightness, 95)))
    bright = (brightness > darkest).astype(np.uint8)
    # Closing fills dark vessels at the rim; opening removes letters, dates and single bright pixels of the background.
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    bright = cv2.morphologyEx(cv2.morphologyEx(bright, cv2.MORPH_CLOSE, kernel), cv2.MORPH_OPEN, kernel)
    contours, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    inside = np.zeros(small_size, np.uint8)
    if contours:
        cv2.drawContours(inside, [max(contours, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return cv2.resize(inside, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)
