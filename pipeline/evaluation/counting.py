"""Counting: one photograph's map and masks become integers and two small tables, and the map is let go.

All scores of whole photographs are computed from these counts, so that they can be pooled, resampled and compared
without another look at any photograph.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from pipeline.evaluation.lesion_matching import match_lesions

REGIONS = ("frame", "field_of_view")


@dataclasses.dataclass(frozen=True)
class Counts:
    """Pixels of one class in one region: histograms of lesion and other pixels over the probability, and outcomes.

    Attributes:
      lesion: int64 `[bins]`, lesion pixels whose probability lies in each of the equal bins over 0..1; bin i is
        [i / bins, (i + 1) / bins), the last one with its end.
      other: int64 `[bins]`, the same of all other pixels.
      true_positive: lesion pixels at or above the threshold.
      false_positive: other pixels at or above the threshold.
    """

    lesion: np.ndarray
    other: np.ndarray
    true_positive: int
    false_positive: int

    def __add__(self, more: "Counts") -> "Counts":
        return Counts(
            self.lesion + more.lesion,
            self.other + more.other,
            self.true_positive + more.true_positive,
            self.false_positive + more.false_positive,
        )


@dataclasses.dataclass(frozen=True)
class PhotographCounts:
    """All that scores need of one photograph.

    Attributes:
      case: its name.
      height: pixels.
      width: pixels.
      counts: `counts[region][class]`, regions `REGIONS`.
      lesions: by class its lesions in the whole frame, `pipeline.evaluation.lesion_matching.LESION` `[lesions]`.
      findings: by class what was found in the whole frame, `LESION` `[findings]`.
    """

    case: str
    height: int
    width: int
    counts: Mapping[str, Mapping[str, Counts]]
    lesions: Mapping[str, np.ndarray]
    findings: Mapping[str, np.ndarray]


def count_photograph(
    case: str,
    probabilities: np.ndarray,
    masks: np.ndarray,
    *,
    retina: np.ndarray,
    classes: tuple[str, ...],
    thresholds: tuple[float, ...],
    bins: int,
) -> PhotographCounts:
    """Counts one photograph.

    Args:
      case: its name.
      probabilities: float32 0..1 `[H, W, C]`, none of them NaN.
      masks: bool `[H, W, C]`.
      retina: bool `[H, W]`, the field of view.
      classes: names of the C classes.
      thresholds: from which probability a pixel of each class counts as found.
      bins: of the histograms.
    """
    frame, inside, lesions, findings = {}, {}, {}, {}
    for index, name in enumerate(classes):
        probability, mask = np.ascontiguousarray(probabilities[..., index]), np.ascontiguousarray(masks[..., index])
        frame[name], inside[name] = _count_pixels(probability, mask, retina, threshold=thresholds[index], bins=bins)
        lesions[name], findings[name] = match_lesions(probability, mask, thresholds[index])
    height, width = retina.shape
    return PhotographCounts(case, height, width, {"frame": frame, "field_of_view": inside}, lesions, findings)


def pool(photographs: Iterable[PhotographCounts]) -> dict[str, dict[str, Counts]]:
    """Adds the pixels of all photographs up; `counts[region][class]`."""
    total: dict[str, dict[str, Counts]] = {region: {} for region in REGIONS}
    for photograph in photographs:
        for region, by_class in photograph.counts.items():
            for name, counts in by_class.items():
                total[region][name] = total[region][name] + counts if name in total[region] else counts
    return total


def _count_pixels(
    probability: np.ndarray, mask: np.ndarray, retina: np.ndarray, *, threshold: float, bins: int
) -> tuple[Counts, Counts]:
    """Returns the counts in the frame and in the field of view."""
    # Most pixels lie in the lowest bin: only the others are looked at one by one.
    places = np.flatnonzero(probability >= min(1 / bins, threshold))
    values = probability.ravel()[places]
    kinds = mask.ravel()[places] + 2 * retina.ravel()[places]  # bit 0 lesion, bit 1 retina
    # In float64 the product is exact, so that a probability at or beside an edge falls on the right side of it.
    level = np.minimum((values * np.float64(bins)).astype(np.int64), bins - 1)
    histogram = np.bincount(level + bins * kinds, minlength=4 * bins).reshape(4, bins)
    lesion, seen, both = (int(np.count_nonzero(pixels)) for pixels in (mask, retina, mask & retina))
    of_kind = np.array([mask.size - lesion - seen + both, lesion - both, seen - both, both])
    histogram[:, 0] += of_kind - histogram.sum(axis=1)
    found = np.bincount(kinds[values >= threshold], minlength=4).tolist()
    inside = Counts(histogram[3], histogram[2], found[3], found[2])
    frame = Counts(histogram[1] + histogram[3], histogram[0] + histogram[2], found[1] + found[3], found[0] + found[2])
    return frame, inside
