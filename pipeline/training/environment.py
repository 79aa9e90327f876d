"""With what a training runs: the content of `environment.json`."""

import dataclasses
import datetime
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.client import device_lib

from configs import Config
from models import Network
from pipeline.input import RecordSet

CPU_FILE = Path("/proc/cpuinfo")


def environment(
    config: Config, sets: Sequence[RecordSet], network: Network, *, accelerators: Sequence[str]
) -> dict[str, object]:
    """Returns command, versions, devices, revision of the software, config, records and network, as JSON has them.

    Args:
      config: all settings.
      sets: the records.
      network: that is trained.
      accelerators: the devices beside the CPU, as `gpus` names them.
    """
    backend = keras.backend.backend()
    revision, dirty = git_state(Path(__file__).parent)
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "backend": backend,
        backend: sys.modules[backend].__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "devices": [processor(), *accelerators],
        "git_revision": revision,
        "git_dirty": dirty,
        "config": dataclasses.asdict(config),
        "config_fingerprint": config.fingerprint(),
        "records": [str(one.folder) for one in sets],
        "records_fingerprint": sets[0].index.fingerprint,
        "parameters": network.count_params(),
    }


def processor() -> str:
    """Returns the model of the CPU and how many of its cores this process may use."""
    named = re.search(r"^model name\s*: (.+)$", CPU_FILE.read_text(), re.MULTILINE) if CPU_FILE.exists() else None
    model = named[1].strip() if named else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"CPU: {model}, {cores} usable cores"


def gpus() -> list[str]:
    """Returns the model of each GPU and the memory that TensorFlow may take of it.

    For when the devices are chosen: TensorFlow takes a GPU's whole memory to say how much that is, unless told before
    to take it as needed.
    """
    if not tf.config.list_physical_devices("GPU"):
        return []
    found = [device for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    words = [dict(pair.split(": ", 1) for pair in device.physical_device_desc.split(", ")) for device in found]
    return [
        f"{device.name.removeprefix('/device:')}: {about['name']}, {device.memory_limit / 2**30:.1f} GiB"
        for device, about in zip(found, words, strict=True)
    ]


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Returns the revision of the checkout that a folder belongs to, and whether files of it were changed since.

    Returns:
      None twice where the folder is in no checkout, or not part of it (as an installed package is not of the checkout
      that it may lie in), or where git is missing.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", ".")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
        return _git(folder, "rev-parse", "HEAD").strip(), changes != ""
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
