"""Operating points that were earned: chosen on all folds but one, scored on that one, and pooled.

For each class there are three ways to choose, all from the sweeps of the photographs (`pipeline.evaluation.sweeps`):

| way | what is chosen |
| --- | --- |
| `threshold` | the threshold of highest pooled Dice; every region is a detection |
| `area` | at that threshold, the least area with the highest sum of Dice and lesion F1 |
| `both` | the threshold and the least area with the highest sum of Dice and lesion F1 |

Lesion F1 is the harmonic mean of the fraction of lesions found and that of detections that are no false positives, by
the rule of `pipeline.evaluation.lesion_matching`. No area is chosen by which Dice or lesion F1 would fall below that of
the threshold alone.

The scores of a way are those of every photograph at what was chosen without its fold, so they are not those of numbers
that were fitted to it. `area` is taken if it helps beside `threshold`, and `both` if it helps beside what is taken by
then: if Dice and lesion F1 both rise, and the paired interval of one of the differences lies above 0. The point itself
is chosen on all folds in the way that was taken; a threshold alone is then one of all edges of the histograms. (The way
is taken by the same scores that are then printed for it; in this one respect they are a little too good.)

The content, `operating_points` in `crossval.json`:

| key | content |
| --- | --- |
| `why_not` | why nothing is chosen for any class; null if something may be |
| `lacking` | folds of which photographs have no sweeps |
| `thresholds`, `areas` | the grid; areas are in pixels at the network's scale, 0: every region is a detection |
| `classes[class]` | see below |

- `why_not`: why nothing is chosen for the class, or null. Then the following are null:
- `chosen`: `way`, `threshold`, `min_area`, on all folds.
- `by_fold`: for each way, the list of `left_out` (fold), `threshold` and `min_area` that were chosen without it.
- `scores`: for `before` (the folds' own operating points, as they were scored) and each way: `dice`,
  `lesion_sensitivity`, `lesion_precision`, `lesion_f1`, `false_detections` (per photograph where the class is known),
  each with `value` and `interval`; and, but for `before`, `without_areas`: the false detections per photograph where
  every region is a detection and one threshold for all folds makes the lesion sensitivity equal (linear between those
  of the grid; null if none does), and the difference to them.
- `differences`: of `area` and `both`: `beside` (the way that it is compared with), `dice` and `lesion_f1` (`value`,
  `interval`), `helps`.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.evaluation import bootstrap
from pipeline.evaluation.counting import PhotographCounts, pool
from pipeline.evaluation.fold_results import FOLD
from pipeline.evaluation.results import Result, read_counts
from pipeline.evaluation.scores import best_threshold
from pipeline.evaluation.sweeps import AREAS, OUTCOMES, THRESHOLDS

WAYS = ("threshold", "area", "both")
SCORES = ("dice", "lesion_sensitivity", "lesion_precision", "lesion_f1", "false_detections")
FOUND, FALSE = OUTCOMES.index("found"), OUTCOMES.index("false_detections")


class GridPoint(NamedTuple):
    """A point of the grid.

    Attributes:
      threshold: number of its threshold in `THRESHOLDS`.
      area: number of its least area in `AREAS`.
    """

    threshold: int
    area: int


@dataclasses.dataclass(frozen=True)
class ClassCounts:
    """What one class counts in each of N photographs.

    Attributes:
      sweeps: int64 `[N, OUTCOMES, THRESHOLDS, AREAS]`.
      scored: int64 `[N, OUTCOMES]`, at the operating point that it was scored at.
      labelled: int64 `[N, 3]`: lesion pixels, lesions, and 1 if the class is known.
    """

    sweeps: np.ndarray
    scored: np.ndarray
    labelled: np.ndarray

    def at(self, points: np.ndarray) -> np.ndarray:
        """Returns what each photograph counts at a point of its own, int64 `[N, OUTCOMES]`.

        Args:
          points: int64 `[N, 2]`, a `GridPoint` for each photograph.
        """
        return self.sweeps[np.arange(len(points)), :, points[:, 0], points[:, 1]]


def earned_operating_points(result: Result) -> dict[str, Any]:
    """Chooses an operating point for each class and scores the ways to choose, see above.

    Args:
      result: scores of photographs by networks that had not seen them. The results of a cross-validation are divided
        into its folds; of others each photograph is a fold of its own.

    Returns:
      The content of `operating_points`.
    """
    names, folds = _folds(result)
    counts, lacking = _read(result)
    content: dict[str, Any] = {
        "why_not": None,
        "lacking": [],
        "thresholds": list(THRESHOLDS),
        "areas": list(AREAS),
        "classes": {},
    }
    if lacking:
        content["lacking"] = [names[fold] for fold in dict.fromkeys(folds[lacking].tolist())]
        content["why_not"] = (
            f"{len(lacking)} of {len(result.cases)} photographs, such as {result.cases[lacking[0]]}, have no counts at "
            "other thresholds and areas, which eval --sweep makes"
        )
    elif len(names) < 2:
        content["why_not"] = "one fold is finished, and what is chosen on it could be scored on no other"
    else:
        draws = bootstrap.draw_photographs(len(result.cases))
        content["classes"] = {name: _of_class(one, names, folds, draws=draws) for name, one in counts.items()}
        pooled = pool(result.photographs())["frame"]
        for name, of_class in content["classes"].items():
            if of_class["chosen"] and of_class["chosen"]["way"] == "threshold":
                of_class["chosen"]["threshold"] = best_threshold(pooled[name].lesion, pooled[name].negatives)
    return content


def choose(sweeps: np.ndarray, labelled: np.ndarray) -> dict[str, GridPoint]:
    """Chooses a point of the grid in each of the `WAYS`.

    Args:
      sweeps: int64 `[OUTCOMES, THRESHOLDS, AREAS]`, added up over photographs.
      labelled: int64 `[3]`, as in `ClassCounts`, added up; at least one lesion.
    """
    scores = _scores(np.moveaxis(sweeps, 0, -1), labelled)
    dice, lesion_f1 = scores["dice"], scores["lesion_f1"]
    threshold = _middle_of_best(dice[:, 0])
    allowed = (dice >= dice[threshold, 0]) & (lesion_f1 >= lesion_f1[threshold, 0])
    value = np.where(allowed, dice + lesion_f1, -np.inf)
    both = np.unravel_index(np.argmax(value), value.shape)
    return {
        "threshold": GridPoint(threshold, 0),
        "area": GridPoint(threshold, int(np.argmax(value[threshold]))),
        "both": GridPoint(int(both[0]), int(both[1])),
    }


def _folds(result: Result) -> tuple[list[str], np.ndarray]:
    """Returns the names of the folds, and the number of each photograph's fold, int64 `[N]`."""
    owners: list[Path | str] = []
    for folder in result.folders:
        is_fold = (folder.parent / FOLD).is_file()  # folder: fold_K/result/SOURCE
        owners += [folder.parent.parent if is_fold else case for case in read_counts(folder, {}).cases]
    different = list(dict.fromkeys(owners))
    names = [owner.name if isinstance(owner, Path) else owner for owner in different]
    return names, np.array([different.index(owner) for owner in owners])


def _read(result: Result) -> tuple[dict[str, ClassCounts], list[int]]:
    """Returns what each class counts in each photograph, and the numbers of photographs that have no sweeps."""
    rows: dict[str, list[tuple[np.ndarray, list[int], tuple[int, int, bool]]]] = {name: [] for name in result.classes}
    lacking = []
    for number, photograph in enumerate(result.photographs()):
        if not photograph.sweeps:
            lacking.append(number)
            continue
        for name, of_class in rows.items():
            lesion_pixels = int(photograph.counts["frame"][name].lesion.sum())
            labelled = lesion_pixels, len(photograph.lesions[name]), photograph.knows(name)
            of_class.append((photograph.sweeps[name], _as_scored(photograph, name), labelled))
    counts = {
        name: ClassCounts(*(np.array(column, np.int64) for column in zip(*of_class, strict=True)))
        for name, of_class in rows.items()
        if of_class
    }
    return counts, lacking


def _as_scored(photograph: PhotographCounts, name: str) -> list[int]:
    """Returns the `OUTCOMES` of a class at the operating point that it was scored at."""
    counts, matched = photograph.counts["frame"][name], photograph.detections[name]["matched"]
    found = int(np.count_nonzero(photograph.lesions[name]["matched"]))
    right = int(np.count_nonzero(matched))
    return [counts.true_positive, counts.false_positive, right, len(matched) - right, found]


def _of_class(counts: ClassCounts, names: list[str], folds: np.ndarray, *, draws: np.ndarray) -> dict[str, Any]:
    answer: dict[str, Any] = {"why_not": _why_not(counts.labelled, folds)}
    if answer["why_not"]:
        return answer | dict.fromkeys(("chosen", "by_fold", "scores", "differences"))
    total, labelled = counts.sweeps.sum(axis=0), counts.labelled.sum(axis=0)
    others = [
        choose(total - counts.sweeps[folds == fold].sum(axis=0), labelled - counts.labelled[folds == fold].sum(axis=0))
        for fold in range(len(names))
    ]
    rows = {"before": counts.scored}
    rows |= {way: counts.at(np.array([others[fold][way] for fold in folds])) for way in WAYS}
    samples = {way: _samples(of_way, counts.labelled, draws) for way, of_way in rows.items()}
    curve = _Curve.of(counts, draws)
    way, differences = _take(samples)
    return answer | {
        "chosen": {"way": way, **_named(choose(total, labelled)[way])},
        "by_fold": {
            way: [{"left_out": name, **_named(chosen[way])} for name, chosen in zip(names, others, strict=True)]
            for way in WAYS
        },
        "scores": {
            way: {key: _with_interval(of_way[key]) for key in SCORES}
            | ({} if way == "before" else {"without_areas": curve.beside(of_way)})
            for way, of_way in samples.items()
        },
        "differences": differences,
    }


def _why_not(labelled: np.ndarray, folds: np.ndarray) -> str | None:
    _, lesions, known = labelled.T
    if not known.any():
        return "labelled in none of the photographs"
    if not lesions.any():
        return "no photograph shows a lesion of it"
    if len(np.unique(folds[lesions > 0])) == 1:
        return "lesions of it are in one fold only, so that none could be scored that was not chosen on"
    return None


def _take(samples: Mapping[str, Mapping[str, np.ndarray]]) -> tuple[str, dict[str, Any]]:
    """Returns the way that is taken, and how each but the first compares with the one taken before it."""
    taken, differences = WAYS[0], {}
    for way in WAYS[1:]:
        each = {key: _with_interval(samples[way][key] - samples[taken][key]) for key in ("dice", "lesion_f1")}
        helps = all(one["value"] > 0 for one in each.values()) and any(one["interval"][0] > 0 for one in each.values())
        differences[way] = {"beside": taken, **each, "helps": helps}
        taken = way if helps else taken
    return taken, differences


def _samples(rows: np.ndarray, labelled: np.ndarray, draws: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the pooled scores of rows `[N, OUTCOMES]`, and then those of each resample, float64 `[1 + RESAMPLES]`."""
    times = _with_all(draws)
    return _scores(times @ rows, times @ labelled)


def _with_all(draws: np.ndarray) -> np.ndarray:
    """Returns how often each photograph counts: once, and then in each resample, int64 `[1 + RESAMPLES, N]`."""
    return np.concatenate([np.ones((1, draws.shape[1]), np.int64), draws.astype(np.int64)])


def _scores(outcomes: np.ndarray, labelled: np.ndarray) -> dict[str, np.ndarray]:
    """Returns `SCORES`, NaN where undefined.

    Args:
      outcomes: int64 `[…, OUTCOMES]`, added up over photographs.
      labelled: int64 `[…, 3]` or `[3]`, as in `ClassCounts`, added up.
    """
    true, false, matched, false_detections, found = np.moveaxis(outcomes, -1, 0)
    lesion_pixels, lesions, known = np.moveaxis(labelled, -1, 0)
    lesion_pixels, lesions, known = (np.where(one > 0, one, np.nan) for one in (lesion_pixels, lesions, known))
    sensitivity, detections = found / lesions, matched + false_detections
    precision = matched / np.maximum(detections, 1)
    return {
        "dice": 2 * true / (lesion_pixels + true + false),
        "lesion_sensitivity": sensitivity,
        "lesion_precision": np.where(detections > 0, precision, np.nan),
        "lesion_f1": 2 * sensitivity * precision / np.where(sensitivity + precision > 0, sensitivity + precision, 1),
        "false_detections": false_detections / known,
    }


@dataclasses.dataclass(frozen=True)
class _Curve:
    """Lesion sensitivity and false detections per photograph of all thresholds, where every region is a detection.

    Attributes:
      sensitivity: float64 `[1 + RESAMPLES, THRESHOLDS]`, of all photographs and of each resample.
      false: the same.
    """

    sensitivity: np.ndarray
    false: np.ndarray

    @classmethod
    def of(cls, counts: ClassCounts, draws: np.ndarray) -> "_Curve":
        times = _with_all(draws)
        labelled = times @ counts.labelled
        scores = _scores(np.moveaxis(np.tensordot(times, counts.sweeps[..., 0], axes=1), 1, -1), labelled[:, None])
        return cls(scores["lesion_sensitivity"], scores["false_detections"])

    def beside(self, samples: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Returns the false detections per photograph at the sensitivity of samples, and the difference to them."""
        others = self.at(samples["lesion_sensitivity"])
        return {
            "false_detections": _with_interval(others),
            "difference": _with_interval(samples["false_detections"] - others),
        }

    def at(self, sensitivity: np.ndarray) -> np.ndarray:
        """Returns the fewest false detections at a sensitivity, float64 `[1 + RESAMPLES]`; NaN where none has it."""
        one, other = self.sensitivity[:, :-1], self.sensitivity[:, 1:]
        wanted = sensitivity[:, None]
        between = (np.minimum(one, other) <= wanted) & (wanted <= np.maximum(one, other))
        part = np.where(one == other, 0, (wanted - other) / np.where(one == other, 1, one - other))
        false = self.false[:, 1:] + part * (self.false[:, :-1] - self.false[:, 1:])
        least = np.where(between, false, np.inf).min(axis=1)
        return np.where(np.isfinite(least), least, np.nan)


def _middle_of_best(values: np.ndarray) -> int:
    best = np.flatnonzero(values == values.max())
    return int(best[len(best) // 2])


def _named(point: GridPoint) -> dict[str, float]:
    return {"threshold": THRESHOLDS[point.threshold], "min_area": AREAS[point.area]}


def _with_interval(samples: np.ndarray) -> dict[str, Any]:
    """Returns the first value, which is of all photographs, and the interval over the others; null where undefined."""
    value = float(samples[0])
    return {"value": None if np.isnan(value) else value, "interval": bootstrap.interval(samples[1:])}


def table_rows(content: Mapping[str, Any]) -> list[list[object]]:
    """Returns `operating_points.csv`: a row for `before` and each way of every class for which a point is chosen.

    Args:
      content: what `earned_operating_points` returned.
    """
    columns = [*SCORES, "without_areas"]
    named = [name for key in columns for name in (key, f"{key}_low", f"{key}_high")]
    rows: list[list[object]] = [["class", "scored_at", "taken", "threshold", "min_area", *named]]
    for name, of_class in content["classes"].items():
        for way, scores in (of_class["scores"] or {}).items():
            taken = way == of_class["chosen"]["way"]
            point = [of_class["chosen"][key] if taken else None for key in ("threshold", "min_area")]
            without = scores.get("without_areas", {"false_detections": {"value": None, "interval": None}})
            each = [*(scores[key] for key in SCORES), without["false_detections"]]
            numbers = [number for one in each for number in (one["value"], *(one["interval"] or (None, None)))]
            rows.append([name, way, int(taken), *point, *numbers])
    return rows
