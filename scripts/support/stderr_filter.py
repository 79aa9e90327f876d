"""Keeps TensorFlow's routine log lines off standard error while a command runs; real errors pass.

TensorFlow's C++ code writes to file descriptor 2, some of it before any log level is read, so only a filter on the
descriptor catches all of it. The filter is a separate process, which passes on what was written even if this one
crashes or is killed. This file is its program, too, and imports only the standard library.
"""

import atexit
import contextlib
import os
import re
import signal
import subprocess
import sys

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# Information and warnings of C++ code (Python's own name a .py file), and two kinds of lines that are logged as errors
# but report none. Other errors pass, since exceptions refer to them ("Look at the errors above"), and so do fatal ones.
NOISE = re.compile(
    rb"""WARNING:\ All\ log\ messages\ before\ absl::InitializeLog\(\)
    | To\ enable\ the\ following\ instructions:\ .*\ rebuild\ TensorFlow
    | (?: [IW]\d{4}\ [\d:.]+\ +\d+\ | \d{4}-\d\d-\d\d\ [\d:.]+:\ [IW]\ )  \S+\.(?:cc|h):\d+\]
    | (?: E\d{4}\ [\d:.]+\ +\d+\      | \d{4}-\d\d-\d\d\ [\d:.]+:\ E\ )     \S+\.(?:cc|h):\d+\]
      \ (?:oneDNN\ supports\ DT_|Unable\ to\ register\ cu)""",
    re.VERBOSE,
)
# How a line begins that may turn out to be one of these: it waits for its end, all others are passed on unfinished.
BEGINNING = re.compile(rb"[IWE](?:\d|\Z)|\d{4}-|WARNING: All|To enable")


def install() -> None:
    """Directs file descriptor 2 through the filter until this process ends.

    `sys.stderr` keeps writing to the original file, so that progress bars still see a terminal. Does nothing if the
    user asks for TensorFlow's lines by a TF_CPP_MIN_LOG_LEVEL of 0 or 1, or has closed standard error.
    """
    if os.environ.setdefault(LOG_LEVEL, "2") in ("0", "1") or sys.stderr is None:
        return
    sys.stderr.flush()
    original = os.dup(2)
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        stdout=original,
        start_new_session=True,  # Ctrl-C in the terminal is for the command only
    )
    os.dup2(process.stdin.fileno(), 2)  # type: ignore[union-attr]
    process.stdin.close()  # type: ignore[union-attr]
    sys.stderr = os.fdopen(original, "w", buffering=1, encoding=sys.stderr.encoding, errors=sys.stderr.errors)
    atexit.register(_finish, process, original)


def _finish(process: subprocess.Popen, original: int) -> None:
    """Lets the filter write what it has; it runs on if a child process still writes to it."""
    os.dup2(original, 2)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.2)


def _filter(source: int, sink: int) -> None:
    """Copies bytes from one file descriptor to another, without the lines that match NOISE."""
    held = b""
    while chunk := os.read(source, 2**16):
        *lines, held = (held + chunk).split(b"\n")
        passed = b"".join(line + b"\n" for line in lines if not NOISE.match(line))
        if not BEGINNING.match(held):
            passed, held = passed + held, b""
        _write(sink, passed)
    _write(sink, held)


def _write(sink: int, data: bytes) -> None:
    with contextlib.suppress(OSError):  # a full disk or a closed terminal; the command must not wait for it
        while data:
            data = data[os.write(sink, data) :]


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    _filter(0, 1)
