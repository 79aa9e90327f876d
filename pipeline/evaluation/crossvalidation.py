"""Cross-validation: what a finished fold leaves, and the numbers of all folds that are finished.

A fold leaves a folder `fold_K/result`, a few hundred KB a class and 50 photographs: the folder of each source as an
evaluation leaves it (`pipeline.evaluation.results`), numbered from 0, and `fold.json`, which comes last and says what
was held out of what. These folders alone make `crossval.json`, wherever they were made and copied to.

`crossval.json` holds the numbers of `scores.json` (`pipeline.evaluation.summary`, from `bootstrap` on), pooled over the
photographs of all finished folds, each scored by a network that it neither trained nor chose anything of, and

| key | what it is |
| --- | --- |
| `schema_version` | `SCHEMA_VERSION` |
| `folds`, `finished` | how many folds there are, and the numbers of those behind these numbers |
| `photographs`, `photographs_in_all` | scored, and how many there will be with all folds |
| `plan`, `config` | fingerprints of the photographs and their folds, and of the config |
| `classes`, `bins` | names; of the histograms |
| `by_fold` | list of what is known of each finished fold: see below |
| `over_folds` | `over_folds[region][class][score]` over the folds where the score has a meaning: see below |

- `by_fold`: `fold`, `training`, `validation`, `photographs` (how many of each), `threshold_source`, `thresholds`,
  `seconds`, and `scores[region][class][score]`, pooled over the fold.
- `over_folds`: `folds` (how many), `mean`, `deviation` (standard, of a sample; null of one).
"""

import dataclasses
import itertools
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs import Config, InputError
from configs.schema import FREE_FIELDS, differing_fields, from_dict
from pipeline.evaluation.counting import REGIONS, pool
from pipeline.evaluation.results import COUNTS, Result, read_result
from pipeline.evaluation.scores import SCORES, score
from pipeline.evaluation.summary import summarize, write_tables
from records import sha256_of, write_text

SCHEMA_VERSION = 1
FOLD, POOLED = "fold.json", "crossval.json"


@dataclasses.dataclass(frozen=True)
class FoldResult:
    """A finished fold; where its thresholds come from and what else was run, `scores.json` of its results says.

    Attributes:
      fold: its number, from 0.
      folds: how many there are.
      plan: digest of all photographs and their folds.
      photographs: of all folds together.
      config: with which it was trained.
      held_out: the digest of each photograph that was scored, by its name.
      training: photographs trained on.
      validation: photographs that chose epoch and thresholds.
      seconds: of "shard", "train" and "eval", over all starts that ended.
      sources: names of the folders beside `fold.json` with the results of each source.
      counts: sha256 of the counts in each of them.
    """

    fold: int
    folds: int
    plan: str
    photographs: int
    config: Config
    held_out: Mapping[str, str]
    training: int
    validation: int
    seconds: Mapping[str, float]
    sources: tuple[str, ...]
    counts: tuple[str, ...]


def result_folder(workdir: Path, fold: int) -> Path:
    """Returns where a fold's result is, or will be."""
    return workdir / f"fold_{fold}" / "result"


def write_fold(folder: Path, result: FoldResult) -> None:
    """Writes `fold.json`, with which the fold is finished."""
    content = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(result)}
    write_text(folder / FOLD, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_fold(folder: Path) -> FoldResult | None:
    """Reads a fold's result; None where it is not finished.

    Raises:
      InputError: a damaged result, one of another schema version, or counts that are not those of this fold.
    """
    path = folder / FOLD
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(f"{path}: schema version {version}, but this software reads {SCHEMA_VERSION}.")
        config = from_dict(content.pop("config"))
        sources, counts = tuple(content.pop("sources")), tuple(content.pop("counts"))
        result = FoldResult(**content, config=config, sources=sources, counts=counts)
        cases = [name for part in result.sources for name in read_result(folder / part).cases]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: damaged ({type(error).__name__}: {error}); remove {folder} and run the fold again."
        ) from error
    digests = tuple(sha256_of(folder / part / COUNTS) for part in result.sources)
    if digests != result.counts or sorted(cases) != sorted(result.held_out):
        raise InputError(f"{path}: the counts beside it are of another fold; copy the folder whole, or run it again.")
    return result


def read_folds(workdir: Path) -> dict[Path, FoldResult]:
    """Reads the results of all finished folds in a workdir, by their folders, in the order of the folds.

    Raises:
      InputError: a result that cannot be read, or two that do not belong together: of other configs, photographs or
        numbers of folds, or of one fold.
    """
    found = {path.parent: read_fold(path.parent) for path in workdir.glob(f"fold_*/result/{FOLD}")}
    results = sorted(
        ((folder, result) for folder, result in found.items() if result is not None),
        key=lambda pair: (pair[1].fold, pair[0]),
    )
    for (one, first), (other, second) in itertools.pairwise(results):
        check_together(other, second, first.config, folds=first.folds, plan=first.plan, what=str(one))
        if first.fold == second.fold:
            raise InputError(f"{one} and {other}: both are fold {first.fold}, which would count twice; remove one.")
    return dict(results)


def check_together(folder: Path, result: FoldResult, config: Config, *, folds: int, plan: str, what: str) -> None:
    """Holds a finished fold against what it is to be put together with.

    Args:
      folder: of the result.
      result: the fold.
      config: of the others.
      folds: of the others.
      plan: of the others.
      what: the others, for the error.

    Raises:
      InputError: what differs.
    """
    differing = differing_fields(config, result.config)
    if result.folds != folds:
        differing.append(f"--folds was {folds} and is {result.folds}")
    if not differing and result.plan != plan:
        differing.append("photographs, masks, or the folds they are in (--source, --patients)")
    if differing:
        raise InputError(
            f"{folder}: does not belong together with {what}; what differs: {'; '.join(differing)}. Use another "
            "--workdir, or remove one of them."
        )


def pool_folds(workdir: Path) -> dict[str, Any] | None:
    """Computes all numbers from the finished folds, writes `crossval.json`, `photographs.csv` and `lesions.csv`.

    Returns:
      The content of `crossval.json`; None, and nothing is written, where no fold is finished.

    Raises:
      InputError: results that cannot be read or do not belong together.
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
    }
    write_tables(workdir, result)
    write_text(workdir / POOLED, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return content


def result_folders(folder: Path) -> list[Path]:
    """Returns the folders with counts (`pipeline.evaluation.results`) that a folder stands for: itself, or a
    crossval's folds.

    Raises:
      InputError: neither, or folds that do not belong together.
    """
    if (folder / COUNTS).is_file():
        return [folder]
    found = [part for one, fold in read_folds(folder).items() for part in _parts(one, fold)]
    if not found:
        raise InputError(
            f"{folder}: neither {COUNTS} of an evaluation there nor a finished fold of a cross-validation."
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
        "thresholds": dict(zip(result.classes, result.thresholds[0], strict=True)),  # one model, so all are equal
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
    """Returns the config with the fields that change no number at their defaults, as machines may have them differ."""
    names = {name.removeprefix("train.") for name in FREE_FIELDS}
    defaults = {name: getattr(type(config.train)(), name) for name in names}
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **defaults))
