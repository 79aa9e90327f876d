"""Whether the probability of a detection says how often such detections are right.

The probability of a detection is the highest one in it, its score in the free-response curve. It is right if it is no
false positive (`pipeline.evaluation.lesion_matching`); detections of which that is unknown are in no table.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.evaluation import bootstrap
from pipeline.evaluation.lesion_matching import LESION
from pipeline.evaluation.scores import RELIABILITY_BINS


def detection_calibration(detections: Sequence[np.ndarray], draws: np.ndarray | None) -> dict[str, Any]:
    """Returns the reliability and the Brier score (Brier 1950) of the detections of one class.

    Args:
      detections: `LESION` `[detections]` of each photograph.
      draws: how often each photograph occurs in each resample, see `bootstrap.draw_photographs`; None: no interval.

    Returns:
      `brier`, the mean of (probability - matched)², with its `interval`, and `brier_of_ppv`, what a model gets that
      gives all detections the probability PPV; None without a detection. `ranges`: a row for each of
      `RELIABILITY_BINS` ranges of probability, see `pipeline.evaluation.summary`.
    """
    errors = [(one["maximum"].astype(np.float64) - one["matched"]) ** 2 for one in detections]
    number, total = np.array([len(one) for one in errors]), np.array([one.sum() for one in errors])
    pooled = np.concatenate([np.zeros(0, LESION), *detections])
    drawn = np.zeros(0)
    if draws is not None:
        times = draws.astype(np.float64)
        drawn = np.where(times @ number > 0, times @ total / np.maximum(times @ number, 1), np.nan)
    ppv = float(pooled["matched"].mean()) if len(pooled) else None
    return {
        "brier": float(total.sum() / number.sum()) if len(pooled) else None,
        "interval": bootstrap.interval(drawn),
        "brier_of_ppv": None if ppv is None else ppv * (1 - ppv),
        "ranges": _ranges(pooled),
    }


def _ranges(detections: np.ndarray) -> list[dict[str, float | int | None]]:
    place = np.minimum((detections["maximum"] * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    rows: list[dict[str, float | int | None]] = []
    for number in range(RELIABILITY_BINS):
        inside = detections[place == number]
        rows.append(
            {
                "least": number / RELIABILITY_BINS,
                "below": (number + 1) / RELIABILITY_BINS,
                "detections": len(inside),
                "mean_probability": float(inside["maximum"].mean(dtype=np.float64)) if len(inside) else None,
                "matched_fraction": float(inside["matched"].mean()) if len(inside) else None,
            }
        )
    return rows
