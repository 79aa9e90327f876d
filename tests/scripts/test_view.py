"""The view command: it serves a page until it is stopped, and names a user's mistakes in one line."""

import shutil
import socket

import pytest

MODEL = "--model=pretrained/idrid_lesions"
# Starts the command, asks for its page as soon as it answers, and stops the command as Ctrl-C does.
OPEN_AND_STOP = """
import os, runpy, signal, sys, threading, time, urllib.request

port = sys.argv[1]

def ask():
    while True:
        try:
            answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/api/session")
            print(answer.read().decode(), flush=True)
            break
        except OSError:
            time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=ask, daemon=True).start()
sys.argv = ["view", f"--port={port}", *sys.argv[2:]]
runpy.run_module("scripts.view", run_name="__main__")
"""


@pytest.fixture
def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_it_serves_a_page_until_it_is_stopped_and_leaves_nothing(forked, free_port, tmp_path):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    shutil.copy("docs/demo.jpg", photographs / "eye.jpg")
    (tmp_path / "elsewhere.jpg").write_bytes((photographs / "eye.jpg").read_bytes())
    (photographs / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    arguments = [free_port, MODEL, f"--output={tmp_path / 'out'}", photographs]
    done = forked(code=OPEN_AND_STOP, arguments=arguments)
    assert done.returncode == 0, done.stderr
    assert f"1 photographs; open: http://127.0.0.1:{free_port}/" in done.stdout
    assert '"classes": ["MA", "HE", "EX", "SE", "OD"]' in done.stdout
    assert "1 links lead out of" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")] == []


def test_mistakes_of_the_user_are_one_line(run, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").touch()
    for arguments, message in {
        (MODEL, "a", "b"): "expected one folder; received a, b.",
        (MODEL, tmp_path / "none"): "none: no such folder",
        (MODEL, tmp_path / "notes"): "contains no photographs",
        (f"--model={tmp_path}",): "contains no network.keras",
        (MODEL, "--port=70000"): "--port=70000",
        (MODEL, "--threshold=2"): "--threshold=2: expected numbers above 0 and below 1.",
        (MODEL, f"--output={tmp_path / 'notes'}"): "expected an empty folder, or one with images/NAME.jpg",
        (MODEL, "--address=none.invalid"): "--address=none.invalid",
        (): "--model is required",
    }.items():
        done = run("view", *arguments)
        assert (done.returncode, done.stderr.count("error: ")) == (2, 1), (arguments, done.stdout, done.stderr)
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_uncertainty_over_members_needs_members(run):
    done = run("view", MODEL, "--uncertainty=members")
    assert (done.returncode, done.stderr.count("error: ")) == (2, 1), done.stderr
    assert "members" in done.stderr
