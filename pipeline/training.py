"""Training: records and a config in, a workdir with a model folder out."""

import dataclasses
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from configs import Config, InputError
from models import Network, build_loss, build_metrics, build_network, precision_policy, training_model
from pipeline.callbacks import BestWeights, HistoryFiles, PaddedValidationLoss, Previews, StopOnDivergence
from pipeline.input import training_batches, validation_batches
from pipeline.reading import RecordSet, choose_cache, damage_named, open_records
from pipeline.segmenter import SegmenterSpec, check_tile, save_model
from records import SPLITS, make_folder, write_text


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """A run that is ready to start.

    Attributes:
      config: all settings.
      workdir: where everything is written.
      sets: the records.
      cache: says where tiles wait in memory, and why.
      network: whose weights are trained.
      model: what is fitted: the network, or with it what only training needs (`models.supervision`); compiled.
      training: endless stream of batches.
      validation: finite batches, or None where the records have no validation tiles.
      steps: batches an epoch.
      validation_steps: batches of validation an epoch; 0 without validation.
    """

    config: Config
    workdir: Path
    sets: list[RecordSet]
    cache: str
    network: Network
    model: keras.Model
    training: tf.data.Dataset
    validation: tf.data.Dataset | None
    steps: int
    validation_steps: int


def count_tiles(sets: Sequence[RecordSet]) -> dict[str, int]:
    """Returns how many tiles the sets have together in each split."""
    return {name: sum(one.index.splits[name].records for one in sets if name in one.index.splits) for name in SPLITS}


def prepare(config: Config, records: Sequence[Path], workdir: Path) -> TrainingRun:
    """Checks everything that can be checked, then builds streams and network. Writes nothing.

    Raises:
      InputError: records that do not fit the config or are damaged, a network, loss or tile that cannot be, or fewer
        training tiles than a batch takes.
    """
    sets = open_records(records, config)
    tiles = count_tiles(sets)
    if tiles["train"] < config.train.batch_size:
        raise InputError(
            f"train.batch_size is {config.train.batch_size}, but {' and '.join(map(str, records))} "
            f"{'has' if len(records) == 1 else 'have'} {tiles['train']} training tiles; choose a smaller batch."
        )
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.train.seed)
    with precision_policy(config.train.precision):
        network = build_network(config.model, len(config.data.classes))
        model = training_model(network)
    check_tile(network, config.data.tile, "data.tile")
    check_tile(network, config.train.crop or config.data.tile, "train.crop")
    check_tile(network, config.segment.tile or config.data.tile, "segment.tile")

    cache, cache_words = choose_cache(sets, config.train.cache)
    gpus = tf.config.list_logical_devices("GPU")
    device = gpus[0].name if len(gpus) == 1 else None
    training = training_batches(sets, config.train, config.augment, cache=cache, device=device)
    steps = config.train.steps_per_epoch or tiles["train"] // config.train.batch_size
    validation, validation_steps = None, 0
    if tiles["validation"]:
        validation = validation_batches(sets, config.train, cache=cache)
        validation_steps = int(validation.cardinality())
        if config.train.validation_steps is not None:
            validation_steps = min(validation_steps, config.train.validation_steps)
            validation = validation.take(validation_steps)
    _compile(model, config, steps)
    return TrainingRun(
        config, workdir, sets, cache_words, network, model, training, validation, steps, validation_steps
    )


def fit(run: TrainingRun, *, verbose: int) -> Path:
    """Trains, and leaves the weights of the best epoch as a model folder.

    Args:
      run: as `prepare` returns it.
      verbose: of `keras.Model.fit`: 1 a progress bar, 2 a line an epoch.

    Returns:
      The model folder.
    """
    config, workdir = run.config, run.workdir
    for name in ("checkpoints", "tensorboard", "previews"):
        make_folder(workdir / name, flag="--workdir")
    write_text(workdir / "config.json", config.to_json())
    write_text(workdir / "environment.json", json.dumps(_environment(run), indent=2) + "\n")
    best = BestWeights(workdir / "checkpoints" / "best.weights.h5")
    with damage_named(run.sets):
        run.model.fit(
            run.training,
            epochs=config.train.epochs,
            steps_per_epoch=run.steps,
            validation_data=run.validation,
            callbacks=[
                StopOnDivergence(),
                PaddedValidationLoss(config.train.loss),
                HistoryFiles(workdir),
                best,
                *_optional_callbacks(run),
            ],
            shuffle=False,  # the stream shuffles
            verbose=verbose,
        )
    run.model.load_weights(best.path)
    splits: dict[str, list[str]] = {}
    for one in run.sets:
        for name, split in one.index.splits.items():
            splits.setdefault(name, []).extend(split.cases)
    save_model(workdir / "model", run.network, SegmenterSpec.from_config(config, splits))
    return workdir / "model"


def _compile(model: keras.Model, config: Config, steps: int) -> None:
    train = config.train
    rate: float | keras.optimizers.schedules.LearningRateSchedule = train.learning_rate
    if train.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(train.learning_rate, decay_steps=train.epochs * steps)
    if train.optimizer == "adam":
        optimizer = keras.optimizers.Adam(rate, clipvalue=train.clipvalue)
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=train.weight_decay, clipvalue=train.clipvalue)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = build_loss(train.loss)
    model.compile(
        optimizer=optimizer,
        loss=loss,
        weighted_metrics=[
            *build_metrics(train.metrics, config.data.classes),
            keras.metrics.MeanMetricWrapper(loss.call, name=train.loss),
        ],
        jit_compile=False,  # XLA is about twice slower than oneDNN's kernels on a CPU
    )


def _optional_callbacks(run: TrainingRun) -> list[keras.callbacks.Callback]:
    train = run.config.train
    callbacks: list[keras.callbacks.Callback] = [
        keras.callbacks.TensorBoard(str(run.workdir / "tensorboard"), write_graph=False)
    ]
    if run.validation is None:
        return callbacks
    if train.reduce_lr_patience:
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(factor=train.reduce_lr_factor, patience=train.reduce_lr_patience)
        )
    if train.early_stopping_patience:
        callbacks.append(keras.callbacks.EarlyStopping(patience=train.early_stopping_patience))
    if train.previews:
        tiles = run.validation.unbatch().filter(lambda image, mask, weight: tf.reduce_any(mask > 0))
        examples = [(image, mask) for image, mask, _ in tiles.take(train.previews).as_numpy_iterator()]
        if examples:
            callbacks.append(Previews(run.workdir / "previews", run.network, examples, run.config.evaluate.threshold))
    return callbacks


def _environment(run: TrainingRun) -> dict[str, object]:
    root = Path(__file__).parent
    revision = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "git_revision": revision.stdout.strip() or None,
        "config_fingerprint": run.config.fingerprint(),
        "records": [str(one.folder) for one in run.sets],
        "records_fingerprint": run.sets[0].index.fingerprint,
        "parameters": run.network.count_params(),
    }
