"""The adapt command: a model of a fixed scale scales by the field of view from then on, with the same network."""

import json
import shutil

import cv2
import numpy as np
import pytest

from pipeline.inference import load_segmenter


@pytest.fixture(scope="module")
def adapted(run, way, tmp_path_factory):
    """Adapts the model of the whole way as a version without measures would have written it."""
    old, new = (tmp_path_factory.mktemp("adapt") / name for name in ("old", "new"))
    shutil.copytree(way.workdir / "model", old)
    content = json.loads((old / "segmenter.json").read_text())
    for name in ("quality", "field_diameter", "field_degrees", "photographs"):
        del content[name]
    (old / "segmenter.json").write_text(json.dumps(content | {"scale": 0.5}))
    done = run("adapt", f"--model={old}", f"--source={way.source}", f"--output={new}")
    assert done.returncode == 0, done.stderr
    return old, new, done.stdout


def test_the_field_of_view_gets_the_size_that_it_had_at_the_fixed_scale(adapted, way):
    old, new, printed = adapted
    before, after = load_segmenter(old).spec, load_segmenter(new).spec
    assert (before.scale, after.scale) == (0.5, None)
    assert after.field_diameter / before.scale == pytest.approx(0.85 * 1000, rel=0.3)  # of the synthetic photographs
    assert {"sharpness", "saturation", "field_fraction"} <= set(after.quality)
    assert before.quality == before.photographs == {}
    trained = {use: list(map(vars, known)) for use, known in after.photographs.items()}
    written = json.loads((way.workdir / "model" / "segmenter.json").read_text())["photographs"]
    for use in ("train", "validation"):
        assert sorted(trained[use], key=str) == sorted(written[use], key=str)
    assert "was scale 0.5, is a scale at which a field of view of 50° is" in printed
    assert (new / "network.keras").read_bytes() == (old / "network.keras").read_bytes()


def test_a_model_that_is_there_is_not_replaced_unasked(adapted, run, way):
    old, new, _ = adapted
    done = run("adapt", f"--model={old}", f"--source={way.source}", f"--output={new}")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "holds a model already" in done.stderr


def test_a_source_without_its_photographs_is_refused(adapted, run, way, tmp_path):
    for part in ("images", "masks/HE"):
        (tmp_path / "other" / part).mkdir(parents=True)
    photograph = next(way.source.glob("A*/1*/b*/SYN_06.jpg"))
    shutil.copy(photograph, tmp_path / "other" / "images" / "eye.jpg")
    done = run("adapt", f"--model={adapted[0]}", f"--source={tmp_path / 'other'}", f"--output={tmp_path / 'out'}")
    assert done.returncode == 2
    assert "has none of the" in done.stderr
    assert "photographs that the model was trained on" in done.stderr
    assert not (tmp_path / "out").exists()


def test_unsuitable_photographs_are_named_and_left_out_if_that_is_asked_for(adapted, run, way, tmp_path):
    """Noise beside a synthetic photograph, at which the model was trained on such."""

    (tmp_path / "photographs").mkdir()
    shutil.copy(next(way.source.glob("A*/1*/b*/SYN_06.jpg")), tmp_path / "photographs" / "eye.jpg")
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photographs" / "noise.png"), noise)
    words = (f"--model={adapted[1]}", tmp_path / "photographs")
    told = run("predict", f"--output={tmp_path / 'all'}", *words)
    assert told.returncode == 0, told.stderr
    assert "warning: noise: no field of view found" in told.stderr
    assert "warning: eye" not in told.stderr
    rows = (tmp_path / "all" / "predictions.csv").read_text().splitlines()
    assert "no field of view found" in rows[2]
    assert rows[1].endswith(",")  # no warnings
    strict = run("predict", f"--output={tmp_path / 'some'}", "--strict", *words)
    assert strict.returncode == 1
    assert "noise.png: does not suit the model (no field of view found" in strict.stderr
    assert len((tmp_path / "some" / "predictions.csv").read_text().splitlines()) == 2


def test_eval_says_what_does_not_suit_and_leaves_it_out_if_that_is_asked_for(adapted, run, way, tmp_path):
    """Grey photographs, of a model whose own are in colour."""

    for kind, pattern in (("images", "A*/1*/b*/*.jpg"), ("masks/HE", "A*/2*/b*/*/*.tif")):
        (tmp_path / "grey" / kind).mkdir(parents=True)
        for file in way.source.glob(pattern):
            name = file.stem.removesuffix("_HE")
            if kind == "images":
                cv2.imwrite(str(tmp_path / "grey" / kind / f"{name}.png"), cv2.imread(str(file), cv2.IMREAD_GRAYSCALE))
            else:
                shutil.copy(file, tmp_path / "grey" / kind / f"{name}.tif")
    words = (f"--model={adapted[1]}", f"--source={tmp_path / 'grey'}", "--split=all")
    done = run("eval", *words, f"--output={tmp_path / 'all'}")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "all" / "scores.json").read_text())
    assert [one["case"] for one in scores["warnings"]] == ["SYN_06", "SYN_07"]
    assert all("not in colour" in " ".join(one["warnings"]) for one in scores["warnings"])
    assert "not in colour" in (tmp_path / "all" / "report.html").read_text()
    assert "warning: SYN_06:" in done.stdout
    strict = run("eval", *words, "--strict", f"--output={tmp_path / 'none'}")
    assert strict.returncode == 2
    assert "none of the 2 photographs could be scored" in strict.stderr
