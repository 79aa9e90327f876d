"""Callbacks that save: checkpoints, and the weights of the best epoch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np

from configs import InputError
from pipeline.hosts import AgreedStop
from pipeline.interruption import StopRequest
from pipeline.training.callbacks.averages import AveragedWeights
from pipeline.training.checkpoints import (
    BEST_WEIGHTS,
    Checkpoint,
    assign,
    best_file,
    load_arrays,
    save_arrays,
    save_checkpoint,
)


@runtime_checkable
class Resumable(Protocol):
    """A callback whose state is saved in checkpoints, and restored when the training continues.

    Attributes:
      name: the key of its state in checkpoint files. It must never change: files of earlier versions are still read.
    """

    name: str

    def state(self) -> dict[str, Any]:
        """Returns the state, as JSON can hold it."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from what `state` returned."""
        ...


class Checkpoints(keras.callbacks.Callback):
    """Saves a checkpoint after each epoch and when the user asks to stop; must be the last of the callbacks.

    Raises:
      StoppedError: the user asked to stop, and everything is saved.
      InputError: a weight is not finite; nothing is saved.
    """

    def __init__(
        self,
        folder: Path,
        *,
        variables: Callable[[], Mapping[str, Sequence[Any]]],
        callbacks: Sequence[keras.callbacks.Callback],
        averaged: AveragedWeights | None,
        records: str,
        teacher: str | None,
        monitor: str | None,
        epochs: int,
        steps: int,
        request: StopRequest | AgreedStop,
        start: Checkpoint | None,
        writes: bool = True,
    ):
        """Initializes the callback.

        Args:
          folder: where the files are written.
          variables: returns all variables that change, by group; "metrics" are those that the current epoch gathers.
          callbacks: all callbacks before this one.
          averaged: the one of them that exchanges weights and averages, if there is one.
          records: digest of the records.
          teacher: fingerprint of `train.teacher`, None without one.
          monitor: the quantity that chooses the best epoch.
          epochs: number of epochs of the whole training.
          steps: number of steps of an epoch.
          request: tells whether the user asked to stop.
          start: the checkpoint to continue from, None at the beginning.
          writes: whether this host writes files; if not, it only does what all hosts do together.
        """
        super().__init__()
        self.writes = writes
        self.folder, self.variables, self.averaged = folder, variables, averaged
        self.records, self.teacher, self.monitor = records, teacher, monitor
        self.epochs, self.steps, self.request = epochs, steps, request
        self.resumable = [callback for callback in callbacks if isinstance(callback, Resumable)]
        self.last = start
        self._epoch = 0
        self._first_step = start.step if start else 0

    def on_train_begin(self, logs=None):
        """Restores the callbacks: here and not earlier, as Keras' own reset themselves at this moment."""
        if self.last is not None:
            for callback in self.resumable:
                callback.restore(self.last.callbacks[callback.name])

    def on_epoch_begin(self, epoch, logs=None):
        """Restores the running metrics of an epoch that was interrupted."""
        self._epoch = epoch
        if self.last is not None and self._first_step:
            assign(self.variables()["metrics"], self.last.arrays["metrics"], "metrics")

    def on_train_batch_end(self, batch, logs=None):
        """Saves and ends the training if the user asked to stop; close to an epoch's end, leaves that to it."""
        step = self._first_step + batch + 1
        error = self.request.error()
        if error and step < self.steps and not self.model.stop_training:
            self._save(self._epoch, step, ended=False)
            raise error

    def on_epoch_end(self, epoch, logs=None):
        """Saves a checkpoint, then ends the training if the user asked to stop."""
        self._first_step = 0
        ended = self.model.stop_training or epoch + 1 == self.epochs
        self._save(epoch + 1, 0, ended=ended)
        error = self.request.error()
        if error and not ended:
            raise error

    def _save(self, epoch: int, step: int, *, ended: bool) -> None:
        if self.averaged is not None:
            self.averaged.put_weights_back()
        arrays = {
            group: [keras.ops.convert_to_numpy(value) for value in values] for group, values in self.variables().items()
        }
        if not all(np.all(np.isfinite(value)) for value in arrays["weights"]):
            raise InputError(
                f"training diverged: a weight is not finite after step {step or self.steps} of epoch "
                f"{epoch + (step > 0)}. The last good checkpoint is kept; lower train.learning_rate or set "
                "train.global_clipnorm, and start in another --workdir or with --overwrite."
            )
        states = {callback.name: callback.state() for callback in self.resumable}
        self.last = Checkpoint(epoch, step, ended, self.records, self.monitor, states, arrays, self.teacher)
        if self.writes:
            save_checkpoint(self.folder, self.last)


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best monitored quantity, or of the last epoch if none is monitored.

    Each such epoch has a file of its own, so that a checkpoint finds the weights that were the best at its time.
    """

    name = BEST_WEIGHTS

    def __init__(self, folder: Path, monitor: str | None, *, writes: bool = True):
        """Initializes the callback.

        Args:
          folder: where the files are.
          monitor: the quantity, None if there is none.
          writes: whether this host writes files.
        """
        super().__init__()
        self.folder, self.monitor, self.writes = folder, monitor, writes
        self.best: float | None = None
        self.epoch = 0

    @property
    def path(self) -> Path:
        """The file with the best weights."""
        return self.folder / best_file(self.epoch)

    def on_epoch_end(self, epoch, logs=None):
        """Saves the weights if this epoch is the best so far."""
        value = logs.get(self.monitor)
        if self.monitor is not None and (value is None or not is_better(value, self.best, self.monitor)):
            return
        self.best, self.epoch = value, epoch + 1
        if self.writes:
            save_arrays(self.path, {"weights": self.model.get_weights()}, {})

    def load(self) -> None:
        """Sets the model's weights to the best ones."""
        arrays, _ = load_arrays(self.path)
        assign(self.model.weights, arrays["weights"], "weights")

    def state(self) -> dict:
        """Returns the best value and its epoch."""
        return {"best": self.best, "epoch": self.epoch}

    def restore(self, state: dict) -> None:
        """Continues from what `state` returned."""
        self.best, self.epoch = state["best"], state["epoch"]


def is_better(value: float, best: float | None, monitor: str) -> bool:
    """Tells whether a value of the monitored quantity is the best so far: losses should fall, all others rise."""
    return best is None or (value < best if monitor_mode(monitor) == "min" else value > best)


def monitor_mode(monitor: str) -> str:
    """Returns in which direction a quantity improves, as Keras calls it: "min" or "max"."""
    return "min" if monitor.endswith("loss") else "max"
