"""Export: a SavedModel that gives the segmenter's maps where nothing of this software is installed."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from configs import InputError
from pipeline.export import export_model
from pipeline.segmenter import TiledSegmenter, load_segmenter
from records import read_photograph

# Runs with `python -I` and imports TensorFlow and NumPy alone: no code of ours can help it.
CLIENT = """
import sys
import numpy as np
import tensorflow as tf

folder, encoded, output = sys.argv[1:]
loaded = tf.saved_model.load(folder)
given = np.load(encoded)
maps = {}
for name in ("jpeg", "png"):
    maps[name] = loaded.signatures["serving_default"](tf.constant(given[name].tobytes()))["probabilities"]
maps["segment"] = loaded.signatures["segment"](photograph=tf.constant(given["photograph"]))["probabilities"]
maps["tiles"] = loaded.signatures["tiles"](tiles=tf.constant(given["tiles"]))["probabilities"]
words = loaded.metadata()
maps["thresholds"] = words["thresholds"]
maps["classes"] = np.array([name.decode() for name in words["classes"].numpy()])
maps["signatures"] = np.array(sorted(loaded.signatures))
foreign = {"keras", "configs", "records", "models", "pipeline"} & set(sys.modules)
assert not foreign & {"configs", "records", "models", "pipeline"}, foreign
np.savez(output, **maps)
"""


@pytest.fixture(scope="module")
def segmenter(model_folder):
    return load_segmenter(model_folder)


@pytest.fixture(scope="module")
def exported(segmenter, model_folder, tmp_path_factory):
    return export_model(segmenter, model_folder, tmp_path_factory.mktemp("export"), version=3, overwrite=False)


@pytest.fixture(scope="module")
def files(fundus, tmp_path_factory):
    """A photograph of odd size as JPEG with and PNG without loss."""
    folder = tmp_path_factory.mktemp("photographs")
    photograph = fundus(121, 167, seed=9).photograph
    cv2.imwrite(str(folder / "eye.jpg"), photograph[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])  # chroma 4:2:0
    cv2.imwrite(str(folder / "eye.png"), photograph[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def served(exported, files, tmp_path_factory):
    """What a process that knows only TensorFlow gets out of the export, by name."""
    folder = tmp_path_factory.mktemp("served")
    photograph = read_photograph(files / "eye.png", max_pixels=10**6)
    tiles = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    np.savez(
        folder / "given.npz",
        jpeg=np.frombuffer((files / "eye.jpg").read_bytes(), np.uint8),
        png=np.frombuffer((files / "eye.png").read_bytes(), np.uint8),
        photograph=photograph,
        tiles=tiles,
    )
    words = [sys.executable, "-I", "-c", CLIENT, exported, folder / "given.npz", folder / "served.npz"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "served.npz")) | {"given tiles": tiles}


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_encoded_photographs_give_the_map_of_the_segmenter(served, segmenter, files, suffix):
    photograph = read_photograph(files / f"eye.{suffix}", max_pixels=10**6)
    expected = segmenter.segment(photograph).numpy()
    found = served["jpeg" if suffix == "jpg" else "png"]
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (121, 167, 2)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_decoded_photograph_gives_the_map_of_the_segmenter(served, segmenter, files):
    photograph = read_photograph(files / "eye.png", max_pixels=10**6)
    np.testing.assert_allclose(served["segment"], segmenter.segment(photograph), atol=1e-6)


def test_tiles_give_the_networks_probabilities(served, segmenter):
    np.testing.assert_allclose(served["tiles"], segmenter.tiles(served["given tiles"]), atol=1e-6)


def test_the_export_knows_its_classes_thresholds_and_signatures(served):
    assert served["classes"].tolist() == ["HE", "MA"]
    assert served["thresholds"].tolist() == [0.5, 0.25]
    assert served["signatures"].tolist() == ["segment", "serving_default", "tiles"]


def test_the_export_lies_in_a_folder_of_its_version_with_the_words_beside(exported, model_folder):
    assert exported.name == "3"
    assert {"saved_model.pb", "variables", "segmenter.json"} <= {path.name for path in exported.iterdir()}
    assert (exported / "segmenter.json").read_bytes() == (model_folder / "segmenter.json").read_bytes()
    assert json.loads((exported / "segmenter.json").read_text())["classes"] == ["HE", "MA"]
    assert [path.name for path in exported.parent.iterdir()] == ["3"]  # nothing temporary


def test_signatures_take_and_give_what_the_contract_says(exported):
    loaded = tf.saved_model.load(str(exported))
    forms = {}
    for name, function in loaded.signatures.items():
        (spec,) = function.structured_input_signature[1].values()
        result = function.structured_outputs["probabilities"]
        forms[name] = (spec.shape.as_list(), spec.dtype, result.shape.as_list(), result.dtype)
    assert forms == {
        "serving_default": ([], tf.string, [None, None, 2], tf.float32),
        "segment": ([None, None, 3], tf.uint8, [None, None, 2], tf.float32),
        "tiles": ([None, 32, 32, 3], tf.float32, [None, 32, 32, 2], tf.float32),
    }


@pytest.fixture
def two_models(spec, model_folder, tmp_path):
    """A version that is there, whose map is 0.25 everywhere, and a segmenter whose map is 0.75."""

    def constant(value: float) -> TiledSegmenter:
        return TiledSegmenter(lambda images: tf.fill(tf.shape(images[..., :1]), value), spec())

    there = export_model(constant(0.25), model_folder, tmp_path / "export", version=1, overwrite=False)
    return there, constant(0.75)


def value_of(folder) -> float:
    loaded = tf.saved_model.load(str(folder))
    probabilities = loaded.signatures["segment"](photograph=tf.zeros([5, 5, 3], tf.uint8))["probabilities"]
    return float(tf.reduce_mean(probabilities))


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_version_that_is_there_is_refused_and_left_as_it_was(two_models, model_folder):
    there, other = two_models
    before = contents(there.parent)
    with pytest.raises(InputError, match="there already; give another --version, or --overwrite to replace it"):
        export_model(other, model_folder, there.parent, version=1, overwrite=False)
    assert contents(there.parent) == before


def test_with_overwrite_a_version_is_replaced(two_models, model_folder):
    there, other = two_models
    (there / "stray").touch()
    assert value_of(there) == pytest.approx(0.25)
    export_model(other, model_folder, there.parent, version=1, overwrite=True)
    assert value_of(there) == pytest.approx(0.75)
    assert not (there / "stray").exists()


def test_another_version_lies_beside_the_first(two_models, model_folder):
    there, other = two_models
    second = export_model(other, model_folder, there.parent, version=2, overwrite=False)
    assert (value_of(there), value_of(second)) == pytest.approx((0.25, 0.75))


def test_an_export_that_fails_leaves_the_old_version_and_nothing_else(two_models, tmp_path):
    there, other = two_models
    before = contents(there.parent)
    with pytest.raises(FileNotFoundError):
        export_model(other, tmp_path / "no model folder", there.parent, version=1, overwrite=True)
    assert contents(there.parent) == before
    assert [path.name for path in there.parent.iterdir()] == ["1"]


def test_an_output_whose_name_a_file_has_is_refused(segmenter, model_folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--output="):
        export_model(segmenter, model_folder, tmp_path / "file", version=1, overwrite=False)
