"""The stages from a folder to a scored model: each is an ordinary command, and a file says that it is finished."""

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from configs import InputError
from records import Case, write_text

STATE = "auto.json"  # what the stages of a workdir were asked for
PLAN, RECORDS, RUN, EVALUATION = "plan.py", "records", "run", "evaluation"


@dataclasses.dataclass(frozen=True)
class Stage:
    """One command on the way.

    Attributes:
      command: name of the command.
      arguments: its flags, and what follows them.
      product: the file that it writes last.
      may_leave_out: whether the exit code 1 says that photographs were left out, and not that it failed.
    """

    command: str
    arguments: Sequence[str | Path]
    product: Path
    may_leave_out: bool = False

    @property
    def line(self) -> str:
        """The command as a person types it."""
        return shlex.join(["python", "-m", f"scripts.{self.command}", *map(str, self.arguments)])

    @property
    def is_finished(self) -> bool:
        """Whether it has been run to its end."""
        return self.product.exists()

    def is_done(self, code: int) -> bool:
        """Returns whether a run that ended with this exit code did its work: a traceback has the exit code 1, too."""
        return (code == 0 or (self.may_leave_out and code == 1)) and self.is_finished


def plan_stages(
    workdir: Path, source: str, cases: Sequence[Case], *, planning: Sequence[str], reading: Sequence[str]
) -> list[Stage]:
    """Returns the stages in order.

    Args:
      workdir: folder for everything that they write.
      source: the folder of the photographs, as it was given.
      cases: its cases, also those that --healthy adds.
      planning: flags of `plan` alone.
      reading: flags that say how the source is read; --patients among them is for `plan` and `shard`.
    """
    config, given = f"--config={workdir / PLAN}", f"--source={source}"
    records, run = workdir / RECORDS, workdir / RUN
    further = sorted({str(one) for case in cases if not (one := case.photograph.parent).is_relative_to(source)})
    split = scored_split(cases)
    return [
        Stage(
            "plan",
            [given, f"--output={workdir / PLAN}", *planning, *reading],
            workdir / PLAN,
            may_leave_out=True,
        ),
        Stage("shard", [config, given, f"--records={records}", *reading], records / "config.json", may_leave_out=True),
        Stage(
            "train",
            [config, given, *(f"--source={one}" for one in further), f"--records={records}", f"--workdir={run}"],
            run / "model" / "segmenter.json",
        ),
        Stage(
            "eval",
            [
                f"--model={run / 'model'}",
                given,
                f"--split={split}",
                f"--output={workdir / EVALUATION}",
                *without_patients(reading),
            ],
            workdir / EVALUATION / "report.html",
            may_leave_out=True,
        ),
    ]


def without_patients(reading: Sequence[str]) -> list[str]:
    """Returns flags without --patients, which decides splits and which `eval` does not take."""
    return [flag for flag in reading if not flag.startswith("--patients=")]


def scored_split(cases: Sequence[Case]) -> str:
    """Returns the split to score: the source's own test part, or without one what is held out for validation."""
    return "test" if any(case.split == "test" for case in cases) else "validation"


def begin(workdir: Path, asked: Mapping[str, object]) -> None:
    """Notes what a workdir is for, or checks that it was begun for the same.

    Args:
      workdir: an existing folder.
      asked: the flags of the command line by name; values are as JSON has them.

    Raises:
      InputError: the workdir was begun with other flags, or holds something else.
    """
    path = workdir / STATE
    if not path.exists():
        if (workdir / PLAN).exists():
            raise InputError(f"--workdir={workdir}: {PLAN} there is not of this command; name another folder.")
        write_text(path, json.dumps(asked, indent=2) + "\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); remove it if the folder is yours.") from error
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
