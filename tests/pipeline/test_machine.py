"""Facts about the computer: its processor and its GPUs."""

import os
import platform
from types import SimpleNamespace

import numpy as np
import psutil
import tensorflow as tf
from tensorflow.python.client import device_lib

from pipeline import machine
from pipeline.machine import gpus, processor, usable_cores


def test_the_processor_has_its_model_and_the_cores_that_may_be_used(monkeypatch, tmp_path):
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "CPU_FILE", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7})
    monkeypatch.setattr(machine, "cpu_limit", lambda: 99.0)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    file.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2.50GHz\n\nprocessor\t: 1\nmodel name\t: Some CPU\n")
    assert usable_cores() == 3
    assert processor() == "CPU: Some CPU @ 2.50GHz, 3 usable cores"
    file.write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")  # as on ARM
    assert processor() == f"CPU: {platform.processor() or platform.machine()}, 3 usable cores"
    file.unlink()
    assert processor().endswith(", 3 usable cores")


def test_gpus_have_their_model_and_memory(monkeypatch):
    """Descriptions as TensorFlow writes them (`BaseGPUDeviceFactory`)."""
    about = "device: {}, name: NVIDIA H100 80GB HBM3, pci bus id: 0000:0{}:00.0, compute capability: 9.0"
    found = [SimpleNamespace(name="/device:CPU:0", device_type="CPU", memory_limit=2**28, physical_device_desc="")]
    for number in range(2):
        found.append(
            SimpleNamespace(
                name=f"/device:GPU:{number}",
                device_type="GPU",
                memory_limit=79 * 2**30 + 2**29,
                physical_device_desc=about.format(number, number),
            )
        )
    monkeypatch.setattr(device_lib, "list_local_devices", lambda: found)
    assert gpus() == []  # TensorFlow sees none, and is not asked further
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: found[1:])
    assert gpus() == [f"GPU:{number}: NVIDIA H100 80GB HBM3, 79.5 GiB" for number in range(2)]


def test_the_peak_of_memory_stays_when_memory_is_given_back():
    before = machine.peak_memory()
    array = np.ones(2**28, np.uint8)  # 256 MiB, more than a process has by chance
    held = psutil.Process().memory_info().rss
    del array
    assert machine.peak_memory() >= max(before, held) - 2**22
