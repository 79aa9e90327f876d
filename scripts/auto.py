"""From a folder of photographs and masks to a scored model: plans, shards, trains and scores, in one command.

    python -m scripts.auto --source=SOURCE --workdir=W --minutes=90

Every stage is the ordinary command, which is printed. The same command again passes over the finished stages and
continues the one that was stopped. W/plan.py can be changed before sharding: stop after the plan, and run again.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from pipeline.interruption import StoppedError
from pipeline.planning import EVALUATION, RUN, begin, plan_stages, scored_split
from records import Case, claimed_output
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
    stages = plan_stages(
        workdir, _SOURCE.value, cases, planning=planning.planning_flags(), reading=planning.reading_flags()
    )
    with claimed_output(workdir, flag="--workdir") as make_workdir:
        make_workdir()
        begin(workdir, {"source": _SOURCE.value} | planning.asked())
        try:
            children = Children()
            with children.listening():
                code = run_stages(children, stages, again=AGAIN)
        except StoppedError as stopped:
            print(f"stopped; {AGAIN}", flush=True)
            return stopped.code
    if all(stage.is_finished for stage in stages):
        _print_end(workdir, cases)
    return code


def _print_end(workdir: Path, cases: Sequence[Case]) -> None:
    if scored_split(cases) == "validation":
        print(
            "scored: the photographs that were held out, which also chose the epoch and the thresholds, so that their "
            "scores flatter; python -m scripts.crossval with this plan scores every photograph by a network that never "
            "saw it."
        )
    print(f"to segment: python -m scripts.predict --model={workdir / RUN / 'model'} --output=OUT PHOTOGRAPH_OR_FOLDER…")
    print(
        f"model: {workdir / RUN / 'model'}    see: {workdir / 'plan.html'}, {workdir / RUN / 'curves.png'}, "
        f"{workdir / EVALUATION / 'report.html'}"
    )


if __name__ == "__main__":
    command.run(main)
