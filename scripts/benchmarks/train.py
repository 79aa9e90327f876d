"""A training step: crops a second, in which precision, on how many devices, and what the loop around it adds."""

import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import keras
import numpy as np
import tensorflow as tf

from configs import Config
from models import FusedBatchNormalization, Network, build_loss, build_metrics, build_network, precision_policy
from pipeline.training.backends import build_optimizer, choose_backend
from pipeline.training.callbacks import LearningRate, Progress, StopOnDivergence
from scripts.benchmarks.input import measure_wait
from scripts.benchmarks.measuring import Result, median_ratio, take_turns

REPEATS = 5
STEPS = 4  # a turn


@dataclasses.dataclass(frozen=True)
class Side:
    """One of those that are compared.

    Attributes:
      precision: of the network, as `train.precision`.
      keras_normalization: whether `keras.layers.BatchNormalization` takes the place of our own layer.
      loop: whether `fit` runs the steps, with the callbacks of each step, and not a bare function.
      devices: that share the batch; several only with `loop`.
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

    A bare step is forward pass, loss, gradients and optimizer, compiled into one function. It is held against `fit`,
    whose steps also keep a metric, set the learning rate and look at each loss, on one device and on two (parts of the
    CPU, or GPUs where there are two), and against itself in float32, in bfloat16 and with Keras' batch normalisation
    where the network has our own. With records, it is also said how long steps wait for the stream.
    """
    two = _two_devices(config)  # before anything is made on one
    batch, crop = config.train.batch_size, config.train.crop or config.data.tile
    step = Side(config.train.precision)
    loop = dataclasses.replace(step, loop=True)
    others = [Side(precision) for precision in ("float32", "mixed_bfloat16") if precision != step.precision]
    sides = [step, loop, *others]
    if any(isinstance(layer, FusedBatchNormalization) for layer in _network(config, step).layers):
        sides += [dataclasses.replace(side, keras_normalization=True) for side in sides if not side.loop]
    if two is not None:
        sides += [dataclasses.replace(side, loop=True, devices=2) for side in (step, *others)]
    images, masks = _random_batch(batch, crop, len(config.data.classes))
    seconds = take_turns(
        {str(side): _steps(config, side, two, images=images, masks=masks) for side in sides}, repeats=REPEATS
    )
    rows = []
    for name, times in seconds.items():
        rates = [STEPS / time for time in (statistics.median(times), max(times), min(times))]
        rows.append([name, *(f"{rate:.2f}" for rate in rates), f"{batch * rates[0]:.2f}"])
    steps_per_second = STEPS / statistics.median(seconds[str(step)])
    keys: dict[str, object] = {
        "overhead_over_step": median_ratio(seconds[str(loop)], seconds[str(step)]) - 1,
        "steps_per_second": steps_per_second,
        "crops_per_second": batch * steps_per_second,
    }
    with_keras = str(dataclasses.replace(step, keras_normalization=True))
    if with_keras in seconds:
        keys["keras_normalization_over_ours"] = median_ratio(seconds[with_keras], seconds[str(step)])
    if two is not None:
        on_two = str(dataclasses.replace(loop, devices=2))
        keys["two_devices_over_one"] = median_ratio(seconds[str(loop)], seconds[on_two])
    if records is not None:
        keys["input_wait_share"] = measure_wait(config, records).blocked
    return Result(
        title=f"{config.model.network}, {batch} crops of {crop} a step, {STEPS} steps a turn, {REPEATS} turns",
        columns=["", "steps/s", "least", "most", "crops/s"],
        rows=rows,
        keys=keys,
    )


def _two_devices(config: Config) -> tf.distribute.Strategy | None:
    """Returns the strategy of two GPUs, or of two parts of the CPU; None with one GPU, or one crop a step."""
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) == 1 or config.train.batch_size % 2:
        return None
    if gpus:
        return tf.distribute.MirroredStrategy(["GPU:0", "GPU:1"])
    return (
        choose_backend().choose_devices(dataclasses.replace(config.train, strategy="cpus:2", micro_batches=1)).strategy
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


def _steps(
    config: Config, side: Side, two: tf.distribute.Strategy | None, *, images: np.ndarray, masks: np.ndarray
) -> Callable[[], float | None]:
    """Returns a function that trains for `STEPS` steps."""
    train = config.train
    strategy = two if two is not None and side.devices > 1 else tf.distribute.get_strategy()
    with strategy.scope(), precision_policy(side.precision):
        model = choose_backend().make_model(_network(config, side), train)
        model.compile(
            build_optimizer(train),
            build_loss(train.loss),
            weighted_metrics=build_metrics(["dice_coef"], config.data.classes)[:1],
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


def _random_batch(batch: int, crop: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images float32 0..255 `[B, T, T, 3]` and masks 0/1 `[B, T, T, C]`, of which a hundredth is lesion."""
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (batch, crop, crop, 3))
    masks = random.random((batch, crop, crop, classes)) < 0.01
    return images.astype(np.float32), masks.astype(np.float32)
