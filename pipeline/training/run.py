"""The preparation of a training: its plan, and the network, devices and streams that it needs."""

import dataclasses
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf

from configs import Config, InputError, TrainConfig
from models import (
    Network,
    TrainingModel,
    build_loss,
    build_metrics,
    build_network,
    check_soft_labels,
    encoder_layers,
    precision_policy,
    without_encoder_weights,
)
from pipeline.hosts import Hosts
from pipeline.inference import check_tile
from pipeline.input import RecordSet, choose_cache, open_records, training_batches, validation_batches
from pipeline.training.anonymity import anonymous_config, training_salt
from pipeline.training.backends import Backend, Devices, build_optimizer, choose_backend, run_deterministically
from pipeline.training.initial_weights import InitialWeights, load_initial_weights
from pipeline.training.labelling_models import labelling_warnings, seen_by_labellers
from pipeline.training.plan import Plan, choose_monitor, choose_previewed, count_tiles, describe_known
from pipeline.training.teacher import LoadedTeacher, fingerprint_of_teacher, load_teacher
from pipeline.training.validation import kept_thresholds, validation_cases
from pipeline.training.workdir import earlier_start, records_digest
from records import SeenPhotographs


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """A training that is ready to start, or to continue.

    Attributes:
      plan: what was decided.
      sets: the records.
      backend: the backend that it runs on.
      devices: the devices that it runs on.
      network: the network whose weights are trained.
      model: the model that is fitted: the network and what is needed only for training; compiled, with its optimizer
        built.
      training: the endless stream of training batches, from where the training starts.
      validation: the batches of a validation; None without validation tiles.
      hosts: the hosts that train together, of which the first one writes; None if this one trains alone.
    """

    plan: Plan
    sets: list[RecordSet]
    backend: Backend
    devices: Devices
    network: Network
    model: TrainingModel
    training: tf.data.Dataset
    validation: tf.data.Dataset | None
    hosts: Hosts | None

    @property
    def writes(self) -> bool:
        """Whether this host writes the files of the training."""
        return self.hosts is None or self.hosts.first


def prepare(
    config: Config,
    records: Sequence[Path],
    workdir: Path,
    *,
    sources: Sequence[Path] = (),
    overwrite: bool = False,
    anonymous: bool = False,
    hosts: Hosts | None = None,
) -> TrainingRun:
    """Checks everything that can be checked, then builds the network and the streams. Writes nothing.

    Args:
      config: all settings.
      records: folders of records.
      workdir: the folder for the run; a run that was started there with the same config is continued.
      sources: folders with the records' validation photographs; if empty, only tiles are validated.
      overwrite: start from the beginning, whatever the workdir holds.
      anonymous: no name of a photograph and no path is written, see `Plan.salt`.
      hosts: the hosts that train together, all of which call this; None if this one trains alone.

    Raises:
      InputError: the records do not fit the config or are damaged; the network, loss, devices or tile size are
        impossible; there are fewer training tiles than a batch takes; the sources lack validation photographs; the
        initial model or the teacher does not fit; the workdir holds a run with another config, other records, another
        teacher or other sources; or a host differs from the others.
    """
    train = config.train
    if train.deterministic:
        run_deterministically()  # before anything starts TensorFlow
    backend = choose_backend()
    sets = open_records(records, config)
    if config.data.soft_labels:
        check_soft_labels(train.loss)
    tiles = count_tiles(sets)
    _check_batch_size(train, records, tiles["train"])
    cases = validation_cases(sources, sets) if sources else []
    devices = backend.choose_devices(train, hosts)
    salt = training_salt(sets) if anonymous else None
    written = config if salt is None else anonymous_config(config, salt)
    monitor = choose_monitor(config, tiles=tiles["validation"] > 0, photographs=bool(cases))
    previewed = choose_previewed(written, sets, only_with_tiles=not cases)
    teacher = fingerprint_of_teacher(Path(train.teacher)) if train.teacher else None
    start = (
        None
        if overwrite
        else earlier_start(workdir, written, sets, teacher=teacher, monitor=monitor, anonymous=anonymous)
    )
    built = _build_model(config, backend, devices)
    models = {"initial_model": built.initial, "teacher": built.teacher}
    origins = {field: one for field, one in models.items() if one is not None}
    cache, cache_message = choose_cache(sets, train.cache)
    messages = [f"{devices.message}; {train.precision}; {built.xla_message}", cache_message]
    own = built.initial and built.initial.thresholds
    thresholds = own or (config.evaluate.threshold,) * len(config.data.classes)
    by_class = dict(zip(config.data.classes, thresholds, strict=True))
    messages += [*describe_known(sets), *kept_thresholds(cases, by_class)]
    plan = Plan(
        config=written,
        workdir=workdir,
        salt=salt,
        tiles=tiles,
        parameters=built.network.count_params(),
        stride=built.network.stride,
        cases=tuple(cases),
        previewed=tuple(previewed),
        thresholds=thresholds,
        monitor=monitor,
        cache=cache,
        teacher=teacher,
        quality_before=built.initial.quality if built.initial else {},
        seen_before=sum((one.seen for one in origins.values()), SeenPhotographs()) + seen_by_labellers(sets),
        start=start,
        messages=(
            *messages,
            *(_origin(one.message, field, config=config, written=written) for field, one in origins.items()),
        ),
        warnings=tuple(labelling_warnings(sets)),
    )
    if hosts is not None:
        _check_hosts(hosts, plan, sets)
    training = training_stream(plan, sets, devices, step=plan.first_step)
    validation = _validation_stream(plan, sets, devices)
    return TrainingRun(
        plan,
        sets,
        backend,
        devices=devices,
        network=built.network,
        model=built.model,
        training=training,
        validation=validation,
        hosts=hosts,
    )


def _check_hosts(hosts: Hosts, plan: Plan, sets: Sequence[RecordSet]) -> None:
    """Refuses hosts that would train something else than the others."""
    hosts.check_equal(
        {
            "the config": plan.config.to_json(),
            "the records": records_digest(sets),
            "the teacher": plan.teacher,
            "the checkpoint in --workdir": [plan.start.epoch, plan.start.step] if plan.start else None,
            "the version of Python": platform.python_version(),
            "the version of Keras": keras.__version__,
            "the version of TensorFlow": tf.__version__,
            "KERAS_BACKEND": keras.backend.backend(),
        }
    )


def _origin(message: str, field: str, *, config: Config, written: Config) -> str:
    """Returns the message about the model of a field, without its path if the config that is written has none."""
    return message.replace(str(Path(getattr(config.train, field))), getattr(written.train, field))


def training_stream(plan: Plan, sets: Sequence[RecordSet], devices: Devices, *, step: int) -> tf.data.Dataset:
    """Returns the endless stream of training batches from a step on, counted over all epochs."""
    train, augment = plan.config.train, plan.config.augment
    device = devices.gpus[0] if devices.replicas == 1 and devices.gpus else None
    return devices.distributed(
        lambda: training_batches(
            sets,
            train,
            augment,
            start=step * train.batch_size,
            cache=plan.cache,
            device=device,
            share=devices.share,
        )
    )


def compile_model(model: TrainingModel, config: Config, *, xla: bool) -> None:
    """Compiles a model with the loss, metrics and optimizer of a config, and builds the optimizer for all weights."""
    loss = build_loss(config.train.loss)
    model.compile(
        optimizer=build_optimizer(config.train),
        loss=loss,
        weighted_metrics=[
            *build_metrics(config.train.metrics, config.data.classes),
            loss.metric(),
        ],
        jit_compile=xla,
    )
    model.optimizer.build(model.trainable_variables)  # before any of them is frozen


def _check_batch_size(train: TrainConfig, records: Sequence[Path], tiles: int) -> None:
    if tiles < train.batch_size:
        raise InputError(
            f"train.batch_size is {train.batch_size}, but {' and '.join(map(str, records))} "
            f"{'has' if len(records) == 1 else 'have'} {tiles} training tiles; choose a smaller batch."
        )


class _Built(NamedTuple):
    """The network, the compiled model around it, its initial weights and teacher, and a message about XLA."""

    network: Network
    model: TrainingModel
    initial: InitialWeights | None
    teacher: LoadedTeacher | None
    xla_message: str


def _build_model(config: Config, backend: Backend, devices: Devices) -> _Built:
    train = config.train
    keras.utils.set_random_seed(train.seed)
    with devices.strategy.scope(), precision_policy(train.precision):
        # All weights come from the initial model, so that a file with an encoder's is not needed again.
        section = without_encoder_weights(config.model) if train.initial_model else config.model
        network = build_network(section, len(config.data.classes))
        initial = load_initial_weights(Path(train.initial_model), network, config) if train.initial_model else None
        teacher = load_teacher(Path(train.teacher), config) if train.teacher else None
        xla, xla_message = backend.choose_xla(train, devices, network)
        model = backend.make_model(network, train, teacher.teacher if teacher else None)
        compile_model(model, config, xla=xla)
    _check_network(network, config)
    return _Built(network, model, initial, teacher, xla_message)


def _check_network(network: Network, config: Config) -> None:
    check_tile(network, config.data.tile, "data.tile")
    check_tile(network, config.train.crop or config.data.tile, "train.crop")
    check_tile(network, config.segment.tile or config.data.tile, "segment.tile")
    if config.train.frozen_encoder_epochs and not encoder_layers(network):
        raise InputError(
            f"train.frozen_encoder_epochs is {config.train.frozen_encoder_epochs}, but network {network.name} has no "
            "encoder; set it to 0."
        )


def _validation_stream(plan: Plan, sets: Sequence[RecordSet], devices: Devices) -> tf.data.Dataset | None:
    if not plan.validation_steps:
        return None
    batches = plan.validation_steps * devices.share.devices
    return devices.distributed(
        lambda: validation_batches(sets, plan.config.train, cache=plan.cache, share=devices.share).take(batches)
    )
