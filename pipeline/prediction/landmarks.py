"""What the places of lesions are measured by: the centre of the field of view, and the optic disc."""

import dataclasses

import numpy as np

from pipeline.inference import MeasuredPhotograph
from records import DISC, equivalent_diameter, find_regions

QUADRANTS = ("upper_left", "upper_right", "lower_left", "lower_right")

Point = tuple[float, float]  # x and y, pixels; the first pixel of the photograph has the centre (0, 0)


@dataclasses.dataclass(frozen=True)
class Disc:
    """The optic disc, as it was detected.

    Attributes:
      center: mean of its pixels.
      diameter: diameter of a circle of its area, pixels.
    """

    center: Point
    diameter: float


@dataclasses.dataclass(frozen=True)
class Landmarks:
    """Where things are in a photograph.

    Attributes:
      center: centre of the field of view; None if the photograph shows none.
      disc: the optic disc; None if it was not detected.
    """

    center: Point | None
    disc: Disc | None

    def quadrant(self, x: float, y: float) -> str | None:
        """Returns which of `QUADRANTS` of the field of view a point lies in; None without a centre."""
        if self.center is None:
            return None
        return f"{'upper' if y < self.center[1] else 'lower'}_{'left' if x < self.center[0] else 'right'}"


def find_landmarks(
    measured: MeasuredPhotograph, visible: np.ndarray, *, classes: tuple[str, ...], detected: np.ndarray
) -> Landmarks:
    """Finds the landmarks of a photograph.

    Args:
      measured: the photograph; its circle is used if it is reliable.
      visible: its field of view, bool `[H, W]`, whose mean is the centre otherwise.
      classes: names of the C classes.
      detected: pixels of the detections, bool `[H, W, C]`; the largest one of `DISC` is the disc.
    """
    circle = measured.scale.circle
    if circle is not None and circle.is_reliable:
        center: Point | None = (circle.x - 0.5, circle.y - 0.5)  # its coordinates begin at the border of a pixel
    else:
        center = _mean_place(visible)
    return Landmarks(center, _largest(detected[..., classes.index(DISC)]) if DISC in classes else None)


def _mean_place(mask: np.ndarray) -> Point | None:
    rows, columns = (np.count_nonzero(mask, axis=axis) for axis in (1, 0))
    number = rows.sum()
    if not number:
        return None
    return tuple(float(counts @ np.arange(len(counts)) / number) for counts in (columns, rows))  # type: ignore[return-value]


def _largest(mask: np.ndarray) -> Disc | None:
    regions = find_regions(mask)
    if not len(regions.area):
        return None
    largest = int(regions.area.argmax())
    of_disc = regions.region == largest
    row, left, length = regions.row[of_disc], regions.left[of_disc], regions.length[of_disc]
    area = int(regions.area[largest])
    x, y = length @ (left + (length - 1) / 2) / area, length @ row / area
    return Disc((float(x), float(y)), equivalent_diameter(area))
