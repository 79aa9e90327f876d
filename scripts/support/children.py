"""Commands that another command runs, one after the other, passing on the signals that ask it to stop."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from pipeline.interruption import STOP_SIGNALS, StoppedError, heard_signals

SECONDS_BETWEEN_LOOKS = 0.2  # interval at which signals are passed on
DIES_WITH = "FUNDUS_TILES_DIES_WITH"  # variable of the environment: the process whose end ends a command
PR_SET_PDEATHSIG = 1  # of Linux' prctl(2)


class Children:
    """Runs `python -m scripts.NAME` as child processes, and passes STOP_SIGNALS on to them.

    Each child has a process group of its own. A terminal sends Ctrl-C to the whole group; the child would get it twice,
    and a training saves its state at the first signal and gives up at the second.
    """

    def __init__(self, *, die_with_this: bool = False) -> None:
        """Runs nothing yet.

        Args:
          die_with_this: whether a command is killed when this process ends in whatever way, also by SIGKILL.
        """
        self._environment = {DIES_WITH: str(os.getpid())} if die_with_this else {}
        self._asked: list[int] = []
        self._first: int | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handles the signals while the block runs; one that is ignored, as under nohup, stays ignored."""
        before = {number: signal.signal(number, self._note) for number in heard_signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def run(
        self,
        name: str,
        arguments: Sequence[object],
        *,
        environment: Mapping[str, str],
        keeps_open: Sequence[int] = (),
        log: TextIO | None = None,
    ) -> int:
        """Runs a command and waits for its end.

        Args:
          name: name of the command, such as "train".
          arguments: flags of the command.
          environment: variables to add to this process' environment.
          keeps_open: file descriptors that the child inherits, such as that of a lock to hold as long as it lives.
          log: file that it writes to; None: stdout and stderr.

        Returns:
          Its exit code; 128 plus the number of the signal if one ended it.

        Raises:
          StoppedError: a signal asked this process or the child to stop; no command runs after it.
        """
        if self._first is not None:
            raise StoppedError(signal.Signals(self._first).name, 128 + self._first)
        child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", f"scripts.{name}", *map(str, arguments)],
            env={**os.environ, **environment, **self._environment},
            pass_fds=tuple(keeps_open),
            stdout=log,
            stderr=log or sys.stderr,  # the terminal, while descriptor 2 is a filter's pipe
            process_group=0,
        )
        while True:
            while self._asked:
                child.send_signal(self._asked.pop(0))
            try:
                code = child.wait(SECONDS_BETWEEN_LOOKS)
            except subprocess.TimeoutExpired:
                continue
            code = 128 - code if code < 0 else code
            if code in [128 + number for number in STOP_SIGNALS]:
                raise StoppedError(f"{name}, which was stopped", code)
            return code

    def ask(self, number: int) -> None:
        """Passes a signal on to the command that is running, and lets none begin; may be called from any thread."""
        self._first = self._first or number
        self._asked.append(number)

    def _note(self, number: int, frame: object) -> None:
        self.ask(number)


def die_with_parent() -> None:
    """Lets this command be killed when the process ends that started it, if that one asked for it."""
    parent = os.environ.pop(DIES_WITH, None)  # which commands that this one starts do not inherit
    if parent is None:
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it ended before the call
        os.kill(os.getpid(), signal.SIGKILL)
