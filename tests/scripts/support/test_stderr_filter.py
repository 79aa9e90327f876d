"""TensorFlow's routine lines do not reach standard error; all else does, at once and in order, also from a crash."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.support.stderr_filter import NOISE

ROOT = Path(__file__).parents[3]
DROPPED = [
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    b"I0000 00:00:1795903637.235622   17714 port.cc:153] oneDNN custom operations are on. You may see slightly",
    b"I1128 22:06:01.123456   17714 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use available",
    b"W0000 00:00:1795903637.235622   17714 computation_placer.cc:177] computation placer already registered.",
    b"E0000 00:00:1795903771.067806   19208 util.cc:131] oneDNN supports DT_UINT8 only on platforms with AVX-512.",
    b"E0000 00:00:1795903771.067806   19208 cuda_dnn.cc:8579] Unable to register cuDNN factory: Attempting to",
    b"To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the appropriate",
    b"2026-11-28 22:06:01.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.",
]
PASSED = [
    b"F0000 00:00:1795903771.067806   19208 cpu_feature_guard.cc:37] The TensorFlow library was compiled to use AVX",
    b"E0000 00:00:1795903771.067806   19208 cuda_dnn.cc:522] Loaded runtime CuDNN library: 8.9.4 but source was",
    b"2026-11-28 22:06:01.123456: E external/local_xla/xla/stream_executor/cuda/cuda_driver.cc:152] failed call to",
    b"W1128 22:06:01.123456 140234 fit.py:12] a warning of Python's",
    b"Traceback (most recent call last):",
    b"error: --model=x: contains no network.keras",
    b"In a photograph",
    b"",
]


@pytest.fixture
def start():
    """Starts Python code behind the filter; `write` in it writes bytes to file descriptor 2, as C++ code does."""

    def popen(code: str, *, stderr=subprocess.PIPE, **environment: str) -> subprocess.Popen:
        head = "import os, signal, sys, time\nfrom scripts.support import stderr_filter\nstderr_filter.install()\n"
        head += "def write(data):\n    os.write(2, data)\n"
        inherited = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        return subprocess.Popen(
            [sys.executable, "-c", head + code], cwd=ROOT, env=inherited | environment, stderr=stderr
        )

    return popen


@pytest.mark.parametrize("line", DROPPED)
def test_routine_lines_are_known(line):
    assert NOISE.match(line)


@pytest.mark.parametrize("line", PASSED)
def test_errors_and_text_of_ours_are_no_routine_lines(line):
    assert not NOISE.match(line)


def test_all_else_passes_unchanged_and_the_exit_code_is_kept(start):
    lines = [line for pair in zip(DROPPED, PASSED, strict=False) for line in pair]
    text = b"\n".join([*lines, b"\xff not text", b"an unfinished end"])
    with start(f"write({text!r})\nprint('of Python', file=sys.stderr)\nsys.exit(3)") as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 3
    assert b"of Python\n" in stderr
    kept = stderr.replace(b"of Python\n", b"")
    assert kept == b"\n".join([*PASSED[: len(DROPPED)], b"\xff not text", b"an unfinished end"])


@pytest.mark.parametrize(
    ("end", "code"),
    [("os.abort()", -signal.SIGABRT), ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL), ("os._exit(7)", 7)],
)
def test_the_last_line_before_a_crash_passes(start, end, code):
    text = DROPPED[1] + b"\n" + PASSED[0] + b"\n"
    with start(f"write({text!r})\n{end}") as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert stderr == PASSED[0] + b"\n"


def test_unfinished_text_appears_at_once_and_python_still_sees_the_terminal(start):
    terminal, end = pty.openpty()
    with start("write(b'\\r 1 of 2' + bytes([sys.stderr.isatty() + 48]))\ntime.sleep(60)", stderr=end) as process:
        began = time.monotonic()
        assert os.read(terminal, 100) == b"\r 1 of 21"
        assert time.monotonic() - began < 50
        process.kill()
    os.close(end)
    os.close(terminal)


def test_ctrl_c_leaves_the_filter_alive(start):
    code = "signal.signal(signal.SIGINT, lambda *_: None)\nos.killpg(0, signal.SIGINT)\nwrite(b'after')"
    process = start("os.setpgid(0, 0)\n" + code)
    with process:
        assert process.communicate(timeout=60)[1] == b"after"
    assert process.returncode == 0


def test_a_full_disk_ends_no_command(start):
    with open("/dev/full", "wb") as full, start("write(b'x' * 10**6)\nsys.exit(0)", stderr=full) as process:
        assert process.wait(60) == 0


def test_lines_of_child_processes_are_filtered_and_outlive_the_command(start):
    text = DROPPED[1] + b"\n" + PASSED[0]
    child = f"import os, time; time.sleep(1); os.write(2, {text!r})"
    with start(f"import subprocess\nsubprocess.Popen([sys.executable, '-c', {child!r}])\nos._exit(0)") as process:
        assert process.communicate(timeout=60)[1] == PASSED[0]


@pytest.mark.parametrize("level", ["0", "1"])
def test_who_asks_for_tensorflows_lines_gets_them(start, level):
    with start(f"write({DROPPED[1]!r})", TF_CPP_MIN_LOG_LEVEL=level) as process:
        assert process.communicate(timeout=60)[1] == DROPPED[1]


def test_no_command_shows_routine_lines(way):
    for name, text in way.stderr.items():
        assert not re.search(r"^([IWEF]\d{4} |WARNING: All|\d{4}-\d\d-\d\d )", text, re.MULTILINE), (name, text)


def test_a_closed_standard_error_is_left_closed():
    code = "from scripts.support import stderr_filter; stderr_filter.install(); print('done')"
    done = subprocess.run(
        f'exec "{sys.executable}" -c "{code}" 2>&-', cwd=ROOT, shell=True, capture_output=True, check=True
    )
    assert done.stdout == b"done\n"
