"""NaN detection."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras

from configs import InputError
from pipeline.training.callbacks.schedules import Progress


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
