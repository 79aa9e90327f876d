"""Sweeps: what one photograph counts at each of a grid of operating points, so that one can be chosen afterwards.

A sweep is exact: at each point of the grid it has the numbers that `pipeline.evaluation.counting` would count there, of
the whole map at the photograph's size, by the rule of `pipeline.evaluation.lesion_matching`. Only pixels at or above
the lowest threshold are looked at, a few percent of a photograph, so that the whole grid takes about as long as the
ordinary count.
"""

import cv2
import numpy as np

from pipeline.evaluation.lesion_matching import OVERLAP
from pipeline.operating_point import OperatingPoint
from records import find_regions, regions_of_places

# Dense where networks are nearly sure: the best threshold of a rare class may be below 0.01. Edges of 1,280 bins.
THRESHOLDS = tuple(
    edge / 1280 for edge in (2, 4, 8, 16, 32, 64, 128, 256, 384, 512, 640, 768, 896, 1024, 1152, 1216, 1248, 1264)
)
# Least areas of a detection, pixels at the network's scale; 0: every region is a detection.
AREAS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0)
# What is counted: pixels, detections that are no false positives, those that are, and lesions that are found.
OUTCOMES = ("true_positive", "false_positive", "matched", "false_detections", "found")


def sweep(probability: np.ndarray, mask: np.ndarray, *, factor: float, known: np.ndarray | None = None) -> np.ndarray:
    """Counts one class of a photograph at each of `THRESHOLDS` and `AREAS`.

    Args:
      probability: float32 0..1 `[H, W]`.
      mask: bool `[H, W]`, False where unknown.
      factor: by which the photograph was scaled for the network; areas are converted by it.
      known: bool `[H, W]`, whether it is known that a pixel shows the class or not; None: known throughout.

    Returns:
      int64 `[OUTCOMES, THRESHOLDS, AREAS]`.
    """
    least = np.array([OperatingPoint((0.5,), min_areas=(area,)).of_photograph(factor).least_areas[0] for area in AREAS])
    places = np.flatnonzero(probability >= np.float32(THRESHOLDS[0]))
    if known is not None:
        places = places[known.ravel()[places]]
    values, of_lesion = probability.ravel()[places], np.zeros(len(places), np.int64)  # number from 1; 0: no lesion
    lesions = find_regions(mask)
    inside = mask.ravel()[places]
    which = np.searchsorted(lesions.places, places[inside])  # of all lesion pixels, in reading order
    of_lesion[inside] = np.repeat(lesions.region, lesions.length)[which] + 1
    beside_unknown = None if known is None else _beside_unknown(known).ravel()[places]
    answer = np.zeros((len(OUTCOMES), len(THRESHOLDS), len(AREAS)), np.int64)
    for number, threshold in enumerate(THRESHOLDS):
        kept = values >= np.float32(threshold)
        places, values, of_lesion = places[kept], values[kept], of_lesion[kept]
        beside_unknown = None if beside_unknown is None else beside_unknown[kept]
        answer[:, number] = _count(
            places,
            of_lesion,
            beside_unknown,
            width=mask.shape[1],
            least=least,
            lesion_areas=lesions.area,
        )
    return answer


def _beside_unknown(known: np.ndarray) -> np.ndarray:
    return cv2.dilate((~known).view(np.uint8), np.ones((3, 3), np.uint8)) > 0


def _count(
    places: np.ndarray,
    of_lesion: np.ndarray,
    beside_unknown: np.ndarray | None,
    *,
    width: int,
    least: np.ndarray,
    lesion_areas: np.ndarray,
) -> np.ndarray:
    """Returns the outcomes at one threshold, int64 `[OUTCOMES, AREAS]`.

    Args:
      places: positive pixels, ascending.
      of_lesion: number of the lesion that each of them is in, from 1; 0: none.
      beside_unknown: whether each of them touches unknown pixels; None: everything is known.
      width: number of columns of the photograph.
      least: least area of a detection at each area of the grid, ascending, pixels of the photograph.
      lesion_areas: pixels of each lesion.
    """
    regions = regions_of_places(places, width=width)
    region = np.repeat(regions.region, regions.length)
    # The number of areas of the grid at which a region is a detection: the first so many, as they ascend.
    detected_at = np.searchsorted(least, regions.area, side="right")
    overlap = np.bincount(region[of_lesion > 0], minlength=len(regions.area))
    matched = OVERLAP * overlap >= regions.area
    counted = np.ones(len(matched), bool)
    if beside_unknown is not None:
        counted = matched | (np.bincount(region[beside_unknown], minlength=len(matched)) == 0)
    covered = np.bincount(
        of_lesion * (len(least) + 1) + detected_at[region], minlength=(len(lesion_areas) + 1) * (len(least) + 1)
    ).reshape(-1, len(least) + 1)[1:]
    found = OVERLAP * _from_the_end(covered) >= lesion_areas[:, None]

    def at_each_area(weights: np.ndarray) -> np.ndarray:
        totals = np.bincount(detected_at, weights, len(least) + 1)
        return _from_the_end(np.rint(totals).astype(np.int64))

    return np.array(
        [
            at_each_area(overlap),
            at_each_area(regions.area - overlap),
            at_each_area(matched),
            at_each_area(counted & ~matched),
            found.sum(axis=0),
        ]
    )


def _from_the_end(at: np.ndarray) -> np.ndarray:
    """Adds up what is detected at the first 0, 1, … areas to what is detected at each area, `[…, AREAS]`."""
    return np.cumsum(at[..., ::-1], axis=-1)[..., ::-1][..., 1:]
