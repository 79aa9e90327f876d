"""Counting: reduces one photograph's probability map and masks to integers and two small tables.

Every score of whole photographs is computed from these counts, so they can be pooled, resampled and compared without
reading a photograph again.

Only pixels of which is known whether they show the class are counted, and nothing here depends on what a map says of
the others: they are no part of a detection either. A class of which nothing is known in a photograph has counts of no
pixels there, by which everything after counting recognises it (`PhotographCounts.knows`).
"""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from pipeline.evaluation.lesion_matching import match_lesions
from pipeline.evaluation.probability_bins import LEAST, lower_edges, place
from pipeline.evaluation.sweeps import sweep
from pipeline.evaluation.tile_errors import TileErrors
from pipeline.operating_point import OperatingPoint

REGIONS = ("frame", "field_of_view")
AT_ONCE = 2**16  # pixels that are counted at once, so that what is computed of them stays in the cache


@dataclasses.dataclass(frozen=True)
class Counts:
    """Pixels of one class in one region: histograms over the probability, and outcomes at the operating point.

    Attributes:
      lesion: int64 `[bins + FURTHER]`, lesion pixels whose probability lies in each of the bins of
        `pipeline.evaluation.probability_bins`: from its lower edge up to that of the next; the last one includes 1.
      negatives: int64 `[bins + FURTHER]`, the same histogram of all other pixels.
      true_positive: number of lesion pixels in detections.
      false_positive: number of other pixels in detections.
    """

    lesion: np.ndarray
    negatives: np.ndarray
    true_positive: int
    false_positive: int

    @property
    def pixels(self) -> int:
        """Number of pixels that were counted."""
        return int(self.lesion.sum() + self.negatives.sum())

    def __add__(self, more: "Counts") -> "Counts":
        return Counts(
            self.lesion + more.lesion,
            self.negatives + more.negatives,
            self.true_positive + more.true_positive,
            self.false_positive + more.false_positive,
        )

    def as_json(self) -> list:
        """Returns the fields in order, as JSON can have them."""
        return [self.lesion.tolist(), self.negatives.tolist(), self.true_positive, self.false_positive]

    @classmethod
    def from_json(cls, content: list) -> "Counts":
        """Returns the counts that `as_json` returned."""
        lesion, negatives, *found = content
        return cls(np.array(lesion, np.int64), np.array(negatives, np.int64), *found)


@dataclasses.dataclass(frozen=True)
class PhotographCounts:
    """Everything that scores need of one photograph.

    Attributes:
      case: name of the case.
      height: height of the photograph, pixels.
      width: width of the photograph, pixels.
      counts: pixel counts, `counts[region][class]` with the regions `REGIONS`.
      lesions: lesions in the whole frame by class, `pipeline.evaluation.lesion_matching.LESION` `[lesions]`.
      detections: detections in the whole frame by class, `LESION` `[detections]`.
      tiles: what is wrong in each tile, `pipeline.evaluation.tile_errors.TILE_ERRORS` `[tiles]`; None if the counts are
        of an earlier version.
      factor: by which the photograph was scaled for the network; None if no network made the map, or it is not known.
      sweeps: what each class counts at other operating points, see `pipeline.evaluation.sweeps`; empty if they were not
        asked for, or were counted by an earlier version.
    """

    case: str
    height: int
    width: int
    counts: Mapping[str, Mapping[str, Counts]]
    lesions: Mapping[str, np.ndarray]
    detections: Mapping[str, np.ndarray]
    tiles: np.ndarray | None = None
    factor: float | None = None
    sweeps: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def knows(self, name: str) -> bool:
        """Returns whether it is known of any pixel if it shows a class."""
        return self.counts["frame"][name].pixels > 0


def count_photograph(
    case: str,
    probabilities: np.ndarray,
    masks: np.ndarray,
    *,
    field_of_view: np.ndarray,
    classes: tuple[str, ...],
    operating_point: OperatingPoint,
    bins: int,
    known: np.ndarray | None = None,
    factor: float | None = None,
    sweeps: bool = False,
) -> PhotographCounts:
    """Counts the pixels, lesions and detections of one photograph.

    Args:
      case: name of the case.
      probabilities: float32 0..1 `[H, W, C]`, without NaN.
      masks: bool `[H, W, C]`.
      field_of_view: bool `[H, W]`.
      classes: names of the C classes.
      operating_point: what counts as a detection; the histograms do not depend on it.
      bins: number of equal bins over 0..1.
      known: bool `[H, W, C]`, whether it is known that a pixel shows a class or not; None: known throughout.
      factor: by which the photograph was scaled for the network, for areas at its scale; None: no network made the map.
      sweeps: whether to count at a grid of other operating points as well, if there is a factor.

    Returns:
      The counts.
    """
    operating_point = operating_point.of_photograph(factor)
    frame, inside, lesions, detections, swept = {}, {}, {}, {}, {}
    height, width = field_of_view.shape
    errors = TileErrors(height, width)
    for index, name in enumerate(classes):
        probability, mask = np.ascontiguousarray(probabilities[..., index]), np.ascontiguousarray(masks[..., index])
        positive = operating_point.is_positive(probability, index)
        known_here = None if known is None or known[..., index].all() else np.ascontiguousarray(known[..., index])
        if known_here is not None:
            mask, positive = mask & known_here, positive & known_here
        detected = operating_point.without_small(positive, index)
        pixels = [probability, mask, field_of_view, detected]
        counted = pixels if known_here is None else [one[known_here] for one in pixels]
        frame[name], inside[name] = _count_pixels(*counted[:3], detected=counted[3], bins=bins)
        lesions[name], detections[name] = match_lesions(probability, mask, detected, known=known_here)
        if sweeps and factor is not None:
            swept[name] = sweep(probability, mask, factor=factor, known=known_here)
        errors.add(probability, mask, detected, known=known_here, detections=detections[name])
    regions, tiles = {"frame": frame, "field_of_view": inside}, errors.table(field_of_view)
    return PhotographCounts(case, height, width, regions, lesions, detections, tiles, factor=factor, sweeps=swept)


def pool(photographs: Iterable[PhotographCounts]) -> dict[str, dict[str, Counts]]:
    """Returns the pixel counts of all photographs added up, `counts[region][class]`."""
    total: dict[str, dict[str, Counts]] = {region: {} for region in REGIONS}
    for photograph in photographs:
        for region, by_class in photograph.counts.items():
            add_counts(total[region], by_class)
    return total


def add_counts(total: dict[str, Counts], more: Mapping[str, Counts]) -> None:
    """Adds counts by class to a total, which may lack classes."""
    for name, counts in more.items():
        total[name] = total[name] + counts if name in total else counts


def _count_pixels(
    probability: np.ndarray, mask: np.ndarray, field_of_view: np.ndarray, *, detected: np.ndarray, bins: int
) -> tuple[Counts, Counts]:
    """Returns the counts of pixels, in arrays of any shape, in the frame and in the field of view."""
    length = len(lower_edges(bins))
    histogram = np.zeros(8 * length, np.int64)
    pixels = [one.ravel() for one in (probability, mask, field_of_view, detected)]
    for start in range(0, mask.size, AT_ONCE):
        values, *bits = (one[start : start + AT_ONCE] for one in pixels)
        # Many pixels lie in the lowest bin, so only the others are examined one by one.
        places = np.flatnonzero((values >= min(LEAST, 1 / bins)) | bits[-1])
        kinds = sum(bit[places] * 2**number for number, bit in enumerate(bits))  # lesion, field of view, detected
        histogram += np.bincount(place(values[places], bins) + length * kinds, minlength=8 * length)
    others, of_detections = histogram.reshape(2, 4, length)
    histogram, detections = others + of_detections, of_detections.sum(axis=1).tolist()
    lesion, seen, both = (int(np.count_nonzero(pixels)) for pixels in (mask, field_of_view, mask & field_of_view))
    of_kind = np.array([mask.size - lesion - seen + both, lesion - both, seen - both, both])
    histogram[:, 0] += of_kind - histogram.sum(axis=1)
    inside = Counts(histogram[3], histogram[2], detections[3], detections[2])
    frame = Counts(
        histogram[1] + histogram[3],
        histogram[0] + histogram[2],
        detections[1] + detections[3],
        detections[0] + detections[2],
    )
    return frame, inside
