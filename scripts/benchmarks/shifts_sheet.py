"""A sheet of one photograph under each shift of the camera, whole and in a detail, for a person to look at."""

import cv2
import numpy as np

from pipeline.evaluation import LoadedCase
from pipeline.panels import captioned, densest_window, wrapped
from records import DISC, contact_sheet
from scripts.benchmarks.camera_shifts import SHIFTS, find_field, shift_camera

SIDE = 300  # height of the photograph, and side of the detail, pixels
DETAIL = 1 / 8  # side of the detail, of the photograph's longer side


def draw_sheet(loaded: LoadedCase, classes: tuple[str, ...]) -> np.ndarray:
    """Draws a photograph under each of `SHIFTS`, beside the part of it with the most lesion pixels.

    Args:
      loaded: the photograph and its masks.
      classes: names of the classes; the optic disc is no lesion.

    Returns:
      uint8 RGB `[H, W, 3]`.
    """
    photograph, field = loaded.photograph, find_field(loaded.photograph)
    lesions = np.any(loaded.masks[..., [name != DISC for name in classes]], axis=-1)
    side = max(round(DETAIL * max(lesions.shape)), 1)
    detail = densest_window(lesions, (min(side, lesions.shape[0]), min(side, lesions.shape[1])))
    width = round(SIDE * photograph.shape[1] / photograph.shape[0])
    panels = []
    for name in SHIFTS:
        shifted = shift_camera(photograph, name, case=loaded.case, field=field)
        parts = [_resized(shifted, (SIDE, width)), _resized(shifted[detail], (SIDE, SIDE))]
        panels.append(captioned(np.concatenate(parts, axis=1), wrapped(f"{loaded.case}, {name}", width + SIDE)))
    return contact_sheet(panels)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
