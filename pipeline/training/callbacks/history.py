"""The history of a training: `history.csv`, its curves, and a line per epoch."""

import csv
import io
import time
from collections.abc import Mapping
from pathlib import Path

import keras

from pipeline.training.callbacks.curves import columns_of, draw_curves
from records import complete_file, write_text


class PaddedValidationLoss(keras.callbacks.Callback):
    """Corrects the validation loss in the logs of all callbacks after this one.

    Keras divides the loss of a batch by its length, tiles of weight 0 included (seen in 3.15.1), so that a padded last
    batch makes `val_loss` too small. The same loss as a weighted metric is right, and replaces it here.
    """

    def __init__(self, metric: str):
        super().__init__()
        self.metric = metric

    def on_epoch_end(self, epoch, logs=None):
        """Moves the metric to `val_loss`."""
        logs.pop(self.metric)
        if f"val_{self.metric}" in logs:
            logs["val_loss"] = logs.pop(f"val_{self.metric}")


class HistoryFiles(keras.callbacks.Callback):
    """Writes `history.csv`, one row per epoch, and redraws `curves.png`.

    Attributes:
      rows: for each finished epoch its number (from 1), all values in the logs, the learning rate of its last step,
        and the seconds that it took. A value that an epoch lacks is a blank cell in the file.
    """

    name = "HistoryFiles"

    def __init__(self, workdir: Path):
        super().__init__()
        self.workdir = workdir
        self.rows: list[dict[str, float]] = []
        self._began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Adds a row and writes both files."""
        values = {name: float(value) for name, value in logs.items()}
        seconds = round(time.monotonic() - self._began, 3)
        rate = learning_rate_of(self.model, logs)
        self.rows.append({"epoch": epoch + 1, **values, "learning_rate": rate, "seconds": seconds})
        text = io.StringIO()
        writer = csv.DictWriter(text, columns_of(self.rows), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.workdir / "history.csv", text.getvalue())
        with complete_file(self.workdir / "curves.png") as temporary:
            draw_curves(self.rows).savefig(temporary)

    def state(self) -> dict:
        """Returns the rows."""
        return {"rows": self.rows}

    def restore(self, state: dict) -> None:
        """Continues from what `state` returned."""
        self.rows = list(state["rows"])


class EpochLine(keras.callbacks.Callback):
    """Prints one line per epoch, and warns once if epochs take so long that losing one would hurt."""

    def __init__(self, epochs: int, steps: int, checkpoint_minutes: float, *, quiet: bool):
        """Initializes the callback.

        Args:
          epochs: number of epochs of the whole training.
          steps: number of steps of an epoch.
          checkpoint_minutes: longest epoch without a warning, minutes.
          quiet: prints only the warning.
        """
        super().__init__()
        self.epochs, self.steps, self.checkpoint_minutes, self.quiet = epochs, steps, checkpoint_minutes, quiet
        self._began = 0.0
        self._ends: list[float] = []  # of the steps
        self._warned = False

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._began = time.monotonic()
        self._ends = []

    def on_train_batch_end(self, batch, logs=None):
        """Notes when the step ended."""
        self._ends.append(time.monotonic())

    def on_epoch_end(self, epoch, logs=None):
        """Prints the line, and the warning if it is due."""
        now = time.monotonic()
        if not self.quiet:
            print(self._line(epoch, logs, now - self._began), flush=True)
        if not self._warned:
            self._warn(now - self._ends[-1])

    def _line(self, epoch: int, logs: dict, seconds: float) -> str:
        rate = learning_rate_of(self.model, logs)
        names = [name for name in logs if name != "learning_rate"]
        names.sort(key=lambda name: (name.startswith("val_"), not name.endswith("loss")))
        values = ", ".join(f"{name} {float(logs[name]):.4g}" for name in names)
        return f"epoch {epoch + 1}/{self.epochs}: {values}, learning_rate {rate:.2e}, {seconds:.1f} s"

    def _warn(self, validation: float) -> None:
        """Warns if an epoch takes too long; `validation` is the time after its last step, seconds."""
        # Measured between steps: the first one also traces and compiles, which happens only once.
        between = self._ends[-1] - (self._ends[0] if len(self._ends) > 1 else self._began)
        step = between / max(len(self._ends) - 1, 1)
        minutes, limit = (self.steps * step + validation) / 60, self.checkpoint_minutes
        if minutes <= limit:
            return
        self._warned = True
        fitting = int((60 * limit - validation) / step)
        advice = (
            f"--config.train.steps_per_epoch={fitting} saves the training every {limit:g} minutes"
            if fitting >= 1
            else f"{validation / 60:.1f} of them are validation: see train.validation_steps and train.photographs_every"
        )
        print(
            f"warning: an epoch takes {minutes:.1f} minutes, which are lost if the machine fails; {advice}.",
            flush=True,
        )


def learning_rate_of(model: keras.Model, logs: Mapping[str, float]) -> float:
    """Returns the learning rate of an epoch's last step; to be called at the end of the epoch."""
    # ReduceLROnPlateau logs it before it changes the optimizer's.
    if "learning_rate" in logs:
        return float(logs["learning_rate"])
    return float(model.optimizer.learning_rate.numpy())
