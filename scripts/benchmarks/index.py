"""The index of a set of records: bytes, seconds and memory with its cases in it, and in a table beside it."""

import dataclasses
import itertools
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from configs import Config
from pipeline.machine import peak_memory
from records import CaseEntry, Index, read_index, write_index
from scripts.benchmarks.measuring import Result, in_own_process

PHOTOGRAPHS = (1_000, 5_000)
FORMS = {"index.json": 10**9, "cases.parquet": 0}  # the most cases that stay in the index
TITLE = """\
the index of as many photographs, whose entries are those of {records} again and again
open: read_index; all: every entry once, in its order; memory: the peak of the process beyond that of one that opens
the set itself"""
COLUMNS = ["photographs", "cases in", "MB", "open, s", "all, s", "memory, MB"]


class Reading(NamedTuple):
    """Seconds to open an index and then to go over all its cases, and the peak memory of the process, bytes."""

    opened: float
    passed: float
    peak: int


def measure(config: Config, records: Path) -> Result:
    """Writes indexes of growing sets in both forms, and reads each in a process of its own.

    Args:
      config: not used; all is said by the records.
      records: set whose entries are repeated.
    """
    own = read_index(records)
    base = in_own_process(_read, records).peak
    rows: list[list[str]] = []
    keys: dict[str, object] = {}
    for photographs in PHOTOGRAPHS:
        repeated = _repeated(own, photographs)
        for form, most in FORMS.items():
            with tempfile.TemporaryDirectory() as folder:
                write_index(Path(folder), repeated, most_in_index=most)
                size = sum(path.stat().st_size for path in Path(folder).iterdir())
                reading = in_own_process(_read, Path(folder))
            memory = (reading.peak - base) / 1e6
            rows.append(
                [
                    f"{photographs:,}",
                    form,
                    f"{size / 1e6:.1f}",
                    f"{reading.opened:.2f}",
                    f"{reading.passed:.2f}",
                    f"{memory:.0f}",
                ]
            )
            keys[f"{form}, {photographs}"] = {"bytes": size, "memory_mb": memory, **reading._asdict()}
    return Result(title=TITLE.format(records=records), columns=COLUMNS, rows=rows, keys=keys)


def _read(folder: Path) -> Reading:
    began = time.perf_counter()
    index = read_index(folder)
    opened = time.perf_counter()
    for entry in index.cases.values():
        assert entry.height
    return Reading(opened - began, time.perf_counter() - opened, peak_memory())


def _repeated(index: Index, photographs: int) -> Index:
    """Returns an index of so many cases, whose entries are those of another one again and again."""
    entries = itertools.islice(itertools.cycle(index.cases.values()), photographs)
    cases: Mapping[str, CaseEntry] = {f"{number:07d}": entry for number, entry in enumerate(entries)}
    splits = {name: dataclasses.replace(split, cases=[]) for name, split in index.splits.items()}
    for name, entry in cases.items():
        splits[entry.split].cases.append(name)
    return dataclasses.replace(index, splits=splits, cases=cases)
