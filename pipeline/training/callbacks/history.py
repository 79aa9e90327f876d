"""What people watch: the history and its curves, a line an epoch, previews."""

import csv
import io
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import matplotlib.figure
import matplotlib.ticker

from records import complete_file, write_text

PHOTOGRAPHS = "val_photo_"  # how columns of whole photographs' scores begin
ACROSS = 4  # panels of curves in a row
MOST_LINES = 4  # of scores of whole photographs that share a panel
MARKED = 60  # epochs up to which each has a dot on its curve


class PaddedValidationLoss(keras.callbacks.Callback):
    """Puts the right validation loss into the logs of all callbacks behind it.

    Keras divides the loss of a batch by its length, tiles of weight 0 included (seen in 3.15.1), so a padded last
    batch makes `val_loss` too small. The same loss as a weighted metric is right; it takes the loss's place here.
    """

    def __init__(self, metric: str):
        super().__init__()
        self.metric = metric

    def on_epoch_end(self, epoch, logs=None):
        logs.pop(self.metric)
        if f"val_{self.metric}" in logs:
            logs["val_loss"] = logs.pop(f"val_{self.metric}")


class HistoryFiles(keras.callbacks.Callback):
    """Writes `history.csv`, a row an epoch, and redraws `curves.png`.

    Attributes:
      rows: of the epochs that are over: epoch (from 1), what the logs have, learning rate of the last step, seconds.
        Some quantities come in some epochs only; the others have blank cells for them.
    """

    def __init__(self, workdir: Path):
        super().__init__()
        self.workdir = workdir
        self.rows: list[dict[str, float]] = []
        self._began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        values = {name: float(value) for name, value in logs.items()}
        seconds = round(time.monotonic() - self._began, 3)
        rate = learning_rate_of(self.model, logs)
        self.rows.append({"epoch": epoch + 1, **values, "learning_rate": rate, "seconds": seconds})
        text = io.StringIO()
        writer = csv.DictWriter(text, _columns(self.rows), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.workdir / "history.csv", text.getvalue())
        with complete_file(self.workdir / "curves.png") as temporary:
            draw_curves(self.rows).savefig(temporary)

    def state(self) -> dict:
        return {"rows": self.rows}

    def restore(self, state: dict) -> None:
        self.rows = list(state["rows"])


class EpochLine(keras.callbacks.Callback):
    """Prints one line an epoch, and once warns of epochs that are too long to lose.

    Args:
      epochs: of the whole training.
      steps: of an epoch.
      checkpoint_minutes: an epoch that takes longer is warned of.
      quiet: prints the warning alone.
    """

    def __init__(self, epochs: int, steps: int, checkpoint_minutes: float, *, quiet: bool):
        super().__init__()
        self.epochs, self.steps, self.checkpoint_minutes, self.quiet = epochs, steps, checkpoint_minutes, quiet
        self._began = 0.0
        self._ends: list[float] = []  # of the steps
        self._warned = False

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()
        self._ends = []

    def on_train_batch_end(self, batch, logs=None):
        self._ends.append(time.monotonic())

    def on_epoch_end(self, epoch, logs=None):
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
        """Warns if an epoch takes too long; `validation` is what it took after its last step, seconds."""
        # Between the steps: what comes before the first one's end, tracing and compiling, comes once.
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
            f"warning: an epoch takes {minutes:.1f} minutes, and that much is lost when the machine fails; {advice}.",
            flush=True,
        )


def learning_rate_of(model: keras.Model, logs: Mapping[str, float]) -> float:
    """Returns the learning rate of an epoch's last step, at the epoch's end."""
    # Keras' ReduceLROnPlateau, which may have changed the optimizer's since, has put it into the logs.
    if "learning_rate" in logs:
        return float(logs["learning_rate"])
    return float(model.optimizer.learning_rate.numpy())


def draw_curves(rows: Sequence[Mapping[str, float]]) -> matplotlib.figure.Figure:
    """Draws each quantity of `HistoryFiles.rows` over the epochs that have it, training and validation in one panel.

    The scores of whole photographs, which only validation has, share a panel, or one of each kind where they are many.
    """
    panels = _panels(_columns(rows))
    across = min(len(panels), ACROSS)
    down = math.ceil(len(panels) / across)
    figure = matplotlib.figure.Figure(figsize=(4.2 * across, 3.2 * down), layout="constrained")
    for place, (title, lines) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(down, across, place)
        for label, column in lines.items():
            shown = [(row["epoch"], row[column]) for row in rows if column in row]
            axes.plot(*zip(*shown, strict=True), marker="." if len(shown) <= MARKED else "", label=label)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.set_xlim(0.5, rows[-1]["epoch"] + 0.5)
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if title == "learning_rate":
            rates = [row[title] for row in rows if row[title] > 0]
            if rates and max(rates) > 10 * min(rates):
                axes.set_yscale("log")
        else:
            axes.legend(fontsize="small", ncols=1 if len(lines) <= MOST_LINES else 2)
    return figure


def _panels(columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Returns, by the title of a panel, its columns by the labels of their lines: the loss first, the rate last."""
    kinds = len([name for name in columns if name.startswith(PHOTOGRAPHS)]) > MOST_LINES
    panels: dict[str, dict[str, str]] = {"loss": {}}
    for name in columns:
        if name.startswith(PHOTOGRAPHS):
            label = name.removeprefix(PHOTOGRAPHS)
            title = f"whole photographs: {label.split('_')[0]}" if kinds else "whole photographs"
        else:
            label = "validation" if name.startswith("val_") else "training"
            title = name.removeprefix("val_")
        panels.setdefault(title, {})[label] = name
    rate = panels.pop("learning_rate")
    del panels["epoch"], panels["seconds"]
    return {**panels, "learning_rate": rate}


def _columns(rows: Sequence[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
