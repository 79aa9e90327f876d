"""From a folder of photographs and masks to a scored model: plans, shards, trains and scores, in one command.

    python -m scripts.auto --source=SOURCE --workdir=W --minutes=90

Every stage is the ordinary command, which is printed. The same command again passes over the finished stages and
continues the one that was stopped. W/plan.py can be changed before what follows: stop after the plan, and run again.
Where the minutes suffice for five trainings, they are those of a cross-validation, whose models are joined to one.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from configs.loading import load_config
from pipeline.interruption import StoppedError
from pipeline.planning import (
    EVALUATION,
    FOLDS,
    PLAN,
    RUN,
    Stage,
    begin,
    keep_folds,
    plan_stages,
    planned_model,
    scored_split,
)
from pipeline.reporting import REPORT
from records import Case, claimed_output, healthy_folders
from scripts.support import command, planning, source
from scripts.support.children import Children
from scripts.support.stages import run_stages

_SOURCE = flags.DEFINE_string("source", None, "Folder of photographs and masks.", required=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder for plan.py, records, run and evaluation.", required=True)
planning.define_flags()
source.define_flags()

AGAIN = "run the same command again to continue."


def main(_: list[str]) -> int:
    """Runs the stages that are left, and returns the exit code."""
    workdir = Path(_WORKDIR.value)
    planning.given()  # a mistake ends here
    cases = planning.find_planned_cases(Path(_SOURCE.value), warn=lambda line: None)[-1]  # `plan` warns
    with claimed_output(workdir, flag="--workdir") as make_workdir:
        make_workdir()
        begin(workdir, {"source": _SOURCE.value} | planning.asked())
        children = Children()
        try:
            with children.listening():
                first = _stages(workdir, cases, folds=1)[:1]  # what follows is as the plan says
                code = run_stages(children, first, again=AGAIN)
                if not first[0].is_finished:
                    return code
                folds = keep_folds(workdir, lambda: _planned_folds(workdir))
                stages = _stages(workdir, cases, folds=folds)
                code = run_stages(children, stages[1:], again=AGAIN, passed=1) or code
        except StoppedError as stopped:
            print(f"stopped; {AGAIN}", flush=True)
            return stopped.code
    if all(stage.is_finished for stage in stages):
        _print_end(workdir, cases, folds=folds)
    return code


def _stages(workdir: Path, cases: Sequence[Case], *, folds: int) -> list[Stage]:
    flags_of_plan, reading = planning.planning_flags(), planning.reading_flags()
    healthy = healthy_folders(source.given()["known"], cases)
    return plan_stages(
        workdir, _SOURCE.value, cases, planning=flags_of_plan, reading=reading, healthy=healthy, folds=folds
    )


def _planned_folds(workdir: Path) -> int:
    """Returns the number of folds that the plan divides the minutes into."""
    if flags.FLAGS.folds is not None:
        return flags.FLAGS.folds
    each = load_config(str(workdir / PLAN)).train.max_minutes
    return max(round(flags.FLAGS.minutes / each), 1) if each else 1


def _print_end(workdir: Path, cases: Sequence[Case], *, folds: int) -> None:
    model = planned_model(workdir, folds)
    scored = scored_split(cases)
    if folds > 1:
        print(f"scored: every photograph to learn from, by a network that never saw it; see {workdir / FOLDS / REPORT}")
    elif scored == "validation":
        print(
            "scored: the photographs that were held out, which also chose the epoch and the thresholds, so that their "
            "scores flatter; python -m scripts.crossval with this plan scores every photograph by a network that never "
            "saw it."
        )
    print(f"to segment: python -m scripts.predict --model={model} --output=OUT PHOTOGRAPH_OR_FOLDER…")
    looked_at = [workdir / "plan.html"]
    looked_at += [workdir / RUN / "curves.png"] if folds == 1 else [workdir / FOLDS / REPORT]
    looked_at += [workdir / EVALUATION / REPORT] if folds == 1 or scored == "test" else []
    print(f"model: {model}    see: {', '.join(map(str, looked_at))}")


if __name__ == "__main__":
    command.run(main)
