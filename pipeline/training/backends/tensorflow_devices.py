"""The devices on which TensorFlow trains, and whether XLA compiles its step."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from configs import InputError, TrainConfig
from models import Enlarge, Network
from pipeline.hosts import Hosts
from pipeline.input import WHOLE, HostShare


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of a training.

    Attributes:
      strategy: the strategy in whose scope model and optimizer are created; TensorFlow's default strategy on a single
        device, and on JAX.
      replicas: number of devices that share each batch, on all hosts.
      gpus: TensorFlow's names of this host's GPUs, such as "/device:GPU:0"; empty on JAX.
      message: a line that tells the user which devices were chosen and why.
      share: the part of each batch that this host's streams have; with several hosts, in batches for each device.
    """

    strategy: tf.distribute.Strategy
    replicas: int
    gpus: tuple[str, ...]
    message: str
    share: HostShare = WHOLE

    def distributed(self, stream: Callable[[], tf.data.Dataset]) -> tf.data.Dataset:
        """Returns what `keras.Model.fit` takes of a stream of this host's share; on one host, fit distributes it."""
        if not isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return stream()
        return self.strategy.distribute_datasets_from_function(lambda _: stream())


def choose_devices(train: TrainConfig, hosts: Hosts | None = None) -> Devices:
    """Chooses the devices of `train.strategy`, and lets GPUs take memory as it is needed, not all at once.

    Args:
      train: strategy and batch.
      hosts: the hosts that train together; None if this one trains alone.

    Raises:
      InputError: this machine cannot run the strategy, or the batch cannot be divided among all devices.
    """
    gpus = tf.config.list_physical_devices("GPU")
    try:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        pass  # TensorFlow has already started in this process, and keeps its settings
    strategy = train.strategy
    if strategy == "mirrored" and not gpus:
        raise InputError(f"train.strategy 'mirrored' runs on GPUs, but {_found(gpus)}; choose auto, single or cpus:N.")
    if hosts is not None:
        check_strategy_of_hosts(strategy)
        devices = _on_hosts(hosts, train, gpus)
    elif strategy == "mirrored" or (strategy == "auto" and len(gpus) > 1):
        devices = _mirrored([gpu.name.removeprefix("/physical_device:") for gpu in gpus], train, _found(gpus))
    elif strategy.startswith("cpus:"):
        number = int(strategy.removeprefix("cpus:"))
        tiles_per_device(train, number)  # checked before the CPU is divided, which cannot be undone
        devices = _mirrored(_split_cpu(number), train, "as train.strategy says")
    else:
        used = gpus[:1]
        where = "one GPU" if used else "the CPU"
        message = f"on {where} ({_found(gpus)})"
        devices = Devices(tf.distribute.get_strategy(), 1, tuple(_logical(gpu) for gpu in used), message)
    return devices


def choose_xla(train: TrainConfig, devices: Devices, network: Network) -> tuple[bool, str]:
    """Chooses whether XLA compiles the training step.

    Returns:
      The choice, and a message with the reason.

    Raises:
      InputError: `train.xla` is on where XLA fails.
    """
    # tf.distribute needs a merge_call, which XLA cannot compile; the gradient of bilinear resizing has no XLA kernel.
    failure = None
    if devices.replicas > 1:
        failure = "it cannot compile a step that several devices share"
    elif any(isinstance(layer, Enlarge) for layer in network.layers):
        failure = f"it cannot compile the gradient of the bilinear enlarging in {network.name}"
    if train.xla == "on" and failure:
        raise InputError(f"train.xla is 'on', but {failure}; choose auto or off.")
    if train.xla != "auto":
        return train.xla == "on", f"XLA {train.xla}, as train.xla says"
    if failure:
        return False, f"XLA off: {failure}"
    if not devices.gpus:
        return False, "XLA off: on a CPU it is slower than TensorFlow's own kernels"
    if train.deterministic:
        return False, "XLA off: train.deterministic"
    return True, "XLA on: a single GPU"


def tiles_per_device(train: TrainConfig, devices: int) -> int:
    """Returns the number of tiles of a batch that each of several devices gets.

    Raises:
      InputError: the batch, or the tiles of a device, cannot be divided equally.
    """
    tiles, rest = divmod(train.batch_size, devices)
    if rest:
        raise InputError(
            f"train.batch_size {train.batch_size} is not divisible by {devices} devices; choose a multiple of "
            f"{devices}, or train.strategy single."
        )
    if tiles % train.micro_batches:
        raise InputError(
            f"train.micro_batches {train.micro_batches} does not divide the {tiles} tiles of a batch that each of "
            f"{devices} devices gets; choose a divisor of {tiles}."
        )
    return tiles


def _mirrored(names: list[str], train: TrainConfig, why: str) -> Devices:
    tiles = tiles_per_device(train, len(names))
    gpus = tuple(f"/device:{name}" for name in names if name.startswith("GPU"))
    kind = "GPUs" if gpus else "parts of the CPU"
    message = f"mirrored on {len(names)} {kind}, {tiles} tiles each per step ({why})"
    return Devices(tf.distribute.MirroredStrategy(names), len(names), gpus, message)


def check_strategy_of_hosts(strategy: str) -> None:
    """Refuses a strategy that several hosts cannot run."""
    if strategy.startswith("cpus:"):
        raise InputError(
            f"train.strategy {strategy!r} divides the CPU of one host, but several train together; choose auto, single "
            "or mirrored."
        )


def _on_hosts(hosts: Hosts, train: TrainConfig, gpus) -> Devices:
    """Returns the devices of all hosts: their GPUs, or where there are none, their CPUs."""
    used = gpus[:1] if train.strategy == "single" else gpus
    counts = hosts.gather(len(used))
    if len(set(counts)) > 1:
        raise InputError(
            f"the hosts have different numbers of GPUs ({', '.join(map(str, counts))}); let all see equally many by "
            "CUDA_VISIBLE_DEVICES, or choose train.strategy single."
        )
    here = max(len(used), 1)
    tiles = tiles_per_device(train, here * hosts.count)
    tf.config.set_visible_devices(used, "GPU")
    # In each training with several hosts TensorFlow listens on the address on which the hosts have met.
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(hosts.addresses)}),
        task_type="worker",
        task_id=hosts.index,
        rpc_layer="grpc",
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    kind = f"{here} GPU{'s' * (here > 1)}" if used else "its CPU"
    message = f"on {hosts.count} hosts, each with {kind}, {tiles} tiles for each device per step ({_found(gpus)})"
    share = HostShare(hosts.index, hosts.count, devices=here)
    return Devices(strategy, here * hosts.count, tuple(_logical(gpu) for gpu in used), message, share)


def _split_cpu(number: int) -> list[str]:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * number)
    except RuntimeError as error:
        if len(tf.config.list_logical_devices("CPU")) != number:
            raise InputError(f"train.strategy 'cpus:{number}' must be chosen before TensorFlow starts.") from error
    return [f"CPU:{index}" for index in range(number)]


def _found(gpus) -> str:
    if gpus:
        return f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''} found"
    built = "" if tf.test.is_built_with_cuda() else "; this TensorFlow is built without CUDA"
    return f"no GPU found{built}"


def _logical(gpu) -> str:
    return gpu.name.replace("/physical_device:", "/device:")
