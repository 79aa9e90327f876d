"""Times `predict` on one node of a cluster and on two, in turns; each node has one core of this machine to itself.

    python tests/scripts/time_nodes.py MODEL FOLDER [TURNS]

The command itself runs on whatever core is free, as on a machine of its own. Give a folder of photographs that takes a
node minutes: starting a process and loading the model are part of the time.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "PYTHONPATH": str(ROOT)}


def seconds_on(nodes: int, model: str, folder: str) -> float:
    """Returns how long `predict` takes on a number of nodes."""
    program = [sys.executable, str(Path(__file__).with_name("cluster_nodes.py")), str(nodes)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(program, env=ENVIRONMENT, **pipes) as cluster, tempfile.TemporaryDirectory() as output:
        address = json.loads(cluster.stdout.readline())["address"]
        _pin(psutil.Process(cluster.pid))
        arguments = [f"--model={model}", f"--output={output}/out", f"--cluster={address}", folder]
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "scripts.predict", *arguments],
            env=ENVIRONMENT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - began
        cluster.stdin.close()
    return seconds


def _pin(cluster: psutil.Process) -> None:
    """Gives each node but the head, which is started first, a core; processes that it starts inherit it."""
    started = [process for process in cluster.children(recursive=True) if process.name() == "raylet"]
    _, *nodes = sorted(started, key=psutil.Process.create_time)
    for node, core in zip(nodes, psutil.Process().cpu_affinity(), strict=False):
        for process in (node, *node.children(recursive=True)):
            process.cpu_affinity([core])


def main(model: str, folder: str, turns: str = "3") -> None:
    """Prints the seconds of each turn, and the median of the ratios."""
    ratios = []
    for _ in range(int(turns)):
        one, two = (seconds_on(nodes, model, folder) for nodes in (1, 2))
        ratios.append(one / two)
        print(f"one node {one:.1f} s, two nodes {two:.1f} s: {ratios[-1]:.2f} times", flush=True)
    print(f"median: {median(ratios):.2f} times")


if __name__ == "__main__":
    main(*sys.argv[1:])
