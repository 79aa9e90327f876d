"""The commands that serve an export and put load on it, as a user runs them."""

import re
import signal
import subprocess
import sys

import cv2
import pytest

from tests.conftest import ROOT


@pytest.fixture
def photograph(fundus, tmp_path):
    file = tmp_path / "eye.jpg"
    cv2.imwrite(str(file), fundus(60, 70, seed=1).photograph)
    return file


def test_an_export_is_served_under_load_until_a_signal_stops_it(exported, photograph, forked, command_environment):
    command = [sys.executable, "-m", "scripts.serve", f"--export={exported}", "--port=0", "--queue=2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=command_environment, **pipes) as server:
        told = server.stdout.readline()
        assert told.startswith("serving "), server.stderr.read()
        assert re.search(r"\blesions\b.*: http://127.0.0.1:\d+/v1/models/segmenter:predict$", told)
        url = told.split(": ", 1)[1].strip().removesuffix(":predict")
        options = [f"--url={url}", "--clients=6", "--minutes=0.02", f"--pid={server.pid}"]
        done = forked(name="load_test", arguments=[*options, photograph])
        server.send_signal(signal.SIGTERM)
        printed, errors = server.communicate(timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ answers, \d+ refused \(429\), 0 failed$", done.stdout, re.MULTILINE)
    assert re.search(r"^memory of the server: at most \d+ MB in the first half", done.stdout, re.MULTILINE)
    assert (server.returncode, printed) == (0, "stopped\n"), errors


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("serve", ["--export=/none"], "--export=/none: contains no saved_model.pb; expected OUT/VERSION of"),
        ("serve", ["--export=/none", "--name=a/b"], "--name=a/b: expected letters, digits, - and _."),
        ("serve", ["--export=/none", "--address=192.0.2.1"], "cannot listen there"),
        ("load_test", ["--url=localhost", "eye.jpg"], "--url=localhost: expected http://HOST:PORT/v1/models/NAME."),
        ("load_test", ["--url=http://127.0.0.1:1/v1/models/x", "none.jpg"], "none.jpg: no such file"),
        (
            "export",
            ["--model=/none", "--output=/none/x", "--format=keras", "--classes=HE"],
            "--format=keras takes no --classes; leave it out.",
        ),
        (
            "export",
            ["--model=/none", "--output=/none/x", "--license=mit"],
            "--format=saved_model takes no --license; leave it out.",
        ),
        ("export", ["--model=/none", "--output=/none/x", "--format=keras"], "--model=/none: contains no network.keras"),
    ],
)
def test_a_mistake_is_said_in_one_line(forked, name, arguments, message):
    done = forked(name=name, arguments=arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert message in errors[0]
    assert "Traceback" not in done.stderr
