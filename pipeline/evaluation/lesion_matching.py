"""Lesion matching: which lesions were found, which detections are false, and how both depend on the score.

A lesion is an 8-connected region of the mask; a detection is an 8-connected region of the pixels at or above the
operating threshold, of at least `min_area` pixels (`pipeline.operating_point`).

- A lesion is *found* if detections cover at least a fifth of its pixels.
- A detection is a *false positive* if less than a fifth of its pixels are lesion pixels.

The fifth is that of Zhang et al. 2014 (doi:10.1016/j.media.2014.05.004), who compare exudates of e-ophtha outline by
outline. Others accept a single common pixel, by which one large detection finds every lesion that it grazes; the result
of that rule is in the tables too (`overlap > 0`), and in `sensitivity_one_pixel`.

Where it is unknown whether a photograph shows the class, there is neither a lesion nor a detection: both end at the
border, so area, box, centre and score of either are those of its known part. A detection that touches unknown pixels
(8-connected) and has less than a fifth of lesion pixels is no false positive, as its rest may be a lesion: it is not
counted at all, as if it did not exist. One with a fifth or more is counted, and whatever it covers of lesions is found.

The score of a detection is the highest probability in it. The free-response curve (`froc`) runs over scores, as is
usual for candidates: a detection is kept or dropped as a whole. Its last point is the operating point, and it says
nothing about lower thresholds. Thresholding the map again at each score would mean labelling the whole photograph each
time, and would measure something else, because detections split into pieces as the threshold rises. On eleven
photographs of IDRiD, with a network whose highest probability is 0.54, 17 false positives per photograph at 0.5 became
83 at 0.53; here their number can only fall.
"""

import itertools

import cv2
import numpy as np

from records import find_regions

OVERLAP = 5  # a fifth of the pixels: `OVERLAP * common >= area`
FALSE_POSITIVES = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)  # per photograph, at which the FROC is read
SIZES = (100, 300, 1000, 3000, 10_000)  # pixels: edges between the size classes of lesions

# One row per region, for lesions and detections alike.
LESION = np.dtype(
    [
        ("x", np.int32),  # first column of the bounding box
        ("y", np.int32),  # first row
        ("width", np.int32),
        ("height", np.int32),
        ("center_x", np.float32),  # mean column of its pixels
        ("center_y", np.float32),  # mean row
        ("area", np.int32),  # pixels
        ("maximum", np.float32),  # highest probability in it
        # For a lesion: its pixels in detections. For a detection: its lesion pixels.
        ("overlap", np.int32),
        # For a lesion: the highest score s such that detections with at least s cover a fifth of it, 0 if it is missed.
        # For a detection: `maximum`.
        ("score", np.float32),
        # For a lesion: it was found. For a detection: it is not a false positive.
        ("matched", np.bool_),
    ]
)


def match_lesions(
    probability: np.ndarray, mask: np.ndarray, detected: np.ndarray, *, known: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Matches the lesions and the detections of one class in one photograph.

    Args:
      probability: float32 0..1 `[H, W]`.
      mask: bool `[H, W]`, False where unknown.
      detected: bool `[H, W]`, pixels of the detections, all of a probability above 0; False where unknown.
      known: bool `[H, W]`, whether it is known that a pixel shows the class or not; None: known throughout.

    Returns:
      The lesions, and the detections that are counted, `LESION` `[lesions]` and `[detections]`.
    """
    detections, places, labels = _regions(detected, probability)
    detections["overlap"] = np.bincount(labels, mask.ravel()[places], len(detections))
    detections["score"] = detections["maximum"]
    detections["matched"] = OVERLAP * detections["overlap"].astype(np.int64) >= detections["area"]

    lesions, lesion_places, lesion_labels = _regions(mask, probability)
    if len(lesions):
        score = np.zeros(detected.size, np.float32)
        score[places] = detections["score"][labels]
        scores = score[lesion_places]
        lesions["overlap"] = np.bincount(lesion_labels, scores > 0, len(lesions))
        # The lowest score among the best-scored fifth of its pixels.
        order = np.lexsort((-scores, lesion_labels))
        first = np.cumsum(lesions["area"]) - lesions["area"]
        lesions["score"] = scores[order][first + (lesions["area"] + OVERLAP - 1) // OVERLAP - 1]
        lesions["matched"] = lesions["score"] > 0
    if known is not None:
        beside_unknown = cv2.dilate((~known).view(np.uint8), np.ones((3, 3), np.uint8))
        touching = np.bincount(labels, beside_unknown.ravel()[places], len(detections)) > 0
        detections = detections[detections["matched"] | ~touching]
    return lesions, detections


def froc(lesions: np.ndarray, detections: np.ndarray, photographs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the free-response curve, from the highest score to the lowest.

    Args:
      lesions: lesions of all photographs, `LESION` `[lesions]`, at least one.
      detections: detections of all photographs, `LESION` `[detections]`.
      photographs: number of photographs in which the class is known, including those without a lesion.

    Returns:
      Three arrays `[points]`: the lowest score of the detections kept, false positives per photograph, and the fraction
      of lesions found. The first point is (infinity, 0, 0), the last one is the operating point.
    """
    false = np.sort(detections["score"][~detections["matched"]])
    true = np.sort(lesions["score"][lesions["matched"]])
    scores = np.concatenate([[np.inf], np.unique(np.concatenate([false, true]))[::-1]])
    false_positives = (len(false) - np.searchsorted(false, scores)) / photographs
    sensitivity = (len(true) - np.searchsorted(true, scores)) / len(lesions)
    return scores, false_positives, sensitivity


def sensitivity_at(false_positives: np.ndarray, sensitivity: np.ndarray) -> list[float]:
    """Reads an FROC at `FALSE_POSITIVES`: the highest sensitivity with at most so many false positives per photograph.

    Beyond the end of the curve, which is the operating point, it is the sensitivity there: a lower bound.

    Args:
      false_positives: float64 `[points]` per photograph, as `froc` returns them.
      sensitivity: float64 `[points]`, the same.

    Returns:
      A sensitivity for each of `FALSE_POSITIVES`.
    """
    return [float(sensitivity[false_positives <= limit].max()) for limit in FALSE_POSITIVES]


def by_size(lesions: np.ndarray) -> list[dict[str, int | float | None]]:
    """Counts lesions, and how many of them were found, by size.

    Args:
      lesions: `LESION` `[lesions]`.

    Returns:
      A row for each size class between the edges `SIZES`: `least` and `below` (area in pixels, `below` None for the
      last one), `lesions`, `found`, and `sensitivity`, None without a lesion of that size.
    """
    edges = (1, *SIZES, None)
    rows: list[dict[str, int | float | None]] = []
    size = np.searchsorted(SIZES, lesions["area"], side="right")
    for number, (least, below) in enumerate(itertools.pairwise(edges)):
        of_size = lesions[size == number]
        found = int(np.count_nonzero(of_size["matched"]))
        sensitivity = found / len(of_size) if len(of_size) else None
        rows.append(
            {"least": least, "below": below, "lesions": len(of_size), "found": found, "sensitivity": sensitivity}
        )
    return rows


def _regions(binary: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds the 8-connected regions of a bool array `[H, W]`.

    Returns:
      The regions from top to bottom, `LESION` without overlap, score and match; and for each of their pixels its place
      in the flattened photograph and the number of its region.
    """
    found = find_regions(binary)
    count = len(found.area)
    regions = np.zeros(count, LESION)
    for name in ("x", "y", "width", "height", "area"):
        regions[name] = getattr(found, name)
    center_of_run = found.left + (found.length - 1) / 2
    regions["center_x"] = np.bincount(found.region, found.length * center_of_run, count) / regions["area"]
    regions["center_y"] = np.bincount(found.region, found.length * found.row, count) / regions["area"]
    if count:
        first = np.cumsum(found.length) - found.length  # of each run, among all pixels
        highest = np.zeros(count, np.float32)
        np.maximum.at(highest, found.region, np.maximum.reduceat(probability.ravel()[found.places], first))
        regions["maximum"] = highest
    return regions, found.places, np.repeat(found.region, found.length)
