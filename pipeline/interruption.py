"""Requests to stop: signals and stop files."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path

STOP_FILE = "stop"
SECONDS_BETWEEN_LOOKS = 1.0  # at the file: a look costs little, but not over a network


class StoppedError(Exception):
    """A command was asked to stop, and has saved its work.

    Attributes:
      code: exit code of the command: 128 plus the number of the signal, or 0 for a stop file.
    """

    def __init__(self, why: str, code: int):
        super().__init__(why)
        self.code = code


class StopRequest:
    """Whether someone has asked for the end: by SIGTERM, by Ctrl-C, or by a file `stop` in the workdir.

    A second signal acts as if there were no one listening.
    """

    def __init__(self, workdir: Path):
        self._file = workdir / STOP_FILE
        self._error: StoppedError | None = None
        self._looked = -math.inf

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listens while the block runs. A file that was there before is old, and removed."""
        self._file.unlink(missing_ok=True)
        before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def error(self) -> StoppedError | None:
        """Returns what to raise once all is saved, or None."""
        if self._error is None and time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS:
            self._looked = time.monotonic()
            if self._file.exists():
                self._file.unlink()
                self._error = StoppedError(f"the file {self._file}", 0)
        return self._error

    def _note(self, number: int, frame) -> None:
        self._error = StoppedError(signal.Signals(number).name, 128 + number)
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
