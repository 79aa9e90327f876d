"""The limits of containers are read as Linux writes them: version 1 and 2, nested, with and without namespaces."""

import math
from pathlib import Path

import psutil
import pytest

from pipeline import cgroups, machine
from pipeline.cgroups import cpu_limit, free_in_cgroups
from pipeline.machine import free_memory, usable_cores

MIB = 2**20


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Writes what /proc/self and the trees of groups say; `files` are relative to the mounted tree."""

    def write(cgroup: str, files: dict[str, str], *, version: int) -> None:
        mount = tmp_path / "mount"
        kind, options = ("cgroup2", "rw") if version == 2 else ("cgroup", "rw,cpu,memory")
        proc = {"cgroup": cgroup, "mountinfo": f"35 31 0:32 / {mount} rw,relatime shared:9 - {kind} {kind} {options}\n"}
        for base, contents in ((tmp_path / "proc", proc), (mount, files)):
            for name, text in contents.items():
                (base / name).parent.mkdir(parents=True, exist_ok=True)
                (base / name).write_text(text)
        monkeypatch.setattr(cgroups, "PROCESS", tmp_path / "proc")

    return write


def test_without_limits_there_is_none(tree, tmp_path, monkeypatch):
    tree("0::/a\n", {"a/memory.max": "max\n", "a/memory.current": "5\n", "a/cpu.max": "max 100000\n"}, version=2)
    assert (cpu_limit(), free_in_cgroups()) == (math.inf, math.inf)
    never = str(2**63 - 4096)  # as version 1 says that there is no limit
    files = {"a/memory.limit_in_bytes": never, "a/memory.usage_in_bytes": "5", "a/cpu.cfs_quota_us": "-1"}
    tree("4:cpu,memory:/a\n", {**files, "a/cpu.cfs_period_us": "100000"}, version=1)
    assert (cpu_limit(), free_in_cgroups()) == (math.inf, math.inf)
    monkeypatch.setattr(cgroups, "PROCESS", tmp_path / "none")  # another operating system
    assert (cpu_limit(), free_in_cgroups()) == (math.inf, math.inf)


def test_in_version_2_the_least_limit_of_nested_groups_counts(tree):
    outer = {"memory.max": f"{300 * MIB}\n", "memory.current": f"{250 * MIB}\n", "cpu.max": "150000 100000\n"}
    inner = {
        "memory.max": f"{200 * MIB}\n",
        "memory.current": f"{120 * MIB}\n",
        "memory.high": f"{150 * MIB}\n",
        "memory.stat": f"anon 5\ninactive_file {10 * MIB}\n",
        "cpu.max": "200000 100000\n",
    }
    files = {f"job/{name}": text for name, text in outer.items()}
    files |= {f"job/step/{name}": text for name, text in inner.items()}
    tree("0::/job/step\n", files, version=2)
    assert (cpu_limit(), free_in_cgroups()) == (1.5, 40 * MIB)
    (Path(cgroups.PROCESS).parent / "mount/job/memory.max").write_text("max\n")
    assert free_in_cgroups() == 40 * MIB  # 150 - 120, and 10 that the kernel can drop


def test_in_version_1_a_container_that_sees_only_its_own_group_is_found(tree):
    """Docker mounts the container's own group as the root of the tree, while the process has its path on the host."""
    files = {
        "memory.limit_in_bytes": f"{100 * MIB}",
        "memory.usage_in_bytes": f"{60 * MIB}",
        "memory.stat": f"inactive_file 1\ntotal_inactive_file {20 * MIB}\n",
        "cpu.cfs_quota_us": "50000\n",
        "cpu.cfs_period_us": "100000\n",
    }
    tree("5:pids:/docker/abc\n4:cpu,memory:/docker/abc\n1:name=systemd:/docker/abc\n", files, version=1)
    assert (cpu_limit(), free_in_cgroups()) == (0.5, 60 * MIB)


def test_the_least_of_affinity_container_and_omp_num_threads_is_used(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine, "available_cores", lambda: 8)
    for limit, cores in ((math.inf, 8), (2.5, 3), (0.2, 1)):
        monkeypatch.setattr(machine, "cpu_limit", lambda limit=limit: limit)
        assert usable_cores() == cores
    monkeypatch.setattr(machine, "cpu_limit", lambda: math.inf)
    for text, cores in (("4", 4), ("3,2", 3), ("99", 8), ("many", 8), ("0", 1), ("", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert usable_cores() == cores


def test_free_memory_is_the_machines_or_the_containers(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000}))
    for limit, free in ((math.inf, 1000), (700, 700), (2000, 1000), (-5, 0)):
        monkeypatch.setattr(machine, "free_in_cgroups", lambda limit=limit: limit)
        assert free_memory() == free
