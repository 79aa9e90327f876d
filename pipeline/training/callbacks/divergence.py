"""NaN detection."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras

from configs import InputError
from pipeline.training.callbacks.schedules import Progress

ADVICE = (
    "The last good checkpoint is kept; lower train.learning_rate or set train.global_clipnorm, and start in another "
    "--workdir or with --overwrite."
)


class StopOnDivergence(keras.callbacks.Callback):
    """Ends a training whose loss or metrics are no longer finite.

    The values of a step are checked while the next one runs: waiting for them right away would leave a GPU idle.

    Raises:
      InputError: with the step, the metric, and the command that shows the step's batch.
    """

    def __init__(self, progress: Progress, records: Sequence[Path], workdir: Path):
        super().__init__()
        self.progress, self.records, self.workdir = progress, records, workdir
        self._last: dict = {}

    def on_train_batch_end(self, batch, logs=None):
        """Checks the previous step."""
        self._check(self.progress.step - 2)
        self._last = dict(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Checks the last step and the validation."""
        self._check(self.progress.step - 1)
        self._last = {}
        for name, value in logs.items():
            if not math.isfinite(value):
                raise InputError(
                    f"training diverged: {name} is {float(value)} in the validation of epoch {epoch + 1}. {ADVICE}"
                )

    def _check(self, step: int) -> None:
        for name in sorted(self._last, key=lambda name: name != "loss"):  # the loss first; a metric repeats it
            value = float(self._last[name])
            if not math.isfinite(value):
                records = " ".join(f"--records={folder}" for folder in self.records)
                raise InputError(
                    f"training diverged: {name} is {value} in step {step} (counted from 0). {ADVICE} To see that "
                    f"step's batch: python -m scripts.inspect --config={self.workdir / 'config.json'} {records} "
                    f"--step={step} --output={self.workdir / f'step_{step}'}"
                )
