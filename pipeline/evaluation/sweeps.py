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
AREAS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0, 192.0)
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
    values, inside = probability.ravel()[places], mask.ravel()[places]
    lesions = find_regions(mask)
    which = np.searchsorted(lesions.places, places[inside])  # of all lesion pixels, in reading order
    lesion = np.repeat(lesions.region, lesions.length)[which]
    beside_unknown = None if known is None else _beside_unknown(known).ravel()[places]
    answer = np.zeros((len(OUTCOMES), len(THRESHOLDS), len(AREAS)), np.int64)
    for number, threshold in enumerate(THRESHOLDS):
        kept = values >= np.float32(threshold)
        lesion = lesion[kept[inside]]
        places, values, inside = places[kept], values[kept], inside[kept]
        beside_unknown = None if beside_unknown is None else beside_unknown[kept]
        regions = regions_of_places(places, width=mask.shape[1])
        region = np.repeat(regions.region, regions.length)  # of each pixel
        answer[:, number] = _count(
            regions.area,
            region[inside],
            lesion,
            uncertain=None if beside_unknown is None else region[beside_unknown],
            least=least,
            lesion_areas=lesions.area,
        )
    return answer


def _beside_unknown(known: np.ndarray) -> np.ndarray:
    return cv2.dilate((~known).view(np.uint8), np.ones((3, 3), np.uint8)) > 0


def _count(
    area: np.ndarray,
    region: np.ndarray,
    lesion: np.ndarray,
    *,
    uncertain: np.ndarray | None,
    least: np.ndarray,
    lesion_areas: np.ndarray,
) -> np.ndarray:
    """Returns the outcomes at one threshold, int64 `[OUTCOMES, AREAS]`.

    Args:
      area: pixels of each region of positive pixels.
      region: region of each positive lesion pixel.
      lesion: lesion of each of them.
      uncertain: region of each positive pixel that touches unknown ones; None: everything is known.
      least: least area of a detection at each area of the grid, ascending, pixels of the photograph.
      lesion_areas: pixels of each lesion.
    """
    # The number of areas of the grid at which a region is a detection: the first so many, as they ascend.
    detected_at = np.searchsorted(least, area, side="right")
    overlap = np.bincount(region, minlength=len(area))
    matched = OVERLAP * overlap >= area
    false = ~matched
    if uncertain is not None:  # what touches unknown pixels may be right
        false &= np.bincount(uncertain, minlength=len(area)) == 0
    steps = len(least) + 1
    covered = np.bincount(lesion * steps + detected_at[region], minlength=len(lesion_areas) * steps)
    found = OVERLAP * _from_the_end(covered.reshape(-1, steps)) >= lesion_areas[:, None]

    def at_each_area(weights: np.ndarray) -> np.ndarray:
        totals = np.bincount(detected_at, weights, steps)
        return _from_the_end(np.rint(totals).astype(np.int64))

    return np.array(
        [
            at_each_area(overlap),
            at_each_area(area - overlap),
            at_each_area(matched),
            at_each_area(false),
            found.sum(axis=0),
        ]
    )


def _from_the_end(at: np.ndarray) -> np.ndarray:
    """Adds up what is detected at the first 0, 1, … areas to what is detected at each area, `[…, AREAS]`."""
    return np.cumsum(at[..., ::-1], axis=-1)[..., ::-1][..., 1:]
