"""A photograph whose name cannot be written is named and left out; all others are done, and the exit code is 1."""

import json
import os
import shutil
from pathlib import Path

import pytest

from records import find_cases

NAMES = (b"M\xfcller", b"x" * 240)


@pytest.fixture
def photographs(way, tmp_path) -> Path:
    """A tree of paired folders: three photographs, the first two with names that cannot be written."""
    source = tmp_path / "source"
    cases = [case for case in find_cases(way.source, ("HE",))[1] if case.masks["HE"]][:3]
    for case, name in zip(cases, (*map(os.fsdecode, NAMES), "left"), strict=True):
        folder = "001" if name == "left" else ""
        for file, kind in ((case.photograph, "images"), (case.masks["HE"], "masks/HE")):
            (source / kind / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, source / kind / folder / f"{name}{file.suffix}")
    return source


def check_left_out(done, photographs: Path) -> None:
    left_out = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert len(left_out) == 2
    assert any("M\\xfcller.jpg: its name is not UTF-8" in line for line in left_out)
    assert any("x.jpg: the names of files made from it" in line for line in left_out)


@pytest.mark.slow
def test_shard_leaves_out_names_that_cannot_be_written(run, photographs, tmp_path):
    shard = ("shard", "--config=tests/scripts/tiny_preset.py", "--config.data.validation_fraction=0.")
    records = tmp_path / "records"
    done = run(*shard, f"--source={photographs}", f"--records={records}", "--recursive")
    check_left_out(done, photographs)
    assert list(json.loads((records / "index.json").read_text())["cases"]) == ["001_left"]
    assert run("shard", "--verify", f"--records={records}").returncode == 0


@pytest.mark.slow
def test_predict_leaves_out_names_that_cannot_be_written_and_its_folder_stays_usable(run, way, photographs, tmp_path):
    arguments = (f"--model={way.workdir / 'model'}", f"--output={tmp_path / 'out'}")
    images = photographs / "images"
    done = run("predict", *arguments, images, "--recursive", f"--source={photographs}")
    check_left_out(done, photographs)
    assert "3 to be shown beside their ground truth" in done.stdout
    again = run("predict", *arguments, images / "001" / "left.jpg", "--folder_names=1")
    assert again.returncode == 0 and "1 of them already finished" in again.stdout, again.stderr
