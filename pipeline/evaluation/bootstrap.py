"""Bootstrap intervals: photographs are resampled with replacement, and every score is computed for each resample.

The unit is the photograph, because pixels and lesions of one photograph are not independent. An interval says how the
score of this one trained model would vary over photographs like these.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from pipeline.evaluation.counting import REGIONS, PhotographCounts
from pipeline.evaluation.lesion_matching import FALSE_POSITIVES
from pipeline.evaluation.scores import SCORES, score_all

RESAMPLES, SEED, LEVEL = 2000, 0, 0.95
AT_ONCE = 200  # resamples scored together, so that their curves take some ten megabytes


def draw_photographs(photographs: int) -> np.ndarray:
    """Draws the resamples: how often each photograph occurs in each of them.

    The draws depend only on the number of photographs, so two models scored on the same photographs are resampled in
    pairs.

    Args:
      photographs: their number, which is also the size of each resample.

    Returns:
      uint16 `[RESAMPLES, photographs]`.
    """
    rng = np.random.default_rng(SEED)
    return rng.multinomial(photographs, np.full(photographs, 1 / photographs), RESAMPLES).astype(np.uint16)


def pooled_samples(
    photographs: Iterable[PhotographCounts], draws: np.ndarray, name: str
) -> dict[str, dict[str, np.ndarray]]:
    """Returns the scores of one class, pooled over each resample.

    Args:
      photographs: the counts, one photograph after the other; none is kept in memory.
      draws: as `draw_photographs` returns them.
      name: the class.

    Returns:
      `samples[region][score]`, float64 `[RESAMPLES]`.
    """
    totals: dict[str, np.ndarray] = {}
    for number, photograph in enumerate(photographs):
        times = draws[:, number, None]
        for region in REGIONS:
            counts = photograph.counts[region][name]
            row = np.concatenate([counts.lesion, counts.negatives, [counts.true_positive, counts.false_positive]])
            if region not in totals:
                totals[region] = np.zeros((len(draws), len(row)), np.int64)
            filled = np.flatnonzero(row)  # most bins of a photograph are empty
            totals[region][:, filled] += times * row[filled]
    return {region: _score_resamples(total) for region, total in totals.items()}


def lesion_samples(
    lesions: Sequence[np.ndarray], detections: Sequence[np.ndarray], draws: np.ndarray, *, known: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the lesion-wise scores of one class (`pipeline.evaluation.lesion_matching`) for each resample.

    Args:
      lesions: `LESION` `[lesions]` of each photograph.
      detections: `LESION` `[detections]` of each photograph.
      draws: as `draw_photographs` returns them.
      known: bool `[photographs]`, whether the class is known in each photograph.

    Returns:
      `sensitivity` and `false_positives` (per photograph in which the class is known) at the operating point, float64
      `[RESAMPLES]`, and `froc`, float64 `[RESAMPLES, len(FALSE_POSITIVES)]`. NaN where a resample has no lesion, and
      for `false_positives` where it has no photograph in which the class is known.
    """
    owner, score, true = _events(lesions, detections)
    ends = np.append(score[1:] != score[:-1], True) if len(score) else np.zeros(0, bool)
    number = np.array([len(one) for one in lesions])
    parts = []
    for first in range(0, len(draws), AT_ONCE):
        times = draws[first : first + AT_ONCE].astype(np.int64)
        total, seen = (times @ number)[:, None], (times @ known.astype(np.int64))[:, None]
        weights = times[:, owner]
        start = np.zeros((len(times), 1), np.int64)
        found = np.hstack([start, np.cumsum(weights * true, axis=1)[:, ends]])
        false = np.hstack([start, np.cumsum(weights * ~true, axis=1)[:, ends]]) / np.maximum(seen, 1)
        sensitivity = np.where(total > 0, found / np.maximum(total, 1), np.nan)
        at = [np.where(false <= limit, sensitivity, 0).max(axis=1) for limit in FALSE_POSITIVES]
        parts.append(np.column_stack([sensitivity[:, -1], np.where(seen[:, 0] > 0, false[:, -1], np.nan), *at]))
    samples = np.concatenate(parts)
    return {"sensitivity": samples[:, 0], "false_positives": samples[:, 1], "froc": samples[:, 2:]}


def interval(samples: np.ndarray) -> list[float] | None:
    """Returns the percentile interval of level `LEVEL` over the samples that are not NaN; None if all are."""
    known = samples[~np.isnan(samples)]
    if not len(known):
        return None
    return np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()


def mean_and_median(values: np.ndarray) -> dict[str, float | list[float] | None]:
    """Returns the mean and the median of one number per photograph, with their intervals.

    Args:
      values: float64 `[photographs]`.

    Returns:
      `mean` and `median`, None without any value; `mean_interval` and `median_interval`, None with fewer than two.
    """
    answer: dict[str, float | list[float] | None] = {}
    for name, statistic in (("mean", np.mean), ("median", np.median)):
        answer[name] = float(statistic(values)) if len(values) else None
        answer[f"{name}_interval"] = None
        if len(values) > 1:
            drawn = stats.bootstrap(
                (values,), statistic, n_resamples=RESAMPLES, confidence_level=LEVEL, method="percentile", rng=SEED
            )
            answer[f"{name}_interval"] = [float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)]
    return answer


def _score_resamples(total: np.ndarray) -> dict[str, np.ndarray]:
    bins = (total.shape[1] - 2) // 2
    parts = []
    for first in range(0, len(total), AT_ONCE):
        rows = total[first : first + AT_ONCE]
        parts.append(score_all(rows[:, :bins], rows[:, bins:-2], rows[:, -2], false_positive=rows[:, -1]))
    return {name: np.concatenate([part[name] for part in parts]) for name in SCORES}


def _events(
    lesions: Sequence[np.ndarray], detections: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns found lesions and false positives, the highest score first: photograph, score, and whether a lesion."""
    parts = []
    for number, (true, detected) in enumerate(zip(lesions, detections, strict=True)):
        scores = np.concatenate([true["score"][true["matched"]], detected["score"][~detected["matched"]]])
        is_lesion = np.arange(len(scores)) < np.count_nonzero(true["matched"])
        parts.append((np.full(len(scores), number), scores, is_lesion))
    owner, score, is_lesion = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(-score, kind="stable")
    return owner[order], score[order], is_lesion[order]
