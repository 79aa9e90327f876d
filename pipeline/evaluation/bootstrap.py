"""Intervals: photographs are drawn again, with replacement, and the scores of each draw computed anew.

Photographs are the units, not pixels: pixels and lesions of one photograph are alike. An interval says how the score
would vary over photographs like these, for this one trained model.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from pipeline.evaluation.counting import REGIONS, PhotographCounts
from pipeline.evaluation.lesion_matching import FALSE_POSITIVES
from pipeline.evaluation.scores import SCORES, score_all

RESAMPLES, SEED, LEVEL = 2000, 0, 0.95
AT_ONCE = 200  # draws that are scored together, so that their curves take some ten megabytes

Samples = dict[str, dict[str, dict[str, np.ndarray]]]


def draw_photographs(photographs: int) -> np.ndarray:
    """Draws, uint16 `[RESAMPLES, photographs]`: how often each photograph is in each draw of as many as there are.

    The same for the same number, so that scores of two models on the same photographs are drawn in pairs.
    """
    rng = np.random.default_rng(SEED)
    return rng.multinomial(photographs, np.full(photographs, 1 / photographs), RESAMPLES).astype(np.uint16)


def pooled_samples(
    photographs: Iterable[PhotographCounts], draws: np.ndarray, name: str
) -> dict[str, dict[str, np.ndarray]]:
    """Returns of one class `samples[region][score]`, float64 `[RESAMPLES]`, the scores pooled over each draw.

    Args:
      photographs: one after the other, of which none is kept.
      draws: of `draw_photographs`.
      name: of the class.
    """
    totals: dict[str, np.ndarray] = {}
    for number, photograph in enumerate(photographs):
        times = draws[:, number, None]
        for region in REGIONS:
            counts = photograph.counts[region][name]
            row = np.concatenate([counts.lesion, counts.other, [counts.true_positive, counts.false_positive]])
            if region not in totals:
                totals[region] = np.zeros((len(draws), len(row)), np.int64)
            drawn = np.flatnonzero(row)  # most bins of a photograph are empty
            totals[region][:, drawn] += times * row[drawn]
    return {region: _score_draws(total) for region, total in totals.items()}


def lesion_samples(
    lesions: Sequence[np.ndarray], findings: Sequence[np.ndarray], draws: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns what `pipeline.evaluation.lesion_matching` says of one class, over draws.

    Args:
      lesions: `LESION` `[…]` of each photograph.
      findings: the same.
      draws: of `draw_photographs`.

    Returns:
      `sensitivity` and `false_positives` (a photograph) at the operating point, `[RESAMPLES]`, and `froc`
      `[RESAMPLES, len(FALSE_POSITIVES)]`; NaN where a draw has no lesion.
    """
    owner, score, true = _events(lesions, findings)
    ends = np.append(score[1:] != score[:-1], True) if len(score) else np.zeros(0, bool)
    number = np.array([len(one) for one in lesions])
    parts = []
    for first in range(0, len(draws), AT_ONCE):
        times = draws[first : first + AT_ONCE].astype(np.int64)
        total = (times @ number)[:, None]
        weights = times[:, owner]
        start = np.zeros((len(times), 1), np.int64)
        found = np.hstack([start, np.cumsum(weights * true, axis=1)[:, ends]])
        false = np.hstack([start, np.cumsum(weights * ~true, axis=1)[:, ends]]) / len(lesions)
        sensitivity = np.where(total > 0, found / np.maximum(total, 1), np.nan)
        at = [np.where(false <= limit, sensitivity, 0).max(axis=1) for limit in FALSE_POSITIVES]
        parts.append(np.column_stack([sensitivity[:, -1], false[:, -1], *at]))
    samples = np.concatenate(parts)
    return {"sensitivity": samples[:, 0], "false_positives": samples[:, 1], "froc": samples[:, 2:]}


def interval(samples: np.ndarray) -> list[float] | None:
    """Returns the percentile interval of level `LEVEL` over the draws where the score has a meaning, if any."""
    known = samples[~np.isnan(samples)]
    if not len(known):
        return None
    return np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()


def mean_and_median(values: np.ndarray) -> dict[str, float | list[float] | None]:
    """Returns mean and median of one number a photograph, and their intervals, null with fewer than two."""
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


def _score_draws(total: np.ndarray) -> dict[str, np.ndarray]:
    bins = (total.shape[1] - 2) // 2
    parts = []
    for first in range(0, len(total), AT_ONCE):
        rows = total[first : first + AT_ONCE]
        parts.append(score_all(rows[:, :bins], rows[:, bins:-2], rows[:, -2], false_positive=rows[:, -1]))
    return {name: np.concatenate([part[name] for part in parts]) for name in SCORES}


def _events(lesions: Sequence[np.ndarray], findings: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns found lesions and false positives from the highest score down: photograph, score, whether a lesion."""
    parts = []
    for number, (true, found) in enumerate(zip(lesions, findings, strict=True)):
        scores = np.concatenate([true["score"][true["matched"]], found["score"][~found["matched"]]])
        is_lesion = np.arange(len(scores)) < np.count_nonzero(true["matched"])
        parts.append((np.full(len(scores), number), scores, is_lesion))
    owner, score, is_lesion = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(-score, kind="stable")
    return owner[order], score[order], is_lesion[order]
