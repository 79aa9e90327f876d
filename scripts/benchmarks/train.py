"""A training step: how many crops a second it takes, in which precision, and what Keras' loop adds to it."""

import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import keras
import numpy as np
import tensorflow as tf

from configs import Config
from models import DiceCoefficient, Network, build_loss, build_network, precision_policy
from models.normalization import FusedBatchNormalization
from pipeline.schedules import LearningRate, Progress
from pipeline.stepping import SteppingModel, build_optimizer
from pipeline.stopping import StopOnDivergence
from scripts.benchmarks.measuring import Result, median_ratio, take_turns

REPEATS = 5
STEPS = 4  # a turn


@dataclasses.dataclass(frozen=True)
class Side:
    """One of those that are compared.

    Attributes:
      precision: of the network, as `train.precision`.
      keras_normalization: whether `keras.layers.BatchNormalization` takes the place of our own layer.
      loop: whether `fit` runs the steps, and not a bare function.
    """

    precision: str
    keras_normalization: bool = False
    loop: bool = False

    def __str__(self) -> str:
        name = f"{'fit' if self.loop else 'step'}, {self.precision}"
        return f"{name}, Keras' norm." if self.keras_normalization else name


def measure(config: Config) -> Result:
    """Times training steps of the configured network on random crops in memory.

    A bare step is forward pass, loss, gradients and AdamW, compiled into one function. It is held against `fit`, whose
    steps also keep a metric and look at each loss, and against itself in float32, in bfloat16 and with Keras' batch
    normalisation where the network has our own.
    """
    batch, crop = config.train.batch_size, config.train.crop or config.data.tile
    step = Side(config.train.precision)
    sides = [step, dataclasses.replace(step, loop=True)]
    sides += [Side(precision) for precision in ("float32", "mixed_bfloat16") if precision != step.precision]
    if any(isinstance(layer, FusedBatchNormalization) for layer in _network(config, step).layers):
        sides += [dataclasses.replace(side, keras_normalization=True) for side in sides if not side.loop]
    data = _random_batch(batch, crop, len(config.data.classes))
    seconds = take_turns({str(side): _steps(config, side, *data) for side in sides}, repeats=REPEATS)
    rows = []
    for name, times in seconds.items():
        rates = [STEPS / time for time in (statistics.median(times), max(times), min(times))]
        rows.append([name, *(f"{rate:.2f}" for rate in rates), f"{batch * rates[0]:.2f}"])
    steps_per_second = STEPS / statistics.median(seconds[str(step)])
    keys: dict[str, object] = {
        "overhead_over_step": median_ratio(seconds[str(sides[1])], seconds[str(step)]) - 1,
        "steps_per_second": steps_per_second,
        "crops_per_second": batch * steps_per_second,
    }
    with_keras = str(dataclasses.replace(step, keras_normalization=True))
    if with_keras in seconds:
        keys["keras_normalization_over_ours"] = median_ratio(seconds[with_keras], seconds[str(step)])
    return Result(
        title=f"{config.model.network}, {batch} crops of {crop} a step, {STEPS} steps a turn, {REPEATS} turns",
        columns=["", "steps/s", "least", "most", "crops/s"],
        rows=rows,
        keys=keys,
    )


def _network(config: Config, side: Side) -> Network:
    with precision_policy(side.precision):
        network = build_network(config.model, len(config.data.classes))
    if not side.keras_normalization:
        return network

    def with_keras_normalization(layer):
        kind = keras.layers.BatchNormalization if isinstance(layer, FusedBatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(network, clone_function=with_keras_normalization)


def _steps(config: Config, side: Side, images: tf.Tensor, masks: tf.Tensor) -> Callable[[], float | None]:
    """Returns a function that trains for `STEPS` steps."""
    train = config.train
    with precision_policy(side.precision):
        model = SteppingModel(_network(config, side), train)
    model.compile(
        build_optimizer(train),
        build_loss(train.loss),
        weighted_metrics=[DiceCoefficient()],
        jit_compile=False,
    )
    if side.loop:
        batches = tf.data.Dataset.from_tensors((images, masks)).repeat()

        def fit() -> float:
            """Returns the seconds of all steps but the first, before which `fit` sets itself up."""
            ends: list[float] = []
            clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(perf_counter()))
            progress = Progress(1 + STEPS, None)
            callbacks = [progress, LearningRate(train, progress), StopOnDivergence(progress, [], Path()), clock]
            model.fit(batches, steps_per_epoch=1 + STEPS, shuffle=False, verbose=0, callbacks=callbacks)
            return ends[-1] - ends[0]

        return fit
    model.optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(images, masks, model(images, training=True))
            scaled = model.optimizer.scale_loss(loss)
        model.optimizer.apply(tape.gradient(scaled, model.trainable_variables), model.trainable_variables)
        return loss

    def steps() -> None:
        for _ in range(STEPS):
            float(step())

    return steps


def _random_batch(batch: int, crop: int, classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns images float32 0..255 `[B, T, T, 3]` and masks 0/1 `[B, T, T, C]`, of which a hundredth is lesion."""
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (batch, crop, crop, 3))
    masks = random.random((batch, crop, crop, classes)) < 0.01
    return tf.constant(images, tf.float32), tf.constant(masks, tf.float32)
