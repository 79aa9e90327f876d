"""What happens at the end of an epoch: the history and its curves, previews, and the best weights so far."""

import csv
import io
import math
import time
from pathlib import Path

import keras
import matplotlib.figure
import numpy as np

from configs import InputError
from records import complete_file, contact_sheet, draw_contours, write_png, write_text

TRUTH, PREDICTION = (80, 255, 80), (255, 80, 255)  # contour colours: green, magenta


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


class StopOnDivergence(keras.callbacks.Callback):
    """Ends a training whose loss is no number any more.

    Raises:
      InputError: names epoch and step, and what to change.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise InputError(
                f"training diverged: the loss is {loss} in epoch {self.epoch + 1}, step {batch + 1}. Lower "
                "train.learning_rate, or set train.clipvalue. The best weights so far, if any, are in checkpoints/."
            )


class HistoryFiles(keras.callbacks.Callback):
    """Writes `history.csv`, a row an epoch, and redraws `curves.png`. The learning rate is that of the first step."""

    def __init__(self, workdir: Path):
        super().__init__()
        self.workdir = workdir
        self.rows: list[dict[str, float]] = []
        self.began = 0.0
        self.learning_rate = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.monotonic()
        self.learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.monotonic() - self.began, 3)
        values = {name: float(value) for name, value in logs.items()}
        self.rows.append({"epoch": epoch + 1, **values, "learning_rate": self.learning_rate, "seconds": seconds})
        text = io.StringIO()
        writer = csv.DictWriter(text, self.rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.workdir / "history.csv", text.getvalue())
        with complete_file(self.workdir / "curves.png") as temporary:
            _draw_curves(self.rows).savefig(temporary)


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the lowest validation loss; without validation, of the last epoch."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.lowest = float("inf")
        self.epoch = 0

    def on_epoch_end(self, epoch, logs=None):
        loss = logs.get("val_loss")
        if loss is None or loss < self.lowest:
            self.lowest, self.epoch = loss if loss is not None else self.lowest, epoch + 1
            with complete_file(self.path) as temporary:
                self.model.save_weights(temporary)


class Previews(keras.callbacks.Callback):
    """Draws a few validation tiles with true and predicted contours after each epoch."""

    def __init__(
        self, folder: Path, network: keras.Model, tiles: list[tuple[np.ndarray, np.ndarray]], threshold: float
    ):
        """Args:
        folder: for `epoch_NNN.png`.
        network: that is trained.
        tiles: images float32 `[T, T, 3]` and masks `[T, T, C]`, at least one.
        threshold: from which probability a pixel is drawn as lesion.
        """
        super().__init__()
        self.folder = folder
        self.network = network
        self.images, self.masks = (np.stack(part) for part in zip(*tiles, strict=True))
        self.threshold = threshold

    def on_epoch_end(self, epoch, logs=None):
        probabilities = np.concatenate(
            [keras.ops.convert_to_numpy(self.network(image[None], training=False)) for image in self.images]
        )
        sheet = []
        for image, mask, probability in zip(self.images, self.masks, probabilities, strict=True):
            drawn = image.astype(np.uint8)
            for index in range(mask.shape[-1]):
                draw_contours(drawn, mask[..., index] > 0, TRUTH)
                draw_contours(drawn, probability[..., index] >= self.threshold, PREDICTION)
            sheet.append(drawn)
        write_png(self.folder / f"epoch_{epoch + 1:03d}.png", contact_sheet(sheet))


def _draw_curves(rows: list[dict[str, float]]) -> matplotlib.figure.Figure:
    """Draws each quantity of the rows, a line for training and one for validation."""
    names = [name for name in rows[0] if not name.startswith("val_") and name not in ("epoch", "seconds")]
    epochs = [row["epoch"] for row in rows]
    figure = matplotlib.figure.Figure(figsize=(4 * len(names), 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names)), names, strict=True):
        for column, label in ((name, "training"), (f"val_{name}", "validation")):
            if column in rows[0]:
                axes.plot(epochs, [row[column] for row in rows], marker=".", label=label)
        axes.set(title=name, xlabel="epoch")
        axes.legend()
    return figure
