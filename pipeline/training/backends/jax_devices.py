"""The devices on which JAX trains. TensorFlow, which feeds them, is kept off the GPUs."""

import contextlib
import os

import jax
import keras
import tensorflow as tf

from configs import InputError, TrainConfig
from models import Network
from pipeline.hosts import Hosts
from pipeline.input import WHOLE, HostShare
from pipeline.training.backends.tensorflow_devices import Devices, check_strategy_of_hosts, tiles_per_device

DETERMINISTIC = "--xla_gpu_deterministic_ops=true"  # a CPU is deterministic without it


def choose_devices(train: TrainConfig, hosts: Hosts | None = None) -> Devices:
    """Chooses the devices of `train.strategy`; several of them share each batch (`keras.distribution.DataParallel`).

    Must be called before JAX starts, which reads the number of CPU devices and XLA's flags only then.

    Args:
      train: strategy and batch.
      hosts: the hosts that train together; None if this one trains alone.

    Raises:
      InputError: this machine cannot run the strategy, or the batch cannot be divided among all devices.
    """
    with contextlib.suppress(RuntimeError):  # TensorFlow has already started in this process
        tf.config.set_visible_devices([], "GPU")
    if train.deterministic:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}".strip()
    strategy = train.strategy
    if hosts is not None:
        check_strategy_of_hosts(strategy)
        return _on_hosts(hosts, train)
    if strategy.startswith("cpus:"):
        number = int(strategy.removeprefix("cpus:"))
        tiles_per_device(train, number)
        return _data_parallel(_split_cpu(number), train, "parts of the CPU", why="as train.strategy says")
    found = _accelerators()
    kind = found[0].platform.upper() if found else "GPU"
    message = f"{len(found) or 'no'} {kind}{'s' if len(found) > 1 else ''} found by JAX"
    if strategy == "mirrored" and not found:
        raise InputError(f"train.strategy 'mirrored' runs on GPUs, but {message}; choose auto, single or cpus:N.")
    if strategy == "mirrored" or (strategy == "auto" and len(found) > 1):
        names = [f"{device.platform}:{device.id}" for device in found]
        return _data_parallel(names, train, f"{kind}s", why=message)
    keras.distribution.set_distribution(None)
    where = f"one {kind}" if found else "the CPU"
    return Devices(tf.distribute.get_strategy(), 1, (), f"JAX on {where} ({message})")


def choose_xla(train: TrainConfig, devices: Devices, network: Network) -> tuple[bool, str]:
    """Returns that XLA compiles the training step, and a message with the reason: JAX needs it.

    Raises:
      InputError: `train.xla` is off.
    """
    if train.xla == "off":
        raise InputError("train.xla is 'off', but JAX runs nothing else; choose auto or on.")
    return True, "XLA on: JAX compiles every step"


def gpus() -> list[str]:
    """Returns a line with the model of each GPU that JAX can use."""
    return [f"{device.platform.upper()}:{device.id}: {device.device_kind}" for device in _accelerators()]


def _on_hosts(hosts: Hosts, train: TrainConfig) -> Devices:
    """Lets JAX find the devices of all hosts: their GPUs, or where there are none, their CPUs."""
    jax.distributed.initialize(
        hosts.addresses[0],
        hosts.count,
        hosts.index,
        local_device_ids=0 if train.strategy == "single" else None,
    )
    found = jax.devices()
    if len({sum(one.process_index == host for one in found) for host in range(hosts.count)}) > 1:
        raise InputError("the hosts have different numbers of devices; choose train.strategy single.")
    kind = f"{found[0].platform.upper()}s of {hosts.count} hosts"
    names = [f"{device.platform}:{device.id}" for device in found]
    share = HostShare(hosts.index, hosts.count)
    return _data_parallel(names, train, kind, why=f"{len(jax.local_devices())} on each", share=share)


def _data_parallel(names: list[str], train: TrainConfig, kind: str, *, why: str, share: HostShare = WHOLE) -> Devices:
    tiles = tiles_per_device(train, len(names))
    # The streams of several hosts are divided already.
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=names, auto_shard_dataset=False))
    message = f"JAX, data-parallel on {len(names)} {kind}, {tiles} tiles each per step ({why})"
    return Devices(tf.distribute.get_strategy(), len(names), (), message, share)


def _split_cpu(number: int) -> list[str]:
    with contextlib.suppress(RuntimeError):  # JAX has already started, as the next lines check
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", number)
    if jax.device_count("cpu") != number:
        raise InputError(f"train.strategy 'cpus:{number}' must be chosen before JAX starts.")
    return [f"cpu:{index}" for index in range(number)]


def _accelerators() -> list[jax.Device]:
    return [device for device in jax.devices() if device.platform != "cpu"]
