"""Requests to stop a command: signals and stop files."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path

STOP_FILE = "stop"
SECONDS_BETWEEN_CHECKS = 1.0  # of the file: a check is cheap, but not on a network drive


class StoppedError(Exception):
    """Raised when a command was asked to stop and has saved its work.

    Attributes:
      code: exit code of the command: 128 plus the number of the signal, or 0 for a stop file.
    """

    def __init__(self, reason: str, code: int):
        super().__init__(reason)
        self.code = code


class StopRequest:
    """Tells whether the user asked to stop: by SIGTERM, by Ctrl-C, or by a file `stop` in the workdir.

    A second signal has its default effect.
    """

    def __init__(self, workdir: Path):
        self._file = workdir / STOP_FILE
        self._error: StoppedError | None = None
        self._checked = -math.inf

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listens while the block runs. A stop file from before is removed."""
        self._file.unlink(missing_ok=True)
        before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def error(self) -> StoppedError | None:
        """Returns the error to raise once all work is saved, or None if nobody asked to stop."""
        if self._error is None and time.monotonic() - self._checked >= SECONDS_BETWEEN_CHECKS:
            self._checked = time.monotonic()
            if self._file.exists():
                self._file.unlink()
                self._error = StoppedError(f"the file {self._file}", 0)
        return self._error

    def _note(self, number: int, frame) -> None:
        self._error = StoppedError(signal.Signals(number).name, 128 + number)
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
