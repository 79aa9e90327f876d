"""What all commands share: help, fields set to none, and a full disk in words."""

import pytest

from scripts import command


@pytest.mark.parametrize("name", ["shard", "train", "eval", "predict", "export", "synthesize", "benchmark"])
def test_help_is_printed_and_is_no_failure(run, name):
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"python -m scripts.{name}" in done.stdout
    assert "Traceback" not in done.stderr


def test_an_optional_field_can_be_set_to_none_and_another_cannot(run, way, tmp_path):
    arguments = ("shard", "--check", f"--config={way.workdir / 'config.json'}", f"--source={way.source}")
    done = run(*arguments, f"--records={tmp_path / 'r'}", "--config.train.steps_per_epoch=none")
    assert done.returncode == 0, done.stderr
    done = run(*arguments, f"--records={tmp_path / 'r'}", "--config.train.epochs=none")
    assert done.returncode == 2
    assert "flag --config.train.epochs=none" in done.stderr


def test_a_full_disk_is_told_from_other_errors():
    assert command.FULL_DISK in str(OSError(28, "No space left on device"))
