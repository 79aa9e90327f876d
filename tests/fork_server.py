"""Runs commands and programs in forks of a process that has imported TensorFlow, which saves each of them six seconds.

The server reads one JSON object a line from stdin, runs `python -m scripts.NAME ARGUMENT…` or `python -c CODE
ARGUMENT…` in a fork of itself and answers with the exit code as one line. It has imported libraries and the modules of
the pipeline, but run none of them and imported no command, so a fork differs from a fresh process only in what it need
not load: TensorFlow has not started, and its devices can still be configured.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import sys
import threading
import traceback
from typing import NoReturn

import pipeline.evaluation.photographs
import pipeline.export.saved_model
import pipeline.training.fit  # noqa: F401

SECONDS = 600  # after which a command is killed


def become(name: str, code: str, arguments: list[str], *, cwd: str, stdout: str, stderr: str) -> NoReturn:
    """Turns this process into the command of that name, or the program if there is none, and ends it."""
    signal.alarm(SECONDS)
    os.chdir(cwd)
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(path, flags), descriptor)
    sys.argv = [name or "-c", *arguments]
    exit_code = 0
    try:
        if name:
            runpy.run_module(f"scripts.{name}", run_name="__main__", alter_sys=True)
        else:
            exec(code, {"__name__": "__main__"})
    except SystemExit as end:
        exit_code = end.code or 0
    except BaseException:  # noqa: BLE001 (as the interpreter does)
        traceback.print_exc()
        exit_code = 1
    # What the interpreter does at exit, but for taking its modules apart: in a fork, that copies all their memory.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def main() -> None:
    gc.freeze()  # so that collections in a fork leave this memory shared
    gc.set_threshold(100_000, 20, 20)  # and come seldom, as in conftest.py
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(request.pop("name"), request.pop("code"), request.pop("arguments"), **request)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
