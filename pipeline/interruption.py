"""Requests to stop a command: signals and stop files."""

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

STOP_FILE = "stop"
SECONDS_BETWEEN_CHECKS = 1.0  # of the file: a check is cheap, but not on a network drive
SECONDS_TO_END = 3.0  # that KeyboardInterrupt, which waits for a long operation, has after a second Ctrl-C
# Sent by kill and by most job queues, Ctrl-C, a terminal that closes, and Slurm some time before a job's end.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class StoppedError(Exception):
    """Raised when a command was asked to stop and has saved its work.

    Attributes:
      code: exit code of the command: 128 plus the number of the signal, or 0 for a stop file.
    """

    def __init__(self, reason: str, code: int):
        super().__init__(reason)
        self.code = code


def heard_signals() -> list[signal.Signals]:
    """Returns the STOP_SIGNALS that this process does not ignore: under nohup, a closed terminal must not end it."""
    return [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]


class StopRequest:
    """Tells whether the user asked to stop: by one of STOP_SIGNALS, or by a file `stop` in the workdir.

    A second signal ends the process as if nothing listened.
    """

    def __init__(self, workdir: Path, *, waits_for: str):
        """Initializes the request; `listening` makes it hear.

        Args:
          workdir: folder in which the file `stop` may appear.
          waits_for: what the command completes before it stops, which is said when a signal arrives.
        """
        self._file = workdir / STOP_FILE
        self._waits_for = waits_for
        self._error: StoppedError | None = None
        self._noted = False
        self._left = threading.Event()
        self._checked = -math.inf

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listens while the block runs. A stop file from before is removed."""
        self._file.unlink(missing_ok=True)
        before = {number: signal.signal(number, self._note) for number in heard_signals()}
        try:
            with self._answering():
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def error(self) -> StoppedError | None:
        """Returns the error to raise once all work is saved, or None if nobody asked to stop."""
        if self._error is None and time.monotonic() - self._checked >= SECONDS_BETWEEN_CHECKS:
            self._checked = time.monotonic()
            if self._file.exists():
                self._file.unlink(missing_ok=True)  # another host may have seen it, too
                self._error = StoppedError(f"the file {self._file}", 0)
        return self._error

    def _note(self, number: int, frame) -> None:
        self._noted = True
        self._error = StoppedError(signal.Signals(number).name, 128 + number)
        for one in heard_signals():
            signal.signal(one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Answers signals at once, in a thread: Python's handlers wait while the main thread runs a long operation."""
        self._left.clear()
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        thread = threading.Thread(target=self._answer, args=(reader,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._left.set()
            signal.set_wakeup_fd(before)
            os.close(writer)  # at which the thread ends
            thread.join()
            os.close(reader)

    def _answer(self, reader: int) -> None:
        asked = False
        while received := os.read(reader, 1):
            number = received[0]
            if number not in STOP_SIGNALS:
                continue
            # Either the handler is still waiting, which restores the default effect, or KeyboardInterrupt is.
            if asked and not (self._noted and self._left.wait(SECONDS_TO_END)):
                os._exit(128 + number)
            if not asked:
                name = signal.Signals(number).name
                print(f"{name}: stopping after {self._waits_for}; a second signal ends it now.", file=sys.stderr)
            asked = True
