"""The parts of a training that depend on Keras' backend: the training step and the devices."""

from pipeline.training.backends.choice import Backend, choose_backend, run_deterministically
from pipeline.training.backends.optimizers import build_optimizer
from pipeline.training.backends.tensorflow_devices import Devices

__all__ = ["Backend", "Devices", "build_optimizer", "choose_backend", "run_deterministically"]
