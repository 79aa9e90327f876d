"""Scores every training photograph by a network that never saw it: shards, trains and scores fold by fold.

    python -m scripts.crossval --config=configs/idrid_haemorrhages.py --source=IDRID --workdir=WORKDIR --folds=5

The same command again skips the finished folds and resumes the one that was stopped. With --only=0,2 the other folds
can be run later, or on another machine. --workdir alone computes the scores again, from WORKDIR/fold_*/result.

    python -m scripts.crossval … --workdir=WORKDIR2 --after=WORKDIR --unlabelled=PHOTOGRAPHS

goes on from the models of the folds of WORKDIR, with photographs that each of them labels for its own fold.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import flags

from configs import Config, InputError
from pipeline.evaluation import (
    POINTS,
    POOLED,
    CrossValidation,
    SecondStage,
    begin_crossvalidation,
    check_same_config,
)
from pipeline.interruption import StoppedError
from pipeline.machine import usable_cores
from pipeline.operating_point import OperatingPoint, parse_operating_point
from pipeline.reporting import NEXT_TITLE, REPORT, next_steps
from records import SPLITS, by_kind
from records.cases import find_training_cases, plan_folds, survey_cases
from scripts.support import cluster, command, operating, source
from scripts.support.children import Children
from scripts.support.cluster_folds import run_folds
from scripts.support.folds import pool, run_fold
from scripts.support.photographs import with_bar
from scripts.support.score_tables import crossvalidation_lines
from scripts.support.warnings import print_warnings

FILES = f"{{{REPORT},{POOLED},{POINTS},photographs.csv,lesions.csv}}"

_SOURCE = flags.DEFINE_multi_string(
    "source", [], "Folder of photographs and masks; can be repeated. Its own test part is not used."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder for fold_0, fold_1, …, report.html and crossval.json.", required=True
)
_FOLDS = flags.DEFINE_integer("folds", 5, "Number of folds that the photographs are divided into.", lower_bound=2)
_ONLY = flags.DEFINE_list("only", None, "Numbers of the folds to run, from 0: 0,2. Default: all.")
_PATIENTS = flags.DEFINE_string("patients", None, "CSV with the columns case,patient: a patient stays in one fold.")
_AFTER = flags.DEFINE_string(
    "after", None, "Workdir of an earlier cross-validation of the same folds, from whose models these folds go on."
)
_UNLABELLED = flags.DEFINE_string(
    "unlabelled", None, "With --after: folder of photographs, which the earlier model of each fold labels for it."
)
_UNLABELLED_HEALTHY = flags.DEFINE_string(
    "unlabelled_healthy", None, "CSV with the columns case,absent: what some of --unlabelled do not show."
)
source.define_flags()
operating.define_flags()
cluster.define_flags()
command.define_config(required=False)


def main(_: list[str]) -> int:
    """Runs the command, and returns its exit code."""
    workdir = Path(_WORKDIR.value)
    if flags.FLAGS.config is None and not _SOURCE.value:
        return _pool_alone(workdir)
    for name, value in (("config", flags.FLAGS.config), ("source", _SOURCE.value)):
        if not value:
            raise InputError(f"--{name} is required with --{'source' if name == 'config' else 'config'}; see --help.")
    config, only = command.config(), _only()
    default = OperatingPoint((config.evaluate.threshold,) * len(config.data.classes))
    parse_operating_point(**operating.given(), classes=config.data.classes, default=default)  # a mistake ends here
    second_stage = _second_stage()
    check_same_config(workdir, config)
    run = _plan(workdir, config, second_stage)
    begin_crossvalidation(run, only)
    _print_plan(run, only)
    try:
        failed = _run_folds(run, only)
    except StoppedError as stopped:
        print("stopped; run the same command again to resume.", flush=True)
        return stopped.code
    for line in failed:
        print(line, file=sys.stderr)
    content = pool(workdir)
    if content is not None:
        _print_scores(workdir, content)
    look = FILES if content is not None else "folds.csv (no fold is finished)"
    print(f"folds: {workdir / 'folds.csv'}    see: {workdir}/{look}")
    return command.SOME_FAILED if failed else command.DONE


def _run_folds(run: CrossValidation, only: list[int]) -> list[str]:
    """Runs folds one after the other, or on the nodes of a cluster, and returns a line for each that failed."""
    failed, todo = [], run.unfinished(only)
    with cluster.connected(reads=[*run.sources, _UNLABELLED.value, _AFTER.value]) as nodes:
        for fold, end in _run_here(run, only) if nodes is None else run_folds(nodes, run, only):
            if end:
                where = "the error above" if nodes is None else "Ray's logs on its node"
                why = f"failed with exit code {end}; see {where}." if isinstance(end, int) else end
                failed.append(f"fold {fold}: {why}")
                continue
            if nodes is not None:
                print(f"fold {fold} of {run.plan.folds}: finished.", flush=True)
            if fold in todo:
                pool(run.workdir)
    return failed


def _run_here(run: CrossValidation, only: list[int]) -> Iterator[tuple[int, int]]:
    """Yields the number of each fold as it ends, with the exit code of the command that failed, 0 if none did."""
    children = Children()
    with children.listening():
        for fold in only:
            yield fold, run_fold(children, run, fold)


def _pool_alone(workdir: Path) -> int:
    if _ONLY.value or _PATIENTS.value or _operating():
        raise InputError(
            "--only, --patients, --threshold and --min_area are for running folds, which needs --config and --source."
        )
    content = pool(workdir)
    if content is None:
        raise InputError(f"--workdir={workdir}: no finished fold there; expected {workdir}/fold_*/result/fold.json.")
    _print_scores(workdir, content)
    print(f"see: {workdir}/{FILES}")
    return command.DONE


def _print_scores(workdir: Path, content: Mapping[str, Any]) -> None:
    print("\n".join(crossvalidation_lines(content)), flush=True)
    if commands := next_steps(workdir):
        print(f"{NEXT_TITLE}:")
        print("\n".join(f"  {one}" for one in commands))


def _only() -> list[int]:
    folds = _FOLDS.value
    try:
        only = sorted({int(number) for number in _ONLY.value}) if _ONLY.value else list(range(folds))
    except ValueError:
        only = [-1]
    if not set(only) <= set(range(folds)):
        raise InputError(
            f"--only must be numbers of folds, 0 to {folds - 1}, separated by commas; received {','.join(_ONLY.value)}."
        )
    return only


def _second_stage() -> SecondStage | None:
    for option, needed in ((_UNLABELLED, _AFTER), (_UNLABELLED_HEALTHY, _UNLABELLED)):
        if option.value and not needed.value:
            raise InputError(f"--{option.name} needs --{needed.name}.")
    if not _AFTER.value:
        return None
    for option in (_UNLABELLED, _UNLABELLED_HEALTHY):
        if option.value and not Path(option.value).exists():
            raise InputError(f"--{option.name}={option.value}: is not there.")
    return SecondStage(_AFTER.value, _UNLABELLED.value or "", _UNLABELLED_HEALTHY.value or "")


def _operating() -> dict[str, str]:
    return {name: str(value) for name, value in operating.given().items() if value is not None}


def _plan(workdir: Path, config: Config, second_stage: SecondStage | None) -> CrossValidation:
    found, tests = find_training_cases(
        [Path(one) for one in _SOURCE.value],
        config.data,
        patients=Path(_PATIENTS.value) if _PATIENTS.value else None,
        **source.given(),
    )
    cases = list(itertools.chain(*found))
    unused = f"; {tests} of their own test parts are not used" if tests else ""
    print(
        f"{len(cases)} photographs in {source.title(', '.join(str(Path(one)) for one in _SOURCE.value))}{unused}. "
        "Reading their masks.",
        flush=True,
    )
    surveys, _ = survey_cases(cases, config.data, workers=usable_cores(), strict=True, progress=with_bar)
    for lines in by_kind(warning for survey in surveys.values() for warning in survey.mask_warnings).values():
        print_warnings(lines)
    plan = plan_folds(found, surveys, config.data, folds=_FOLDS.value)
    return CrossValidation(
        workdir,
        tuple(_SOURCE.value),
        config,
        plan=plan,
        operating=_operating(),
        second_stage=second_stage,
        **source.given(),
    )


def _print_plan(run: CrossValidation, only: list[int]) -> None:
    for fold in range(run.plan.folds):
        train, validation, held_out = (len(run.plan.members(fold, split)) for split in SPLITS)
        print(
            f"fold {fold}: {train} photographs to train, {validation} to validate, {held_out} held out; thresholds: "
            + _thresholds(run, fold)
            + ("" if fold in only else " (not now)")
        )
    todo, minutes = run.unfinished(only), run.config.train.max_minutes
    if minutes is not None and todo:
        print(
            f"training takes up to {minutes:g} minutes per fold, {len(todo) * minutes:g} minutes for {len(todo)} of "
            "them, plus sharding and scoring"
        )
    print(f"→ {run.workdir}", flush=True)


def _thresholds(run: CrossValidation, fold: int) -> str:
    """Returns which thresholds a fold is scored at."""
    if "threshold" in run.operating:
        return f"{run.operating['threshold']}, as given"
    return "best in validation" if run.chooses_thresholds(fold) else f"the config's {run.config.evaluate.threshold:g}"


if __name__ == "__main__":
    command.run(main)
