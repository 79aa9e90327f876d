"""--scale and --field_degrees of shard, eval, predict and export: what they change, and where they are refused."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from records import read_index

BY_FIELD = (
    "--config=tests/scripts/tiny_preset.py",
    "--config.data.scale=None",
    "--config.data.field_diameter=100",
    "--config.data.tile=64",
    "--config.data.stride=64",
)


@pytest.fixture(scope="module")
def source(disc, tmp_path_factory) -> Path:
    """Photographs of two resolutions, and one without a circle, as paired folders; each mask shows a lesion."""
    folder = tmp_path_factory.mktemp("source")
    photographs = {
        "coarse": disc(210, 260, diameter=200),
        "fine": disc(420, 520, diameter=400),
        "crop": np.full((90, 120, 3), 120, np.uint8),
    }
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for name, photograph in photographs.items():
        mask = np.zeros(photograph.shape[:2], np.uint8)
        mask[40:60, 50:70] = 255
        cv2.imwrite(str(folder / "images" / f"{name}.png"), photograph[..., ::-1])
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
    return folder


@pytest.fixture(scope="module")
def by_field(way, tmp_path_factory) -> Path:
    """The trained model as one that scales by the field of view."""
    folder = Path(shutil.copytree(way.workdir / "model", tmp_path_factory.mktemp("models") / "by_field"))
    content = json.loads((folder / "segmenter.json").read_text())
    (folder / "segmenter.json").write_text(json.dumps(content | {"scale": None, "field_diameter": 300.0}))
    return folder


@pytest.mark.parametrize("name", ["shard", "eval", "predict", "export"])
@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--scale=0", "--scale=0: expected a factor above 0 and at most 2."),
        ("--scale=2.5", "--scale=2.5: expected a factor above 0 and at most 2."),
        ("--field_degrees=0", "--field_degrees=0: expected an angle above 0 and at most 180 degrees."),
        ("--field_degrees=200", "--field_degrees=200: expected an angle above 0 and at most 180 degrees."),
    ],
)
def test_a_value_out_of_range_is_refused(run, source, tmp_path, name, flag, expected):
    arguments = {
        "shard": (*BY_FIELD, f"--source={source}", f"--records={tmp_path / 'out'}"),
        "eval": ("--model=m", f"--source={source}", f"--output={tmp_path / 'out'}"),
        "predict": ("--model=m", f"--output={tmp_path / 'out'}", source),
        "export": ("--model=m", f"--output={tmp_path / 'out'}"),
    }
    done = run(name, *arguments[name], flag)
    assert (done.returncode, done.stderr) == (2, f"error: {expected}\n")
    assert not (tmp_path / "out").exists()


def test_shard_check_says_how_photographs_are_scaled(run, source, tmp_path):
    shard = ("shard", *BY_FIELD, f"--source={source}", f"--records={tmp_path}", "--check")
    done = run(*shard)
    assert done.returncode == 0, done.stderr
    assert "a scale at which a field of view of 50° is 100 pixels wide" in done.stdout
    assert "scales: 0.5 (1), 0.667 (1), 0.25 (1)" in done.stdout
    assert "crop: no field of view found: scaled by 0.667 as if its circle were as wide as the frame's" in done.stderr
    done = run(*shard, "--scale=0.4", "--field_degrees=25")
    assert "scales: 0.25 (1), 0.4 (1), 0.125 (1)" in done.stdout
    assert "crop: no field of view found: scaled by 0.4 (--scale)" in done.stderr
    done = run(*shard, "--strict")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: crop: no circle of a field of view could be fitted")


@pytest.mark.slow
def test_shard_takes_another_scale_for_another_set(run, source, tmp_path):
    shard = ("shard", *BY_FIELD, f"--source={source}", f"--records={tmp_path / 'records'}")
    for _ in range(2):  # the second finds the set
        done = run(*shard, "--scale=0.4", "--strict")
        assert done.returncode == 0, done.stderr
    assert read_index(tmp_path / "records").cases["crop"].scale == 0.4
    done = run(*shard, "--scale=0.3")
    assert done.returncode == 2
    assert "holds another set already" in done.stderr


def test_shard_refuses_the_flags_where_all_photographs_have_one_scale(run, source, tmp_path):
    arguments = ("--config=tests/scripts/tiny_preset.py", f"--source={source}", f"--records={tmp_path / 'records'}")
    for flag in ("--scale=0.5", "--field_degrees=45"):
        done = run("shard", *arguments, flag)
        assert done.returncode == 2
        assert "this one has data.scale=1 for all photographs: change that by --config.data.scale." in done.stderr


def test_a_scale_and_a_field_diameter_together_are_refused(run, source, tmp_path):
    config = ("--config=tests/scripts/tiny_preset.py", "--config.data.field_diameter=100")  # the preset has scale 1
    done = run("shard", *config, f"--source={source}", f"--records={tmp_path / 'out'}")
    expected = "error: data.scale is 1 and data.field_diameter is 100; set one of them to None.\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_predict_scales_by_what_it_is_told_and_does_photographs_again_if_that_changes(run, by_field, source, tmp_path):
    predict = ("predict", f"--model={by_field}", f"--output={tmp_path / 'out'}", source / "images")
    done = run(*predict)
    assert done.returncode == 0, done.stderr
    assert "a scale at which a field of view of 50° is 300 pixels wide" in done.stdout
    with open(tmp_path / "out" / "predictions.csv") as file:
        assert [(row["case"], row["width"]) for row in csv.DictReader(file)] == [
            *(("coarse", "260"), ("crop", "120"), ("fine", "520"))
        ]
    assert "3 of them already finished" in run(*predict).stdout
    done = run(*predict, "--scale=0.5", "--field_degrees=25")
    assert done.returncode == 0, done.stderr
    assert "0 of them already finished" in done.stdout


def test_a_model_of_a_fixed_scale_takes_another_one_and_no_angle_of_view(run, way, source, tmp_path):
    model, image = f"--model={way.workdir / 'model'}", source / "images" / "coarse.png"
    done = run("predict", model, f"--output={tmp_path / 'out'}", image, "--scale=0.5")
    assert done.returncode == 0, done.stderr
    assert "at scale 0.5," in done.stdout
    for name, arguments in {"predict": (image,), "export": (), "eval": (f"--source={source}",)}.items():
        done = run(name, model, f"--output={tmp_path / 'refused'}", *arguments, "--field_degrees=45")
        assert done.returncode == 2
        assert "--field_degrees=45: the model in" in done.stderr and "give --scale instead" in done.stderr
        assert not (tmp_path / "refused").exists()


def test_eval_takes_the_flags_with_a_model_and_refuses_them_with_maps(run, way, by_field, tmp_path):
    arguments = (f"--source={way.source}", "--split=test", f"--output={tmp_path}", "--scale=0.5")
    done = run("eval", f"--model={by_field}", *arguments, "--field_degrees=45")
    assert done.returncode == 0, done.stderr
    for model in ((), (f"--model={by_field}",)):
        done = run("eval", *model, *arguments, f"--predictions={way.predictions}")
        expected = "error: --scale and --field_degrees: maps of --predictions are not scaled; leave them out.\n"
        assert (done.returncode, done.stderr) == (2, expected)


def test_an_export_keeps_what_the_user_says_of_the_camera(run, way, by_field, source, tmp_path):
    check = f"--client_check={source / 'images' / 'fine.png'}"
    done = run("export", f"--model={by_field}", f"--output={tmp_path}", check, "--scale=0.5", "--field_degrees=45")
    assert done.returncode == 0, done.stdout + done.stderr
    metadata = tf.saved_model.load(str(tmp_path / "1")).metadata()
    assert [metadata[name] for name in ("scale", "field_diameter", "field_degrees")] == [0, 270, 45]
    assert "to a scale at which a field of view of 45° is 270 pixels wide" in (tmp_path / "1" / "README.md").read_text()
    done = run("export", f"--model={way.workdir / 'model'}", f"--output={tmp_path}", "--version=2", "--scale=0.5")
    assert done.returncode == 0, done.stderr
    metadata = tf.saved_model.load(str(tmp_path / "2")).metadata()
    assert [metadata[name] for name in ("scale", "field_diameter")] == [0.5, 0]
