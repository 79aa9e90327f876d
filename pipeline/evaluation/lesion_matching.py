"""Lesions one by one: which true ones were found, which found ones are false, and how that goes with the threshold.

A lesion is an 8-connected region of the true mask; a finding is one of the pixels at or above the operating threshold.

- A lesion is *found* where findings cover at least a fifth of its pixels.
- A finding is a *false positive* where less than a fifth of its pixels are lesion.

The fifth is that of Zhang et al. 2014 (doi:10.1016/j.media.2014.05.004), who hold exudates of e-ophtha against each
other outline by outline. A single common pixel, which others take, lets one large finding hit whatever it grazes; what
that rule would say is in the tables too (`overlap > 0`), and in `sensitivity_one_pixel`.

The score of a finding is the highest probability in it. The free-response curve (`froc`) goes over scores, as is usual
for candidates: a finding is taken or left as a whole. Its last point is the operating point, and it says nothing of
lower thresholds. To cut the map anew at each threshold would cost a labelling of the whole photograph each time, and
says something else: findings part into pieces as the threshold rises. On eleven photographs of IDRiD, by a network
whose probabilities end at 0.54, 17 false positives a photograph at 0.5 became 83 at 0.53; here they only become fewer.
"""

import itertools

import numpy as np

from records import find_regions

OVERLAP = 5  # a fifth of the pixels: `OVERLAP * common >= area`
FALSE_POSITIVES = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)  # a photograph, at which the FROC is read
SIZES = (100, 300, 1000, 3000, 10_000)  # pixels: edges between the sizes by which sensitivity is told

# One row a region, of lesions and findings alike.
LESION = np.dtype(
    [
        ("x", np.int32),  # first column of the bounding box
        ("y", np.int32),  # first row
        ("width", np.int32),
        ("height", np.int32),
        ("center_x", np.float32),  # of its pixels, in columns
        ("center_y", np.float32),
        ("area", np.int32),  # pixels
        ("maximum", np.float32),  # highest probability in it
        # Of a lesion its pixels at or above the operating threshold, of a finding its lesion pixels.
        ("overlap", np.int32),
        # Of a lesion the highest score from which on findings cover a fifth of it, 0 where they never do (missed); of a
        # finding `maximum`.
        ("score", np.float32),
        # A lesion that was found; a finding that is no false positive.
        ("matched", np.bool_),
    ]
)


def match_lesions(probability: np.ndarray, mask: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Matches the lesions and the findings of one class in one photograph.

    Args:
      probability: float32 0..1 `[H, W]`.
      mask: bool `[H, W]`.
      threshold: from which probability on a pixel is found, above 0.

    Returns:
      The lesions and the findings, `LESION` `[lesions]` and `[findings]`.
    """
    found = probability >= threshold
    findings, places, labels = _regions(found, probability)
    findings["overlap"] = np.bincount(labels, mask.ravel()[places], len(findings))
    findings["score"] = findings["maximum"]
    findings["matched"] = OVERLAP * findings["overlap"].astype(np.int64) >= findings["area"]

    lesions, lesion_places, lesion_labels = _regions(mask, probability)
    if len(lesions):
        score = np.zeros(found.size, np.float32)
        score[places] = findings["score"][labels]
        scores = score[lesion_places]
        lesions["overlap"] = np.bincount(lesion_labels, scores > 0, len(lesions))
        # The score that the best-scored fifth of its pixels have at least.
        order = np.lexsort((-scores, lesion_labels))
        first = np.cumsum(lesions["area"]) - lesions["area"]
        lesions["score"] = scores[order][first + (lesions["area"] + OVERLAP - 1) // OVERLAP - 1]
        lesions["matched"] = lesions["score"] > 0
    return lesions, findings


def froc(lesions: np.ndarray, findings: np.ndarray, photographs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the free-response curve over all scores, from the highest down.

    Args:
      lesions: of all photographs, `LESION` `[lesions]`, at least one.
      findings: of all photographs, `LESION` `[findings]`.
      photographs: their number, those without a lesion included.

    Returns:
      Three arrays `[points]`: the score from which on findings are taken, false positives a photograph, share of the
      lesions found. The first point is (infinity, 0, 0), the last one the operating point.
    """
    false = np.sort(findings["score"][~findings["matched"]])
    true = np.sort(lesions["score"][lesions["matched"]])
    scores = np.concatenate([[np.inf], np.unique(np.concatenate([false, true]))[::-1]])
    false_positives = (len(false) - np.searchsorted(false, scores)) / photographs
    sensitivity = (len(true) - np.searchsorted(true, scores)) / len(lesions)
    return scores, false_positives, sensitivity


def sensitivity_at(false_positives: np.ndarray, sensitivity: np.ndarray) -> list[float]:
    """Reads an FROC at `FALSE_POSITIVES`: the highest sensitivity with at most so many false positives a photograph.

    Where the curve ends before, at the operating point, it is the sensitivity there: at least that much is found.
    """
    return [float(sensitivity[false_positives <= limit].max()) for limit in FALSE_POSITIVES]


def by_size(lesions: np.ndarray) -> list[dict[str, int | float | None]]:
    """Counts the lesions of each size, `[least, below)` pixels with the edges `SIZES`, and those found."""
    edges = (1, *SIZES, None)
    rows: list[dict[str, int | float | None]] = []
    size = np.searchsorted(SIZES, lesions["area"], side="right")
    for number, (least, below) in enumerate(itertools.pairwise(edges)):
        of_size = lesions[size == number]
        found = int(np.count_nonzero(of_size["matched"]))
        share = found / len(of_size) if len(of_size) else None
        rows.append({"least": least, "below": below, "lesions": len(of_size), "found": found, "sensitivity": share})
    return rows


def _regions(binary: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Describes the 8-connected regions of bool `[H, W]`.

    Returns:
      The regions, `LESION` without overlap, score and match, from top to bottom; and of each of their pixels its place
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
