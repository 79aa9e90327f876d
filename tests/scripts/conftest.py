"""Runs commands as a user does, and all of them once a session, from synthetic photographs to an export."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "TF_CPP_MIN_LOG_LEVEL": "2",  # as the commands have it; JAX sets another one in a process that imports it
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "error:::scripts",
}
TINY = ("--config=tests/scripts/tiny_preset.py", "--config.data.photographs_per_shard=3")
SHORT = ("--config.train.epochs=2", "--config.train.steps_per_epoch=4", "--config.train.batch_size=4")

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
def server(tmp_path_factory) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs commands in forks of itself, see `command_server`."""
    command = [sys.executable, Path(__file__).with_name("command_server.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        open(tmp_path_factory.mktemp("server") / "stderr", "w") as log,
        subprocess.Popen(command, env=ENVIRONMENT, stderr=log, **pipes) as process,
    ):
        yield process
        process.stdin.close()


@pytest.fixture(scope="session")
def run(server, tmp_path_factory) -> Run:
    """Runs `python -m scripts.NAME ARGUMENT…` from the workspace root.

    The process is a fork of `server` unless it must be `fresh`: where the import of libraries itself matters.
    """
    base = tmp_path_factory.mktemp("commands")
    stdout, stderr = base / "stdout", base / "stderr"

    def command(
        name: str, *arguments: object, cwd: Path = ROOT, fresh: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        given = list(map(str, arguments))
        if fresh:
            started = [sys.executable, "-m", f"scripts.{name}", *given]
            return subprocess.run(
                started, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False
            )
        request = {"name": name, "arguments": given, "cwd": str(cwd), "stdout": str(stdout), "stderr": str(stderr)}
        print(json.dumps(request), file=server.stdin, flush=True)
        code = server.stdout.readline()
        assert code, "the server that runs the commands has ended"
        return subprocess.CompletedProcess([name, *given], int(code), stdout.read_text(), stderr.read_text())

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
