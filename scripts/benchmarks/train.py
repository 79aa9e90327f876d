"""Training steps: crops per second by precision and number of devices, and what the loop around a step adds."""

import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import keras
import numpy as np
import tensorflow as tf

from configs import Config
from models import (
    FusedBatchNormalization,
    Network,
    TrainingModel,
    build_loss,
    build_metrics,
    build_network,
    precision_policy,
)
from pipeline.training import random_batch
from pipeline.training.backends import build_optimizer, choose_backend
from pipeline.training.callbacks import LearningRate, Progress, StopOnDivergence
from scripts.benchmarks.input_wait import measure_wait
from scripts.benchmarks.measuring import Result, median_ratio, take_turns

REPEATS = 5
STEPS = 4  # per turn


@dataclasses.dataclass(frozen=True)
class Variant:
    """A way to run training steps.

    Attributes:
      precision: of the network, as `train.precision`.
      keras_normalization: whether `keras.layers.BatchNormalization` replaces our own layer.
      loop: whether `fit` runs the steps, with the callbacks of every step, instead of a bare function.
      devices: number of devices that share the batch; more than one only with `loop`.
    """

    precision: str
    keras_normalization: bool = False
    loop: bool = False
    devices: int = 1

    def __str__(self) -> str:
        name = f"{'fit' if self.loop else 'step'}, {self.precision}"
        name += f", {self.devices} devices" if self.devices > 1 else ""
        return f"{name}, Keras' norm." if self.keras_normalization else name


def measure(config: Config, records: Path | None = None) -> Result:
    """Times training steps of the configured network on random crops in memory.

    A bare step is the forward pass, the loss, gradients and the optimizer, compiled into one function. It is compared
    with `fit`, whose steps also update a metric, set the learning rate and check each loss, on one device and on two
    (parts of the CPU, or GPUs if there are two); and with itself in float32, in bfloat16, and with Keras' batch
    normalization if the network has our own.

    Args:
      config: of the network and training.
      records: folder of records; with it, also measures how long steps wait for the stream.
    """
    two = _two_devices(config)  # before anything is placed on one
    batch, crop = config.train.batch_size, config.train.crop or config.data.tile
    step = Variant(config.train.precision)
    variants = _variants(config, step, two_devices=two is not None)
    images, masks = random_batch(batch, crop, len(config.data.classes))
    seconds = take_turns(
        {str(variant): _steps(config, variant, two, images=images, masks=masks) for variant in variants},
        repeats=REPEATS,
    )
    rows = []
    for name, times in seconds.items():
        rates = [STEPS / time for time in (statistics.median(times), max(times), min(times))]
        rows.append([name, *(f"{rate:.2f}" for rate in rates), f"{batch * rates[0]:.2f}"])
    keys = _keys(seconds, step, batch)
    if records is not None:
        keys["input_wait_share"] = measure_wait(config, records).blocked
    return Result(
        title=f"{config.model.network}, {batch} crops of {crop} per step, {STEPS} steps per turn, {REPEATS} turns",
        columns=["", "steps/s", "least", "most", "crops/s"],
        rows=rows,
        keys=keys,
    )


def _variants(config: Config, step: Variant, *, two_devices: bool) -> list[Variant]:
    others = [Variant(precision) for precision in ("float32", "mixed_bfloat16") if precision != step.precision]
    variants = [step, dataclasses.replace(step, loop=True), *others]
    if any(isinstance(layer, FusedBatchNormalization) for layer in _network(config, step).layers):
        variants += [dataclasses.replace(one, keras_normalization=True) for one in variants if not one.loop]
    if two_devices:
        variants += [dataclasses.replace(one, loop=True, devices=2) for one in (step, *others)]
    return variants


def _keys(seconds: dict[str, list[float]], step: Variant, batch: int) -> dict[str, object]:
    bare, loop = seconds[str(step)], seconds[str(dataclasses.replace(step, loop=True))]
    steps_per_second = STEPS / statistics.median(bare)
    keys: dict[str, object] = {
        "overhead_over_step": median_ratio(loop, bare) - 1,
        "steps_per_second": steps_per_second,
        "crops_per_second": batch * steps_per_second,
    }
    with_keras = str(dataclasses.replace(step, keras_normalization=True))
    if with_keras in seconds:
        keys["keras_normalization_over_ours"] = median_ratio(seconds[with_keras], bare)
    on_two = str(dataclasses.replace(step, loop=True, devices=2))
    if on_two in seconds:
        keys["two_devices_over_one"] = median_ratio(loop, seconds[on_two])
    return keys


def _two_devices(config: Config) -> tf.distribute.Strategy | None:
    """Returns the strategy for two GPUs or two parts of the CPU; None with a single GPU or an odd batch size."""
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) == 1 or config.train.batch_size % 2:
        return None
    if gpus:
        return tf.distribute.MirroredStrategy(["GPU:0", "GPU:1"])
    train = dataclasses.replace(config.train, strategy="cpus:2", micro_batches=1)
    return choose_backend().choose_devices(train, None).strategy


def _network(config: Config, variant: Variant) -> Network:
    with precision_policy(variant.precision):
        network = build_network(config.model, len(config.data.classes))
    if not variant.keras_normalization:
        return network

    def with_keras_normalization(layer):
        kind = keras.layers.BatchNormalization if isinstance(layer, FusedBatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(network, clone_function=with_keras_normalization)


def _steps(
    config: Config, variant: Variant, two: tf.distribute.Strategy | None, *, images: np.ndarray, masks: np.ndarray
) -> Callable[[], float | None]:
    """Returns a function that trains for `STEPS` steps."""
    train = config.train
    strategy = two if two is not None and variant.devices > 1 else tf.distribute.get_strategy()
    with strategy.scope(), precision_policy(variant.precision):
        model = choose_backend().make_model(_network(config, variant), train, None)
        model.compile(
            build_optimizer(train),
            build_loss(train.loss),
            weighted_metrics=build_metrics(["dice_coef"], config.data.classes)[:1],
            jit_compile=False,
        )
    return _fit_steps(model, config, images, masks=masks) if variant.loop else _bare_steps(model, images, masks)


def _fit_steps(model: TrainingModel, config: Config, images: np.ndarray, *, masks: np.ndarray) -> Callable[[], float]:
    batches = tf.data.Dataset.from_tensors((images, masks)).repeat()

    def fit() -> float:
        """Returns the seconds of all steps but the first, which includes the start of `fit`."""
        ends: list[float] = []
        clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append(perf_counter()))
        progress = Progress(1 + STEPS, None)
        callbacks = [progress, LearningRate(config.train, progress), StopOnDivergence(progress, [], Path()), clock]
        model.fit(batches, steps_per_epoch=1 + STEPS, shuffle=False, verbose=0, callbacks=callbacks)
        return ends[-1] - ends[0]

    return fit


def _bare_steps(model: TrainingModel, images: np.ndarray, masks: np.ndarray) -> Callable[[], None]:
    model.optimizer.build(model.trainable_variables)
    image, mask = tf.constant(images), tf.constant(masks)

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(image, mask, model(image, training=True))
            scaled = model.optimizer.scale_loss(loss)
        model.optimizer.apply(tape.gradient(scaled, model.trainable_variables), model.trainable_variables)
        return loss

    def steps() -> None:
        for _ in range(STEPS):
            float(step())

    return steps
