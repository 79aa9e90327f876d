"""What changes during a training: learning rate, time limit, frozen encoders, averages."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from configs import InputError, ModelConfig, TrainConfig, UNetConfig
from models import build_network
from pipeline.training import prepare
from pipeline.training import run as run_module
from pipeline.training.backends import build_optimizer
from pipeline.training.backends.tensorflow_step import TrainStepModel, WeightAverages
from pipeline.training.callbacks import (
    EarlyStopping,
    FrozenEncoder,
    LearningRate,
    Progress,
    ReduceLROnPlateau,
    TimeLimit,
    schedules,
)
from pipeline.training.callbacks.schedules import learning_rate_at


@given(st.floats(0, 1), st.sampled_from(["constant", "cosine"]), st.floats(0, 0.9), st.floats(0.01, 1))
def test_the_learning_rate_stays_between_zero_and_the_highest(fraction, schedule, warmup, decay):
    train = TrainConfig(learning_rate=0.3, schedule=schedule, warmup_fraction=warmup, decay_fraction=decay)
    assert 0 <= learning_rate_at(fraction, 0.01, train) <= 0.3 + 1e-12


def test_the_learning_rate_rises_in_the_warm_up_and_then_falls_along_a_cosine_to_zero():
    train = TrainConfig(learning_rate=1.0, warmup_fraction=0.2)
    rates = [learning_rate_at(step / 10, 0.1, train) for step in range(11)]
    assert rates[:2] == pytest.approx([0.5, 1.0])
    assert rates[2:] == pytest.approx([(1 + math.cos(math.pi * step / 8)) / 2 for step in range(9)])


def test_the_cosine_may_be_limited_to_the_end():
    train = TrainConfig(learning_rate=1.0, warmup_fraction=0.2, decay_fraction=0.4)
    rates = [learning_rate_at(step / 10, 0.1, train) for step in range(11)]
    assert rates[1:7] == [1.0] * 6
    assert rates[6:] == pytest.approx([(1 + math.cos(math.pi * step / 4)) / 2 for step in range(5)])


def test_the_learning_rate_is_scaled_to_the_batch():
    train = TrainConfig(learning_rate=0.1, learning_rate_batch=4, batch_size=16, schedule="constant")
    assert learning_rate_at(0.5, 0.1, train) == pytest.approx(0.4)


class Clock:
    """In the place of the module `time`: it stands still unless a test moves it."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(schedules, "time", clock)
    return clock


def test_progress_runs_by_the_clock_where_that_is_ahead(clock):
    progress = Progress(total=1000, max_minutes=0.01)
    progress.restore({"step": 10, "seconds": 0.3})
    assert progress.fraction == pytest.approx(0.5)
    clock.seconds += 0.35
    progress.on_train_batch_end(0)
    assert (progress.step, progress.fraction) == (11, 1)


class Delay(keras.callbacks.Callback):
    """Lets time pass in each step, or at the end of an epoch."""

    def __init__(self, clock: Clock, *, step: float = 0.0, epoch_end: float = 0.0):
        super().__init__()
        self.clock, self.step, self.epoch_end, self.steps = clock, step, epoch_end, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.clock.seconds += self.step

    def on_epoch_end(self, epoch, logs=None):
        self.clock.seconds += self.epoch_end


@pytest.mark.parametrize(("slow", "steps"), [({"step": 0.2}, 4), ({"epoch_end": 1.0}, 10)])
def test_a_training_ends_when_its_minutes_are_over(clock, slow, steps):
    """In the middle of an epoch, and after a validation that took the rest: no further step, at a rate of zero."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    numbers = np.ones((10, 1), np.float32)
    progress = Progress(total=100, max_minutes=1 / 60)
    progress.restore({"step": 0, "seconds": 0.3})
    delay = Delay(clock, **slow)
    callbacks = [progress, delay, TimeLimit(progress, None)]
    model.fit(numbers, numbers, batch_size=1, epochs=10, callbacks=callbacks, verbose=0)
    assert delay.steps == progress.step == steps


@pytest.mark.parametrize(("monitor", "steps"), [("loss", 10), ("val_photo_aupr", 11)])
def test_an_epoch_without_the_monitored_quantity_is_not_the_last_one(clock, monitor, steps):
    """Its time was up after its photographs were not scored; the next epoch ends after a step, and scores them."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    numbers = np.ones((10, 1), np.float32)
    progress = Progress(total=100, max_minutes=1 / 60)
    delay = Delay(clock, epoch_end=1.0)
    callbacks = [progress, delay, TimeLimit(progress, monitor)]
    model.fit(numbers, numbers, batch_size=1, epochs=10, callbacks=callbacks, verbose=0)
    assert delay.steps == progress.step == steps


def test_once_constant_the_learning_rate_is_left_to_others():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    train = TrainConfig(learning_rate=0.2, schedule="constant", warmup_fraction=0.25)
    progress = Progress(8, None)
    rate = LearningRate(train, progress)
    seen = []
    for callback in (progress, rate):
        callback.set_model(model)
    for step in range(8):
        rate.on_train_batch_begin(step)
        seen.append(float(model.optimizer.learning_rate))
        if step == 4:
            model.optimizer.learning_rate = 0.05
        progress.on_train_batch_end(step)
    assert seen == pytest.approx([0.1, 0.2, 0.2, 0.2, 0.2, 0.05, 0.05, 0.05])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras 3.15.1
@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau])
def test_epochs_without_the_monitored_quantity_are_ignored_and_counters_survive(kind):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    callback = kind(monitor="val_photo_aupr", mode="max", patience=3)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, logs in enumerate(({"val_photo_aupr": 0.5}, {}, {"val_photo_aupr": 0.4}, {})):
        callback.on_epoch_end(epoch, logs)
    assert callback.state() == {"wait": 1, "best": 0.5}
    other = kind(monitor="val_photo_aupr", mode="max", patience=3)
    other.restore(callback.state())
    assert (other.wait, other.best) == (1, 0.5)


@pytest.mark.slow
def test_averages_are_those_of_numpy_and_include_the_statistics_of_normalization():
    keras.utils.set_random_seed(0)
    network = build_network(ModelConfig(unet=UNetConfig(width=4, levels=2)), 1)
    train = TrainConfig(batch_size=2, ema_momentum=0.6, optimizer="sgd", learning_rate=0.1)
    model = TrainStepModel(network, train)
    model.compile(build_optimizer(train), "binary_crossentropy", jit_compile=False)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (2, 16, 16, 3)).astype("float32")
    masks = (images[..., :1] > 200).astype("float32")
    expected = model.get_weights()
    for step in range(1, 7):
        model.train_on_batch(images, masks)
        momentum = min(0.6, (1 + step) / (10 + step))
        expected = [
            average * momentum + weight * (1 - momentum)
            for average, weight in zip(expected, model.get_weights(), strict=True)
        ]
    weights = model.get_weights()
    assert "moving_mean" in {weight.name for weight in model.weights}
    model.averages.swap()
    for average, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(average, wanted, rtol=1e-4, atol=1e-6)
    model.averages.swap()
    for weight, before in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, before)


def test_averages_of_constant_weights_are_those_weights():
    variable = keras.Variable(np.float32([1, 2]))
    averages = WeightAverages([variable], 0.9)
    averages.update(tf.constant(5))
    np.testing.assert_allclose(averages.variables_kept[0].numpy(), [1, 2], rtol=1e-6)


@pytest.mark.slow
def test_a_frozen_encoder_keeps_its_weights_for_its_epochs_and_then_learns(config, records_set, tmp_path, monkeypatch):
    for module in (run_module, schedules):  # two layers of a small network in the place of an encoder
        monkeypatch.setattr(module, "encoder_layers", lambda network: network.layers[2:4])
    chosen = dataclasses.replace(
        config,
        model=ModelConfig(unet=UNetConfig(width=4, levels=2)),
        train=dataclasses.replace(config.train, epochs=2, steps_per_epoch=1, frozen_encoder_epochs=1, previews=0),
    )
    run = prepare(chosen, [records_set.folder], tmp_path / "run")
    encoder = [weight for layer in run.network.layers[2:4] for weight in layer.weights if layer.weights]
    others = [weight for weight in run.network.trainable_weights if all(weight is not one for one in encoder)]
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append([[weight.numpy().copy() for weight in group] for group in (encoder, others)])

        on_epoch_end = on_epoch_begin

    callbacks = [FrozenEncoder(run.network, 1), Look()]
    run.model.fit(run.training, epochs=2, steps_per_epoch=1, shuffle=False, verbose=0, callbacks=callbacks)
    (start, others_at_start), (frozen, others_later), _, (end, _) = seen
    assert frozen
    assert all(np.array_equal(*pair) for pair in zip(start, frozen, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(others_at_start, others_later, strict=True))
    assert any(np.any(before != after) for before, after in zip(frozen, end, strict=True))


def test_a_frozen_encoder_of_a_network_without_one_is_refused(config, records_set, tmp_path):
    chosen = dataclasses.replace(config, train=dataclasses.replace(config.train, frozen_encoder_epochs=1))
    with pytest.raises(InputError, match=r"frozen_encoder_epochs is 1, but network unet has no encoder"):
        prepare(chosen, [records_set.folder], tmp_path)


def test_an_unknown_monitor_is_refused_with_the_known_ones(config, records_set, tmp_path):
    chosen = dataclasses.replace(config, train=dataclasses.replace(config.train, monitor="val_photo_aupr"))
    with pytest.raises(InputError, match=r"one of loss, dice_coef.*val_loss.*val_photo_aupr and others need --source"):
        prepare(chosen, [records_set.folder], tmp_path)
