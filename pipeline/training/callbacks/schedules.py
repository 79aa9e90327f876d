"""What changes in the course of a training: how far it is, the learning rate, which weights learn, when it ends."""

import math
import time

import keras

from configs import TrainConfig
from models import Network, encoder_layers
from pipeline.training.backends.tensorflow_step import WeightAverages


class Progress(keras.callbacks.Callback):
    """How far a training is, over all its starts; the first of the callbacks, which the others ask.

    Attributes:
      step: steps taken.
      total: steps of all epochs.
    """

    def __init__(self, total: int, max_minutes: float | None):
        super().__init__()
        self.step, self.total, self.max_minutes = 0, total, max_minutes
        self._seconds_before = 0.0
        self._began = time.monotonic()

    @property
    def minutes(self) -> float:
        return (self._seconds_before + time.monotonic() - self._began) / 60

    @property
    def share(self) -> float:
        """How much of the training is over, 0 to 1: of its steps, or of its time where that is ahead."""
        share = self.step / self.total
        return share if self.max_minutes is None else min(max(share, self.minutes / self.max_minutes), 1)

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1

    def state(self) -> dict:
        return {"step": self.step, "seconds": self.minutes * 60}

    def restore(self, state: dict) -> None:
        self.step, self._seconds_before = state["step"], state["seconds"]
        self._began = time.monotonic()


class TimeLimit(keras.callbacks.Callback):
    """Ends a training when its minutes are over: after the step, whose epoch is validated, or after a validation."""

    def __init__(self, progress: Progress, max_minutes: float):
        super().__init__()
        self.progress, self.max_minutes = progress, max_minutes

    def on_train_batch_end(self, batch, logs=None):
        if self.progress.minutes >= self.max_minutes:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.on_train_batch_end(epoch)


class LearningRate(keras.callbacks.Callback):
    """Sets the learning rate before each step, by `learning_rate_at`.

    A schedule of Keras' own would know steps alone, not the clock. Once the rate is constant it is left alone, so that
    `keras.callbacks.ReduceLROnPlateau` can change it.
    """

    def __init__(self, train: TrainConfig, progress: Progress):
        super().__init__()
        self.train, self.progress = train, progress
        self.settled = False

    def on_train_batch_begin(self, batch, logs=None):
        if self.settled:
            return
        share = self.progress.share
        self.model.optimizer.learning_rate = learning_rate_at(share, 1 / self.progress.total, self.train)
        self.settled = self.train.schedule == "constant" and share >= self.train.warmup_fraction

    def state(self) -> dict:
        return {"settled": self.settled}

    def restore(self, state: dict) -> None:
        self.settled = state["settled"]


def learning_rate_at(share: float, step: float, train: TrainConfig) -> float:
    """Returns the learning rate of a step.

    Args:
      share: of the training that is over before the step.
      step: share of the training that is one step; the warm-up does not begin at zero.
      train: highest rate, schedule, warm-up, decay; constant and then falling, see Hägele et al. 2024,
        arXiv:2405.18392.

    Example:
      >>> [round(learning_rate_at(share, 0.25, TrainConfig(learning_rate=1.0)), 3) for share in (0, 0.5, 1)]
      [1.0, 0.5, 0.0]
    """
    highest = train.learning_rate
    if train.learning_rate_batch is not None:
        highest *= train.batch_size / train.learning_rate_batch
    if share < train.warmup_fraction:
        return highest * min((share + step) / train.warmup_fraction, 1)
    begin = max(train.warmup_fraction, 1 - train.decay_fraction)
    if train.schedule == "constant" or share < begin:
        return highest
    return highest * (1 + math.cos(math.pi * (share - begin) / (1 - begin))) / 2


class FrozenEncoder(keras.callbacks.Callback):
    """Keeps the weights of a network's encoder as they are for the first epochs.

    The optimizer must have been built on all weights: it cannot take further ones later.
    """

    def __init__(self, network: Network, epochs: int):
        super().__init__()
        self.layers, self.epochs = encoder_layers(network), epochs

    def on_epoch_begin(self, epoch, logs=None):
        trainable = epoch >= self.epochs
        if any(layer.trainable != trainable for layer in self.layers):
            for layer in self.layers:
                layer.trainable = trainable
            self.model.make_train_function(force=True)  # the traced one has the weights that learnt before


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' own, whose counters survive, and which passes over epochs without the monitored quantity."""

    def on_epoch_end(self, epoch, logs=None):
        if self.monitor in logs:
            super().on_epoch_end(epoch, logs)

    def state(self) -> dict:
        return _counters(self)

    def restore(self, state: dict) -> None:
        self.wait, self.best = state["wait"], state["best"]


class ReduceLROnPlateau(keras.callbacks.ReduceLROnPlateau):
    """Keras' own, whose counters survive, and which passes over epochs without the monitored quantity."""

    def on_epoch_end(self, epoch, logs=None):
        if self.monitor in logs:
            super().on_epoch_end(epoch, logs)

    def state(self) -> dict:
        return _counters(self)

    def restore(self, state: dict) -> None:
        self.wait, self.best = state["wait"], state["best"]


def _counters(callback) -> dict:
    return {"wait": callback.wait, "best": None if callback.best is None else float(callback.best)}


class AveragedWeights(keras.callbacks.Callback):
    """Has the moving averages in the weights' place while they are validated, drawn and kept."""

    def __init__(self, averages: WeightAverages):
        super().__init__()
        self.averages = averages
        self._in_place = False

    def on_test_begin(self, logs=None):
        self._put(True)

    def on_epoch_end(self, epoch, logs=None):
        self._put(True)  # where there was no validation

    def leave(self) -> None:
        """Puts the weights that learn back."""
        self._put(False)

    def _put(self, averages_in_place: bool) -> None:
        if self._in_place != averages_in_place:
            self.averages.swap()
            self._in_place = averages_in_place
