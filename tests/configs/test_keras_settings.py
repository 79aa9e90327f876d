"""The user's keras.json has no effect, whatever it says, and a home that cannot be written to is no error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = "import models, keras\nprint(keras.config.floatx(), keras.config.image_data_format(), keras.config.backend())"
DEFAULT = "float32 channels_last tensorflow"


def settings(home: Path) -> str:
    known = {name: value for name, value in os.environ.items() if not name.startswith("KERAS_")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**known, "HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.slow
def test_the_users_settings_are_not_read(tmp_path):
    content = '{"floatx": "float16", "image_data_format": "channels_first", "backend": "torch", "epsilon": "none"}'
    (tmp_path / ".keras").mkdir()
    file = tmp_path / ".keras" / "keras.json"
    file.write_text(content)
    assert settings(tmp_path) == DEFAULT
    assert file.read_text() == content
    assert (tmp_path / ".keras" / "fundus_tiles").is_dir() and not (ROOT / "~").exists()


@pytest.mark.slow
def test_a_home_that_cannot_be_written_to_is_no_error():
    assert settings(Path("/proc/none")) == DEFAULT
