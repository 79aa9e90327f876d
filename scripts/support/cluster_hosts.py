"""A training on all nodes of a cluster at once: on each node `scripts.train` runs as one of its hosts."""

import dataclasses
import functools
import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs import InputError
from pipeline.interruption import StopRequest
from scripts.support.children import Children
from scripts.support.cluster import RayCluster
from scripts.support.cluster_node import NodeProcess

LOOK_SECONDS = 0.5  # between looks at what the hosts say
START_SECONDS = 60.0  # that a node has to start its process


def train_on_nodes(cluster: RayCluster, arguments: Sequence[str], workdir: Path) -> int:
    """Runs one training on all nodes with a GPU; if no node has a GPU, on all nodes with CPU cores.

    What the first host prints is printed here, and what the others say of errors.

    Args:
      cluster: the cluster.
      arguments: flags of `scripts.train`.
      workdir: folder of the training; a file `stop` appears in it to stop.

    Returns:
      The exit code of the first host, or if that is 0, of the first one that failed.

    Raises:
      InputError: there is no node for it, one cannot work for this command, or one was lost.
    """
    hosts, names = _started(cluster, arguments)
    try:
        addresses = [done.result for done in cluster.ray.get([host.call.remote("address") for host in hosts])]
        print(f"on {len(hosts)} node{'s' * (len(hosts) > 1)}: {', '.join(names)}", flush=True)
        places = [
            {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            for index in range(len(hosts))
        ]
        running = [
            host.call.remote({"TF_CONFIG": json.dumps(place)}) for host, place in zip(hosts, places, strict=True)
        ]
        return _follow(cluster, hosts, running, names=names, workdir=workdir)
    finally:
        _kill(cluster, hosts)


def _started(cluster: RayCluster, arguments: Sequence[str]) -> tuple[list[Any], list[str]]:
    """Starts a process on each node, and returns them with the names of the nodes.

    A node that died just now is among the cluster's for some seconds, and is then left out.
    """
    end = time.monotonic() + START_SECONDS
    while True:
        hosts = [_start(cluster, node) for node in _nodes(cluster)]
        try:
            return hosts, _prepared(cluster, hosts, arguments)
        except cluster.ray.exceptions.RayError as error:
            if time.monotonic() > end:
                raise InputError("--cluster: processes on its nodes end while they start; see Ray's logs.") from error
            _kill(cluster, hosts)
            time.sleep(LOOK_SECONDS)
        except InputError:
            _kill(cluster, hosts)
            raise


def _kill(cluster: RayCluster, hosts: Sequence[Any]) -> None:
    for host in hosts:
        cluster.ray.kill(host)


def _nodes(cluster: RayCluster) -> list[dict[str, Any]]:
    alive = [node for node in cluster.ray.nodes() if node["Alive"]]
    for resource in ("GPU", "CPU"):
        found = [node for node in alive if node["Resources"].get(resource, 0) >= 1]
        if found:
            return sorted(found, key=lambda node: node["NodeID"])
    raise InputError("--cluster: no node has a GPU or a core for work.")


def _start(cluster: RayCluster, node: dict[str, Any]) -> Any:
    """Starts a process on a node that gets all its GPUs and cores."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    cores, gpus = (int(node["Resources"].get(what, 0)) for what in ("CPU", "GPU"))
    options = {"num_cpus": cores, "num_gpus": gpus, "max_concurrency": 3}
    where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    remote = cluster.ray.remote(NodeProcess).options(scheduling_strategy=where, **options)
    return remote.remote(cluster.home, cores=max(cores, 1))


def _prepared(cluster: RayCluster, hosts: Sequence[Any], arguments: Sequence[str]) -> list[str]:
    """Waits until all processes can work for this command, and returns the names of their nodes."""
    try:
        answers = cluster.ray.get([host.where.remote() for host in hosts], timeout=START_SECONDS)
    except cluster.ray.exceptions.GetTimeoutError as error:
        raise InputError(
            f"--cluster: no process could be started on each of {len(hosts)} nodes within {START_SECONDS:g} s; other "
            "work may hold their cores or GPUs, of which a training takes all."
        ) from error
    for name, problem in answers:
        if problem is not None:
            raise InputError(f"--cluster: node {name} {problem}.")
    make = functools.partial(_HostOfTraining, tuple(arguments))
    for done in cluster.ray.get([host.prepare.remote(make, None) for host in hosts]):
        if done.error is not None:
            raise done.error
    return [name for name, _ in answers]


def _follow(
    cluster: RayCluster, hosts: Sequence[Any], running: Sequence[Any], *, names: Sequence[str], workdir: Path
) -> int:
    """Prints what the first host says until all have ended, and passes on a request to stop."""
    request = StopRequest(workdir, waits_for="the step or the validation that is running on the nodes")
    printed, asked = 0, False
    with request.listening():
        while True:
            left = cluster.ray.wait(list(running), num_returns=len(running), timeout=LOOK_SECONDS)[1]
            printed += _print_new(cluster, hosts[0], printed)
            if not left:
                break
            if not asked and (error := request.error()) is not None:
                asked = True
                hosts[0].call.remote({"signal": error.code - 128 if error.code else signal.SIGTERM})
    ends: list[Ended] = []
    for reference, name in zip(running, names, strict=True):
        try:
            ended: Ended = cluster.ray.get(reference).result
        except cluster.ray.exceptions.RayError as error:
            raise InputError(
                f"--cluster: node {name} was lost; what was saved is kept. Run the same command again to continue."
            ) from error
        if ends and ended.code and ended.last not in ("", *(one.last for one in ends)):
            print(f"{name}: {ended.last}", flush=True)
        ends.append(ended)
    return next((one.code for one in ends if one.code), 0)


def _print_new(cluster: RayCluster, host: Any, printed: int) -> int:
    """Prints what a host has said after so many characters, and returns how many it is."""
    try:
        said: str = cluster.ray.get(host.call.remote({"said after": printed})).result
    except cluster.ray.exceptions.RayError:
        return 0
    print(said, end="", flush=True)
    return len(said)


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a host ended: its exit code, and the last line that it printed."""

    code: int
    last: str


class _HostOfTraining:
    """On a node: runs `scripts.train` as a host. It is called with what it shall do."""

    def __init__(self, arguments: tuple[str, ...]):
        self._arguments = arguments
        self._children = Children(die_with_this=True)
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it has no name, and ends with this process)

    def __call__(self, what: Any) -> Any:
        if what == "address":
            return _free_address()
        if "signal" in what:
            return self._children.ask(what["signal"])
        if "said after" in what:
            return self._said()[what["said after"] :]
        return self._train(what)

    def _train(self, environment: dict[str, str]) -> Ended:
        from pipeline.interruption import StoppedError

        try:
            code = self._children.run("train", self._arguments, environment=environment, log=self._log)
        except StoppedError as stopped:
            code = stopped.code
        lines = self._said().strip().splitlines()
        return Ended(code, lines[-1] if lines else "")

    def _said(self) -> str:
        """Returns the whole lines that the training has printed so far."""
        log = self._log.fileno()
        content = os.pread(log, os.fstat(log).st_size, 0)
        return content[: content.rfind(b"\n") + 1].decode(errors="replace")


def _free_address() -> str:
    """Returns this node's address with a port that is free now."""
    import ray

    address = ray.util.get_node_ip_address()
    with socket.create_server(("", 0)) as listener:
        port = listener.getsockname()[1]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
