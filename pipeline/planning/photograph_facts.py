"""What is measured of one photograph and its masks, from which a training is planned."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from configs import DataConfig
from records import (
    Case,
    Regions,
    case_digests,
    check_name,
    field_of_view,
    find_regions,
    fit_field_circle,
    perceptual_hash,
    photograph_degrees,
    read_checked_labels,
    read_photograph,
)

GREEN = 1  # the channel in which lesions contrast most with the retina
SURROUNDINGS = 3  # times as wide and as high as a lesion: the box around it that it is compared with
COLOR_STEP = 8  # every so many pixels are looked at for the mean colour


@dataclasses.dataclass(frozen=True)
class LesionFacts:
    """The lesions of one class in one photograph, 8-connected, one number per lesion.

    Attributes:
      areas: pixels of the photograph.
      extents: the longer sides of the bounding boxes, pixels.
      contrasts: mean green of the surroundings minus that of the lesion, as a fraction of the surroundings' green;
        above 0: darker than what is around it.
    """

    areas: Sequence[int]
    extents: Sequence[int]
    contrasts: Sequence[float]


@dataclasses.dataclass(frozen=True)
class PhotographFacts:
    """What was measured of a photograph and its masks.

    Attributes:
      height: height, pixels.
      width: width, pixels.
      field_diameter: diameter of the circle of its field of view, pixels; None if no reliable one could be fitted.
      field_pixels: number of pixels in its field of view; all of them if none was found.
      degrees: angle of view that the file says; None if it does not.
      color: mean red, green and blue in the field of view, 0 to 255.
      lesions: for every class that is known, at least in a part, its lesions.
      unknown: classes of which nothing is known.
      absent: classes that are said to be absent.
      partly_known: classes of which regions are left out.
      sha256: digest of the photograph's file.
      perceptual_hash: hash of what it looks like.
      warnings: kind and text of what is not plausible about its masks.
    """

    height: int
    width: int
    field_diameter: float | None
    field_pixels: int
    degrees: float | None
    color: tuple[float, float, float]
    lesions: Mapping[str, LesionFacts]
    unknown: Sequence[str]
    absent: Sequence[str]
    partly_known: Sequence[str]
    sha256: str
    perceptual_hash: str
    warnings: Sequence[tuple[str, str]]

    @property
    def ruler(self) -> float:
        """The diameter of the field of view, or without one what records take for it: the frame's diagonal, pixels."""
        return self.field_diameter or math.hypot(self.height, self.width)


def measure_photograph(case: Case, data: DataConfig) -> PhotographFacts:
    """Decodes a photograph and its masks once, and measures them.

    Raises:
      InputError: a file cannot be read, or a mask differs in size from its photograph.
    """
    check_name(case.name, data.classes, path=case.photograph)
    photograph = read_photograph(case.photograph, max_pixels=data.max_pixels)
    height, width = photograph.shape[:2]
    labels, warnings = read_checked_labels(case, (height, width), data)
    circle = fit_field_circle(photograph)
    field = field_of_view(photograph)
    if not field.any():
        field[:] = True
    green = np.ascontiguousarray(photograph[..., GREEN])
    summed = cv2.integral(green, sdepth=cv2.CV_64F)  # `[H + 1, W + 1]`: the sum of any box is four of its values
    lesions = {
        name: _measure_lesions(labels.masks[..., index], green, summed)
        for index, name in enumerate(data.classes)
        if name not in case.unknown
    }
    sampled = photograph[::COLOR_STEP, ::COLOR_STEP][field[::COLOR_STEP, ::COLOR_STEP]]
    red, green_mean, blue = (round(float(value), 1) for value in sampled.mean(axis=0))
    return PhotographFacts(
        height=height,
        width=width,
        field_diameter=round(circle.diameter, 1) if circle is not None and circle.is_reliable else None,
        field_pixels=int(np.count_nonzero(field)),
        degrees=photograph_degrees(case.photograph),
        color=(red, green_mean, blue),
        lesions=lesions,
        unknown=sorted(case.unknown),
        absent=sorted(case.absent),
        partly_known=sorted(case.ignored),
        sha256=case_digests(case)[0],
        perceptual_hash=perceptual_hash(photograph),
        warnings=[(warning.kind, warning.text) for warning in warnings],
    )


def facts_to_dict(facts: PhotographFacts) -> dict:
    """Returns facts as JSON can hold them."""
    return dataclasses.asdict(facts)


def facts_from_dict(values: dict) -> PhotographFacts:
    """Returns the facts that `facts_to_dict` was given.

    Raises:
      TypeError, KeyError: these are not the facts of this version.
    """
    lesions = {name: LesionFacts(**one) for name, one in values["lesions"].items()}
    warnings = [(kind, text) for kind, text in values["warnings"]]
    return PhotographFacts(**values | {"lesions": lesions, "warnings": warnings, "color": tuple(values["color"])})


def _measure_lesions(mask: np.ndarray, green: np.ndarray, summed: np.ndarray) -> LesionFacts:
    """Measures the lesions of bool `[H, W]`; `green` is uint8 `[H, W]`, `summed` its integral."""
    regions = find_regions(mask)
    inside = np.bincount(
        np.repeat(regions.region, regions.length), green.ravel()[regions.places], minlength=len(regions.area)
    )
    box, pixels = _surroundings(regions, summed)
    around = (box - inside) / np.maximum(pixels - regions.area, 1)
    contrasts = 1 - inside / regions.area / np.maximum(around, 1)
    return LesionFacts(
        areas=regions.area.tolist(),
        extents=np.maximum(regions.height, regions.width).tolist(),
        contrasts=np.round(contrasts, 3).tolist(),
    )


def _surroundings(regions: Regions, summed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sum of green and the number of pixels in a box around each region, the region included."""
    height, width = summed.shape[0] - 1, summed.shape[1] - 1
    margin_y, margin_x = (side * (SURROUNDINGS - 1) // 2 + 1 for side in (regions.height, regions.width))
    top, bottom = np.maximum(regions.y - margin_y, 0), np.minimum(regions.y + regions.height + margin_y, height)
    left, right = np.maximum(regions.x - margin_x, 0), np.minimum(regions.x + regions.width + margin_x, width)
    total = summed[bottom, right] - summed[top, right] - summed[bottom, left] + summed[top, left]
    return total, (bottom - top) * (right - left)
