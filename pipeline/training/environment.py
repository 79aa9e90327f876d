"""The content of `environment.json`: software, hardware, config and records of a training."""

import dataclasses
import datetime
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from configs import Config
from models import Network
from pipeline.input import RecordSet
from pipeline.machine import processor


def environment(
    config: Config, sets: Sequence[RecordSet], network: Network, *, accelerators: Sequence[str]
) -> dict[str, object]:
    """Returns what a training runs with, ready for JSON: command, versions, devices, code revision, config, records.

    Args:
      config: all settings.
      sets: the sets of records that the network is trained on.
      network: the network that is trained.
      accelerators: one line for each device other than the CPU, see `pipeline.machine.gpus`.
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


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Returns the revision of the git checkout that a folder belongs to, and whether tracked files were changed.

    Returns:
      `(None, None)` if git is not installed, or the folder is not in a checkout or not tracked by it, as a package that
      is installed in a virtual environment inside a checkout.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", ".")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
        return _git(folder, "rev-parse", "HEAD").strip(), changes != ""
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
