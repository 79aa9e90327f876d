"""Runs commands in forks of a process that has imported TensorFlow, which saves each command six seconds.

The server reads one JSON object a line from stdin, runs `python -m scripts.NAME ARGUMENT…` in a fork of itself and
answers with the exit code as one line. It has imported libraries, but neither run them nor imported any module of the
workspace, so a fork differs from a fresh process only in what it need not load.
"""

import json
import os
import runpy
import signal
import sys

import cv2  # noqa: F401
import keras  # noqa: F401
import matplotlib.pyplot as plt  # noqa: F401
import ml_collections  # noqa: F401
import scipy.ndimage  # noqa: F401
import tensorflow as tf  # noqa: F401

SECONDS = 600  # after which a command is killed


def become(name: str, arguments: list[str], *, cwd: str, stdout: str, stderr: str) -> None:
    """Turns this process into the command; ends by `SystemExit` or by the command's exception."""
    signal.alarm(SECONDS)
    os.chdir(cwd)
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(path, flags), descriptor)
    sys.argv = [name, *arguments]
    runpy.run_module(f"scripts.{name}", run_name="__main__", alter_sys=True)


def main() -> None:
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(request.pop("name"), request.pop("arguments"), **request)
            return
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
