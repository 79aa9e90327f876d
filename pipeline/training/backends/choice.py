"""Everything about a training that depends on Keras' backend, chosen in one place."""

import contextlib
import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import keras
import tensorflow as tf

from configs import Config, InputError, TrainConfig
from models import Network, Teacher, TrainingModel
from pipeline import machine
from pipeline.hosts import Hosts
from pipeline.inference import SegmenterSpec
from pipeline.training.backends import tensorflow_devices
from pipeline.training.backends.tensorflow_devices import Devices
from pipeline.training.validation import LiveSegmenter, PhotographSegmenter


@dataclasses.dataclass(frozen=True)
class Backend:
    """How a backend trains. Everything else, from the stream to the model folder, is the same on all of them.

    Attributes:
      choose_devices: chooses the devices that `train.strategy` asks for: this host's, or if hosts are given, those of
        all hosts; must be called before anything else starts the backend.
      choose_xla: returns whether XLA compiles the training step, and a message with the reason.
      gpus: returns a line for each GPU with its model.
      make_model: wraps a network, and the teacher if there is one, into the model that is fitted; between steps its
        variables are current.
      live_segmenter: segments whole photographs with the network's current weights while its block runs, and may keep
        temporary files in the folder.
      draws_graph: whether TensorBoard can show the network's graph.
    """

    choose_devices: Callable[[TrainConfig, Hosts | None], Devices]
    choose_xla: Callable[[TrainConfig, Devices, Network], tuple[bool, str]]
    gpus: Callable[[], list[str]]
    make_model: Callable[[Network, TrainConfig, Teacher | None], TrainingModel]
    live_segmenter: Callable[[Network, SegmenterSpec, Config, Path], AbstractContextManager[PhotographSegmenter]]
    draws_graph: bool


def choose_backend() -> Backend:
    """Returns the backend that Keras was started with, which the environment variable KERAS_BACKEND chooses.

    Raises:
      InputError: trainings do not run on it.
    """
    name = keras.backend.backend()
    if name == "tensorflow":
        return _tensorflow()
    if name == "jax":
        return _jax()
    raise InputError(f"KERAS_BACKEND is {name!r}, but trainings run on 'tensorflow' or 'jax'; set it to one of them.")


def run_deterministically() -> None:
    """Makes TensorFlow give the same bits each time on this machine; must be called before TensorFlow starts.

    TensorFlow's op determinism does not include `AddN`, which starts its sum with whichever input is ready first:
    gradients of three or more parts then differ in their last bits with the order in which ops finish (seen in
    TensorFlow 2.21). With one thread for ops, which still uses all cores within an op, that order is fixed.
    """
    tf.config.experimental.enable_op_determinism()
    # TensorFlow may have already started in this process; then it keeps its settings.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_inter_op_parallelism_threads(1)


def _tensorflow() -> Backend:
    from pipeline.training.backends import tensorflow_step

    return Backend(
        choose_devices=tensorflow_devices.choose_devices,
        choose_xla=tensorflow_devices.choose_xla,
        gpus=machine.gpus,
        make_model=tensorflow_step.make_model,
        live_segmenter=lambda network, spec, config, _: contextlib.nullcontext(LiveSegmenter(network, spec, config)),
        draws_graph=True,
    )


def _jax() -> Backend:
    from pipeline.training.backends import jax_devices, jax_step
    from pipeline.training.segmenter_process import SegmenterProcess

    return Backend(
        choose_devices=jax_devices.choose_devices,
        choose_xla=jax_devices.choose_xla,
        gpus=jax_devices.gpus,
        make_model=jax_step.TrainStepModel,
        live_segmenter=lambda network, spec, config, folder: contextlib.closing(
            SegmenterProcess(network, spec, config, folder=folder)
        ),
        draws_graph=False,
    )
