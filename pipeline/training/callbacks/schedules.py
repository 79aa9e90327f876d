"""Callbacks that depend on progress alone: learning rate, frozen encoder, time limit."""

import math
import time
from collections.abc import Callable

import keras

from configs import TrainConfig
from models import Network, encoder_layers


class Progress(keras.callbacks.Callback):
    """Counts the progress of a training over all its starts; must be the first of the callbacks, as others read it.

    Attributes:
      step: number of finished steps.
      total: number of steps of all epochs.
    """

    name = "Progress"

    def __init__(self, total: int, max_minutes: float | None, *, clock: Callable[[], float] | None = None):
        """Begins at the first step.

        Args:
          total: number of steps of all epochs.
          max_minutes: how long the training may take; None: as long as its steps.
          clock: returns seconds since some moment, equal on all hosts that train together; None: this machine's clock.
        """
        super().__init__()
        self.step, self.total, self.max_minutes = 0, total, max_minutes
        self._seconds_before = 0.0
        self._clock = clock or time.monotonic
        self._began = self._clock()

    @property
    def minutes(self) -> float:
        """Minutes that the training has taken so far."""
        return (self._seconds_before + self._clock() - self._began) / 60

    @property
    def time_is_up(self) -> bool:
        """Whether the training has a time limit and has reached it."""
        return self.max_minutes is not None and self.minutes >= self.max_minutes

    @property
    def fraction(self) -> float:
        """Finished fraction of the training, 0..1: of its steps or of its time, whichever is further."""
        fraction = self.step / self.total
        return fraction if self.max_minutes is None else min(max(fraction, self.minutes / self.max_minutes), 1)

    def on_train_batch_end(self, batch, logs=None):
        """Counts the step."""
        self.step += 1

    def state(self) -> dict:
        """Returns the finished steps, and the seconds that they took."""
        return {"step": self.step, "seconds": self.minutes * 60}

    def restore(self, state: dict) -> None:
        """Continues from what `state` returned."""
        self.step, self._seconds_before = state["step"], state["seconds"]
        self._began = self._clock()


class LearningRate(keras.callbacks.Callback):
    """Sets the learning rate before each step, by `learning_rate_at`.

    A Keras schedule would know only the steps, not the time. Once the rate is constant it is no longer set, so that
    `ReduceLROnPlateau` can change it.
    """

    name = "LearningRate"

    def __init__(self, train: TrainConfig, progress: Progress):
        super().__init__()
        self.train, self.progress = train, progress
        self.settled = False

    def on_train_batch_begin(self, batch, logs=None):
        """Sets the learning rate of the step, unless it has become constant."""
        if self.settled:
            return
        fraction = self.progress.fraction
        self.model.optimizer.learning_rate = learning_rate_at(fraction, 1 / self.progress.total, self.train)
        self.settled = self.train.schedule == "constant" and fraction >= self.train.warmup_fraction

    def state(self) -> dict:
        """Returns whether the rate has become constant."""
        return {"settled": self.settled}

    def restore(self, state: dict) -> None:
        """Continues from what `state` returned."""
        self.settled = state["settled"]


def learning_rate_at(fraction: float, step: float, train: TrainConfig) -> float:
    """Returns the learning rate of a step.

    Args:
      fraction: finished fraction of the training before the step, 0..1.
      step: fraction of the training that is one step; so the warm-up does not start at zero.
      train: highest rate, schedule, warm-up and decay. For a constant rate with a final decay see Hägele et al. 2024,
        arXiv:2405.18392.

    Example:
      >>> [round(learning_rate_at(fraction, 0.25, TrainConfig(learning_rate=1.0)), 3) for fraction in (0, 0.5, 1)]
      [1.0, 0.5, 0.0]
    """
    highest = train.learning_rate
    if train.learning_rate_batch is not None:
        highest *= train.batch_size / train.learning_rate_batch
    if fraction < train.warmup_fraction:
        return highest * min((fraction + step) / train.warmup_fraction, 1)
    begin = max(train.warmup_fraction, 1 - train.decay_fraction)
    if train.schedule == "constant" or fraction < begin:
        return highest
    return highest * (1 + math.cos(math.pi * (fraction - begin) / (1 - begin))) / 2


class FrozenEncoder(keras.callbacks.Callback):
    """Freezes the weights of a network's encoder during the first epochs.

    The optimizer must have been built for all weights: it cannot take further ones later.
    """

    def __init__(self, network: Network, epochs: int):
        super().__init__()
        self.layers, self.epochs = encoder_layers(network), epochs

    def on_epoch_begin(self, epoch, logs=None):
        """Freezes or unfreezes the encoder where this epoch needs it."""
        trainable = epoch >= self.epochs
        if any(layer.trainable != trainable for layer in self.layers):
            for layer in self.layers:
                layer.trainable = trainable
            self.model.make_train_function(force=True)  # the traced step only updates what was trainable before


class TimeLimit(keras.callbacks.Callback):
    """Ends a training when its time is up, after a step or after a validation; the last epoch is still validated.

    An epoch without the monitored quantity, as its photographs were not scored, is not the last one: then another
    epoch begins, ends after its first step, and is scored.
    """

    def __init__(self, progress: Progress, monitor: str | None):
        """Initializes the callback.

        Args:
          progress: knows the time and its limit.
          monitor: the quantity that chooses the best epoch.
        """
        super().__init__()
        self.progress, self.monitor = progress, monitor

    def on_train_batch_end(self, batch, logs=None):
        """Checks the time after each step."""
        self._check()

    def on_epoch_end(self, epoch, logs=None):
        """Checks the time after each validation."""
        if self.monitor is None or self.monitor in logs:
            self._check()

    def _check(self) -> None:
        if self.progress.time_is_up:
            self.model.stop_training = True
