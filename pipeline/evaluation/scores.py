"""Scores: from counts to numbers. NumPy alone, over any leading axes, so that resampled counts take the same way.

Where a denominator is zero a score is NaN here; `pipeline.evaluation.summary` writes null.

Four areas under the precision-recall curve, of the same counts, are told side by side, because papers use each under
the same name:

- `aupr`: average precision, Σ (R_i − R_{i−1}) P_i over all bins: scikit-learn's `average_precision_score` of the
  probabilities' bins. Of probabilities that spread over 0..1 it is that of the probabilities themselves to about 0.002
  with 1,280 bins. Where they crowd into few bins it is lower: pooled over eleven photographs of IDRiD (every fourth
  pixel) 0.492 for 0.497, on one of them 0.685 for 0.704, by a network of three epochs whose highest is 0.54.
- `aupr_33`: the same steps at the 33 thresholds k/32 of the IDRiD challenge (Porwal et al. 2020,
  doi:10.1016/j.media.2019.101561), precision and recall pooled over all photographs. Its text leaves open, and is taken
  as: `>=`, a precision of 1 where nothing is found, steps. `aupr_33_trapezoid` is what trapezoids would give; the
  difference is the size of what is left open (on those photographs 0.433 and 0.502). `>` differs only for
  probabilities on a threshold.
- `aupr_11_trapezoid`: trapezoids between the 11 thresholds k/10, from (recall 0, precision 1) on: the ruler of M2MRF
  (Liu et al. 2023, arXiv:2111.00193) and of those that took its code, as HRDecoder (Ding et al. 2024,
  arXiv:2411.03976).
  It is no average precision: a straight line between two points that lie far apart runs above the curve, and the first
  one starts at a precision of 1 that no threshold has. Theirs is `>`, so that at threshold 0 pixels of exactly 0, which
  a network hardly gives, are not found; here all are. On those photographs it is 0.545.

The 33 and 11 thresholds are edges of the histogram where its bins are a multiple of 160, as 1,280 is; else the next
higher edge is taken.
"""

from collections.abc import Mapping

import numpy as np

from pipeline.evaluation.counting import Counts

RELIABILITY_BINS = 10  # of the calibration
OUTCOMES = ("dice", "iou", "sensitivity", "ppv", "specificity")
AREAS = ("aupr", "aupr_33", "aupr_33_trapezoid", "aupr_11_trapezoid", "roc_auc")
PIXELS = ("lesion_pixels", "found_pixels", "false_positive_pixels", "pixels")
SCORES = (*AREAS, *OUTCOMES, "ece")


def score(counts: Counts) -> dict[str, float | int | None]:
    """Returns all of `SCORES` and `PIXELS` of one class in one region; None where the denominator is zero."""
    values = score_all(counts.lesion, counts.other, counts.true_positive, false_positive=counts.false_positive)
    lesion, other = int(counts.lesion.sum()), int(counts.other.sum())
    return {
        **{name: None if np.isnan(value) else float(value) for name, value in values.items()},
        "lesion_pixels": lesion,
        "found_pixels": counts.true_positive + counts.false_positive,
        "false_positive_pixels": counts.false_positive,
        "pixels": lesion + other,
    }


def score_all(
    lesion: np.ndarray, other: np.ndarray, true_positive: np.ndarray | int, *, false_positive: np.ndarray | int
) -> Mapping[str, np.ndarray]:
    """Returns `SCORES`, each `[…]`, NaN where it has no meaning.

    Without a lesion pixel there is neither an area nor Dice, IoU or sensitivity: what was found is false, and its area
    and number say more.

    Args:
      lesion: counts `[…, bins]`, as `Counts` has them.
      other: the same of all other pixels.
      true_positive: `[…]`.
      false_positive: `[…]`.
    """
    positives, negatives = lesion.sum(axis=-1), other.sum(axis=-1)
    found = np.add(true_positive, false_positive)
    return {
        "aupr": average_precision(lesion, other),
        "aupr_33": _area_at(lesion, other, 32, trapezoid=False),
        "aupr_33_trapezoid": _area_at(lesion, other, 32, trapezoid=True),
        "aupr_11_trapezoid": _area_at(lesion, other, 10, trapezoid=True),
        "roc_auc": roc_auc(lesion, other),
        "dice": _where(positives, _ratio(2 * np.asarray(true_positive), positives + found)),
        "iou": _where(positives, _ratio(true_positive, positives + false_positive)),
        "sensitivity": _ratio(true_positive, positives),
        "ppv": _ratio(true_positive, found),
        "specificity": _ratio(negatives - false_positive, negatives),
        "ece": calibration_error(lesion, other),
    }


def average_precision(lesion: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the area under the precision-recall curve in steps, from the highest bin down, `[…]`."""
    found, wrong = _from_the_top(lesion), _from_the_top(other)
    precision = found / np.maximum(found + wrong, 1)
    return _ratio(np.sum(lesion[..., ::-1] * precision, axis=-1), found[..., -1])


def precision_recall(lesion: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns threshold, precision and recall at the lower edge of every bin, from the highest down, each `[bins]`.

    Args:
      lesion: counts `[bins]`, at least one.
      other: the same of all other pixels.
    """
    bins = lesion.shape[-1]
    found, wrong = _from_the_top(lesion), _from_the_top(other)
    precision = np.where(found + wrong > 0, found / np.maximum(found + wrong, 1), 1)
    return np.arange(bins - 1, -1, -1) / bins, precision, found / found[-1]


def roc_auc(lesion: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the area under the ROC curve: the share of pairs, lesion and other pixel, in the right order, `[…]`."""
    lesion, other = np.asarray(lesion, np.float64), np.asarray(other, np.float64)  # products pass 2^63
    below = np.cumsum(other, axis=-1) - other
    pairs = lesion.sum(axis=-1) * other.sum(axis=-1)
    return _ratio(np.sum(lesion * (below + other / 2), axis=-1), pairs)


def reliability(lesion: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns of `RELIABILITY_BINS` equal ranges of probability the pixels, mean probability and share of lesion.

    A bin's probability is taken to be its middle, which is off by half a bin's width at most.

    Args:
      lesion: counts `[…, bins]`.
      other: the same of all other pixels.

    Returns:
      Three arrays `[…, RELIABILITY_BINS]`; NaN for the latter two where there is no pixel.
    """
    bins = lesion.shape[-1]
    edges = -(-np.arange(RELIABILITY_BINS + 1) * bins // RELIABILITY_BINS)  # the first bin of each range, and the end

    def of_ranges(values: np.ndarray) -> np.ndarray:
        total = np.concatenate([np.zeros_like(values[..., :1]), np.cumsum(values, axis=-1)], axis=-1)
        return np.diff(total[..., edges], axis=-1)

    both = lesion + other
    pixels = of_ranges(both)
    probability = of_ranges(both * ((np.arange(bins) + 0.5) / bins))
    return pixels, _ratio(probability, pixels), _ratio(of_ranges(lesion), pixels)


def calibration_error(lesion: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the expected calibration error, `[…]`: |mean probability − share of lesion|, averaged over pixels."""
    pixels, probability, share = reliability(lesion, other)
    return _ratio(np.nansum(pixels * np.abs(probability - share), axis=-1), pixels.sum(axis=-1))


def best_threshold(lesion: np.ndarray, other: np.ndarray) -> float | None:
    """Returns the edge between two bins from which on, taken as the threshold, Dice is highest.

    Of edges that are equally good, it is the middle of their longest run. The number is one of float32, not below the
    edge, so that `probability >= threshold` finds the same pixels in float32 and in float64: those of the bins above.

    Args:
      lesion: int `[bins]`, lesion pixels by their probability, as `Counts` has them.
      other: int `[bins]`, all other pixels.

    Returns:
      A number strictly between 0 and 1; None where there is no lesion pixel.
    """
    positives, bins = lesion.sum(), len(lesion)
    if positives == 0:
        return None
    right, wrong = np.cumsum(lesion[::-1])[::-1], np.cumsum(other[::-1])[::-1]  # at the lower edge of each bin
    dice = (2 * right / (positives + right + wrong))[1:]  # 0, the lowest edge, is no threshold
    best = np.flatnonzero(dice == dice.max()) + 1
    run = max(np.split(best, np.flatnonzero(np.diff(best) > 1) + 1), key=len)
    edge = run[len(run) // 2] / bins
    threshold = np.float32(edge)
    return float(threshold if threshold >= edge else np.nextafter(threshold, np.float32(1)))


def _area_at(lesion: np.ndarray, other: np.ndarray, steps: int, *, trapezoid: bool) -> np.ndarray:
    """Returns the area under precision over recall at the thresholds 1, (steps − 1) / steps, … 0, `[…]`.

    At threshold 1 nothing is found, at 0 everything.
    """
    bins = lesion.shape[-1]
    above = bins - -(-np.arange(steps, -1, -1) * bins // steps)  # how many bins lie above each threshold
    found, wrong = (
        np.concatenate([np.zeros_like(counts[..., :1]), _from_the_top(counts)], axis=-1)[..., above]
        for counts in (lesion, other)
    )
    precision = np.where(found + wrong > 0, found / np.maximum(found + wrong, 1), 1.0)
    heights = (precision[..., 1:] + precision[..., :-1]) / 2 if trapezoid else precision[..., 1:]
    return _ratio(np.sum(np.diff(found, axis=-1) * heights, axis=-1), found[..., -1])


def _from_the_top(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts[..., ::-1], axis=-1)


def _ratio(numerator: np.ndarray | int, denominator: np.ndarray | int) -> np.ndarray:
    denominator = np.asarray(denominator, np.float64)
    return _where(denominator, numerator / np.where(denominator == 0, 1, denominator))


def _where(denominator: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where(denominator == 0, np.nan, values)
