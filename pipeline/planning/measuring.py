"""Tries training steps of candidate configs on this machine, as training takes them, and chooses the fastest."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence

import tensorflow as tf

from configs import Config, InputError, Precision, TrainConfig
from models import Network, build_network, precision_policy
from pipeline.machine import free_memory, peak_memory
from pipeline.planning.clock_rules import fastest, is_worth_twice_the_batch
from pipeline.planning.step_trial import StepTrial
from pipeline.training import compile_model, random_batch
from pipeline.training.backends import Devices, choose_backend

FIRST_BATCH, LARGEST_BATCH = 4, 64
PRECISIONS: tuple[Precision, ...] = ("float32", "mixed_bfloat16")
SECONDS = 1.0  # for which each candidate is timed, after a step that compiles
FEWEST = 5  # steps of each that are timed
MEMORY = 0.5  # fraction of the free memory that a step may be expected to take


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """A way to take training steps that has taken one, which compiled it."""

    batch: int
    precision: Precision
    xla: bool
    step: Callable[[], object]
    peak_bytes: int


def try_steps(config: Config, photographs: int) -> tuple[StepTrial, list[StepTrial]]:
    """Tries precisions, on a GPU with and without XLA, and then twice the batch as long as it is worth it.

    Candidates take turns step by step, so that other programs slow down all of them alike.

    Args:
      config: network, classes, crop and loss; batch, precision and XLA are what is tried.
      photographs: number of photographs that are trained on. A batch has not more crops: each gives at least one tile,
        and training needs as many tiles as a batch has.

    Returns:
      The trial to be taken, and all trials in the order in which they were made.

    Raises:
      InputError: the network cannot be trained on such crops, or not even the smallest batch fits into memory.
    """
    devices = choose_backend().choose_devices(config.train, None)
    crop = config.train.crop or config.data.tile
    candidates = _first_candidates(config, devices, photographs)
    if not candidates:
        raise InputError(
            f"a step of {FIRST_BATCH} crops of {crop} pixels does not fit into memory here; free some, or choose a "
            "smaller network with --model."
        )
    trials = _take_turns(candidates, crop)
    best = fastest(trials)
    chosen = candidates[trials.index(best)]
    largest = min(LARGEST_BATCH, photographs)
    while 2 * chosen.batch <= largest and chosen.peak_bytes < MEMORY * free_memory():
        twice = _prepare(config, devices, batch=2 * chosen.batch, precision=chosen.precision, xla=chosen.xla)
        if twice is None:
            break
        again, doubled = _take_turns([chosen, twice], crop)
        # Beside the rate of the first turns, as the machine may be busier now.
        rate = best.crops_per_second * doubled.crops_per_second / again.crops_per_second
        doubled = dataclasses.replace(doubled, crops_per_second=rate)
        trials.append(doubled)
        if not is_worth_twice_the_batch(best, doubled):
            break
        best, chosen = doubled, twice
    return best, trials


def _first_candidates(config: Config, devices: Devices, photographs: int) -> list[_Candidate]:
    batch = min(FIRST_BATCH, max(photographs // devices.replicas, 1)) * devices.replicas
    with_xla = (False, True) if devices.gpus and devices.replicas == 1 else (False,)
    found = (
        _prepare(config, devices, batch=batch, precision=precision, xla=xla)
        for precision in PRECISIONS
        for xla in with_xla
    )
    return [one for one in found if one is not None]


def _prepare(config: Config, devices: Devices, *, batch: int, precision: Precision, xla: bool) -> _Candidate | None:
    """Builds a model and takes a step; returns None if there is too little memory, or XLA cannot compile it."""
    train = dataclasses.replace(config.train, batch_size=batch, precision=precision, xla="on" if xla else "off")
    backend, crop = choose_backend(), train.crop or config.data.tile
    try:
        with devices.strategy.scope(), precision_policy(precision):
            network = build_network(config.model, len(config.data.classes))
            if crop % network.stride:
                raise InputError(
                    f"--model={config.model.network}: its stride, {network.stride}, does not divide crops of {crop} "
                    "pixels; choose another network."
                )
            if xla and not _can_use_xla(train, devices, network):
                return None
            model = backend.make_model(network, train, None)
            compile_model(model, dataclasses.replace(config, train=train), xla=xla)
        images, masks = random_batch(batch, crop, len(config.data.classes))

        def step() -> object:
            return model.train_on_batch(images, masks)  # returns metrics as numbers, so that a GPU has finished

        step()
    except tf.errors.ResourceExhaustedError:
        return None
    peak = _peak_of_gpu(devices) if devices.gpus else peak_memory()
    return _Candidate(batch, precision, xla, step=step, peak_bytes=peak)


def _can_use_xla(train: TrainConfig, devices: Devices, network: Network) -> bool:
    try:
        return choose_backend().choose_xla(train, devices, network)[0]
    except InputError:
        return False


def _take_turns(candidates: Sequence[_Candidate], crop: int) -> list[StepTrial]:
    """Returns a trial of each candidate with the median time of its steps."""
    seconds: list[list[float]] = [[] for _ in candidates]
    while len(seconds[0]) < FEWEST or min(map(sum, seconds)) < SECONDS:
        for candidate, times in zip(candidates, seconds, strict=True):
            began = time.perf_counter()
            candidate.step()
            times.append(time.perf_counter() - began)
    return [
        StepTrial(
            crop,
            one.batch,
            one.precision,
            xla=one.xla,
            crops_per_second=one.batch / statistics.median(times),
            peak_bytes=one.peak_bytes,
        )
        for one, times in zip(candidates, seconds, strict=True)
    ]


def _peak_of_gpu(devices: Devices) -> int:
    return int(tf.config.experimental.get_memory_info(devices.gpus[0].removeprefix("/device:"))["peak"])
