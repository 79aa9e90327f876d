"""The stages from a folder to a scored model: each is an ordinary command, and a file says that it is finished."""

import dataclasses
import glob
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from configs import InputError
from records import Case, write_text

STATE = "auto.json"  # what the stages of a workdir were asked for
PLANNED_FOLDS = "planned_folds"  # stands there from the end of `plan` on: a person may change the minutes of its preset
PLAN, RECORDS, RUN, EVALUATION, FOLDS = "plan.py", "records", "run", "evaluation", "folds"


@dataclasses.dataclass(frozen=True)
class Stage:
    """One command on the way.

    Attributes:
      command: name of the command.
      arguments: its flags, and what follows them.
      product: the file that it writes last.
      may_leave_out: whether the exit code 1 says that photographs were left out, and not that it failed.
      further: other files that must be there when it is finished.
    """

    command: str
    arguments: Sequence[str | Path]
    product: Path
    may_leave_out: bool = False
    further: Sequence[Path] = ()

    @property
    def line(self) -> str:
        """The command as a person types it."""
        return shlex.join(["python", "-m", f"scripts.{self.command}", *map(str, self.arguments)])

    @property
    def is_finished(self) -> bool:
        """Whether it has been run to its end."""
        return all(file.exists() for file in (self.product, *self.further))

    def is_done(self, code: int) -> bool:
        """Returns whether a run that ended with this exit code did its work: a traceback has the exit code 1, too."""
        return (code == 0 or (self.may_leave_out and code == 1)) and self.is_finished


def plan_stages(
    workdir: Path,
    source: str,
    cases: Sequence[Case],
    *,
    planning: Sequence[str],
    reading: Sequence[str],
    healthy: Sequence[Path] = (),
    folds: int = 1,
) -> list[Stage]:
    """Returns the stages in order; `plan` is the first.

    Args:
      workdir: folder for everything that they write.
      source: the folder of the photographs, as it was given.
      cases: its cases, also those that --healthy adds.
      planning: flags of `plan` alone.
      reading: flags that say how the source is read; --patients among them is for those that decide splits or folds.
      healthy: folders of the photographs that --healthy adds, see `records.healthy_folders`.
      folds: number of folds that the plan divides its time into; above 1, their models are joined to one.

    Raises:
      InputError: the path of the workdir has a comma, which divides a list of models.
    """
    if folds > 1 and "," in str(workdir):
        raise InputError(
            f"--workdir={workdir}: has a comma, which divides a list of models; name another, or give --folds=1."
        )
    plan = Stage(
        "plan",
        [f"--source={source}", f"--output={workdir / PLAN}", *planning, *reading],
        workdir / PLAN,
        may_leave_out=True,
    )
    training = (
        _single_training(workdir, source, reading=reading, healthy=healthy)
        if folds == 1
        else _cross_validation(workdir, source, reading=reading, folds=folds)
    )
    has_test = any(case.split == "test" for case in cases)
    scoring = Stage(
        "eval",
        [
            f"--model={planned_model(workdir, folds)}",
            f"--source={source}",
            f"--split={scored_split(cases)}",
            f"--output={workdir / EVALUATION}",
            *without_patients(reading),
        ],
        workdir / EVALUATION / "report.html",
        may_leave_out=True,
    )
    return [plan, *training, *([scoring] if has_test or folds == 1 else [])]


def planned_model(workdir: Path, folds: int) -> Path:
    """Returns the model folder that the stages write in the end."""
    return workdir / RUN / "model" if folds == 1 else workdir / "model"


def _single_training(workdir: Path, source: str, *, reading: Sequence[str], healthy: Sequence[Path]) -> list[Stage]:
    config, given = f"--config={workdir / PLAN}", f"--source={source}"
    records, run = workdir / RECORDS, workdir / RUN
    further = [f"--source={one}" for one in healthy]
    return [
        Stage("shard", [config, given, f"--records={records}", *reading], records / "config.json", may_leave_out=True),
        Stage(
            "train",
            [config, given, *further, f"--records={records}", f"--workdir={run}"],
            run / "model" / "segmenter.json",
        ),
    ]


def _cross_validation(workdir: Path, source: str, *, reading: Sequence[str], folds: int) -> list[Stage]:
    """Returns the stages that score every photograph out of fold, and make one model of those of the folds."""
    results, joined, model = workdir / FOLDS, workdir / "ensemble", planned_model(workdir, folds)
    *others, last = (results / f"fold_{fold}" / "result" / "fold.json" for fold in range(folds))
    return [
        Stage(
            "crossval",
            [
                f"--config={workdir / PLAN}",
                f"--source={source}",
                f"--workdir={results}",
                f"--folds={folds}",
                *reading,
            ],
            last,
            further=others,  # one of which may have failed
        ),
        Stage(
            "ensemble",
            [f"--models={glob.escape(str(results))}/fold_*/run/model", f"--output={joined}"],
            joined / "segmenter.json",
        ),
        Stage(
            "calibrate",
            [f"--model={joined}", f"--results={results}", f"--output={model}"],
            model / "segmenter.json",
        ),
    ]


def without_patients(reading: Sequence[str]) -> list[str]:
    """Returns flags without --patients, which decides splits and which `eval` does not take."""
    return [flag for flag in reading if not flag.startswith("--patients=")]


def scored_split(cases: Sequence[Case]) -> str:
    """Returns the split to score: the source's own test part, or without one what is held out for validation."""
    return "test" if any(case.split == "test" for case in cases) else "validation"


def begin(workdir: Path, asked: Mapping[str, object], *, state: str = STATE) -> None:
    """Notes what a workdir is for, or checks that it was begun for the same.

    Args:
      workdir: an existing folder.
      asked: the flags of the command line by name; values are as JSON has them.
      state: name of the file that keeps them.

    Raises:
      InputError: the workdir was begun with other flags, or holds something else.
    """
    path = workdir / state
    if not path.exists():
        if (workdir / PLAN).exists():
            raise InputError(f"--workdir={workdir}: {PLAN} there is not of this command; name another folder.")
        write_text(path, json.dumps(asked, indent=2) + "\n")
        return
    before = _read_state(path)
    before.pop(PLANNED_FOLDS, None)
    names = [*before, *(name for name in asked if name not in before)]
    differing = [
        f"--{name} was {before.get(name)} and is {asked.get(name)}"
        for name in names
        if before.get(name) != asked.get(name)
    ]
    if differing:
        raise InputError(
            f"--workdir={workdir} was begun with other flags: {'; '.join(differing)}. Give the same, or name another "
            "folder."
        )


def keep_folds(workdir: Path, planned: Callable[[], int]) -> int:
    """Returns the number of folds that a workdir was begun with.

    Args:
      workdir: folder that `begin` has seen, with a finished plan.
      planned: returns the number of folds of its plan; what it returns first is kept.

    Raises:
      InputError: what `planned` raises.
    """
    state = _read_state(workdir / STATE)
    if PLANNED_FOLDS not in state:
        state[PLANNED_FOLDS] = planned()
        write_text(workdir / STATE, json.dumps(state, indent=2) + "\n")
    return state[PLANNED_FOLDS]


def _read_state(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); remove it if the folder is yours.") from error
