"""Benchmarks that run ordinary commands: one after the other, those that are not finished yet."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from configs import Config, InputError
from pipeline.evaluation import check_same_config
from pipeline.planning import Stage, begin
from records import make_folder, write_text
from scripts.support.children import Children
from scripts.support.stages import run_stages

STATE, CONFIG = "benchmark.json", "config.json"  # what the files of a workdir were measured for


def begin_benchmark(workdir: Path, config: Config, asked: Mapping[str, object]) -> None:
    """Notes what a workdir is for, or checks that it was begun for the same: what is finished is not done again.

    Args:
      workdir: the folder, which is made.
      config: the config of the benchmark.
      asked: its other flags by name; values are as JSON has them.

    Raises:
      InputError: the workdir was begun for another config or with other flags, or cannot be written.
    """
    check_same_config(workdir, config)
    make_folder(workdir, flag="--workdir")
    begin(workdir, asked, state=STATE)
    write_text(workdir / CONFIG, config.to_json())


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
