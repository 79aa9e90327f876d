"""Commands run by a command: signals reach them once, and locks hold as long as they live."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# The child counts the signals that it hears for a moment after the first one; a second one would be one too many.
CHILD = """
import signal, sys, time
heard = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: heard.append(number))
print("ready", flush=True)
for _ in range(200):
    time.sleep(0.05)
    if heard:
        time.sleep(0.5)
        print("heard", *heard, flush=True)
        sys.exit(128 + heard[0])
"""
# Ctrl-C is ignored by what a shell runs in the background, these tests too; the parent is to hear it.
PARENT = """
import signal, sys
from pathlib import Path
from records import claimed
from pipeline.interruption import StoppedError
from scripts.support.children import Children
signal.signal(signal.SIGINT, signal.default_int_handler)
children = Children()
try:
    with claimed(Path("lock")) as lock, children.listening():
        for environment in ({"ADDED": "yes"}, {}):
            code = children.run(sys.argv[1], sys.argv[2:], environment=environment, keeps_open=[lock])
            print("code", code, flush=True)
except StoppedError as stopped:
    print("stopped", stopped.code)
"""


@pytest.fixture
def start(tmp_path):
    """Starts the parent, in a process group of its own; its children are modules of a package `scripts` in tmp_path."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "__init__.py").touch()
    (tmp_path / "scripts" / "waits.py").write_text(CHILD)
    (tmp_path / "scripts" / "ends.py").write_text(
        "import os, signal, sys\n"
        "print(os.environ.get('ADDED', 'no'), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL) if sys.argv[1] == 'killed' else sys.exit(int(sys.argv[1]))\n"
    )
    (tmp_path / "parent").mkdir()
    (tmp_path / "parent" / "parent.py").write_text(PARENT)

    def run(*arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, tmp_path / "parent" / "parent.py", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    return run


@pytest.mark.parametrize(("argument", "code"), [("0", 0), ("2", 2), ("killed", 137)])
def test_exit_codes_come_back_and_the_next_command_runs(start, argument, code):
    printed, _ = start("ends", argument).communicate(timeout=30)
    assert printed.splitlines() == ["yes", f"code {code}", "no", f"code {code}"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_reaches_the_child_once_and_nothing_starts_after_it(start, number):
    parent = start("waits")
    assert parent.stdout.readline() == "ready\n"
    os.killpg(parent.pid, number)  # as a terminal does with Ctrl-C
    printed, _ = parent.communicate(timeout=30)
    assert printed.splitlines() == [f"heard {number.value}", f"stopped {128 + number}"]


def test_the_lock_of_a_killed_parent_holds_as_long_as_its_child_lives(start, tmp_path):
    parent = start("waits")
    assert parent.stdout.readline() == "ready\n"
    (child,) = map(int, Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    with open(tmp_path / "lock") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(child, signal.SIGTERM)
        for _ in range(100):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.1)
        else:
            pytest.fail("the lock outlived the child")


# A command that lives on by itself, or dies with the process that started it. The child of the test has no `scripts`
# but the one in tmp_path, so the real module is loaded from its file.
LIVES = f"""
import importlib.util, time
spec = importlib.util.spec_from_file_location("children", {str(ROOT / "scripts" / "support" / "children.py")!r})
children = importlib.util.module_from_spec(spec)
spec.loader.exec_module(children)
children.die_with_parent()
print("ready", flush=True)
time.sleep(20)
"""


@pytest.mark.parametrize("dies", [True, False])
def test_a_command_dies_with_the_process_that_started_it_if_that_one_asks_for_it(start, tmp_path, dies):
    (tmp_path / "scripts" / "lives.py").write_text(LIVES)
    (tmp_path / "parent" / "parent.py").write_text(PARENT.replace("Children()", f"Children(die_with_this={dies})"))
    parent = start("lives")
    assert parent.stdout.readline() == "ready\n"
    (child,) = map(int, Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    lock = tmp_path / "lock"
    for _ in range(50 if dies else 5):  # the child inherits the lock, which is free when it has ended
        with open(lock) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                assert dies
                return
            except BlockingIOError:
                time.sleep(0.1)
    assert not dies, "the command outlived the process that started it"
    os.kill(child, signal.SIGKILL)
