"""Starts a Ray cluster on loopback: a head without cores, and nodes of one core each, all of them separate processes.

    python cluster_nodes.py NODES

Prints a JSON line with the address, and then one after each line that it reads:

- `kill NUMBER`: all processes of a node get SIGKILL, first the one that starts its workers, whose end ends them;
- `strike NUMBER`: the worker of a node, counted from the last one, gets SIGKILL, if it has one, as without memory;
- `add`: starts a further node.

It ends all when its input ends, or if the machine is too busy to start them. `ray start` does the same for people, but
takes the machine's own address.
"""

import contextlib
import json
import os
import signal
import sys
import time

os.environ |= {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the address is 127.0.0.1, on which alone all ports are then open
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
}

import psutil
from ray._private import services
from ray.cluster_utils import Cluster

SMALL = {
    "node_ip_address": "127.0.0.1",
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
    "include_log_monitor": False,
}
STARTS, PATIENCE = 3, 60  # tries to start a node, and seconds for each of them


def patient(get_node):
    """Ray gives a node half a minute to start, which it may not make on a machine with other work."""

    def get(*arguments):
        began = time.monotonic()
        while True:
            try:
                return get_node(*arguments)
            except RuntimeError:
                if time.monotonic() - began > PATIENCE:
                    raise
                time.sleep(0.2)

    return get


services.get_node = patient(services.get_node)


def add(cluster: Cluster, cores: int):
    for left in reversed(range(STARTS)):
        try:
            return cluster.add_node(num_cpus=cores, **SMALL)
        except Exception:
            if not left:
                raise
    return None


def kill(node) -> None:
    processes = [one.process for kind in node.all_processes.values() for one in kind]
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
    for process in processes:
        process.wait()


def strike(node) -> None:
    (raylet,) = node.all_processes["raylet"]
    for process in psutil.Process(raylet.process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.cmdline()[0].startswith("ray::NodeProcess"):
                process.kill()


def main(number: int) -> None:
    cluster = Cluster()
    add(cluster, 0)
    nodes = [add(cluster, 1) for _ in range(number)]
    print(json.dumps({"address": cluster.address}), flush=True)
    for line in sys.stdin:
        word, *which = line.split()
        if word == "kill":
            kill(nodes[int(which[0])])
        elif word == "strike":
            strike(nodes[-1 - int(which[0])])
        else:
            nodes.append(add(cluster, 1))
        print(json.dumps({"nodes": len(nodes)}), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
