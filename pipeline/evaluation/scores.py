"""Scores: from counts to numbers, in NumPy alone and over any leading axes, so that resamples are scored the same way.

Where the denominator is zero a score is NaN here; `pipeline.evaluation.summary` writes null.

Papers call four different areas "AUPR". All four are computed from the same counts:

- `aupr`: average precision, Σ (R_i − R_{i−1}) P_i over all bins (`pipeline.evaluation.probability_bins`);
  scikit-learn's `average_precision_score` of the probabilities' bins. For probabilities spread over 0..1 and 1,280 bins
  it differs from that of the probabilities themselves by about 0.002. Where they crowd into few bins it is lower:
  pooled over eleven photographs of IDRiD (every fourth pixel) 0.492 instead of 0.497, on one of them 0.685 instead of
  0.704, with a network trained for three epochs whose highest probability is 0.54.
- `aupr_33`: the same steps at the 33 thresholds k/32 of the IDRiD challenge (Porwal et al. 2020,
  doi:10.1016/j.media.2019.101561), with precision and recall pooled over all photographs. Where its text is not
  explicit we use `>=`, a precision of 1 where nothing is positive, and steps. `aupr_33_trapezoid` uses trapezoids
  instead; the difference (0.433 and 0.502 on those photographs) shows how much the choice matters. `>` would differ
  only for probabilities exactly at a threshold.
- `aupr_11_trapezoid`: trapezoids between the 11 thresholds k/10, starting at (recall 0, precision 1), as M2MRF (Liu et
  al. 2023, arXiv:2111.00193) computes it, and those that use its code, such as HRDecoder (Ding et al. 2024,
  arXiv:2411.03976).
  It is not average precision: a straight line between two distant points runs above the curve, and the first one starts
  at a precision of 1 that no threshold has. They use `>`, so that pixels of exactly 0, which a network hardly ever
  gives, are negative at threshold 0; here they are positive. On those photographs it is 0.545.

The 33 and 11 thresholds are edges of the histogram if the number of bins is a multiple of 160, such as 1,280; otherwise
the next higher edge is used.
"""

from collections.abc import Mapping

import numpy as np

from pipeline.evaluation.counting import Counts
from pipeline.evaluation.probability_bins import bins_of, lower_edges, middles

RELIABILITY_BINS = 10  # ranges of probability in the calibration tables
OUTCOMES = ("dice", "iou", "sensitivity", "ppv", "specificity")
AREAS = ("aupr", "aupr_33", "aupr_33_trapezoid", "aupr_11_trapezoid", "roc_auc")
PIXELS = ("lesion_pixels", "found_pixels", "false_positive_pixels", "pixels")
SCORES = (*AREAS, *OUTCOMES, "ece")


def score(counts: Counts) -> dict[str, float | int | None]:
    """Returns all of `SCORES` and `PIXELS` of one class in one region; None where the denominator is zero."""
    values = score_all(counts.lesion, counts.negatives, counts.true_positive, false_positive=counts.false_positive)
    return {
        **{name: None if np.isnan(value) else float(value) for name, value in values.items()},
        "lesion_pixels": int(counts.lesion.sum()),
        "found_pixels": counts.true_positive + counts.false_positive,
        "false_positive_pixels": counts.false_positive,
        "pixels": counts.pixels,
    }


def score_all(
    lesion: np.ndarray, negatives: np.ndarray, true_positive: np.ndarray | int, *, false_positive: np.ndarray | int
) -> Mapping[str, np.ndarray]:
    """Returns `SCORES`, each float64 `[…]`, NaN where it is undefined.

    Without lesion pixels, the areas under the curves, Dice, IoU and sensitivity are undefined. All pixels that were
    found are then false positives, and the number of pixels and detections says more.

    Args:
      lesion: int `[…, bins + FURTHER]`, histogram of lesion pixels, see `Counts`.
      negatives: int `[…, bins + FURTHER]`, histogram of all other pixels.
      true_positive: int `[…]`.
      false_positive: int `[…]`.
    """
    lesion_pixels, negative_pixels = lesion.sum(axis=-1), negatives.sum(axis=-1)
    positive = np.add(true_positive, false_positive)
    return {
        "aupr": average_precision(lesion, negatives),
        "aupr_33": _area_at(lesion, negatives, 32, trapezoid=False),
        "aupr_33_trapezoid": _area_at(lesion, negatives, 32, trapezoid=True),
        "aupr_11_trapezoid": _area_at(lesion, negatives, 10, trapezoid=True),
        "roc_auc": roc_auc(lesion, negatives),
        "dice": _where(lesion_pixels, _ratio(2 * np.asarray(true_positive), lesion_pixels + positive)),
        "iou": _where(lesion_pixels, _ratio(true_positive, lesion_pixels + false_positive)),
        "sensitivity": _ratio(true_positive, lesion_pixels),
        "ppv": _ratio(true_positive, positive),
        "specificity": _ratio(negative_pixels - false_positive, negative_pixels),
        "ece": calibration_error(lesion, negatives),
    }


def average_precision(lesion: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Returns the area under the steps of the precision-recall curve, `[…]`, from histograms, the lowest bin first."""
    true, false = _from_the_top(lesion), _from_the_top(negatives)
    precision = true / np.maximum(true + false, 1)
    return _ratio(np.sum(lesion[..., ::-1] * precision, axis=-1), true[..., -1])


def precision_recall(lesion: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the precision-recall curve at the lower edges of all bins, the highest first.

    Args:
      lesion: int `[bins + FURTHER]`, histogram of lesion pixels, at least one.
      negatives: int `[bins + FURTHER]`, histogram of all other pixels.

    Returns:
      Threshold, precision and recall, each float64 `[bins + FURTHER]`.
    """
    true, false = _from_the_top(lesion), _from_the_top(negatives)
    precision = np.where(true + false > 0, true / np.maximum(true + false, 1), 1)
    return lower_edges(bins_of(lesion))[::-1], precision, true / true[-1]


def roc_auc(lesion: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Returns the area under the ROC curve, `[…]`: the fraction of (lesion, other) pixel pairs in the right order."""
    lesion, negatives = np.asarray(lesion, np.float64), np.asarray(negatives, np.float64)  # products pass 2^63
    below = np.cumsum(negatives, axis=-1) - negatives
    pairs = lesion.sum(axis=-1) * negatives.sum(axis=-1)
    return _ratio(np.sum(lesion * (below + negatives / 2), axis=-1), pairs)


def reliability(lesion: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the reliability curve over `RELIABILITY_BINS` equal ranges of probability.

    The probability of a histogram bin is its middle, which is off by at most half a bin's width.

    Args:
      lesion: int `[…, bins + FURTHER]`, histogram of lesion pixels.
      negatives: int `[…, bins + FURTHER]`, histogram of all other pixels.

    Returns:
      Pixels, mean probability and fraction of lesion pixels, each `[…, RELIABILITY_BINS]`; the latter two are NaN where
      there is no pixel.
    """
    bins = bins_of(lesion)
    ranges = np.arange(RELIABILITY_BINS + 1) / RELIABILITY_BINS
    edges = np.searchsorted(lower_edges(bins), ranges)  # the first bin of each range, and the end

    def of_ranges(values: np.ndarray) -> np.ndarray:
        total = np.concatenate([np.zeros_like(values[..., :1]), np.cumsum(values, axis=-1)], axis=-1)
        return np.diff(total[..., edges], axis=-1)

    both = lesion + negatives
    pixels = of_ranges(both)
    probability = of_ranges(both * middles(bins))
    return pixels, _ratio(probability, pixels), _ratio(of_ranges(lesion), pixels)


def calibration_error(lesion: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Returns the expected calibration error, `[…]`: |mean probability − lesion fraction|, averaged over pixels."""
    pixels, probability, fraction = reliability(lesion, negatives)
    return _ratio(np.nansum(pixels * np.abs(probability - fraction), axis=-1), pixels.sum(axis=-1))


def best_threshold(lesion: np.ndarray, negatives: np.ndarray) -> float | None:
    """Returns the edge between two bins that has the highest Dice as the threshold.

    Of equally good edges it is the middle of their widest run. It is rounded up to a float32 number, so that
    `probability >= threshold` selects the same pixels in float32 and in float64: those of the bins above the edge.

    Args:
      lesion: int `[bins + FURTHER]`, histogram of lesion pixels, see `Counts`.
      negatives: int `[bins + FURTHER]`, histogram of all other pixels.

    Returns:
      A number strictly between 0 and 1; None without lesion pixels.
    """
    positives, edges = lesion.sum(), lower_edges(bins_of(lesion))
    if positives == 0:
        return None
    right, wrong = np.cumsum(lesion[::-1])[::-1], np.cumsum(negatives[::-1])[::-1]  # at the lower edge of each bin
    dice = (2 * right / (positives + right + wrong))[1:]  # the lowest edge, 0, is not a threshold
    best = np.flatnonzero(dice == dice.max()) + 1
    runs = [edges[run] for run in np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)]
    run = max(runs, key=lambda run: run[-1] - run[0])
    edge = run[np.searchsorted(run, (run[0] + run[-1]) / 2)]
    threshold = np.float32(edge)
    return float(threshold if threshold >= edge else np.nextafter(threshold, np.float32(1)))


def _area_at(lesion: np.ndarray, negatives: np.ndarray, steps: int, *, trapezoid: bool) -> np.ndarray:
    """Returns the area under precision over recall at the thresholds 1, (steps − 1) / steps, … 0, float64 `[…]`.

    At threshold 1 nothing is positive, at 0 everything.
    """
    edges = lower_edges(bins_of(lesion))
    above = len(edges) - np.searchsorted(edges, np.arange(steps, -1, -1) / steps)  # number of bins above each threshold
    true, false = (
        np.concatenate([np.zeros_like(counts[..., :1]), _from_the_top(counts)], axis=-1)[..., above]
        for counts in (lesion, negatives)
    )
    precision = np.where(true + false > 0, true / np.maximum(true + false, 1), 1.0)
    heights = (precision[..., 1:] + precision[..., :-1]) / 2 if trapezoid else precision[..., 1:]
    return _ratio(np.sum(np.diff(true, axis=-1) * heights, axis=-1), true[..., -1])


def _from_the_top(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts[..., ::-1], axis=-1)


def _ratio(numerator: np.ndarray | int, denominator: np.ndarray | int) -> np.ndarray:
    denominator = np.asarray(denominator, np.float64)
    return _where(denominator, numerator / np.where(denominator == 0, 1, denominator))


def _where(denominator: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where(denominator == 0, np.nan, values)
