"""The flag --cluster: a command's pieces run on the nodes of a Ray cluster instead of in this process.

This is the only place that knows Ray; everything below the commands gets a `records.Cluster`.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
from absl import flags

from configs import InputError
from pipeline.machine import usable_cores
from records import Workers, held
from scripts.support import cluster_node
from scripts.support.cluster_node import Home, Token, home_of
from scripts.support.cluster_pieces import Need, Pieces, Tally
from scripts.support.photographs import say

ROOT = Path(__file__).parents[2]
ANSWER_SECONDS = 10.0  # that a cluster has to answer
MODEL_THREADS = 3  # photographs at once in a process that holds a model: one is read, one segmented, one written
# How HTTP/2 begins, which Ray speaks; whoever speaks it answers with a frame of settings (RFC 9113, sections 3.4, 6.5).
SETTINGS = b"\x04"
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00" + SETTINGS + b"\x00\x00\x00\x00\x00"
STORE_BYTES = 2**27  # of Ray's shared memory with --cluster=local: only small things pass through it


def define_flags() -> None:
    """Defines --cluster."""
    flags.DEFINE_string(
        "cluster",
        None,
        "Work on the nodes of a Ray cluster: its address, HOST:PORT; auto: the one that this machine belongs to; "
        "local: one of this machine alone. Default: none, in this process.",
    )


def is_used() -> bool:
    """Returns whether --cluster is given."""
    return flags.FLAGS.cluster is not None


def without_cluster(arguments: Sequence[str]) -> list[str]:
    """Returns arguments of a command without --cluster, for the processes on its nodes."""
    names = ("--cluster", "-cluster")
    pairs = zip(["", *arguments], arguments, strict=False)
    return [one for before, one in pairs if one.partition("=")[0] not in names and before not in names]


def leave_gpus_to_the_nodes() -> None:
    """Keeps this process off the GPUs of its machine, of which TensorFlow would take all memory."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


@contextlib.contextmanager
def workers(number: int, *, reads: Sequence[Path | str | None] = ()) -> Iterator[Workers]:
    """Yields what does a command's pieces: a number of threads, or a cluster while it is connected.

    At the end of the block it is printed how much each node did.

    Args:
      number: the number of threads without --cluster.
      reads: files and folders that the nodes read; without those that are None.

    Raises:
      InputError: Ray is not installed, or no cluster can be used at the address.
    """
    with connected(reads=reads) as cluster:
        yield cluster or number


@contextlib.contextmanager
def connected(*, reads: Sequence[Path | str | None] = ()) -> Iterator["RayCluster | None"]:
    """Yields the cluster of --cluster while it is connected, or None without the flag, as `workers` does."""
    if not is_used():
        yield None
        return
    home = home_of(ROOT, tuple(str(path) for path in reads if path is not None and Path(path).exists()))
    ray = _connect(flags.FLAGS.cluster)
    cluster = RayCluster(ray, home)
    try:
        yield cluster
    finally:
        ray.shutdown()
        if cluster.tallies:
            print(cluster, flush=True)


@dataclasses.dataclass
class RayCluster:
    """A `records.Cluster` on Ray; `str(cluster)` says how much each node did.

    Attributes:
      ray: the module, connected.
      home: where the command runs.
      tallies: what each node did, by its name.
    """

    ray: Any
    home: Home
    tallies: dict[str, Tally] = dataclasses.field(default_factory=dict)

    def map(
        self, function: Callable[[Any], Any], pieces: Sequence[Any], *, folder: Path | None = None
    ) -> Iterator[Any]:
        """Calls a function with each piece, see `records.Cluster`."""
        return in_order(self.map_prepared(functools.partial(_on_one_core, function), pieces, folder=folder))

    def map_prepared(
        self,
        make: Callable[[], Callable[[Any], Any]],
        pieces: Sequence[Any],
        *,
        folder: Path | None = None,
        need: Need = Need(),  # noqa: B008 (it is frozen)
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, Any]]:
        """Calls a function with each piece, that every process makes once, as it loads a model.

        Args:
          make: is called in each process, and returns the function.
          pieces: the pieces.
          folder: folder that the function writes to, which all nodes must see.
          need: what each process needs.
          stopped: is called again and again; when it returns True, no more pieces are begun.

        Yields:
          Number of the piece, and its result or InputError, as they come.
        """
        with _token(folder) as token:
            yield from Pieces(
                self.ray,
                self.home,
                make,
                pieces=pieces,
                need=need,
                token=token,
                stopped=stopped,
                say=say,
                tallies=self.tallies,
            ).outcomes()

    def model_need(self) -> Need:
        """Returns what a process needs that segments: a GPU, or if no node has one, all cores of the smallest."""
        return dataclasses.replace(self.training_need(), threads=MODEL_THREADS)

    def training_need(self) -> Need:
        """Returns what a process needs that trains: the same, for one piece at a time."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if any(node.get("GPU") for node in nodes):
            return Need(gpus=1)
        return Need(cores=int(min((node["CPU"] for node in nodes if node.get("CPU")), default=1)))

    def __str__(self) -> str:
        nodes = [
            f"{name} {tally.pieces} pieces in {tally.seconds:.1f} s of work" for name, tally in self.tallies.items()
        ]
        return f"{len(nodes)} node{'s' * (len(nodes) > 1)}: {'; '.join(sorted(nodes))}"


def _on_one_core(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns a function in a process that has one core."""
    cv2.setNumThreads(1)
    return function


def in_order(outcomes: Iterator[tuple[int, Any]]) -> Iterator[Any]:
    """Yields what `RayCluster.map_prepared` yields in the order of the pieces."""
    waiting: dict[int, Any] = {}  # what came before its turn
    turn = 0
    for number, outcome in outcomes:
        waiting[number] = outcome
        while turn in waiting:
            yield waiting.pop(turn)
            turn += 1


@contextlib.contextmanager
def _token(folder: Path | None) -> Iterator[Token | None]:
    """Writes a file into a folder while the block runs, by which nodes recognise the folder."""
    if folder is None:
        yield None
        return
    path, content = folder / f".tmp-{secrets.token_hex(4)}-cluster", secrets.token_hex(16)
    try:
        path.write_text(content)
        with held(path):
            yield Token(str(path.absolute()), content)
    finally:
        path.unlink(missing_ok=True)


def _connect(address: str) -> Any:
    """Connects this process to a cluster, and returns the module `ray`.

    Raises:
      InputError: Ray is not installed, or no cluster can be used at the address.
    """
    if address not in ("auto", "local"):
        _refuse_silence(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise InputError("--cluster needs Ray; install it with `pip install -e .[cluster]`.") from error
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == "local":
            ray.init(
                address="local",  # also where this machine belongs to a cluster
                num_cpus=usable_cores(),
                include_dashboard=False,
                object_store_memory=STORE_BYTES,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
        else:
            ray.init(address=address, **quiet)
    except Exception as error:
        raise InputError(
            f"--cluster={address}: {_reason(error)} Start a cluster, or join it with this machine, by `ray start`; if "
            "the cluster has a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here as well; see docs/clusters.md."
        ) from error
    ray.cloudpickle.register_pickle_by_value(cluster_node)
    # It prints paragraphs about lost processes to stdout, whatever is asked of its logs; `Pieces` says what is lost.
    ray._private.worker.print_to_stdstream = lambda data, ignore_prefix: None
    return ray


def _refuse_silence(address: str) -> None:
    """Refuses an address where no cluster answers; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not (re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:]+\]", host) and port.isdecimal() and 0 < int(port) < 2**16):
        raise InputError(f"--cluster={address}: expected auto, local, or the address of a cluster, HOST:PORT.")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return
            connection.sendall(GREETING)
            answer = connection.recv(9)
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        reason = "" if answer[3:4] == SETTINGS else "something else does"
    if reason:
        raise InputError(
            f"--cluster={address}: no cluster answers there ({reason}); check the address that `ray start --head` "
            "printed, and that it can be reached from here."
        )


def _reason(error: Exception) -> str:
    """Returns what Ray says, its first sentence or two, on one line."""
    line = " ".join(str(error).split())
    return f"Ray says: {line[:300]}{'…' * (len(line) > 300)}"
