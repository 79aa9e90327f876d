"""What all benchmarks share: sides that take turns, medians, the machine's description, and a result."""

import dataclasses
import os
import platform
import resource
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import psutil

from pipeline.machine import processor_model

PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "opencv-python-headless", "pillow")


@dataclasses.dataclass(frozen=True)
class Result:
    """A benchmark's outcome.

    Attributes:
      title: what was compared.
      columns: heads of the table.
      rows: its cells.
      keys: the numbers that others read, by name.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    keys: dict[str, object]


def take_turns(sides: Mapping[str, Callable[[], float | None]], *, repeats: int) -> dict[str, list[float]]:
    """Runs every side once as a warm-up, then all sides in turn, `repeats` times.

    Returns:
      Of each side's counted runs what they return: the seconds of the part that counts; else those of all.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, side in sides.items():
            began = time.perf_counter()
            counted = side()
            whole = time.perf_counter() - began
            if turn:
                seconds[name].append(whole if counted is None else counted)
    return seconds


def median_ratio(one: list[float], other: list[float]) -> float:
    """Returns the median of one/other over the turns, in which the machine was the same for both."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


class PeakMemory:
    """Watches a process and its children while the block runs; `megabytes` is their largest resident set."""

    def __init__(self, pid: int | None = None):
        self.process = psutil.Process(pid)
        self.megabytes = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            try:
                members = [self.process, *self.process.children(recursive=True)]
                total = sum(member.memory_info().rss for member in members)
            except psutil.NoSuchProcess:
                continue
            self.megabytes = max(self.megabytes, total / 1e6)


def peak_of_this_process() -> int:
    """Returns the largest resident set that this process has had, bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # where `getrusage` would also tell of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS, in bytes


def machine() -> dict[str, object]:
    """Describes where and with what the numbers were made."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # one of the builds of tensorflow
    return {
        "processor": processor_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": versions,
    }
