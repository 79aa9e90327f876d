"""The folds of a cross-validation before and while they run: their steps, and what they write.

A step is a command of `scripts` and its flags. Nothing here runs one; `scripts.support.folds` does.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from configs import Config, InputError
from configs.loading import load_config
from configs.schema import differing_fields
from pipeline.evaluation.fold_results import (
    FoldResult,
    check_together,
    fold_model,
    is_trained,
    read_fold,
    read_folds,
    result_folder,
)
from pipeline.evaluation.results import COUNTS
from pipeline.evaluation.second_stage import SecondStage, check_second_stage
from records import ALL_KNOWN, Case, KnownRules, healthy_folders, make_folder, sha256_of, write_table, write_text
from records.cases import FoldPlan

CONFIG = "config.json"
OPERATING_POINT = "operating_point.json"


@dataclasses.dataclass(frozen=True)
class CrossValidation:
    """A cross-validation that can be run fold by fold.

    Attributes:
      workdir: folder for all its files.
      sources: folders of photographs and masks, in the order of `plan.sources`.
      config: config of all trainings.
      plan: photographs and their folds.
      allow_missing_masks: in paired folders, a photograph without a mask shows no lesion.
      unite_masks: several masks of one class and photograph are united.
      recursive: in paired folders, images/ and masks/ are trees.
      known: what is said of the classes of the photographs.
      operating: values of eval's flags --threshold and --min_area; empty: the thresholds of each fold's model.
      second_stage: what each fold goes on from; None: nothing.
    """

    workdir: Path
    sources: tuple[str, ...]
    config: Config
    plan: FoldPlan
    allow_missing_masks: bool = False
    unite_masks: bool = False
    recursive: bool = False
    known: KnownRules = ALL_KNOWN
    operating: Mapping[str, str] = dataclasses.field(default_factory=dict)
    second_stage: SecondStage | None = None

    def folder(self, fold: int) -> Path:
        """Returns the folder of a fold."""
        return self.workdir / f"fold_{fold}"

    def model(self, fold: int) -> Path:
        """Returns the model folder of a fold."""
        return fold_model(self.workdir, fold)

    def is_trained(self, fold: int) -> bool:
        """Returns whether the training of a fold wrote its model."""
        return is_trained(self.workdir, fold)

    def chooses_thresholds(self, fold: int) -> bool:
        """Returns whether validation photographs choose epoch and thresholds; without a lesion they cannot."""
        return self.plan.shows_lesions(fold, "validation")

    @property
    def further_folders(self) -> list[Path]:
        """The folders of the photographs that --healthy adds to those of the sources."""
        return healthy_folders(self.known, [case for cases in self.plan.sources for case in cases])

    def unfinished(self, folds: Sequence[int]) -> list[int]:
        """Returns those of the folds that have no result yet."""
        return [fold for fold in folds if read_fold(result_folder(self.workdir, fold)) is None]


def check_same_config(workdir: Path, config: Config) -> None:
    """Checks that a workdir was begun with the same config, before any photograph is read.

    Raises:
      InputError: it was begun with another config.
    """
    path = workdir / CONFIG
    differing = differing_fields(load_config(str(path)), config) if path.exists() else []
    if differing:
        raise InputError(
            f"--workdir={workdir} was begun with another config: {'; '.join(differing)}. Name another folder, or "
            "remove this one."
        )


def begin_crossvalidation(run: CrossValidation, folds: Sequence[int]) -> None:
    """Writes `config.json` and `folds.csv` to the workdir, after a check of the folds that are finished there.

    Args:
      run: the cross-validation.
      folds: the folds that will be run.

    Raises:
      InputError: a finished fold belongs to another cross-validation, or was scored at another operating point; or
        the folds go on from something else than those that were begun, or from what is not there.
    """
    check_second_stage(run.workdir, run.second_stage, plan=run.plan, folds=folds)
    finished = read_folds(run.workdir)
    for folder, result in finished.items():
        check_together(folder, result, run.config, folds=run.plan.folds, plan=run.plan.digest, what="this command")
    path = run.workdir / OPERATING_POINT
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if finished and before != run.operating:
        flags = " ".join(f"--{name}={value}" for name, value in before.items()) or "without --threshold and --min_area"
        raise InputError(
            f"--workdir={run.workdir}: {len(finished)} folds there are scored at another operating point ({flags}); "
            "give the same flags, or name another folder."
        )
    make_folder(run.workdir, flag="--workdir")
    write_text(path, json.dumps(dict(run.operating)) + "\n")
    if run.second_stage is not None:
        run.second_stage.write(run.workdir)
    write_text(run.workdir / CONFIG, run.config.to_json())
    rows: list[Sequence[str]] = [("case", "fold", "source", "patient", "lesion_share")]
    for source, cases in zip(run.sources, run.plan.sources, strict=True):
        for case in cases:
            fraction = f"{run.plan.surveys[case.name].lesion_fraction:.6f}"
            rows.append((case.name, str(run.plan.fold_of[case.name]), source, case.patient or "", fraction))
    write_table(run.workdir / "folds.csv", rows)


def fold_steps(run: CrossValidation, fold: int) -> list[tuple[str, list[str]]]:
    """Returns the steps of a fold, after writing the lists of cases that they read.

    Returns:
      Names of commands and their flags: "shard" for each source, those of the second stage, "train", and "eval" for
      each source.
    """
    folder, config = run.folder(fold), run.workdir / CONFIG
    reading = [f"--{name}" for name in ("allow_missing_masks", "unite_masks", "recursive") if getattr(run, name)]
    reading += run.known.flags
    shards, scores = [], []
    for number, (source, cases) in enumerate(zip(run.sources, run.plan.parts(fold), strict=True)):
        splits, patients = _write_lists(folder, number, cases)
        shard = [f"--config={config}", f"--source={source}", f"--records={folder / 'records' / str(number)}"]
        if any(case.patient is not None for case in cases):
            shard.append(f"--patients={patients}")
        shards.append(("shard", [*shard, f"--splits={splits}", *reading]))
        score = [f"--model={run.model(fold)}", f"--source={source}", "--split=test", "--sweep"]
        point = [f"--{name}={value}" for name, value in run.operating.items()]
        scores.append(("eval", [*score, f"--output={folder / 'result' / str(number)}", *point, *reading]))
    train = [f"--config={config}", f"--workdir={folder / 'run'}"]
    train += [f"--records={folder / 'records' / str(number)}" for number in range(len(run.sources))]
    if run.chooses_thresholds(fold):
        train += [f"--source={source}" for source in (*run.sources, *run.further_folders)]
    if run.second_stage is not None:
        shards += run.second_stage.steps(folder, fold, config=config)
        train += run.second_stage.train_flags(folder, fold)
    return [*shards, ("train", train), *scores]


def fold_result(run: CrossValidation, fold: int) -> FoldResult:
    """Returns the result of a fold whose steps have all been run."""
    plan, folder = run.plan, run.folder(fold)
    sources = tuple(str(number) for number in range(len(plan.sources)))
    return FoldResult(
        fold=fold,
        folds=plan.folds,
        plan=plan.digest,
        photographs=len(plan.fold_of),
        config=run.config,
        held_out={case.name: plan.surveys[case.name].digest for case in plan.members(fold, "test")},
        training=len(plan.members(fold, "train")),
        validation=len(plan.members(fold, "validation")),
        seconds=_read_seconds(folder),
        sources=sources,
        counts=tuple(sha256_of(folder / "result" / name / COUNTS) for name in sources),
    )


def add_seconds(folder: Path, step: str, seconds: float) -> None:
    """Adds the time of a step to that of earlier starts, in `seconds.json` of a fold's folder."""
    total = _read_seconds(folder)
    total[step] = round(total.get(step, 0) + seconds, 1)
    write_text(folder / "seconds.json", json.dumps(total) + "\n")


def _read_seconds(folder: Path) -> dict[str, float]:
    path = folder / "seconds.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _write_lists(folder: Path, number: int, cases: Sequence[Case]) -> tuple[Path, Path]:
    """Writes the splits and the known patients of a source's cases, and returns the paths of the two files."""
    splits, patients = folder / f"splits_{number}.csv", folder / f"patients_{number}.csv"
    write_table(splits, [("case", "split"), *((case.name, case.split) for case in cases)])
    known = [(case.name, case.patient) for case in cases if case.patient is not None]
    write_table(patients, [("case", "patient"), *known])
    return splits, patients
