"""On which devices JAX trains; what was chosen, in words. TensorFlow, which feeds them, is kept off the GPUs."""

import contextlib
import os

import jax
import keras
import tensorflow as tf

from configs import InputError, TrainConfig
from models import Network
from pipeline.training.backends.tensorflow_devices import Devices, share_of_batch

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"  # a CPU gives the same bits without


def choose_devices(train: TrainConfig) -> Devices:
    """Chooses the devices of `train.strategy`; several share each batch by `keras.distribution.DataParallel`.

    For before anything else makes JAX start: how many devices a CPU is, and XLA's flags, are read then.

    Raises:
      InputError: a strategy that this machine cannot run, or a batch that does not divide among its devices.
    """
    with contextlib.suppress(RuntimeError):  # TensorFlow has started in this process already
        tf.config.set_visible_devices([], "GPU")
    if train.deterministic:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}".strip()
    strategy = train.strategy
    if strategy.startswith("cpus:"):
        number = int(strategy.removeprefix("cpus:"))
        share_of_batch(train, number)
        return _data_parallel(_split_cpu(number), train, "parts of the CPU", why="as train.strategy says")
    found = _accelerators()
    kind = found[0].platform.upper() if found else "GPU"
    words = f"{len(found) or 'no'} {kind}{'s' if len(found) > 1 else ''} found by JAX"
    if strategy == "mirrored" and not found:
        raise InputError(f"train.strategy 'mirrored' runs on GPUs, but {words}; choose auto, single or cpus:N.")
    if strategy == "mirrored" or (strategy == "auto" and len(found) > 1):
        names = [f"{device.platform}:{device.id}" for device in found]
        return _data_parallel(names, train, f"{kind}s", why=words)
    keras.distribution.set_distribution(None)
    where = f"one {kind}" if found else "the CPU"
    return Devices(tf.distribute.get_strategy(), 1, (), f"JAX on {where} ({words})")


def choose_xla(train: TrainConfig, devices: Devices, network: Network) -> tuple[bool, str]:
    """As `pipeline.training.backends.tensorflow_devices.choose_xla`, of which JAX leaves no choice.

    Raises:
      InputError: `train.xla` is off.
    """
    if train.xla == "off":
        raise InputError("train.xla is 'off', but JAX runs nothing else; choose auto or on.")
    return True, "XLA on: JAX compiles every step"


def gpus() -> list[str]:
    """Returns the model of each GPU that JAX has."""
    return [f"{device.platform.upper()}:{device.id}: {device.device_kind}" for device in _accelerators()]


def _data_parallel(names: list[str], train: TrainConfig, kind: str, *, why: str) -> Devices:
    share = share_of_batch(train, len(names))
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=names))
    words = f"JAX, data-parallel on {len(names)} {kind}, {share} tiles each a step ({why})"
    return Devices(tf.distribute.get_strategy(), len(names), (), words)


def _split_cpu(number: int) -> list[str]:
    with contextlib.suppress(RuntimeError):  # JAX has started in this process already, as the next lines find out
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", number)
    if jax.device_count("cpu") != number:
        raise InputError(f"train.strategy 'cpus:{number}' must be chosen before JAX starts.")
    return [f"cpu:{index}" for index in range(number)]


def _accelerators() -> list[jax.Device]:
    return [device for device in jax.devices() if device.platform != "cpu"]
