"""What of a training depends on the backend of Keras, chosen in one place."""

import contextlib
import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import keras
import tensorflow as tf

from configs import Config, InputError, TrainConfig
from models import Network, TrainingModel
from pipeline.inference import SegmenterSpec
from pipeline.training import environment
from pipeline.training.backends import tensorflow_devices
from pipeline.training.backends.tensorflow_devices import Devices
from pipeline.training.validation import LiveSegmenter, PhotographSegmenter


@dataclasses.dataclass(frozen=True)
class Backend:
    """How a backend trains. All else, from the stream to the model folder, is the same with each.

    Attributes:
      choose_devices: of `train.strategy`; for before anything else makes the backend start.
      choose_xla: whether XLA compiles the step, and the words that say why.
      gpus: models of the GPUs.
      make_model: what is fitted, of a network and the config; its variables hold, between the steps, what they are.
      live_segmenter: segments whole photographs with the network's weights as they are, for as long as the block runs;
        the folder is where it may have files meanwhile.
      draws_graph: whether TensorBoard can show the network's graph.
    """

    choose_devices: Callable[[TrainConfig], Devices]
    choose_xla: Callable[[TrainConfig, Devices, Network], tuple[bool, str]]
    gpus: Callable[[], list[str]]
    make_model: Callable[[Network, TrainConfig], TrainingModel]
    live_segmenter: Callable[[Network, SegmenterSpec, Config, Path], AbstractContextManager[PhotographSegmenter]]
    draws_graph: bool


def choose_backend() -> Backend:
    """Returns the backend that Keras was started with, as the environment variable KERAS_BACKEND says.

    Raises:
      InputError: one that does not train here.
    """
    name = keras.backend.backend()
    if name == "tensorflow":
        from pipeline.training.backends import tensorflow_step

        return Backend(
            tensorflow_devices.choose_devices,
            tensorflow_devices.choose_xla,
            environment.gpus,
            tensorflow_step.TrainStepModel,
            lambda network, spec, config, folder: contextlib.nullcontext(LiveSegmenter(network, spec, config)),
            draws_graph=True,
        )
    if name == "jax":
        from pipeline.training import segmenter_process
        from pipeline.training.backends import jax_devices, jax_step

        return Backend(
            jax_devices.choose_devices,
            jax_devices.choose_xla,
            jax_devices.gpus,
            jax_step.TrainStepModel,
            lambda network, spec, config, folder: contextlib.closing(
                segmenter_process.SegmenterProcess(network, spec, config, folder=folder)
            ),
            draws_graph=False,
        )
    raise InputError(f"KERAS_BACKEND is {name!r}, but trainings run on 'tensorflow' or 'jax'; set it to one of them.")


def run_deterministically() -> None:
    """Gives each op the same inputs in the same order, on this machine.

    TensorFlow's determinism of ops does not reach `AddN`, which begins its sum with whichever input's buffer is free
    already: gradients of three parts or more then differ in their last bits with the order in which ops end (seen with
    TensorFlow 2.21). With one thread for ops, which still has all cores within an op, they end in one order.
    """
    tf.config.experimental.enable_op_determinism()
    # TensorFlow may have started in this process already, and keeps what it began with.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_inter_op_parallelism_threads(1)
