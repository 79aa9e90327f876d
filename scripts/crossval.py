"""Every training photograph scored by a network that never saw it: shards, trains and scores fold by fold.

    python -m scripts.crossval --config=configs/idrid_haemorrhages.py --source=IDRID --workdir=WORKDIR --folds=5

The same command again skips finished folds and goes on in the one that was ended. With --only=0,2 the others can be
done elsewhere, or later. --workdir alone computes the numbers again, from what lies in WORKDIR/fold_*/result.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import csv
import io
import itertools
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
from absl import flags
from tqdm import tqdm

from configs import Config, InputError
from configs.loading import load_config
from configs.schema import differing_fields
from pipeline.evaluation.crossvalidation import (
    POOLED,
    FoldResult,
    check_together,
    pool_folds,
    read_fold,
    read_folds,
    result_folder,
    write_fold,
)
from pipeline.evaluation.results import COUNTS
from pipeline.interruption import StoppedError
from records import SPLITS, Case, Survey, claimed, make_folder, sha256_of, survey_case, write_text
from records.cases import FoldPlan, find_training_cases, plan_folds
from scripts.support import command
from scripts.support.children import Children
from scripts.support.wording import plain, with_interval

_SOURCE = flags.DEFINE_multi_string(
    "source", [], "Folder of photographs and masks; can be repeated. Its own test part takes no part."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for fold_0, fold_1, … and crossval.json.", required=True)
_FOLDS = flags.DEFINE_integer("folds", 5, "Parts into which the photographs are dealt.", lower_bound=2)
_ONLY = flags.DEFINE_list("only", None, "Numbers of the folds to run, from 0: 0,2. Default: all.")
_PATIENTS = flags.DEFINE_string("patients", None, "CSV with the columns case,patient: patients stay in one fold.")
_ALLOW_MISSING = flags.DEFINE_bool(
    "allow_missing_masks", False, "In paired folders, a photograph without a mask shows no lesion."
)
command.define_config(required=False)


def main(_: list[str]) -> int:
    workdir = Path(_WORKDIR.value)
    if flags.FLAGS.config is None and not _SOURCE.value:
        return _pool_alone(workdir)
    for name, value in (("config", flags.FLAGS.config), ("source", _SOURCE.value)):
        if not value:
            raise InputError(f"--{name} is required with --{'source' if name == 'config' else 'config'}; see --help.")
    config, only = command.config(), _only()
    _check_workdir(workdir, config)
    plan = _plan(config)
    for folder, result in read_folds(workdir).items():
        check_together(folder, result, config, folds=plan.folds, plan=plan.digest, what="this command")
    make_folder(workdir, flag="--workdir")
    write_text(workdir / "config.json", config.to_json())
    write_text(workdir / "folds.csv", _table_of_folds(plan))
    _print_plan(plan, config, only, workdir=workdir)

    failed: list[str] = []
    children = Children()
    try:
        with children.listening():
            for fold in only:
                code = _run_fold(children, plan, config, fold=fold, workdir=workdir)
                if code:
                    failed.append(f"fold {fold}: failed with exit code {code}; the reason stands above.")
    except StoppedError as stopped:
        print("stopped; the same command goes on from there.", flush=True)
        return stopped.code
    for line in failed:
        print(line, file=sys.stderr)
    content = pool_folds(workdir)
    if content is not None:
        _print_scores(content)
    look = f"{{{POOLED},photographs.csv,lesions.csv}}" if content is not None else "folds.csv (no fold is finished)"
    print(f"folds: {workdir / 'folds.csv'}    look: {workdir}/{look}")
    return command.SOME_FAILED if failed else command.DONE


def _pool_alone(workdir: Path) -> int:
    if _ONLY.value or _PATIENTS.value:
        raise InputError("--only and --patients are for running folds, which takes --config and --source.")
    content = pool_folds(workdir)
    if content is None:
        raise InputError(f"--workdir={workdir}: no finished fold there; expected {workdir}/fold_*/result/fold.json.")
    _print_scores(content)
    print(f"look: {workdir}/{{{POOLED},photographs.csv,lesions.csv}}")
    return command.DONE


def _only() -> list[int]:
    folds = _FOLDS.value
    try:
        only = sorted({int(number) for number in _ONLY.value}) if _ONLY.value else list(range(folds))
    except ValueError:
        only = [-1]
    if not set(only) <= set(range(folds)):
        raise InputError(
            f"--only must be numbers of folds, 0 to {folds - 1}, with commas between; received {','.join(_ONLY.value)}."
        )
    return only


def _check_workdir(workdir: Path, config: Config) -> None:
    """Looks before any photograph is read whether the workdir was begun with the same config."""
    path = workdir / "config.json"
    differing = differing_fields(load_config(str(path)), config) if path.exists() else []
    if differing:
        raise InputError(
            f"--workdir={workdir} was begun with another config: {'; '.join(differing)}. Name another folder, or "
            "remove this one."
        )


def _plan(config: Config) -> FoldPlan:
    sources = [Path(source) for source in _SOURCE.value]
    patients = Path(_PATIENTS.value) if _PATIENTS.value else None
    found, tests = find_training_cases(
        sources, config.data, patients=patients, allow_missing_masks=_ALLOW_MISSING.value
    )
    cases = list(itertools.chain(*found))
    own = f"; {tests} of their own test parts take no part" if tests else ""
    print(f"{len(cases)} photographs in {', '.join(map(str, sources))}{own}. Reading their masks.", flush=True)
    return plan_folds(found, _survey(cases, config), config.data, folds=_FOLDS.value)


def _survey(cases: list[Case], config: Config) -> dict[str, Survey]:
    cv2.setNumThreads(1)  # the pool takes all cores already
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        surveys = pool.map(lambda case: survey_case(case, config.data), cases)
        bar = tqdm(surveys, total=len(cases), desc="masks", unit=" photographs", disable=None)
        return {case.name: survey for case, survey in zip(cases, bar, strict=True)}


def _table_of_folds(plan: FoldPlan) -> str:
    rows = [("case", "fold", "source", "patient", "lesion_fraction")]
    for source, cases in zip(_SOURCE.value, plan.sources, strict=True):
        for case in cases:
            share = f"{plan.surveys[case.name].lesion_fraction:.6f}"
            rows.append((case.name, str(plan.fold_of[case.name]), source, case.patient or "", share))
    return _csv(rows)


def _print_plan(plan: FoldPlan, config: Config, only: list[int], *, workdir: Path) -> None:
    for fold in range(plan.folds):
        train, validation, held_out = (len(plan.members(fold, split)) for split in SPLITS)
        print(
            f"fold {fold}: {train} photographs train, {validation} validate, {held_out} are held out; thresholds "
            + ("those best in validation" if _chooses(plan, fold) else f"the config's, {config.evaluate.threshold:g}")
            + ("" if fold in only else " (not now)")
        )
    todo = [fold for fold in only if read_fold(result_folder(workdir, fold)) is None]
    if config.train.max_minutes is not None and todo:
        each = config.train.max_minutes
        print(
            f"training takes up to {each:g} minutes a fold, {len(todo) * each:g} minutes for {len(todo)} of them, "
            "beside sharding and scoring"
        )
    print(f"→ {workdir}", flush=True)


def _run_fold(children: Children, plan: FoldPlan, config: Config, *, fold: int, workdir: Path) -> int:
    """Runs what is left of a fold, and computes the numbers so far.

    Returns:
      The exit code of the command that failed, 0 if none did.

    Raises:
      StoppedError: someone asked for the end, by a signal or by the training's file `stop`.
    """
    folder, result = workdir / f"fold_{fold}", result_folder(workdir, fold)
    make_folder(result, flag="--workdir")
    with claimed(folder / "lock") as lock:
        if lock is None:
            print(f"fold {fold}: another process works on it; left to that one.", flush=True)
            return command.DONE
        if read_fold(result) is not None:
            print(f"fold {fold}: finished already.", flush=True)
            return command.DONE
        for name, arguments in _steps(plan, fold, workdir):
            print(f"fold {fold} of {plan.folds}: {name}", flush=True)
            code = _timed(children, name, arguments, folder=folder, lock=lock)
            if code:
                return code
            if name == "train" and not (folder / "run" / "model" / "segmenter.json").is_file():
                raise StoppedError("its file `stop`", command.DONE)
        write_fold(result, _result(plan, config, fold, folder=folder))
    pool_folds(workdir)
    return command.DONE


def _chooses(plan: FoldPlan, fold: int) -> bool:
    """Says whether whole validation photographs choose epoch and thresholds; without a lesion they cannot."""
    return plan.shows_lesions(fold, "validation")


def _steps(plan: FoldPlan, fold: int, workdir: Path) -> list[tuple[str, list[str]]]:
    """Returns the commands of a fold with their flags, after writing the lists that they read."""
    folder, config, parts = workdir / f"fold_{fold}", workdir / "config.json", plan.parts(fold)
    missing = ["--allow_missing_masks"] if _ALLOW_MISSING.value else []
    shards, scores = [], []
    for number, (source, cases) in enumerate(zip(_SOURCE.value, parts, strict=True)):
        splits, patients = folder / f"splits_{number}.csv", folder / f"patients_{number}.csv"
        write_text(splits, _csv([("case", "split"), *((case.name, case.split) for case in cases)]))
        known = [(case.name, case.patient) for case in cases if case.patient is not None]
        write_text(patients, _csv([("case", "patient"), *known]))
        shard = [f"--config={config}", f"--source={source}", f"--records={folder / 'records' / str(number)}"]
        shards.append(("shard", [*shard, f"--splits={splits}", f"--patients={patients}", "--strict", *missing]))
        score = [f"--model={folder / 'run' / 'model'}", f"--source={source}", "--split=test"]
        scores.append(("eval", [*score, f"--output={folder / 'result' / str(number)}", *missing]))
    train = [f"--config={config}", f"--workdir={folder / 'run'}"]
    train += [f"--records={folder / 'records' / str(number)}" for number in range(len(parts))]
    if _chooses(plan, fold):
        train += [f"--source={source}" for source in _SOURCE.value]
    return [*shards, ("train", train), *scores]


def _timed(children: Children, name: str, arguments: Sequence[str], *, folder: Path, lock: int) -> int:
    """Runs a command, and adds its time to that of earlier starts."""
    # What trains may be another backend; records and the tiled graph are TensorFlow's.
    environment = {} if name == "train" else {"KERAS_BACKEND": "tensorflow"}
    began = time.monotonic()
    code = children.run(name, arguments, environment=environment, keeps_open=[lock])
    seconds = _seconds(folder)
    seconds[name] = round(seconds.get(name, 0) + time.monotonic() - began, 1)
    write_text(folder / "seconds.json", json.dumps(seconds) + "\n")
    return code


def _seconds(folder: Path) -> dict[str, float]:
    path = folder / "seconds.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _result(plan: FoldPlan, config: Config, fold: int, *, folder: Path) -> FoldResult:
    sources = tuple(str(number) for number in range(len(plan.sources)))
    return FoldResult(
        fold=fold,
        folds=plan.folds,
        plan=plan.digest,
        photographs=len(plan.fold_of),
        config=config,
        held_out={case.name: plan.surveys[case.name].digest for case in plan.members(fold, "test")},
        training=len(plan.members(fold, "train")),
        validation=len(plan.members(fold, "validation")),
        seconds=_seconds(folder),
        sources=sources,
        counts=tuple(sha256_of(folder / "result" / name / COUNTS) for name in sources),
    )


def _print_scores(content: dict[str, Any]) -> None:
    finished = content["finished"]
    print(
        f"\nout of fold, from {len(finished)} of {content['folds']} folds, {content['photographs']} of "
        f"{content['photographs_in_all']} photographs; full frame, each fold at its own thresholds; 95 % intervals "
        "over photographs"
    )
    for name in content["classes"]:
        scores, intervals = content["scores"]["frame"][name], content["intervals"]["frame"][name]
        each, lesions = content["per_photograph"]["frame"][name], content["lesions"][name]
        print(f"{name:24}{'pooled':>24}{'mean a photograph':>26}{'median':>26}{'mean of folds':>20}")
        for key in ("aupr", "dice", "iou", "sensitivity", "ppv"):
            one, folds = each[key], content["over_folds"]["frame"][name][key]
            print(
                f"  {key:22}{with_interval(scores[key], intervals[key]):>24}"
                f"{with_interval(one['mean'], one['mean_interval']):>26}"
                f"{with_interval(one['median'], one['median_interval']):>26}"
                f"{_with_deviation(folds['mean'], folds['deviation']):>20}"
            )
        found = with_interval(lesions["sensitivity"], lesions["sensitivity_interval"])
        print(
            f"  lesions: {lesions['found']} of {lesions['lesions']} found ({found.strip()}), "
            f"{lesions['false_positives_per_photograph']:.1f} false ones a photograph"
        )
        print("  by size, pixels: " + "; ".join(_size(row) for row in lesions["by_size"] if row["lesions"]))
        for fold in content["by_fold"]:
            values = fold["scores"]["frame"][name]
            print(
                f"  fold {fold['fold']}: {fold['photographs']} photographs, AUPR {plain(values['aupr'])}, Dice "
                f"{plain(values['dice'])} at {fold['thresholds'][name]:.3g} ({fold['threshold_source']}), "
                f"{sum(fold['seconds'].values()) / 60:.1f} minutes"
            )
    print(flush=True)


def _size(row: dict[str, Any]) -> str:
    sizes = f"{row['least']} and more" if row["below"] is None else f"{row['least']} to {row['below'] - 1}"
    return f"{sizes}: {row['found']} of {row['lesions']}"


def _with_deviation(value: float | None, deviation: float | None) -> str:
    return plain(value) + (f" ± {deviation:.3f}" if deviation is not None else "")


def _csv(rows: Sequence[Sequence[str | None]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    command.run(main)
