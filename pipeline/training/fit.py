"""The training itself: fits the network, and writes the model folder."""

import contextlib
import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from models import TrainingModel
from pipeline.evaluation import load_case
from pipeline.hosts import AgreedStop
from pipeline.inference import SegmenterSpec, quantiles_of, save_model, united_quantiles
from pipeline.input import naming_damaged_shards
from pipeline.interruption import StopRequest
from pipeline.training.anonymity import anonymous_environment
from pipeline.training.backends import seed_generators
from pipeline.training.callbacks import (
    AveragedWeights,
    BestWeights,
    Checkpoints,
    EarlyStopping,
    EpochLine,
    FrozenEncoder,
    HistoryFiles,
    LearningRate,
    PaddedValidationLoss,
    PreviewCase,
    Previews,
    Progress,
    ReduceLROnPlateau,
    StopOnDivergence,
    TensorBoardWriter,
    TimeLimit,
    monitor_mode,
    preview_tiles,
)
from pipeline.training.checkpoints import assign
from pipeline.training.environment import environment
from pipeline.training.run import TrainingRun, training_stream
from pipeline.training.validation import (
    PhotographScores,
    PhotographSegmenter,
    PhotographValidation,
    score_photographs,
)
from pipeline.training.workdir import clear, records_digest
from records import PhotographIdentity, make_folder, sweep_temporaries, write_text


def fit(run: TrainingRun, *, verbose: int) -> Path:
    """Trains, and saves the weights of the best epoch as a model folder.

    Args:
      run: what `prepare` returned.
      verbose: as in `keras.Model.fit`: 1 for a progress bar, 0 for none.

    Returns:
      The model folder, which the first host writes if several train together.

    Raises:
      StoppedError: the user asked to stop, and everything is saved.
      InputError: the training diverged, or a shard got damaged.
    """
    plan = run.plan
    config = plan.config
    if run.writes:
        _set_up_workdir(run)
    if run.hosts is not None:
        run.hosts.gather(None)  # the workdir is there
    spec = dataclasses.replace(SegmenterSpec.from_config(config, {}), thresholds=plan.thresholds)
    if not plan.cases:
        spec = dataclasses.replace(spec, scale=1.0, field_diameter=None)  # previews show scaled tiles
    with run.backend.live_segmenter(run.network, spec, config, plan.workdir) as segmenter:
        _fit_epochs(run, segmenter, verbose=verbose)
        thresholds = _score(run, segmenter).thresholds if plan.cases else None
    if not run.writes:
        return plan.model_folder
    splits: dict[str, list[str]] = {}
    for one in run.sets:
        for name, split in one.index.splits.items():
            splits.setdefault(name, []).extend(split.cases)
    measured = [case.quality for one in run.sets for case in one.index.cases.values() if case.split == "train"]
    spec = dataclasses.replace(
        SegmenterSpec.from_config(config, splits, thresholds),
        seen_before=plan.seen_before.names,
        quality=united_quantiles(plan.quality_before, quantiles_of(measured)),
        photographs=_photographs(run),
    )
    save_model(plan.model_folder, run.network, spec if plan.salt is None else spec.anonymized(plan.salt))
    return plan.model_folder


def _score(run: TrainingRun, segmenter: PhotographSegmenter) -> PhotographScores:
    return score_photographs(segmenter, run.plan.cases, run.plan.thresholds, hosts=run.hosts)


def all_variables(model: TrainingModel) -> dict[str, list]:
    """Returns all variables that a training changes, by group."""
    return {
        "weights": model.weights,
        "averages": model.averages.variables_kept if model.averages else [],
        "optimizer": model.optimizer.variables,
        "seeds": [generator.state for generator in seed_generators(model)],
        "metrics": model.metrics_variables,
    }


def _photographs(run: TrainingRun) -> dict[str, list[PhotographIdentity]]:
    """Returns by what the photographs are recognised that the training sees, see `SegmenterSpec`."""
    known = {"train": [], "validation": [], "seen_before": list(run.plan.seen_before.photographs)}
    for one in run.sets:
        for name, case in one.index.cases.items():
            if case.split in known:
                known[case.split].append(PhotographIdentity(name, case.photograph_digest, case.perceptual_hash))
    return known


def _set_up_workdir(run: TrainingRun) -> None:
    plan = run.plan
    workdir = plan.workdir
    if plan.start is None:
        clear(workdir)
    for name in ("checkpoints", "tensorboard", "previews"):
        make_folder(workdir / name, flag="--workdir")
    for folder in (workdir, workdir / "checkpoints", plan.model_folder):
        sweep_temporaries(folder)  # of an earlier start that was killed
    about = environment(plan.config, run.sets, run.network, accelerators=run.backend.gpus())
    about |= {"chosen": plan.messages, "records_digest": records_digest(run.sets), "anonymous": plan.salt is not None}
    about = about if plan.salt is None else anonymous_environment(about)
    write_text(workdir / "environment.json", json.dumps(about, indent=2) + "\n")
    write_text(workdir / "config.json", plan.config.to_json())  # last: it is what makes this the folder of a run


def _fit_epochs(run: TrainingRun, segmenter: PhotographSegmenter, *, verbose: int) -> None:
    """Trains from where the run starts to its end, then loads the best weights into the network."""
    plan = run.plan
    best = BestWeights(plan.workdir / "checkpoints", plan.monitor, writes=run.writes)
    best.set_model(run.model)  # if only the model folder is missing, no fit does it
    if plan.start is not None:
        for group, variables in all_variables(run.model).items():
            if group != "metrics":  # which `keras.Model.fit` resets; the `Checkpoints` callback restores them
                assign(variables, plan.start.arrays[group], group)
        best.restore(plan.start.callbacks[best.name])
    # Without a best epoch, an earlier version ended the training as its time was up, before photographs were scored.
    if plan.start is None or not plan.start.ended or best.epoch == 0:
        _fit_remaining(run, segmenter, best, verbose=verbose)
    best.load()


def _fit_remaining(run: TrainingRun, segmenter: PhotographSegmenter, best: BestWeights, *, verbose: int) -> None:
    """Trains the rest of an epoch that was interrupted, then the epochs after it."""
    plan, train = run.plan, run.plan.config.train
    request = _stop_request(run)
    averaged = AveragedWeights(run.model.averages) if run.model.averages else None
    callbacks = _callbacks(run, segmenter, averaged=averaged)

    def fit_epochs(stream: tf.data.Dataset, first: int, last: int, *, steps: int) -> None:
        run.model.fit(
            stream,
            initial_epoch=first,
            epochs=last,
            steps_per_epoch=steps,
            validation_data=run.validation,
            callbacks=callbacks,
            shuffle=False,  # the stream is shuffled already
            verbose=verbose,
        )

    epoch, step = (plan.start.epoch, plan.start.step) if plan.start else (0, 0)
    stream = run.training
    with naming_damaged_shards(run.sets), request.listening(), contextlib.ExitStack() as closing:
        if run.writes:
            callbacks += _writing_callbacks(run, segmenter, closing, quiet=verbose != 0)
        callbacks.append(best)
        callbacks.append(_checkpoints(run, callbacks, request, averaged=averaged))
        if step:
            _create_metrics(run)
            fit_epochs(stream, epoch, epoch + 1, steps=plan.steps - step)
            epoch += 1
            if run.model.stop_training or epoch == train.epochs:
                return
            stream = training_stream(plan, run.sets, run.devices, step=epoch * plan.steps)
        fit_epochs(stream, epoch, train.epochs, steps=plan.steps)


def _create_metrics(run: TrainingRun) -> None:
    """Creates the variables of the metrics, so that they can be restored; Keras does so only in the first step."""
    zeros = np.zeros([1, 16, 16, len(run.plan.config.data.classes)], np.float32)
    run.devices.strategy.run(run.model.compute_metrics, args=(None, zeros, zeros))
    run.model.reset_metrics()


def _stop_request(run: TrainingRun) -> StopRequest | AgreedStop:
    waits_for = "the step or the validation that is running (a first step may still be compiled)"
    request = StopRequest(run.plan.workdir, waits_for=waits_for)
    return request if run.hosts is None else AgreedStop(request, run.hosts)


def _callbacks(
    run: TrainingRun, segmenter: PhotographSegmenter, *, averaged: AveragedWeights | None
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks of all hosts in order: those that control the training, and that add to the logs."""
    plan, train, hosts = run.plan, run.plan.config.train, run.hosts
    clock = None if hosts is None else lambda: hosts.seconds
    progress = Progress(train.epochs * plan.steps, train.max_minutes, clock=clock)
    callbacks: list[keras.callbacks.Callback] = [progress, LearningRate(train, progress)]
    if train.frozen_encoder_epochs:
        callbacks.append(FrozenEncoder(run.network, train.frozen_encoder_epochs))
    if averaged is not None:
        callbacks.append(averaged)
    callbacks.append(PaddedValidationLoss(train.loss))
    if plan.cases:
        callbacks.append(
            PhotographValidation(
                lambda: _score(run, segmenter),
                train.photographs_every,
                train.epochs,
                time_is_up=lambda: progress.time_is_up,
            )
        )
    if train.max_minutes is not None:
        callbacks.append(TimeLimit(progress, plan.monitor))
    callbacks.append(StopOnDivergence(progress, [one.folder for one in run.sets], plan.workdir))
    if plan.monitor is not None:
        monitor = {"monitor": plan.monitor, "mode": monitor_mode(plan.monitor)}
        if train.early_stopping_patience:
            callbacks.append(EarlyStopping(patience=train.early_stopping_patience, **monitor))
        if train.reduce_lr_patience:
            callbacks.append(
                ReduceLROnPlateau(patience=train.reduce_lr_patience, factor=train.reduce_lr_factor, **monitor)
            )
    return callbacks


def _writing_callbacks(
    run: TrainingRun, segmenter: PhotographSegmenter, closing: contextlib.ExitStack, *, quiet: bool
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that read the logs, and write and print for the user."""
    plan, train = run.plan, run.plan.config.train
    history = HistoryFiles(plan.workdir)
    previews = [_previews(run, segmenter)] if plan.previewed else []
    tensorboard = closing.enter_context(contextlib.closing(_tensorboard(run, history)))
    return [history, *previews, tensorboard, EpochLine(train.epochs, plan.steps, train.checkpoint_minutes, quiet=quiet)]


def _previews(run: TrainingRun, segmenter: PhotographSegmenter) -> Previews:
    plan = run.plan
    if plan.cases:
        shown = [load_case(case, plan.config.data) for case in plan.cases if case.name in plan.previewed]
        cases = [PreviewCase(one.case, one.photograph, one.masks, one.known) for one in shown]
    else:
        cases = preview_tiles(run.sets, plan.previewed)
    classes, threshold = plan.config.data.classes, plan.config.evaluate.threshold
    return Previews(
        plan.workdir / "previews", cases, segmenter.segment, classes=classes, thresholds=[threshold] * len(classes)
    )


def _tensorboard(run: TrainingRun, history: HistoryFiles) -> TensorBoardWriter:
    workdir = run.plan.workdir
    network = run.network if run.backend.draws_graph else None
    return TensorBoardWriter(
        workdir / "tensorboard",
        run.plan.config,
        network,
        history=history,
        previews=workdir / "previews",
        anonymous=run.plan.salt is not None,
    )


def _checkpoints(
    run: TrainingRun,
    callbacks: list[keras.callbacks.Callback],
    request: StopRequest | AgreedStop,
    *,
    averaged: AveragedWeights | None,
) -> Checkpoints:
    plan = run.plan
    return Checkpoints(
        plan.workdir / "checkpoints",
        variables=lambda: all_variables(run.model),
        callbacks=callbacks,
        averaged=averaged,
        records=records_digest(run.sets),
        teacher=plan.teacher,
        monitor=plan.monitor,
        epochs=plan.config.train.epochs,
        steps=plan.steps,
        request=request,
        start=plan.start,
        writes=run.writes,
    )
