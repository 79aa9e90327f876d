"""Cross-validation: pools the scores of all finished folds.

Only the folders `fold_K/result` are read (`pipeline.evaluation.fold_results`); they may come from several machines.
`crossval.json` holds the entries of `scores.json` from `bootstrap` on (`pipeline.evaluation.summary`), pooled over the
photographs of all finished folds, each scored by a network that was neither trained on it nor selected with it, the
entry `operating_points` (`pipeline.evaluation.operating_points`, whose table is `operating_points.csv`), and

| key | content |
| --- | --- |
| `schema_version` | `SCHEMA_VERSION` |
| `folds`, `finished` | number of folds, and the numbers of the finished ones |
| `photographs`, `photographs_in_all` | photographs scored, and how many there will be with all folds |
| `plan`, `config` | fingerprints of the photographs with their folds, and of the config |
| `classes`, `bins` | class names; number of equal bins over 0..1 |
| `by_fold` | list of the finished folds: see below |
| `over_folds` | `over_folds[region][class][score]` over the folds where the score is defined: see below |

- `by_fold`: `fold`, `training`, `validation`, `photographs` (the number of each), `threshold_source`, `thresholds`,
  `seconds`, and `scores[region][class][score]`, pooled over the fold.
- `over_folds`: `folds` (their number), `mean`, `deviation` (sample standard deviation; null for one fold).
"""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs import Config, InputError
from configs.schema import FREE_FIELDS
from pipeline.evaluation.counting import REGIONS, pool
from pipeline.evaluation.fold_results import SCHEMA_VERSION, FoldResult, read_folds
from pipeline.evaluation.operating_points import earned_operating_points, table_rows
from pipeline.evaluation.results import COUNTS, Result, read_result
from pipeline.evaluation.scores import SCORES, score
from pipeline.evaluation.summary import summarize
from pipeline.evaluation.tables import write_tables
from records import write_table, write_text

POOLED, POINTS = "crossval.json", "operating_points.csv"


def pool_folds(workdir: Path) -> dict[str, Any] | None:
    """Computes all scores from the finished folds, and writes `crossval.json` and its tables.

    Args:
      workdir: folder of the cross-validation, with `fold_*/result`.

    Returns:
      The content of `crossval.json`; None if no fold is finished, and then nothing is written.

    Raises:
      InputError: a result cannot be read, or the folds do not belong to one cross-validation.
    """
    folds = read_folds(workdir)
    if not folds:
        return None
    parts = {folder: _parts(folder, fold) for folder, fold in folds.items()}
    result = read_result(*(part for several in parts.values() for part in several))
    first = next(iter(folds.values()))
    by_fold = [_one_fold(fold, read_result(*parts[folder])) for folder, fold in folds.items()]
    content = {
        "schema_version": SCHEMA_VERSION,
        "folds": first.folds,
        "finished": [fold.fold for fold in folds.values()],
        "photographs": len(result.cases),
        "photographs_in_all": first.photographs,
        "plan": first.plan,
        "config": _fixed(first.config).fingerprint(),
        "classes": list(result.classes),
        "bins": result.bins,
        "by_fold": by_fold,
        "over_folds": _over_folds([one["scores"] for one in by_fold], result.classes),
        **summarize(result),
        "operating_points": earned_operating_points(result),
    }
    write_tables(workdir, result)
    write_table(workdir / POINTS, table_rows(content["operating_points"]))
    write_text(workdir / POOLED, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return content


def result_folders(folder: Path) -> list[Path]:
    """Returns the folders with `counts.npz` that a folder stands for: itself, or the folds of a cross-validation.

    Args:
      folder: folder that `python -m scripts.eval` wrote, or workdir of `python -m scripts.crossval`.

    Raises:
      InputError: it is neither, or the folds do not belong to one cross-validation.
    """
    if (folder / COUNTS).is_file():
        return [folder]
    found = [part for one, fold in read_folds(folder).items() for part in _parts(one, fold)]
    if not found:
        raise InputError(
            f"{folder}: neither {COUNTS} of an evaluation there nor a finished fold of a cross-validation; expected a "
            "folder that python -m scripts.eval wrote, or a workdir of python -m scripts.crossval."
        )
    return found


def _parts(folder: Path, fold: FoldResult) -> list[Path]:
    return [folder / name for name in fold.sources]


def _one_fold(fold: FoldResult, result: Result) -> dict[str, Any]:
    pooled = pool(result.photographs())
    return {
        "fold": fold.fold,
        "training": fold.training,
        "validation": fold.validation,
        "photographs": len(result.cases),
        "threshold_source": result.about["threshold_source"],
        "thresholds": dict(
            zip(result.classes, result.thresholds[0], strict=True)
        ),  # one model, so they are equal in all parts
        "seconds": dict(fold.seconds),
        "scores": {region: {name: score(counts) for name, counts in row.items()} for region, row in pooled.items()},
    }


def _over_folds(scores: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    answer: dict[str, Any] = {region: {name: {} for name in classes} for region in REGIONS}
    for region in REGIONS:
        for name in classes:
            for key in SCORES:
                values = [one[region][name][key] for one in scores if one[region][name][key] is not None]
                answer[region][name][key] = {
                    "folds": len(values),
                    "mean": statistics.fmean(values) if values else None,
                    "deviation": statistics.stdev(values) if len(values) > 1 else None,
                }
    return answer


def _fixed(config: Config) -> Config:
    """Returns the config with the defaults of those fields that change no score and may differ between machines."""
    names = {name.removeprefix("train.") for name in FREE_FIELDS}
    defaults = {name: getattr(type(config.train)(), name) for name in names}
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **defaults))
