"""Why a training ends before its time: someone asks for it, or a number is none any more."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras

from configs import InputError
from pipeline.training.callbacks.schedules import Progress

STOP_FILE = "stop"
SECONDS_BETWEEN_LOOKS = 1.0  # at the file: a look costs little, but not over a network


class StoppedError(Exception):
    """A training was asked to stop, and has saved where it was.

    Attributes:
      code: with which the command exits: 128 and the number of the signal, 0 for the file.
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


class StopOnDivergence(keras.callbacks.Callback):
    """Ends a training in which a loss or metric is no number any more.

    A step's values are looked at while the next one runs: to wait for them at once would leave a GPU idle.

    Raises:
      InputError: names step and metric, and the command that shows the step's batch.
    """

    def __init__(self, progress: Progress, records: Sequence[Path], workdir: Path):
        super().__init__()
        self.progress, self.records, self.workdir = progress, records, workdir
        self._last: dict = {}

    def on_train_batch_end(self, batch, logs=None):
        self._look(self.progress.step - 2)
        self._last = dict(logs)

    def on_epoch_end(self, epoch, logs=None):
        self._look(self.progress.step - 1)
        self._last = {}
        for name, value in logs.items():
            if not math.isfinite(value):
                raise InputError(
                    f"training diverged: {name} is {float(value)} in the validation of epoch {epoch + 1}. "
                    f"{self._advice()}"
                )

    def _look(self, step: int) -> None:
        for name in sorted(self._last, key=lambda name: name != "loss"):  # which is a metric as well, by its own name
            number = float(self._last[name])
            if not math.isfinite(number):
                records = " ".join(f"--records={folder}" for folder in self.records)
                raise InputError(
                    f"training diverged: {name} is {number} in step {step} (from 0). {self._advice()} This shows the "
                    f"step's batch: python -m scripts.inspect --config={self.workdir / 'config.json'} {records} "
                    f"--step={step} --output={self.workdir / f'step_{step}'}"
                )

    def _advice(self) -> str:
        return (
            "The last good checkpoint is kept; lower train.learning_rate or set train.global_clipnorm, and start in "
            "another --workdir or with --overwrite."
        )
