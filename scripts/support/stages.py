"""Runs stages, each an ordinary command, one after the other: for `auto` on the terminal, for `view` in a thread."""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from pipeline.interruption import StoppedError
from pipeline.planning import Stage
from scripts.support import command
from scripts.support.children import Children


def run_stages(
    children: Children,
    stages: Sequence[Stage],
    *,
    again: str,
    began: Callable[[int], None] = lambda number: None,
    log: TextIO | None = None,
    passed: int = 0,
) -> int:
    """Runs the stages that are not finished, and says what it does; a stage that fails is the last.

    Args:
      children: runs the commands.
      stages: the stages, in order.
      again: what to do after a failure, for the user.
      began: is told the number of each stage, from 0, that begins.
      log: file for what this function and the commands print; None: stdout and stderr.
      passed: number of stages before these, to count on from.

    Returns:
      The exit code: that of the stage that failed, or whether photographs were left out.

    Raises:
      StoppedError: a signal, or the training's file `stop`, asked to stop.
    """
    left_out = False
    for number, stage in enumerate(stages):
        title = f"stage {passed + number + 1}, {stage.command}"
        if stage.is_finished:
            print(f"{title}: finished already ({stage.product}).", file=log, flush=True)
            continue
        print(f"{title}:\n  {stage.line}", file=log, flush=True)
        began(number)
        since = time.monotonic()
        # The config may train with another backend, which is tried for a plan; the rest is TensorFlow's.
        environment = {} if stage.command in ("plan", "train") else {"KERAS_BACKEND": "tensorflow"}
        code = children.run(stage.command, stage.arguments, environment=environment, log=log)
        if code == command.DONE and not stage.is_finished:
            raise StoppedError("its file `stop`", command.DONE)
        if not stage.is_done(code):
            print(f"{title}: failed with exit code {code}; see the error above, then {again}", file=log or sys.stderr)
            return code
        left_out = left_out or code == command.SOME_FAILED
        print(f"{title}: done in {(time.monotonic() - since) / 60:.1f} minutes.", file=log, flush=True)
    return command.SOME_FAILED if left_out else command.DONE


class BackgroundStages:
    """Runs stages while this process goes on, see `pipeline.viewer.StageRunner`."""

    def __init__(self) -> None:
        self._children = Children()

    def run(self, stages: Sequence[Stage], log: Path, began: Callable[[int], None]) -> int:
        """Runs stages as `run_stages` does; their output is added to a file."""
        with open(log, "a", encoding="utf-8") as file:
            return run_stages(self._children, stages, again="continue.", began=began, log=file)

    def stop(self) -> None:
        """Asks the command that is running to save its work and to end, and lets none begin; again: to end at once."""
        self._children.ask(signal.SIGINT)
