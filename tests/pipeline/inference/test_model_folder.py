"""The model folder: what is saved is loaded unchanged, and damage is named in one line."""

import dataclasses
import hashlib
import json
import math
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from configs import DataConfig, InputError
from models import build_loss
from pipeline.inference import check_tile, load_segmenter, save_model, save_spec
from pipeline.inference.model_folder import read_spec
from pipeline.operating_point import OperatingPoint
from records import Camera, PhotographIdentity, ScaleRule, read_index

# Keras 3.15.1 triggers this warning when it saves weights.
SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")


@pytest.fixture
def damaged(model_folder, tmp_path):
    """A copy of the model folder that a test may damage."""
    return shutil.copytree(model_folder, tmp_path / "model")


def test_a_loaded_spec_equals_the_saved_one(model_folder, spec):
    expected = spec(
        classes=("HE", "MA"),
        thresholds=(0.5, 0.25),
        tile=32,
        scale=0.8,
        overlap=0.25,
        window="hann",
        tile_batch=3,
        splits={"train": ["A", "B"], "validation": ["D"]},
    )
    assert load_segmenter(model_folder).spec == expected


def test_what_photographs_are_recognised_by_is_read_back(spec, tmp_path):
    known = {"train": (PhotographIdentity("A", "0" * 64, "1" * 64), PhotographIdentity("B", "", "2" * 64))}
    save_spec(tmp_path, spec(photographs=known))
    assert read_spec(tmp_path / "segmenter.json").photographs == known


def test_segmenter_json_has_the_fields_that_others_read(model_folder):
    content = json.loads((model_folder / "segmenter.json").read_text())
    wanted = {"schema_version", "classes", "scale", "tile", "overlap", "window", "thresholds"}
    assert wanted <= set(content)
    assert (content["schema_version"], content["classes"], content["thresholds"]) == (1, ["HE", "MA"], [0.5, 0.25])


@pytest.mark.slow
def test_some_classes_of_a_model_have_its_probabilities_and_thresholds(model_folder, fundus):
    photograph = fundus(90, 131, seed=5).photograph
    both = load_segmenter(model_folder)
    for names, channels in ((["MA"], [1]), (["MA", "HE"], [1, 0])):
        some = load_segmenter(model_folder, classes=names)
        assert some.spec.classes == tuple(names)
        assert some.spec.thresholds == tuple(both.spec.thresholds[channel] for channel in channels)
        np.testing.assert_allclose(some.segment(photograph), both.segment(photograph).numpy()[..., channels], atol=1e-6)


@pytest.mark.parametrize("names", [["EX"], ["HE", "EX"], ["HE", "HE"]])
def test_a_class_that_the_model_lacks_is_refused_with_the_existing_ones(model_folder, names):
    with pytest.raises(InputError, match=f"--classes={','.join(names)}: the model in .* has the classes HE, MA;"):
        load_segmenter(model_folder, classes=names)


def test_the_users_scale_replaces_a_fixed_one_and_an_angle_of_view_is_refused(model_folder):
    segmenter = load_segmenter(model_folder, camera=Camera(scale=0.5), classes=["MA"])
    assert segmenter.measure(np.zeros((9, 9, 3), np.uint8)).scale.factor == 0.5
    message = "--field_degrees=45: the model in .* scales all photographs by 0.8, .*; give --scale instead"
    with pytest.raises(InputError, match=message):
        load_segmenter(model_folder, camera=Camera(degrees=45))


@SAVING
def test_a_model_that_scales_by_the_field_of_view_is_read_back(network, spec, tmp_path):
    saved = spec(classes=("a", "b"), scale=None, field_diameter=100.0, field_degrees=45.0)
    save_model(tmp_path, network, saved)
    assert load_segmenter(tmp_path).spec == saved
    camera = Camera(scale=0.5, degrees=30)
    assert load_segmenter(tmp_path, camera=camera).rule == ScaleRule(None, 100.0, 45.0, camera)


@pytest.mark.slow
@SAVING
def test_a_model_folder_in_half_precision_has_half_the_size_and_about_the_map(network, spec, tmp_path, fundus):
    segmenters = []
    for name, half in (("whole", False), ("half", True)):
        save_model(tmp_path / name, network, spec(classes=("a", "b"), tile=32), half=half)
        segmenters.append(load_segmenter(tmp_path / name))
    photograph = fundus(90, 131, seed=5).photograph
    one, other = (segmenter.segment(photograph).numpy() for segmenter in segmenters)
    np.testing.assert_allclose(one, other, atol=2e-3)
    kernels = [weights for weights in network.get_weights() if weights.ndim >= 2]
    saved = load_segmenter(tmp_path / "half", fold=False).network.get_weights()
    assert all(weights.dtype == np.float32 for weights in saved)
    halved = [weights for weights in saved if weights.ndim >= 2]
    assert all(np.array_equal(a.astype(np.float16), b) for a, b in zip(kernels, halved, strict=True))


@pytest.mark.slow
@SAVING
def test_the_saved_network_leaves_its_optimizer_behind_and_keeps_its_moving_averages(network, spec, tmp_path):
    trained = keras.models.clone_model(network)
    trained.compile(keras.optimizers.Adam(1e-2), build_loss("bce_dice"), jit_compile=False)
    rng = np.random.default_rng(0)
    trained.train_on_batch(rng.uniform(0, 255, (2, 16, 16, 3)), rng.integers(0, 2, (2, 16, 16, 2)).astype(np.float32))
    save_model(tmp_path / "model", trained, spec(classes=("a", "b")))
    loaded = keras.models.load_model(tmp_path / "model" / "network.keras")
    assert getattr(loaded, "optimizer", None) is None
    for before, after in zip(trained.get_weights(), loaded.get_weights(), strict=True):
        assert np.array_equal(before, after)


def test_a_missing_threshold_source_is_read_as_unknown(damaged):
    file = damaged / "segmenter.json"
    content = json.loads(file.read_text())
    assert content.pop("threshold_source") == "config"
    file.write_text(json.dumps(content))
    assert read_spec(damaged / "segmenter.json").threshold_source == "unknown"


def test_the_most_pixels_are_those_of_training_or_given_and_the_default_in_an_earlier_folder(damaged):
    file = damaged / "segmenter.json"
    content = json.loads(file.read_text())
    assert content.pop("max_pixels") == DataConfig().max_pixels
    file.write_text(json.dumps(content))
    assert read_spec(file).max_pixels == DataConfig().max_pixels
    file.write_text(json.dumps({**content, "max_pixels": 1000}))
    assert load_segmenter(damaged).spec.max_pixels == 1000
    assert load_segmenter(damaged, max_pixels=2000).spec.max_pixels == 2000
    file.write_text(json.dumps({**content, "max_pixels": 0}))
    with pytest.raises(InputError, match=r"segmenter\.json: data\.max_pixels must be at least 1; received 0"):
        read_spec(file)


def test_a_trained_model_folder_says_by_what_its_photographs_are_recognised(trained, records_set):
    spec = load_segmenter(trained.model).spec
    for split in ("train", "validation"):
        assert [one.case for one in spec.photographs[split]] == list(spec.splits[split])
        for one in spec.photographs[split]:
            path = records_set.cases[one.case].photograph
            assert one.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
            assert one.perceptual_hash == records_set.index.cases[one.case].perceptual_hash


def test_a_trained_model_folder_names_its_records(trained, records_set):
    made = load_segmenter(trained.model).spec
    assert made.records_fingerprint == read_index(records_set.folder).fingerprint
    assert made.splits == {"train": ["A", "B", "C"], "validation": ["D", "E"], "test": ["F", "G"]}


def test_a_tile_that_the_stride_does_not_divide_is_refused_with_its_field(network):
    check_tile(network, 64, "segment.tile")
    with pytest.raises(InputError, match=r"segment\.tile must be a multiple of the network's stride 4; received 66"):
        check_tile(network, 66, "segment.tile")


@pytest.mark.parametrize("name", ["network.keras", "segmenter.json"])
def test_a_folder_without_one_of_the_files_is_refused_with_the_missing_file(damaged, name):
    (damaged / name).unlink()
    with pytest.raises(InputError, match=f"--model={damaged}: contains no {name}; expected a model folder"):
        load_segmenter(damaged)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"schema_version": 1}', '{"schema_version": 1, "classes": 3}']
)
def test_a_damaged_segmenter_json_is_named(damaged, content):
    (damaged / "segmenter.json").write_text(content)
    with pytest.raises(InputError, match=r"segmenter\.json: damaged \("):
        read_spec(damaged / "segmenter.json")


def test_an_unknown_field_of_segmenter_json_is_named(damaged):
    content = json.loads((damaged / "segmenter.json").read_text())
    (damaged / "segmenter.json").write_text(json.dumps({**content, "colour": "red"}))
    with pytest.raises(InputError, match=r"segmenter\.json: damaged .*colour"):
        read_spec(damaged / "segmenter.json")


def test_fields_that_older_files_lack_have_their_former_meaning(damaged):
    content = json.loads((damaged / "segmenter.json").read_text())
    for name in (
        *("flips", "skip_background", "trim", "xla", "bins", "seen_before", "calibrated_on"),
        *("field_diameter", "field_degrees", "min_areas"),
    ):
        del content[name]
    (damaged / "segmenter.json").write_text(json.dumps(content))
    spec = read_spec(damaged / "segmenter.json")
    assert (spec.flips, spec.skip_background, spec.trim, spec.xla) == (1, False, False, "auto")
    assert (spec.bins, spec.seen_before, spec.calibrated_on) == (1280, (), ())
    assert spec.rule() == ScaleRule(0.8, None, 50.0)
    assert spec.operating_point == OperatingPoint((0.5, 0.25))


def test_least_areas_are_written_and_read(damaged):
    spec = dataclasses.replace(read_spec(damaged / "segmenter.json"), min_areas=(0.0, 2.5))
    save_spec(damaged, spec)
    assert read_spec(damaged / "segmenter.json") == spec


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("flips", 3, r"segmenter\.json: segment\.flips must be 1, 4 or 8; received 3\."),
        ("window", "hamming", r"segmenter\.json: segment\.window must be one of uniform, hann, gaussian"),
        ("overlap", "half", r"segmenter\.json: damaged \(TypeError"),
        ("scale", None, r"segmenter\.json: neither scale nor field_diameter is set; one of them is needed\."),
        ("field_diameter", 100, r"segmenter\.json: scale is 0\.8 and field_diameter is 100; set one of them to None\."),
        ("min_areas", [4], r"segmenter\.json: min_areas \[4\]: expected a number of pixels of at least 0 for each of"),
        ("min_areas", [4, -1], r"segmenter\.json: min_areas \[4, -1\]: expected"),
        ("min_areas", [4, math.nan], r"segmenter\.json: min_areas \[4, nan\]: expected"),
        ("min_areas", [4, "few"], r"segmenter\.json: damaged \(TypeError"),
        ("field_degrees", 0, r"segmenter\.json: field_degrees must be above 0 and at most 180; received 0\."),
    ],
)
def test_an_invalid_value_in_segmenter_json_is_named(damaged, field, value, message):
    content = json.loads((damaged / "segmenter.json").read_text())
    (damaged / "segmenter.json").write_text(json.dumps({**content, field: value}))
    with pytest.raises(InputError, match=message):
        read_spec(damaged / "segmenter.json")


def test_another_schema_version_is_refused_with_the_supported_one(damaged):
    content = json.loads((damaged / "segmenter.json").read_text())
    (damaged / "segmenter.json").write_text(json.dumps({**content, "schema_version": 99}))
    with pytest.raises(InputError, match="schema version 99, but this software reads 1"):
        read_spec(damaged / "segmenter.json")


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_truncated_network_file_is_named(damaged, keep):
    (damaged / "network.keras").write_bytes((damaged / "network.keras").read_bytes()[:keep])
    with pytest.raises(InputError, match=r"network\.keras: damaged, or not a network of this software \(.+\)\.$"):
        load_segmenter(damaged)


def test_a_network_file_with_flipped_bytes_is_named(damaged):
    content = bytearray((damaged / "network.keras").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(byte ^ 255 for byte in content[middle : middle + 2000])
    (damaged / "network.keras").write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"network\.keras: damaged"):
        load_segmenter(damaged)


def test_a_network_with_unknown_layers_is_named(damaged):
    class Foreign(keras.layers.Layer):
        def call(self, x):
            return x

    image = keras.Input((None, None, 3))
    keras.Model(image, Foreign()(image)).save(damaged / "network.keras")
    with pytest.raises(InputError, match=r"network\.keras: damaged, or not a network of this software"):
        load_segmenter(damaged)


def test_a_segmenter_json_of_version_0_1_is_read_with_all_its_values():
    file = Path(__file__).parent / "data" / "segmenter_0.1.json"
    content = json.loads(file.read_text())
    del content["schema_version"]
    spec = read_spec(file)
    assert json.loads(json.dumps(dataclasses.asdict(spec))) == content | {
        "field_diameter": None,
        "field_degrees": 50.0,
        "max_pixels": 200_000_000,
        "quality": {},
        "min_areas": [],
        "members": [],
        "photographs": {},
    }
    assert spec.classes == ("MA", "HE", "EX", "SE", "OD")
    assert spec.thresholds[:2] == (0.0855249761296273, 0.20351567165626933)
    assert (spec.tile, spec.overlap, spec.window, spec.trim, spec.xla) == (1440, 0.25, "hann", True, "auto")
    assert (spec.threshold_source, spec.bins, len(spec.splits["train"])) == ("held out", 1280, 54)
