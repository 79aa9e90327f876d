"""What another camera makes of a drawn photograph: another number of pixels, and a narrower field of view."""

import cv2
import numpy as np

from records.images import field_of_view
from records.synthetic.photographs import SyntheticPhotograph

DEGREES = 50.0  # field of view of photographs as they are drawn, as IDRiD's camera has it
SURROUND = 2  # grey level outside the field of view


def by_camera(drawn: SyntheticPhotograph, *, width: int | None, degrees: float) -> SyntheticPhotograph:
    """Returns a photograph and its masks as another camera takes them.

    Args:
      drawn: as it was drawn.
      width: width in pixels; None: as wide as what is left of the drawn one.
      degrees: field of view, at most DEGREES: only its middle is seen, in a smaller circle that fills the frame.
    """
    if degrees < DEGREES:
        drawn = _narrowed(drawn, degrees / DEGREES)
    if width is None or width == drawn.photograph.shape[1]:
        return drawn
    height = max(round(drawn.photograph.shape[0] * width / drawn.photograph.shape[1]), 1)
    how = cv2.INTER_AREA if width < drawn.photograph.shape[1] else cv2.INTER_LINEAR

    def resized(image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, (width, height), interpolation=how)

    masks = (resized(mask.astype(np.float32)) >= 0.5 for mask in (drawn.haemorrhages, drawn.exudates))
    return SyntheticPhotograph(resized(drawn.photograph), *masks)


def _narrowed(drawn: SyntheticPhotograph, fraction: float) -> SyntheticPhotograph:
    """Returns what lies in a circle of `fraction` of the width of the field of view, cropped to that circle."""
    left, top, width, height = cv2.boundingRect(field_of_view(drawn.photograph).view(np.uint8))
    radius = fraction * width / 2
    x, y = left + width / 2, top + height / 2
    rows = slice(max(round(y - radius), 0), round(y + radius))
    columns = slice(max(round(x - radius), 0), round(x + radius))
    ys, xs = np.ogrid[rows, columns]
    inside = np.hypot(xs + 0.5 - x, ys + 0.5 - y) <= radius
    photograph = np.where(inside[..., None], drawn.photograph[rows, columns], np.uint8(SURROUND))
    return SyntheticPhotograph(photograph, *(mask[rows, columns] & inside for mask in drawn[1:]))
