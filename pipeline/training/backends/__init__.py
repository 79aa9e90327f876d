"""The parts of a training that depend on Keras' backend: the training step and the devices."""

from pipeline.training.backends.choice import Backend, choose_backend, run_deterministically
from pipeline.training.backends.optimizers import build_optimizer
from pipeline.training.backends.tensorflow_devices import Devices
from pipeline.training.backends.tensorflow_step import WeightAverages, seed_generators

__all__ = [
    "Backend",
    "Devices",
    "WeightAverages",
    "build_optimizer",
    "choose_backend",
    "run_deterministically",
    "seed_generators",
]
