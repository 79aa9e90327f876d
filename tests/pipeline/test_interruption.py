"""Signals and stop files end a command after its work is saved, and ignored signals stay ignored."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.interruption import STOP_FILE, StopRequest

ROOT = Path(__file__).parents[2]
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
LISTENING = """
import sys
from pathlib import Path
from pipeline.interruption import StopRequest
request = StopRequest(Path(sys.argv[1]), waits_for="the step")
with request.listening():
    print("ready", flush=True)
"""
WORKS = f"""{LISTENING}
    import time
    while request.error() is None:
        time.sleep(0.01)
print("saved", flush=True)
sys.exit(request.error().code)
"""
# One call of a library that does not return to Python, as the compilation of a step.
BLOCKED = f"""import numpy
square = numpy.random.default_rng(0).random((4000, 4000))
{LISTENING}
    numpy.linalg.svd(square)
"""
# The same, begun after the first signal was heard.
HEARD = f"""import numpy, time
import pipeline.interruption
pipeline.interruption.SECONDS_TO_END = 0.5
square = numpy.random.default_rng(0).random((4000, 4000))
{LISTENING}
    while request.error() is None:
        time.sleep(0.01)
    print("heard", flush=True)
    numpy.linalg.svd(square)
"""


def start(program: str, folder: Path, *, ignored: tuple[signal.Signals, ...] = ()) -> subprocess.Popen:
    """Starts a program that finds some signals ignored and the others not, whatever these tests were started with."""

    def set_signals() -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-c", program, folder],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=set_signals,  # noqa: PLW1509 (no thread of the tests holds a lock that it needs)
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_every_stop_signal_lets_the_work_be_saved_and_says_what_it_waits_for(tmp_path, number):
    process = start(WORKS, tmp_path)
    process.send_signal(number)
    printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed) == (128 + number, "saved\n")
    assert said == f"{number.name}: stopping after the step; a second signal ends it now.\n"


def test_a_closed_terminal_is_ignored_under_nohup(tmp_path):
    process = start(WORKS, tmp_path, ignored=(signal.SIGHUP,))
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.terminate()
    printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed) == (143, "saved\n") and "SIGHUP" not in said


@pytest.mark.slow
def test_in_a_long_operation_the_answer_comes_at_once_and_a_second_signal_ends_it(tmp_path):
    process = start(BLOCKED, tmp_path)
    process.terminate()
    assert process.stderr.readline().startswith("SIGTERM: stopping after the step")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    process.communicate()


@pytest.mark.slow
def test_a_second_ctrl_c_also_ends_a_long_operation_that_began_after_the_first_signal(tmp_path):
    process = start(HEARD, tmp_path)
    process.terminate()
    assert process.stdout.readline() == "heard\n"
    time.sleep(0.5)  # then the operation runs
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    process.communicate()


def test_a_stop_file_ends_the_work_and_one_from_before_does_not(tmp_path):
    (tmp_path / STOP_FILE).touch()
    request = StopRequest(tmp_path, waits_for="the step")
    with request.listening():
        assert request.error() is None
        (tmp_path / STOP_FILE).touch()
        time.sleep(1.1)  # the file is looked for once a second
        assert request.error().code == 0
    assert not (tmp_path / STOP_FILE).exists()


def test_handlers_and_descriptors_are_as_before_afterwards(tmp_path):
    before = [signal.getsignal(number) for number in signal.Signals], len(os.listdir("/proc/self/fd"))
    with StopRequest(tmp_path, waits_for="the step").listening():
        pass
    assert ([signal.getsignal(number) for number in signal.Signals], len(os.listdir("/proc/self/fd"))) == before
