"""The command that imports annotations: what it says, its exit codes, and shard on what it wrote."""

import json
from pathlib import Path

import pytest
from PIL import Image

SQUARE = [[5, 5], [9, 5], [9, 9], [5, 9]]


@pytest.fixture
def source(tmp_path) -> Path:
    """Three photographs of LabelMe, each with one haemorrhage."""
    folder = tmp_path / "labelme"
    folder.mkdir()
    for seed, name in enumerate("abc"):
        Image.effect_mandelbrot((60 + seed, 40), (-2, -1, 1, 1), 20 + seed).convert("RGB").save(folder / f"{name}.png")
        content = {"shapes": [{"label": "HE", "points": SQUARE}], "imagePath": f"{name}.png", "imageData": None}
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_what_is_imported_is_said_and_passes_the_check_of_shard(run, source, tmp_path):
    output, records = tmp_path / "out", tmp_path / "records"
    done = run("import_masks", f"--source={source}", f"--output={output}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"LabelMe: 3 photographs in {source}, classes HE → {output}\n"
        "HE: 3 regions in 3 photographs\n"
        f"3 photographs    see: {output}\n"
    )
    shard = ("shard", "--check", "--config=configs/demo.py", f"--records={records}")
    done = run(*shard, f"--source={output}")
    assert done.returncode == 0, done.stderr
    done = run(*shard, f"--source={source}")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: --source={source}: annotations in the format LabelMe; first run python -m scripts.import_masks "
        f"--source={source} --output=FOLDER, and then this command with --source=FOLDER.\n"
    )


def test_damage_is_named_and_the_exit_code_is_1(run, source, tmp_path):
    (source / "b.json").write_text("{")
    for number in range(12):
        (source / f"note {number}.txt").touch()
    done = run("import_masks", f"--source={source}", f"--output={tmp_path / 'out'}")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len([line for line in lines if line.startswith("warning: left out: ")]) == 10
    assert "warning: and 3 more of this kind." in lines  # with the photograph of the damaged file
    assert [line for line in lines if line.startswith("left out: ")] == [lines[-1]]
    assert "b.json: not JSON, or cut short" in lines[-1]
    assert done.stdout.endswith(f"2 photographs    see: {tmp_path / 'out'}\n")


def test_what_cannot_be_done_is_one_line(run, tmp_path):
    done = run("import_masks", f"--source={tmp_path}", f"--output={tmp_path / 'out'}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: --source={tmp_path}: no annotations of a known format; known are cvat (")
    assert len(done.stderr.splitlines()) == 1
