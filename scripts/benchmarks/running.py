"""Benchmarks that run ordinary commands: one after the other, those that are not finished yet."""

from collections.abc import Sequence
from pathlib import Path

from configs import InputError
from pipeline.planning import Stage
from scripts.support.children import Children
from scripts.support.stages import run_stages


def run_commands(workdir: Path, stages: Sequence[Stage]) -> None:
    """Runs the stages that are not finished.

    Raises:
      InputError: a command failed.
      StoppedError: a signal asked to stop.
    """
    children = Children()
    with children.listening():
        if run_stages(children, stages, again="run the same command again."):
            raise InputError(f"--workdir={workdir}: a command failed, see above.")
