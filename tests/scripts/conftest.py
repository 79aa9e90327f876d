"""Runs commands as a user does, and all of them once a session, from synthetic photographs to an export."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.planning import Stage

ROOT = Path(__file__).parents[2]
TINY = ("--config=tests/scripts/tiny_preset.py", "--config.data.photographs_per_shard=3")
# Steps on small crops around lesions are quick, and teach the network enough that it does not mark all noise: measuring
# and outlining many thousand lesions would take all commands seconds.
SHORT = (
    "--config.train.epochs=2",
    "--config.train.steps_per_epoch=20",
    "--config.train.batch_size=4",
    "--config.train.crop=64",
    "--config.train.lesion_pixel_fraction=0.3",
    "--config.train.lesion_fraction=0.3",
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]


class Way(NamedTuple):
    """The folders that one run of all commands left, and what each command wrote to stdout and to stderr."""

    source: Path
    records: Path
    workdir: Path
    predictions: Path
    export: Path
    printed: dict[str, str]
    stderr: dict[str, str]


@pytest.fixture(scope="session")
def run(forked, command_environment) -> Run:
    """Runs `python -m scripts.NAME ARGUMENT…` from the workspace root.

    The process is a fork of a server unless it must be `fresh`: where the import of libraries itself matters.
    """

    def command(
        name: str, *arguments: object, cwd: Path = ROOT, fresh: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        if not fresh:
            return forked(name=name, arguments=arguments, cwd=cwd)
        started = [sys.executable, "-m", f"scripts.{name}", *map(str, arguments)]
        return subprocess.run(
            started, cwd=cwd, env=command_environment, capture_output=True, text=True, timeout=600, check=False
        )

    return command


@pytest.fixture(scope="session")
def way(run, tmp_path_factory) -> Way:
    """Synthesizes, shards, trains, evaluates, predicts and exports; each must exit with 0.

    The two commands that people run most, train and predict, run in fresh processes, as they do for people.
    """
    base = tmp_path_factory.mktemp("way")
    source, records, workdir = base / "source", base / "records", base / "run"
    predictions, export = base / "predictions", base / "export"
    photographs = source / "A. Segmentation" / "1. Original Images" / "b. Testing Set"
    model = f"--model={workdir / 'model'}"
    commands = {
        "synthesize": (f"--output={source}", "--training=5", "--test=2"),
        "shard": (*TINY, f"--source={source}", f"--records={records}"),
        "train": (*TINY, *SHORT, f"--records={records}", f"--source={source}", f"--workdir={workdir}"),
        "eval": (
            model,
            f"--source={source}",
            "--split=test",
            f"--records={records}",
            f"--output={workdir}",
            "--baseline",
        ),
        "predict": (model, f"--output={predictions}", "--probabilities", photographs),
        "export": (model, f"--output={export}", f"--client_check={photographs / 'SYN_06.jpg'}"),
    }
    printed, stderr = {}, {}
    for name, arguments in commands.items():
        done = run(name, *arguments, fresh=name in ("train", "predict"))
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        printed[name], stderr[name] = done.stdout, done.stderr
    return Way(source, records, workdir, predictions, export, printed, stderr)


@pytest.fixture(scope="session")
def scores_of_way(way) -> Callable[[list[Stage]], Callable[[Path, Sequence[Stage]], None]]:
    """Takes the place of a benchmark's `run_commands`: notes the stages; each `eval` gets the shared run's scores."""

    def noting(stages: list[Stage]) -> Callable[[Path, Sequence[Stage]], None]:
        def run(_: Path, asked: Sequence[Stage]) -> None:
            stages.extend(asked)
            for folder in (stage.product.parent for stage in asked if stage.command == "eval"):
                folder.mkdir(parents=True)
                for name in ("counts.npz", "scores.json"):
                    shutil.copy(way.workdir / name, folder)

        return run

    return noting
