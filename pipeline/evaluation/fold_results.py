"""Results of the folds of a cross-validation: writing, reading and checking them.

A finished fold leaves a folder `fold_K/result` of a few hundred KB per class and 50 photographs: for each source, the
folder of its evaluation (`pipeline.evaluation.results`), numbered from 0, and `fold.json`, which is written last and
describes how the fold was trained and what was held out.
"""

import dataclasses
import itertools
import json
from collections.abc import Mapping
from pathlib import Path

from configs import Config, InputError
from configs.schema import differing_fields, from_dict
from pipeline.evaluation.results import COUNTS, read_result
from records import sha256_of, write_text

SCHEMA_VERSION = 1
FOLD = "fold.json"


@dataclasses.dataclass(frozen=True)
class FoldResult:
    """A finished fold; the `scores.json` of its sources describe its evaluation.

    Attributes:
      fold: number of the fold, from 0.
      folds: number of folds.
      plan: digest of all photographs and their folds.
      photographs: number of photographs in all folds together.
      config: config it was trained with.
      held_out: digest of each photograph that was scored, by its name.
      training: number of photographs trained on.
      validation: number of photographs on which the epoch and the thresholds were chosen.
      seconds: time of the steps "shard", "train" and "eval", summed over all starts that ended.
      sources: names of the folders beside `fold.json` with the results of each source.
      counts: sha256 of the counts in each of those folders.
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
    """Returns the folder of a fold's result, which need not exist yet."""
    return workdir / f"fold_{fold}" / "result"


def fold_model(workdir: Path, fold: int) -> Path:
    """Returns the model folder of a fold, which need not exist yet."""
    return workdir / f"fold_{fold}" / "run" / "model"


def is_trained(workdir: Path, fold: int) -> bool:
    """Returns whether the training of a fold wrote its model."""
    return (fold_model(workdir, fold) / "segmenter.json").is_file()


def write_fold(folder: Path, result: FoldResult) -> None:
    """Writes `fold.json`, which marks the fold as finished."""
    content = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(result)}
    write_text(folder / FOLD, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_fold(folder: Path) -> FoldResult | None:
    """Reads a fold's result; returns None if the fold is not finished.

    Raises:
      InputError: the result is damaged, has another schema version, or lies beside the counts of another fold.
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
        raise InputError(
            f"{path}: the counts beside it belong to another fold; copy the folder as a whole, or run the fold again."
        )
    return result


def read_folds(workdir: Path) -> dict[Path, FoldResult]:
    """Reads the results of all finished folds in a workdir.

    Returns:
      The results by their folders, in the order of the folds.

    Raises:
      InputError: a result cannot be read; two of them have different configs, photographs or numbers of folds; or two
        are of the same fold.
    """
    found = {path.parent: read_fold(path.parent) for path in workdir.glob(f"fold_*/result/{FOLD}")}
    results = sorted(
        ((folder, result) for folder, result in found.items() if result is not None),
        key=lambda pair: (pair[1].fold, pair[0]),
    )
    for (one, first), (other, second) in itertools.pairwise(results):
        check_together(other, second, first.config, folds=first.folds, plan=first.plan, what=str(one))
        if first.fold == second.fold:
            raise InputError(
                f"{one} and {other}: both are fold {first.fold}, which would count twice; remove one of them."
            )
    return dict(results)


def check_together(folder: Path, result: FoldResult, config: Config, *, folds: int, plan: str, what: str) -> None:
    """Checks that a finished fold belongs to a cross-validation.

    Args:
      folder: folder of the result.
      result: the finished fold.
      config: config of the cross-validation.
      folds: its number of folds.
      plan: digest of its photographs and their folds.
      what: what the fold is compared with, for the error message.

    Raises:
      InputError: something differs.
    """
    differing = differing_fields(config, result.config)
    if result.folds != folds:
        differing.append(f"--folds was {folds} and is {result.folds}")
    if not differing and result.plan != plan:
        differing.append("photographs, masks, or their folds (--source, --patients)")
    if differing:
        raise InputError(
            f"{folder}: does not belong to the same cross-validation as {what}: {'; '.join(differing)}. Use another "
            "--workdir, or remove one of them."
        )
