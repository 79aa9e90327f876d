"""Facts about the computer that a command runs on. Cheap to import: TensorFlow is only imported to describe GPUs."""

import math
import os
import platform
import re
import resource
from pathlib import Path

import psutil

from pipeline.cgroups import cpu_limit, free_in_cgroups

CPU_FILE, STATUS_FILE = Path("/proc/cpuinfo"), Path("/proc/self/status")


def usable_cores() -> int:
    """Returns how many CPU cores this process may use: by affinity, its containers' limits and OMP_NUM_THREADS."""
    limits = [math.ceil(min(available_cores(), cpu_limit()))]
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if first.isdecimal():
        limits.append(int(first))
    return max(min(limits), 1)


def available_cores() -> int:
    """Returns how many CPU cores the scheduler gives this process, as `taskset` says."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Returns how many bytes are free, on the machine or in one of its nested containers, whichever is least."""
    return max(int(min(psutil.virtual_memory().available, free_in_cgroups())), 0)


def peak_memory() -> int:
    """Returns the largest resident set that this process has had, in bytes."""
    if STATUS_FILE.exists():  # on Linux `getrusage` also counts the process that started this one
        line = next(line for line in STATUS_FILE.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS, in bytes


def processor_model() -> str:
    """Returns the model name of the CPU."""
    found = re.search(r"^model name\s*: (.+)$", CPU_FILE.read_text(), re.MULTILINE) if CPU_FILE.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def processor() -> str:
    """Returns a line with the CPU's model and the number of cores that this process may use."""
    return f"CPU: {processor_model()}, {usable_cores()} usable cores"


def gpus() -> list[str]:
    """Returns a line for each GPU with its model and the memory that TensorFlow may take.

    Call this after the devices have been chosen: to report the memory limit, TensorFlow initializes the GPUs, and takes
    all of their memory unless memory growth was set before.
    """
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    if not tf.config.list_physical_devices("GPU"):
        return []
    found = [device for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    facts = [dict(pair.split(": ", 1) for pair in device.physical_device_desc.split(", ")) for device in found]
    return [
        f"{device.name.removeprefix('/device:')}: {about['name']}, {device.memory_limit / 2**30:.1f} GiB"
        for device, about in zip(found, facts, strict=True)
    ]
