"""The operating point: from which probability a pixel is positive, and from which size a region is a detection.

`eval` and `predict` take it from the model and the same flags and apply it by the same function, so that what is scored
is what is written. A model's least areas are in pixels at the network's scale, so that they suit any camera, and
`OperatingPoint.of_photograph` makes pixels of a photograph of them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from configs import InputError
from records import find_regions


class AreasByClass(TypedDict):
    """Least areas by class: `min_area` as the user gave them, else 1; `min_areas` the model's, empty if none count."""

    min_area: Mapping[str, int]
    min_areas: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """What counts as a detection, for each class.

    Attributes:
      thresholds: least probability of a positive pixel, above 0 and below 1.
      min_area: least number of pixels of a detection, an 8-connected region of positive pixels; those of smaller
        regions are dropped. Empty: all regions are detections, or `min_areas` says which.
      min_areas: the same in pixels at the network's scale, 0 where all regions are detections; empty with `min_area`.
    """

    thresholds: tuple[float, ...]
    min_area: tuple[int, ...] = ()
    min_areas: tuple[float, ...] = ()

    @property
    def least_areas(self) -> tuple[int, ...]:
        """`min_area` of each class, 1 where all regions are detections."""
        assert not self.min_areas, "areas at the network's scale are converted for a photograph first"
        return self.min_area or (1,) * len(self.thresholds)

    def of_photograph(self, factor: float | None) -> "OperatingPoint":
        """Returns the operating point in pixels of a photograph.

        Args:
          factor: by which the photograph was scaled for the network; None: it was not.
        """
        if not self.min_areas:
            return self
        areas = (max(round(area / (factor or 1) ** 2), 1) for area in self.min_areas)
        return OperatingPoint(self.thresholds, tuple(areas))

    def areas_of(self, classes: Sequence[str]) -> AreasByClass:
        """Returns the least areas by class, as results and records of predictions have them."""
        return {
            "min_area": dict(zip(classes, self.min_area or (1,) * len(classes), strict=True)),
            "min_areas": dict(zip(classes, self.min_areas, strict=True)) if self.min_areas else {},
        }

    def describe_areas(self, classes: Sequence[str]) -> str:
        """Returns the least areas that drop regions: "MA 3, SE 12 pixels at the network's scale", or ""."""
        areas, none, where = (
            (self.min_areas, 0.0, " at the network's scale") if self.min_areas else (self.least_areas, 1, "")
        )
        dropping = [f"{name} {area:g}" for name, area in zip(classes, areas, strict=True) if area > none]
        return f"{', '.join(dropping)} pixels{where}" if dropping else ""

    def detect(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns the pixels of the detections, bool `[H, W, C]`, in a probability map, float32 `[H, W, C]`."""
        classes = range(len(self.thresholds))
        return np.stack([self.detect_class(probabilities[..., index], index) for index in classes], axis=-1)

    def detect_class(self, probability: np.ndarray, index: int) -> np.ndarray:
        """Returns the pixels of the detections of one class, bool `[H, W]`, in its map, float32 `[H, W]`."""
        return self.without_small(self.is_positive(probability, index), index)

    def is_positive(self, probability: np.ndarray, index: int) -> np.ndarray:
        """Returns which pixels of a map of one class, or of a part of it, reach its threshold."""
        return probability >= np.float32(self.thresholds[index])

    def without_small(self, positive: np.ndarray, index: int) -> np.ndarray:
        """Returns positive pixels of one class, bool `[H, W]`, without the regions that are no detections."""
        least = self.least_areas[index]
        return positive if least == 1 else _without_small(positive, least)


def parse_operating_point(
    *, threshold: str | None, min_area: str | None, classes: tuple[str, ...], default: OperatingPoint
) -> OperatingPoint:
    """Reads --threshold and --min_area, each of which is one number for all classes, or NAME=NUMBER,… for every class.

    Args:
      threshold: value of --threshold, numbers above 0 and below 1; None: those of `default`.
      min_area: value of --min_area, whole numbers of pixels of a photograph of at least 1; None: those of `default`.
      classes: names of the classes.
      default: operating point if no flag is given, such as the model's.

    Raises:
      InputError: the names are not those of `classes`, or a number is out of range.
    """
    if threshold is not None:
        texts = _of_each_class("threshold", threshold, classes, example="0.5")
        default = dataclasses.replace(default, thresholds=tuple(_threshold(text, threshold) for text in texts))
    if min_area is None:
        return default
    areas = (_area(text, min_area) for text in _of_each_class("min_area", min_area, classes, example="4"))
    return OperatingPoint(default.thresholds, tuple(areas))


def _of_each_class(flag: str, text: str, classes: Sequence[str], *, example: str) -> list[str]:
    """Returns the number that is given for each class, as text."""
    pairs = [part.strip().rpartition("=") for part in text.split(",")]
    given = {name: number for name, _, number in pairs}
    if set(given) == {""} and len(pairs) == 1:
        return [given[""]] * len(classes)
    if set(given) != set(classes) or len(given) != len(pairs):
        expected = ",".join(f"{name}={example}" for name in classes)
        raise InputError(f"--{flag}={text}: expected one number, or one for each class, such as {expected}.")
    return [given[name] for name in classes]


def _threshold(text: str, flag: str) -> float:
    try:
        threshold = float(text)
    except ValueError as error:
        raise InputError(f"--threshold={flag}: expected numbers ({error}).") from error
    if not 0 < threshold < 1:
        raise InputError(f"--threshold={flag}: expected numbers above 0 and below 1.")
    return threshold


def _area(text: str, flag: str) -> int:
    try:
        area = int(text)
    except ValueError as error:
        raise InputError(f"--min_area={flag}: expected whole numbers of pixels ({error}).") from error
    if area < 1:
        raise InputError(f"--min_area={flag}: expected at least 1 pixel.")
    return area


def _without_small(mask: np.ndarray, least: int) -> np.ndarray:
    """Returns bool `[H, W]` without its 8-connected regions of fewer than `least` pixels."""
    regions = find_regions(mask)
    small = np.repeat((regions.area < least)[regions.region], regions.length)  # of each pixel
    kept = mask.copy()
    kept.ravel()[regions.places[small]] = False
    return kept
