"""Training: records and a config in, a workdir with a model folder out; it goes on where it was ended."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from configs import Config, InputError
from models import (
    Network,
    TrainingModel,
    build_loss,
    build_metrics,
    build_network,
    encoder_layers,
    precision_policy,
)
from pipeline.evaluation.photographs import read_marked
from pipeline.inference.segmenter import SegmenterSpec, check_tile, save_model
from pipeline.input import (
    RecordSet,
    choose_cache,
    naming_damaged_shards,
    open_records,
    training_batches,
    validation_batches,
)
from pipeline.interruption import StopRequest
from pipeline.training.backends.choice import Backend, choose_backend, run_deterministically
from pipeline.training.backends.tensorflow_devices import Devices
from pipeline.training.backends.tensorflow_step import build_optimizer, seed_generators
from pipeline.training.callbacks.divergence import StopOnDivergence
from pipeline.training.callbacks.history import EpochLine, HistoryFiles, PaddedValidationLoss
from pipeline.training.callbacks.previews import Picture, Previews, choose_previews, tile_pictures
from pipeline.training.callbacks.schedules import (
    AveragedWeights,
    EarlyStopping,
    FrozenEncoder,
    LearningRate,
    Progress,
    ReduceLROnPlateau,
    TimeLimit,
)
from pipeline.training.callbacks.tensorboard import TensorBoardWriter
from pipeline.training.checkpoints import BestWeights, Checkpoint, Checkpoints, assign, monitor_mode
from pipeline.training.environment import environment
from pipeline.training.initial_weights import load_initial_weights
from pipeline.training.validation import PhotographSegmenter, PhotographValidation, validation_cases
from pipeline.training.workdir import clear, earlier_start, records_digest
from records import SPLITS, Case, make_folder, sweep_temporaries, write_text


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """A run that is ready to start, or to go on.

    Attributes:
      config: all settings.
      workdir: where everything is written.
      sets: the records.
      backend: on which it runs.
      devices: where it runs.
      words: what was chosen, a line each: devices, precision, XLA, cache.
      network: whose weights are trained.
      model: what is fitted: the network with what only training needs; compiled, its optimizer built.
      training: the endless stream of training batches from where the run starts.
      batches: the same from any element on.
      validation: finite batches, or None where the records have no validation tiles.
      steps: batches an epoch.
      validation_steps: batches of validation an epoch; 0 without validation.
      cases: validation photographs that are scored whole; none without a source.
      previewed: names of the validation photographs that are drawn after each epoch.
      monitor: column of history.csv that decides which epoch's weights are kept, None: the last one's are.
      seen_before: names of the photographs that the weights of `train.initial_model` were trained on.
      start: where an earlier start of this run was ended, None at the beginning.
    """

    config: Config
    workdir: Path
    sets: list[RecordSet]
    backend: Backend
    devices: Devices
    words: list[str]
    network: Network
    model: TrainingModel
    training: tf.data.Dataset
    batches: Callable[[int], tf.data.Dataset]
    validation: tf.data.Dataset | None
    steps: int
    validation_steps: int
    cases: list[Case]
    previewed: list[str]
    monitor: str | None
    seen_before: tuple[str, ...]
    start: Checkpoint | None

    @property
    def model_folder(self) -> Path:
        return self.workdir / "model"

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.start is not None and self.start.ended and (self.model_folder / "segmenter.json").exists()


def count_tiles(sets: Sequence[RecordSet]) -> dict[str, int]:
    """Returns how many tiles the sets have together in each split."""
    return {name: sum(one.index.splits[name].records for one in sets if name in one.index.splits) for name in SPLITS}


def prepare(
    config: Config, records: Sequence[Path], workdir: Path, *, sources: Sequence[Path] = (), overwrite: bool = False
) -> TrainingRun:
    """Checks everything that can be checked, then builds streams and network. Writes nothing.

    Args:
      config: all settings.
      records: folders of records.
      workdir: of this run; one that was begun with the same config is gone on with.
      sources: folders that hold the records' validation photographs; with none, only tiles are validated.
      overwrite: begin anew whatever the workdir holds.

    Raises:
      InputError: records that do not fit the config or are damaged, a network, loss, device or tile that cannot be,
        fewer training tiles than a batch takes, sources without the validation photographs, or a workdir of another
        config, other records, or with sources where this has none.
    """
    train = config.train
    if train.deterministic:
        run_deterministically()  # before anything makes TensorFlow start
    backend = choose_backend()
    sets = open_records(records, config)
    tiles = count_tiles(sets)
    if tiles["train"] < train.batch_size:
        raise InputError(
            f"train.batch_size is {train.batch_size}, but {' and '.join(map(str, records))} "
            f"{'has' if len(records) == 1 else 'have'} {tiles['train']} training tiles; choose a smaller batch."
        )
    cases = validation_cases(sources, sets) if sources else []
    devices = backend.choose_devices(train)
    monitor = _choose_monitor(config, tiles=tiles["validation"] > 0, photographs=bool(cases))
    previewed = _choose_previewed(config, sets, tiles_alone=not cases)
    start = None if overwrite else earlier_start(workdir, config, sets, monitor=monitor)
    keras.utils.set_random_seed(train.seed)
    with devices.strategy.scope(), precision_policy(train.precision):
        network = build_network(config.model, len(config.data.classes))
        beginning = load_initial_weights(Path(train.initial_model), network, config) if train.initial_model else None
        xla, xla_words = backend.choose_xla(train, devices, network)
        model = backend.make_model(network, train)
        _compile(model, config, xla)
    _check_network(network, config)

    cache, cache_words = choose_cache(sets, train.cache)
    device = devices.gpus[0] if devices.replicas == 1 and devices.gpus else None

    def batches(first: int) -> tf.data.Dataset:
        return training_batches(sets, train, config.augment, start=first, cache=cache, device=device)

    steps = train.steps_per_epoch or tiles["train"] // train.batch_size
    training = batches((start.epoch * steps + start.step) * train.batch_size if start else 0)
    validation, validation_steps = None, 0
    if tiles["validation"]:
        validation = validation_batches(sets, train, cache=cache)
        validation_steps = int(validation.cardinality())
        if train.validation_steps is not None:
            validation_steps = min(validation_steps, train.validation_steps)
            validation = validation.take(validation_steps)
    return TrainingRun(
        config=config,
        workdir=workdir,
        sets=sets,
        backend=backend,
        devices=devices,
        words=[
            f"{devices.words}; {train.precision}; {xla_words}",
            cache_words,
            *([beginning.words] if beginning else []),
        ],
        network=network,
        model=model,
        training=training,
        batches=batches,
        validation=validation,
        steps=steps,
        validation_steps=validation_steps,
        cases=cases,
        previewed=previewed,
        monitor=monitor,
        seen_before=beginning.seen if beginning else (),
        start=start,
    )


def fit(run: TrainingRun, *, verbose: int) -> Path:
    """Trains, and leaves the weights of the best epoch as a model folder.

    Args:
      run: as `prepare` returns it.
      verbose: of `keras.Model.fit`: 1 a progress bar, 0 nothing.

    Returns:
      The model folder.

    Raises:
      StoppedError: someone asked for the end; all is saved.
      InputError: the training diverged, or a shard went bad.
    """
    config, workdir = run.config, run.workdir
    if run.start is None:
        clear(workdir)
    for name in ("checkpoints", "tensorboard", "previews"):
        make_folder(workdir / name, flag="--workdir")
    for folder in (workdir, workdir / "checkpoints", workdir / "model"):
        sweep_temporaries(folder)  # of a start that was killed
    write_text(workdir / "config.json", config.to_json())
    about = environment(config, run.sets, run.network, accelerators=run.backend.gpus()) | {
        "chosen": run.words,
        "records_digest": records_digest(run.sets),
    }
    write_text(workdir / "environment.json", json.dumps(about, indent=2) + "\n")

    spec = SegmenterSpec.from_config(config, {})
    if not run.cases:
        spec = dataclasses.replace(spec, scale=1.0)  # previews are of tiles, which are shrunk
    with run.backend.live_segmenter(run.network, spec, config, workdir) as segmenter:
        _train(run, segmenter, verbose)
        thresholds = segmenter.score(run.cases).thresholds if run.cases else None
    splits: dict[str, list[str]] = {}
    for one in run.sets:
        for name, split in one.index.splits.items():
            splits.setdefault(name, []).extend(split.cases)
    spec = dataclasses.replace(SegmenterSpec.from_config(config, splits, thresholds), seen_before=run.seen_before)
    save_model(run.model_folder, run.network, spec)
    return run.model_folder


def _train(run: TrainingRun, segmenter: PhotographSegmenter, verbose: int) -> None:
    """Fits from where the run starts to its end, and gives the network the best weights."""
    train, workdir = run.config.train, run.workdir
    epoch, step = (run.start.epoch, run.start.step) if run.start else (0, 0)
    request = StopRequest(workdir)
    best = BestWeights(workdir / "checkpoints", run.monitor)
    if run.start is not None:
        for group, variables in all_variables(run.model).items():
            if group != "metrics":  # these, `fit` sets back; the checkpoints' callback has them
                assign(variables, run.start.arrays[group], group)
        best.restore(run.start.callbacks["BestWeights"])
    long_epochs = EpochLine(train.epochs, run.steps, train.checkpoint_minutes, quiet=verbose != 0)
    callbacks = _callbacks(run, segmenter)
    history = next(callback for callback in callbacks if isinstance(callback, HistoryFiles))
    shown = run.network if run.backend.draws_graph else None
    board = TensorBoardWriter(
        workdir / "tensorboard", run.config, shown, history=history, previews=workdir / "previews"
    )
    callbacks += [board, long_epochs, best]
    callbacks.append(
        Checkpoints(
            workdir / "checkpoints",
            variables=lambda: all_variables(run.model),
            callbacks=callbacks.copy(),
            records=records_digest(run.sets),
            monitor=run.monitor,
            epochs=train.epochs,
            steps=run.steps,
            request=request,
            start=run.start,
        )
    )

    def fit_epochs(stream: tf.data.Dataset, first: int, last: int, *, steps: int) -> None:
        run.model.fit(
            stream,
            initial_epoch=first,
            epochs=last,
            steps_per_epoch=steps,
            validation_data=run.validation,
            callbacks=callbacks,
            shuffle=False,  # the stream shuffles
            verbose=verbose,
        )

    ended = run.start is not None and run.start.ended
    with naming_damaged_shards(run.sets), request.listening(), contextlib.closing(board):
        if step and not ended:  # what is left of an epoch
            _make_metrics(run)
            fit_epochs(run.training, epoch, epoch + 1, steps=run.steps - step)
            epoch, ended = epoch + 1, run.model.stop_training
        if epoch < train.epochs and not ended:
            stream = run.batches(epoch * run.steps * train.batch_size) if step else run.training
            fit_epochs(stream, epoch, train.epochs, steps=run.steps)
    best.load()


def _make_metrics(run: TrainingRun) -> None:
    """Makes the variables of the metrics, which otherwise the first step does: too late to give them their values."""
    nothing = np.zeros([1, 16, 16, len(run.config.data.classes)], np.float32)
    run.devices.strategy.run(run.model.compute_metrics, args=(None, nothing, nothing))
    run.model.reset_metrics()


def all_variables(model: TrainingModel) -> dict[str, list]:
    """Returns all that changes in training, by group."""
    return {
        "weights": model.weights,
        "averages": model.averages.variables_kept if model.averages else [],
        "optimizer": model.optimizer.variables,
        "seeds": [generator.state for generator in seed_generators(model)],
        "metrics": model.metrics_variables,
    }


def _check_network(network: Network, config: Config) -> None:
    check_tile(network, config.data.tile, "data.tile")
    check_tile(network, config.train.crop or config.data.tile, "train.crop")
    check_tile(network, config.segment.tile or config.data.tile, "segment.tile")
    if config.train.frozen_encoder_epochs and not encoder_layers(network):
        raise InputError(
            f"train.frozen_encoder_epochs is {config.train.frozen_encoder_epochs}, but network {network.name} has no "
            "encoder; set it to 0."
        )


def _choose_monitor(config: Config, *, tiles: bool, photographs: bool) -> str | None:
    train, classes = config.train, config.data.classes
    if train.monitor == "auto":
        return "val_photo_aupr" if photographs else "val_loss" if tiles else None
    known = ["loss", *(metric.name for metric in build_metrics(train.metrics, classes))]
    if tiles:
        known += [f"val_{name}" for name in known]
    if photographs:
        suffixes = ["", *(f"_{name}" for name in classes)] if len(classes) > 1 else [""]
        known += [f"val_photo_{score}{suffix}" for score in ("aupr", "dice") for suffix in suffixes]
    if train.monitor not in known:
        hint = "" if photographs else "; val_photo_aupr and others need --source"
        raise InputError(f"train.monitor must be auto or one of {', '.join(known)}; received {train.monitor!r}{hint}.")
    return train.monitor


def _choose_previewed(config: Config, sets: Sequence[RecordSet], *, tiles_alone: bool) -> list[str]:
    """Returns the names of the validation photographs that are drawn; a photograph may have no tiles."""
    lesions = {
        name: sum(entry.lesion_pixels.values())
        for one in sets
        for name, entry in one.index.cases.items()
        if entry.split == "validation" and (entry.tiles or not tiles_alone)
    }
    if not config.train.previews or not lesions:
        return []
    return choose_previews(lesions, config.train.previews, config.train.preview_cases)


def _compile(model: TrainingModel, config: Config, xla: bool) -> None:
    loss = build_loss(config.train.loss)
    model.compile(
        optimizer=build_optimizer(config.train),
        loss=loss,
        weighted_metrics=[
            *build_metrics(config.train.metrics, config.data.classes),
            keras.metrics.MeanMetricWrapper(loss.call, name=config.train.loss),
        ],
        jit_compile=xla,
    )
    model.optimizer.build(model.trainable_variables)  # before any of them is frozen


def _callbacks(run: TrainingRun, segmenter: PhotographSegmenter) -> list[keras.callbacks.Callback]:
    """Returns the callbacks in their order: what sets the training, what adds to the logs, what reads them."""
    train, workdir = run.config.train, run.workdir
    progress = Progress(train.epochs * run.steps, train.max_minutes)
    callbacks: list[keras.callbacks.Callback] = [progress, LearningRate(train, progress)]
    if train.frozen_encoder_epochs:
        callbacks.append(FrozenEncoder(run.network, train.frozen_encoder_epochs))
    if run.model.averages:
        callbacks.append(AveragedWeights(run.model.averages))
    callbacks.append(PaddedValidationLoss(train.loss))
    if run.cases:
        callbacks.append(
            PhotographValidation(lambda: segmenter.score(run.cases), train.photographs_every, train.epochs)
        )
    if train.max_minutes is not None:
        callbacks.append(TimeLimit(progress, train.max_minutes))
    callbacks.append(StopOnDivergence(progress, [one.folder for one in run.sets], workdir))
    if run.monitor is not None:
        patient = {"monitor": run.monitor, "mode": monitor_mode(run.monitor)}
        if train.early_stopping_patience:
            callbacks.append(EarlyStopping(patience=train.early_stopping_patience, **patient))
        if train.reduce_lr_patience:
            callbacks.append(
                ReduceLROnPlateau(patience=train.reduce_lr_patience, factor=train.reduce_lr_factor, **patient)
            )
    callbacks.append(HistoryFiles(workdir))
    if run.previewed:
        callbacks.append(_previews(run, segmenter))
    return callbacks


def _previews(run: TrainingRun, segmenter: PhotographSegmenter) -> Previews:
    if run.cases:
        shown = [read_marked(case, run.config.data) for case in run.cases if case.name in run.previewed]
        pictures = [Picture(one.case, one.photograph, one.masks) for one in shown]
    else:
        pictures = tile_pictures(run.sets, run.previewed)
    classes, threshold = run.config.data.classes, run.config.evaluate.threshold
    return Previews(
        run.workdir / "previews", pictures, segmenter.segment, classes=classes, thresholds=[threshold] * len(classes)
    )
