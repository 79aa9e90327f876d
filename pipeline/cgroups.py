"""Limits of containers: what control groups (cgroups) of Linux allow, of version 1 and 2 and nested in each other."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

PROCESS = Path("/proc/self")
UNLIMITED = 2**60  # version 1 writes a number near 2^63


def cpu_limit() -> float:
    """Returns how many cores the groups of this process may keep busy; infinity without a limit."""
    limits = [math.inf]
    for folder in _groups("cpu"):
        quota = _numbers(folder, "cpu.max") or [
            *_numbers(folder, "cpu.cfs_quota_us"),
            *_numbers(folder, "cpu.cfs_period_us"),
        ]
        if len(quota) == 2 and min(quota) > 0:  # of time and the period that it is for; -1 is none
            limits.append(quota[0] / quota[1])
    return min(limits)


def free_in_cgroups() -> float:
    """Returns how many bytes the groups of this process may still take; infinity without a limit."""
    free = [math.inf]
    for folder in _groups("memory"):
        names = ("memory.max", "memory.high", "memory.limit_in_bytes")
        limits = [limit for name in names for limit in _numbers(folder, name) if limit < UNLIMITED]
        used = _numbers(folder, "memory.current") or _numbers(folder, "memory.usage_in_bytes")
        if limits and used:
            free.append(min(limits) - used[0] + _reclaimable(folder))
    return min(free)


def _groups(controller: str) -> Iterator[Path]:
    """Yields the folders of this process' groups for a controller, from the innermost to the outermost that is visible.

    A container may see its own group as the root of the tree, or be told the path of a group that is not mounted in it.
    """
    groups = [line.split(":", 2)[1:] for line in _lines(PROCESS / "cgroup")]
    for mount, version_2, options in _mounts():
        for names, path in groups:
            if names == "" if version_2 else controller in names.split(",") and controller in options:
                folder = mount / path.lstrip("/")
                yield from (one for one in (folder, *folder.parents) if one.is_relative_to(mount) and one.is_dir())


def _mounts() -> Iterator[tuple[Path, bool, list[str]]]:
    """Yields where trees of groups are mounted, whether they are of version 2, and their options, such as "memory"."""
    for line in _lines(PROCESS / "mountinfo"):
        if match := re.fullmatch(r"\S+ \S+ \S+ \S+ (\S+) .* - (cgroup2?) \S+ (\S+)", line):
            yield Path(match[1]), match[2] == "cgroup2", match[3].split(",")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _numbers(folder: Path, name: str) -> list[int]:
    """Returns the numbers in a file; none without the file or if it says "max"."""
    words = " ".join(_lines(folder / name)).split()
    return [] if "max" in words else [int(word) for word in words]


def _reclaimable(folder: Path) -> int:
    """Returns the bytes of files that the kernel has cached and can drop; they count as used."""
    values = dict(line.split() for line in _lines(folder / "memory.stat"))
    return int(values.get("total_inactive_file", values.get("inactive_file", "0")))
