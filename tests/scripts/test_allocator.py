"""A command that trains starts itself anew with the allocator's settings: once, unseen, unless told not to."""

import os
import platform
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from scripts.allocator import SETTINGS

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, sys, time
from scripts import allocator, command

def main(arguments):
    allocator.restart_with_settings()
    print("settings:", all(os.environ.get(name) == value for name, value in allocator.SETTINGS.items()))
    print("pid:", os.getpid(), "arguments:", arguments, flush=True)
    time.sleep(float(arguments[0]))
    return int(arguments[1])

command.run(main, arguments="seconds and an exit code")
"""


def has_cpu_build() -> bool:
    try:
        return metadata.version("tensorflow-cpu") != ""
    except metadata.PackageNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or not has_cpu_build(),
    reason="the settings are glibc's, for TensorFlow's CPU build",
)


def start(*arguments: str, program: str = PROGRAM, **environment: str) -> "subprocess.Popen[str]":
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    words = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(
        words, cwd=ROOT, env=clean | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_process_starts_anew_once_with_the_settings_and_keeps_id_arguments_and_exit_code():
    process = start("0", "7")
    printed, errors = process.communicate(timeout=60)
    assert printed.splitlines() == [
        "memory: glibc's allocator set for large tensors (scripts/allocator.py)",
        "settings: True",
        f"pid: {process.pid} arguments: ['0', '7']",
    ], errors
    assert process.returncode == 7


@pytest.mark.parametrize(
    "environment", [{"MALLOC_ARENA_MAX": "4"}, {"GLIBC_TUNABLES": "x=1"}, {"LD_PRELOAD": "libjemalloc.so.2"}], ids=str
)
def test_a_users_own_settings_are_left_alone(environment):
    process = start("0", "0", **environment)
    printed, _ = process.communicate(timeout=60)
    assert printed.splitlines()[0] == "settings: False"
    assert process.returncode == 0


def test_a_build_of_tensorflow_for_gpus_is_left_alone():
    program = f"from scripts import allocator\nallocator._is_cpu_build = lambda: False\n{PROGRAM}"
    printed, _ = start("0", "0", program=program).communicate(timeout=60)
    assert printed.splitlines()[0] == "settings: False"


def test_ctrl_c_still_interrupts():
    process = start("60", "0")
    assert process.stdout is not None
    while not process.stdout.readline().startswith("pid:"):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "error: interrupted.\n"
