"""What all benchmarks share: variants that take turns, ratios, peak memory, the machine's description, the result."""

import dataclasses
import multiprocessing
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from typing import ParamSpec, TypeVar

import psutil

from pipeline.machine import processor_model, usable_cores

Given = ParamSpec("Given")
Returned = TypeVar("Returned")
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "opencv-python-headless", "pillow")


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a benchmark.

    Attributes:
      title: what was compared.
      columns: head of the table.
      rows: cells of the table.
      keys: numbers that other programs read, by name.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    keys: dict[str, object]


def in_own_process(function: Callable[Given, Returned], *args: Given.args, **kwargs: Given.kwargs) -> Returned:
    """Calls a function in a new process, whose peak memory is its own, and returns what it returned."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def take_turns(
    variants: Mapping[str, Callable[[], float | None]], *, repeats: int, warm: bool = False
) -> dict[str, list[float]]:
    """Runs every variant once as a warm-up, and then all variants in turn, `repeats` times.

    Args:
      variants: functions by name; one that returns a number has measured the seconds that count itself.
      repeats: number of turns.
      warm: whether every variant has run already, so that there is no warm-up.

    Returns:
      The seconds of each variant in each turn.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(1 if warm else 0, repeats + 1):
        for name, variant in variants.items():
            began = time.perf_counter()
            counted = variant()
            whole = time.perf_counter() - began
            if turn:
                seconds[name].append(whole if counted is None else counted)
    return seconds


def counting_cores(run: Callable[[], object], spent: list[float]) -> Callable[[], None]:
    """Returns the function that also appends the CPU seconds of this process over all cores to `spent`."""

    def counted() -> None:
        began = time.process_time()
        run()
        spent.append(time.process_time() - began)

    return counted


def median_ratio(one: list[float], other: list[float]) -> float:
    """Returns the median over the turns of one/other; within a turn, the machine was the same for both."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


class PeakMemory:
    """Samples the memory of a process and its children while the block runs.

    Attributes:
      megabytes: largest resident set so far, 10^6 bytes.
    """

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


def machine() -> dict[str, object]:
    """Describes the machine and the software that the numbers were measured with."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # only one of the builds of tensorflow is installed
    return {
        "processor": processor_model(),
        "cores": usable_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": versions,
    }
