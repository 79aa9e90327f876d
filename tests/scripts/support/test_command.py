"""What all commands share: help, how they are started, fields set to none, and the message for a full disk."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "name", ["shard", "train", "eval", "compare", "predict", "export", "synthesize", "benchmark", "models"]
)
def test_help_is_printed_and_is_no_failure(run, name):
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"python -m scripts.{name}" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_every_command_can_be_started_by_its_path(tmp_path):
    files = [file for file in sorted((ROOT / "scripts").glob("*.py")) if file.stem != "__init__"]
    assert len(files) > 8
    for file in files:
        words = [sys.executable, file, "--help"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stderr) == (0, ""), file
        assert f"python -m scripts.{file.stem}" in done.stdout


def test_an_optional_field_can_be_set_to_none_and_another_cannot(run, way, tmp_path):
    arguments = ("shard", "--check", f"--config={way.workdir / 'config.json'}", f"--source={way.source}")
    done = run(*arguments, f"--records={tmp_path / 'r'}", "--config.train.steps_per_epoch=none")
    assert done.returncode == 0, done.stderr
    done = run(*arguments, f"--records={tmp_path / 'r'}", "--config.train.epochs=none")
    assert done.returncode == 2
    assert "flag --config.train.epochs=none" in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "last_line"),
    [
        ("OSError(28, 'No space left on device')", 2, "error: the disk is full"),
        ("OSError(5, 'Input/output error')", 1, "OSError: [Errno 5] Input/output error"),
    ],
)
def test_a_full_disk_is_a_line_and_a_defect_keeps_its_traceback(error, code, last_line):
    program = f"from scripts.support import command\ndef main(_):\n    raise {error}\ncommand.run(main)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.strip().splitlines()[-1].startswith(last_line)
    assert ("Traceback" in done.stderr) == (code == 1)
