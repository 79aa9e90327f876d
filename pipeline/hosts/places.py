"""Which hosts train together, as the environment of a process says it: TF_CONFIG or Slurm."""

import dataclasses
import json
import subprocess
from collections.abc import Mapping

from configs import InputError

EXPECTED = (
    '{"cluster": {"worker": ["10.0.0.5:23456", "10.0.0.6:23456"]}, "task": {"type": "worker", "index": 0}}, with '
    "another index on each host"
)
SLURM_PORTS = range(20000, 30000)  # of the first task; further ones count up, as tasks may share a node


@dataclasses.dataclass(frozen=True)
class Place:
    """This process among those that train together.

    Attributes:
      index: number of this host, from 0.
      addresses: HOST:PORT of all hosts, in order; empty where it is not known before they meet. That of the first host
        is always known.
    """

    index: int
    addresses: tuple[str, ...]


def place_in(environment: Mapping[str, str]) -> Place | None:
    """Returns the place of this process that TF_CONFIG names, or Slurm where `srun` started several tasks.

    Args:
      environment: variables of the process.

    Returns:
      None if the process trains alone.

    Raises:
      InputError: TF_CONFIG is wrong.
    """
    if content := environment.get("TF_CONFIG", "").strip():
        place = _of_tf_config(content)
    elif int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        place = _of_slurm(environment)
    else:
        return None
    return place if len(place.addresses) > 1 else None


def _of_tf_config(content: str) -> Place:
    try:
        config = json.loads(content)
        cluster, task = config["cluster"], config["task"]
        addresses = [*cluster.get("chief", []), *cluster.get("worker", [])]
        index = int(task["index"]) + (len(cluster.get("chief", [])) if task["type"] == "worker" else 0)
        known = task["type"] in cluster and set(cluster) <= {"chief", "worker"}
        if not known or not 0 <= index < len(addresses) or not all(map(_is_address, addresses)):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"TF_CONFIG: expected {EXPECTED}; received {content}.") from error
    if len(set(addresses)) < len(addresses):
        raise InputError(f"TF_CONFIG: two hosts have one address; received {content}.")
    return Place(index, tuple(addresses))


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 2**16


def _of_slurm(environment: Mapping[str, str]) -> Place:
    """Returns the place of a task; of the other hosts' addresses only the first one's is known yet."""
    try:
        index, count, job = (int(environment[f"SLURM_{name}"]) for name in ("PROCID", "STEP_NUM_TASKS", "JOB_ID"))
        port = SLURM_PORTS.start + job % len(SLURM_PORTS)  # jobs that share a node must not meet
        nodes = subprocess.run(  # noqa: S603
            ["scontrol", "show", "hostnames", environment["SLURM_STEP_NODELIST"]],  # noqa: S607
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        own = f"{environment['SLURMD_NODENAME']}:{port + index}"
        first = f"{nodes[0]}:{port}"
    except (KeyError, ValueError, IndexError, OSError, subprocess.CalledProcessError) as error:
        raise InputError(
            f"Slurm started {environment['SLURM_STEP_NUM_TASKS']} tasks, but where they are cannot be read "
            f"({type(error).__name__}: {error}); start one task on each node by `srun python -m scripts.train …`, or "
            "set TF_CONFIG."
        ) from error
    return Place(index, tuple(first if one == 0 else own if one == index else "" for one in range(count)))
