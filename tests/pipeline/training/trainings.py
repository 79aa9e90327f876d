"""Runs real trainings that can be killed, and compares what they left."""

import csv
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from pipeline.training.checkpoints import LIST_FILE, load_arrays

ROOT = Path(__file__).parents[3]

# Imports TensorFlow once. Each line of its stdin has the arguments, the log file and variables of the environment of a
# `scripts.train`, which then runs in a fork; the answers are the process id and, in the end, the exit code. Curves
# would take most of an epoch.
FORKS = """
import gc, json, os, pathlib, signal, sys, traceback
import matplotlib.figure
import pipeline.training
from scripts import train
from scripts.support import command

gc.freeze()
gc.set_threshold(100_000, 20, 20)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs deaf to it
matplotlib.figure.Figure.savefig = lambda self, file: pathlib.Path(file).touch()
for line in sys.stdin:
    arguments, log, environment = json.loads(line)
    child = os.fork()
    if child == 0:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["scripts.train", *arguments]
        os.environ.update(environment)
        code = 1
        try:
            command.run(train.main)
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Trainings:
    """Runs `scripts.train`, one at a time, on one config and one set of records."""

    def __init__(self, config_file: Path, records: Path, log: Path):
        self.arguments, self.log = [f"--config={config_file}", f"--records={records}"], log
        self.server = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.child = 0

    def close(self) -> None:
        with self.server:
            self.server.stdin.close()

    def start(self, workdir: Path, **environment: str) -> None:
        request = [[*self.arguments, f"--workdir={workdir}"], str(self.log), environment]
        print(json.dumps(request), file=self.server.stdin)
        self.child = int(self.server.stdout.readline())

    def running(self) -> bool:
        return not select.select([self.server.stdout], [], [], 0)[0]

    def send(self, number: int) -> None:
        assert self.running(), self.log.read_text()
        os.kill(self.child, number)

    def finish(self) -> int:
        """Returns the exit code, or minus the number of the signal that killed it."""
        assert select.select([self.server.stdout], [], [], 600)[0], self.log.read_text()
        return int(self.server.stdout.readline())

    def wait_for_epochs(self, workdir: Path, epochs: int) -> None:
        """Waits until the list names the checkpoint of that many epochs, or the training ends."""
        while self.running() and done_epochs(workdir) < epochs:
            time.sleep(0.02)


def history(workdir: Path) -> list[dict[str, str]]:
    with open(workdir / "history.csv", newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def done_epochs(workdir: Path) -> int:
    path = workdir / "checkpoints" / LIST_FILE
    return int(json.loads(path.read_text())[0]["checkpoint"].split("_")[1]) if path.exists() else 0


def assert_same_training(one: Path, two: Path) -> None:
    assert history(one) == history(two)
    (first, metadata), (second, other_metadata) = (load_arrays(last_file(workdir)) for workdir in (one, two))
    assert metadata["callbacks"]["BestWeights"] == other_metadata["callbacks"]["BestWeights"]
    for group, arrays in first.items():
        assert len(arrays) == len(second[group])
        for array, other in zip(arrays, second[group], strict=True):
            np.testing.assert_array_equal(array, other, err_msg=group)
    assert (one / "model" / "network.keras").exists()
    assert (two / "model" / "network.keras").exists()


def last_file(workdir: Path) -> Path:
    folder = workdir / "checkpoints"
    return folder / json.loads((folder / LIST_FILE).read_text())[0]["checkpoint"]
