"""The model folder: what is saved comes back as the same map, and what is wrong with a folder is said in a line."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from configs import Config, DataConfig, EvaluateConfig, InputError, SegmentConfig
from models import build_loss
from pipeline.inference.segmenter import SegmenterSpec, TiledSegmenter, check_tile, load_segmenter, save_model
from records import read_index

# Keras 3.15.1 warns of itself where it saves weights.
SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")


@pytest.fixture
def damaged(model_folder, tmp_path):
    """A copy of the model folder to be spoilt."""
    return shutil.copytree(model_folder, tmp_path / "model")


def test_a_loaded_segmenter_gives_the_same_map(model_folder, network, fundus):
    photograph = fundus(90, 131, seed=5).photograph
    loaded = load_segmenter(model_folder)
    in_memory = TiledSegmenter(network, loaded.spec)
    probabilities = loaded.segment(photograph).numpy()
    assert probabilities.shape == (90, 131, 2)
    assert np.ptp(probabilities) > 0.01
    assert np.array_equal(probabilities, in_memory.segment(photograph))


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


def test_segmenter_json_has_the_fields_that_others_read(model_folder):
    content = json.loads((model_folder / "segmenter.json").read_text())
    wanted = {"schema_version", "classes", "scale", "tile", "overlap", "window", "thresholds"}
    assert wanted <= set(content)
    assert (content["schema_version"], content["classes"], content["thresholds"]) == (1, ["HE", "MA"], [0.5, 0.25])


def test_a_map_lies_within_0_and_1_at_the_photographs_size(model_folder):
    segmenter = load_segmenter(model_folder)
    for height, width in ((1, 1), (20, 150), (32, 40), (101, 67)):
        photograph = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        probabilities = segmenter.segment(photograph).numpy()
        assert probabilities.shape == (height, width, 2)
        assert probabilities.dtype == np.float32
        assert probabilities.min() >= 0
        assert probabilities.max() <= 1
    assert segmenter.segment.experimental_get_tracing_count() == 1


def test_some_classes_of_a_model_have_its_maps_and_thresholds(model_folder, fundus):
    photograph = fundus(90, 131, seed=5).photograph
    both = load_segmenter(model_folder)
    for names, channels in ((["MA"], [1]), (["MA", "HE"], [1, 0])):
        some = load_segmenter(model_folder, classes=names)
        assert some.spec.classes == tuple(names)
        assert some.spec.thresholds == tuple(both.spec.thresholds[channel] for channel in channels)
        np.testing.assert_allclose(some.segment(photograph), both.segment(photograph).numpy()[..., channels], atol=1e-6)


@pytest.mark.parametrize("names", [["EX"], ["HE", "EX"], ["HE", "HE"]])
def test_a_class_that_the_model_lacks_is_answered_with_those_that_it_has(model_folder, names):
    with pytest.raises(InputError, match=f"--classes={','.join(names)}: the model in .* has the classes HE, MA;"):
        load_segmenter(model_folder, classes=names)


def test_colours_of_some_classes_are_theirs(spec):
    made = spec(classes=("HE", "MA"), thresholds=(0.5, 0.25), colors=("ff0000", "00ff00"))
    assert made.of_classes(["MA"]).colors == ("00ff00",)


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


def test_tiles_are_run_as_in_inference_not_as_in_training(model_folder):
    segmenter = load_segmenter(model_folder)
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    assert np.array_equal(segmenter.tiles(images), segmenter.network(images, training=False))
    assert not np.allclose(segmenter.tiles(images), segmenter.network(images, training=True), atol=1e-4)


def test_a_large_trimmed_tile_takes_a_photograph_in_one_piece(network, spec, fundus):
    """The network of stride 4 sees the photograph as it is, filled up to multiples of 4, and that in one trace."""
    trimmed = TiledSegmenter(network, spec(classes=("a", "b"), tile=160, trim=True, tile_batch=1))
    for height, width in ((90, 131), (61, 40), (1, 160)):
        photograph = fundus(height, width, seed=5).photograph
        filled = np.zeros((1, -(-height // 4) * 4, -(-width // 4) * 4, 3), np.float32)
        filled[0, :height, :width] = photograph
        expected = network(filled, training=False)[0, :height, :width]
        np.testing.assert_allclose(trimmed.segment(photograph), expected, atol=1e-6)
    assert trimmed.segment.experimental_get_tracing_count() == 1


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


def test_a_spec_takes_its_fields_from_the_config():
    config = Config(
        data=DataConfig(classes=("HE", "EX"), scale=0.5, tile=256, stride=128),
        segment=SegmentConfig(
            overlap=0.25, window="gaussian", tile_batch=7, flips=4, skip_background=True, trim=True, xla="off"
        ),
        evaluate=EvaluateConfig(threshold=0.4, bins=320),
    )
    made = SegmenterSpec.from_config(config, {"train": ["A"]})
    assert dataclasses.asdict(made) == {
        "classes": ("HE", "EX"),
        "colors": (),
        "scale": 0.5,
        "tile": 256,
        "overlap": 0.25,
        "window": "gaussian",
        "tile_batch": 7,
        "thresholds": (0.4, 0.4),
        "splits": {"train": ["A"]},
        "records_fingerprint": config.fingerprint("data"),
        "config_fingerprint": config.fingerprint(),
        "flips": 4,
        "skip_background": True,
        "trim": True,
        "xla": "off",
        "threshold_source": "config",
        "bins": 320,
        "seen_before": (),
        "calibrated_on": (),
    }


def test_a_spec_takes_thresholds_that_it_is_given():
    config = Config(data=DataConfig(classes=("HE", "EX")), evaluate=EvaluateConfig(threshold=0.4))
    given = SegmenterSpec.from_config(config, {}, (0.25, 0.75))
    assert given.thresholds == (0.25, 0.75)
    assert given.threshold_source == "validation"
    assert dataclasses.replace(given, thresholds=(0.4, 0.4), threshold_source="config") == SegmenterSpec.from_config(
        config, {}
    )


def test_a_model_folder_that_does_not_say_where_its_thresholds_are_from_is_taken_as_unknown(damaged):
    file = damaged / "segmenter.json"
    content = json.loads(file.read_text())
    assert content.pop("threshold_source") == "config"
    file.write_text(json.dumps(content))
    assert load_segmenter(damaged).spec.threshold_source == "unknown"


def test_segment_tile_may_differ_from_the_records_tile():
    config = Config(data=DataConfig(tile=256, stride=256), segment=SegmentConfig(tile=384))
    assert SegmenterSpec.from_config(config, {}).tile == 384


def test_a_trained_model_folder_names_its_records(trained, records_set):
    made = load_segmenter(trained.model).spec
    assert made.records_fingerprint == read_index(records_set.folder).fingerprint
    assert made.splits == {"train": ["A", "B", "C"], "validation": ["D", "E"], "test": ["F", "G"]}


def test_a_tile_that_the_stride_does_not_divide_is_refused_by_its_field(network):
    check_tile(network, 64, "segment.tile")
    with pytest.raises(InputError, match=r"segment\.tile must be a multiple of the network's stride 4; received 66"):
        check_tile(network, 66, "segment.tile")


@pytest.mark.parametrize("name", ["network.keras", "segmenter.json"])
def test_a_folder_that_is_no_model_folder_is_refused_by_the_file_that_lacks(damaged, name):
    (damaged / name).unlink()
    with pytest.raises(InputError, match=f"--model={damaged}: no {name} there; expected a model folder"):
        load_segmenter(damaged)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"schema_version": 1}', '{"schema_version": 1, "classes": 3}']
)
def test_a_damaged_segmenter_json_is_named(damaged, content):
    (damaged / "segmenter.json").write_text(content)
    with pytest.raises(InputError, match=r"segmenter\.json: damaged \("):
        load_segmenter(damaged)


def test_a_segmenter_json_with_a_field_too_many_is_named(damaged):
    content = json.loads((damaged / "segmenter.json").read_text())
    (damaged / "segmenter.json").write_text(json.dumps({**content, "colour": "red"}))
    with pytest.raises(InputError, match=r"segmenter\.json: damaged .*colour"):
        load_segmenter(damaged)


def test_a_folder_from_before_a_field_was_there_means_what_it_meant(damaged):
    content = json.loads((damaged / "segmenter.json").read_text())
    for name in ("flips", "skip_background", "trim", "xla", "bins", "seen_before", "calibrated_on"):
        del content[name]
    (damaged / "segmenter.json").write_text(json.dumps(content))
    spec = load_segmenter(damaged).spec
    assert (spec.flips, spec.skip_background, spec.trim, spec.xla) == (1, False, False, "auto")
    assert (spec.bins, spec.seen_before, spec.calibrated_on) == (1280, (), ())


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("flips", 3, r"segmenter\.json: segment\.flips must be 1, 4 or 8; received 3\."),
        ("window", "hamming", r"segmenter\.json: segment\.window must be one of uniform, hann, gaussian"),
        ("overlap", "half", r"segmenter\.json: damaged \(TypeError"),
    ],
)
def test_a_segmenter_json_with_a_value_that_cannot_be_is_named(damaged, field, value, message):
    content = json.loads((damaged / "segmenter.json").read_text())
    (damaged / "segmenter.json").write_text(json.dumps({**content, field: value}))
    with pytest.raises(InputError, match=message):
        load_segmenter(damaged)


def test_another_schema_version_is_named_with_ours(damaged):
    content = json.loads((damaged / "segmenter.json").read_text())
    (damaged / "segmenter.json").write_text(json.dumps({**content, "schema_version": 99}))
    with pytest.raises(InputError, match="schema version 99, but this software reads 1"):
        load_segmenter(damaged)


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_network_that_is_cut_short_is_named(damaged, keep):
    (damaged / "network.keras").write_bytes((damaged / "network.keras").read_bytes()[:keep])
    with pytest.raises(InputError, match=r"network\.keras: damaged, or no network of this software \(.+\)\.$"):
        load_segmenter(damaged)


def test_a_network_whose_bytes_are_flipped_is_named(damaged):
    content = bytearray((damaged / "network.keras").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(byte ^ 255 for byte in content[middle : middle + 2000])
    (damaged / "network.keras").write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"network\.keras: damaged"):
        load_segmenter(damaged)


def test_a_network_of_other_layers_than_ours_is_named(damaged):
    class Foreign(keras.layers.Layer):
        def call(self, x):
            return x

    image = keras.Input((None, None, 3))
    keras.Model(image, Foreign()(image)).save(damaged / "network.keras")
    with pytest.raises(InputError, match=r"network\.keras: damaged, or no network of this software"):
        load_segmenter(damaged)
