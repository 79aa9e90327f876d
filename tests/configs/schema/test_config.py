"""The schema: the values it refuses, its JSON form, and what its fingerprint depends on."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluateConfig,
    InputError,
    SegmentConfig,
    TrainConfig,
    UNetConfig,
)
from configs.schema import field_names, from_dict


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (DataConfig, {"classes": ()}, "data.classes must be 1 to 8 different names; received ()"),
        (DataConfig, {"classes": ("HE", "HE")}, "data.classes must be 1 to 8 different names"),
        (DataConfig, {"classes": tuple("ABCDEFGHI")}, "data.classes must be 1 to 8 different names"),
        (DataConfig, {"classes": ("a/b",)}, "data.classes must be names without spaces, commas or slashes, such as"),
        (DataConfig, {"classes": ("HE,EX",)}, "such as ('HE','EX'); received 'HE,EX'"),
        (DataConfig, {"scale": 0.0}, "data.scale must be above 0 and at most 1, or None; received 0.0"),
        (DataConfig, {"scale": 1.5}, "data.scale must be above 0 and at most 1, or None; received 1.5"),
        (
            DataConfig,
            {"scale": 0.5, "field_diameter": 1136.0},
            "data.scale is 0.5 and data.field_diameter is 1136; set one of them to None.",
        ),
        (DataConfig, {"field_diameter": 8.0}, "data.field_diameter must be at least 16, or None; received 8.0"),
        (DataConfig, {"field_degrees": 0.0}, "data.field_degrees must be above 0 and at most 180; received 0.0"),
        (DataConfig, {"tile": 8}, "data.tile must be at least 16; received 8"),
        (DataConfig, {"stride": 600}, r"data.stride must be 1 to data.tile (512); received 600"),
        (DataConfig, {"validation_fraction": 1.0}, "data.validation_fraction must be at least 0 and below 1"),
        (UNetConfig, {"width": 0}, "model.unet.width must be at least 1; received 0"),
        (UNetConfig, {"levels": 1}, "model.unet.levels must be 2 to 10; received 1"),
        (UNetConfig, {"kernel": 4}, "model.unet.kernel must be an odd number of at least 3; received 4"),
        (UNetConfig, {"normalization": "layer"}, "must be one of batch, group, none; received 'layer'"),
        (UNetConfig, {"dropout": 0.3, "levels": 5}, "model.unet.dropout must be at least 0, and below 1"),
        (UNetConfig, {"normalization": "group", "width": 12}, "model.unet.width must be a multiple of 8"),
        (AugmentConfig, {"vertical_flip": 1.1}, "augment.vertical_flip must be a probability, 0 to 1; received 1.1"),
        (AugmentConfig, {"color": -0.1}, "augment.color must be a probability, 0 to 1; received -0.1"),
        (AugmentConfig, {"rotation_degrees": 181.0}, "augment.rotation_degrees must be 0 to 180; received 181.0"),
        (AugmentConfig, {"elastic_sigma": 2.0}, "augment.elastic_sigma must be 4 to 256; received 2.0"),
        (TrainConfig, {"epochs": 0}, "train.epochs must be at least 1; received 0"),
        (TrainConfig, {"steps_per_epoch": 0}, "train.steps_per_epoch must be at least 1, or none; received 0"),
        (TrainConfig, {"optimizer": "sgdd"}, "train.optimizer must be one of adam, adamw, sgd; received 'sgdd'"),
        (TrainConfig, {"learning_rate": 0.0}, "train.learning_rate must be above 0; received 0.0"),
        (TrainConfig, {"decay_fraction": 0.0}, "train.decay_fraction must be 0.01 to 1; received 0.0"),
        (TrainConfig, {"reduce_lr_patience": 2}, "train.reduce_lr_patience must be 0 with train.schedule 'cosine'"),
        (SegmentConfig, {"overlap": 1.0}, "segment.overlap must be at least 0 and below 1; received 1.0"),
        (SegmentConfig, {"flips": 2}, "segment.flips must be 1, 4 or 8; received 2"),
        (SegmentConfig, {"xla": "yes"}, "segment.xla must be one of auto, on, off; received 'yes'"),
        (
            SegmentConfig,
            {"xla": "on", "trim": True},
            "segment.xla must be auto or off with segment.trim; received 'on'",
        ),
        (SegmentConfig, {"window": "hanning"}, "segment.window must be one of uniform, hann, gaussian"),
        (EvaluateConfig, {"threshold": 1.0}, "evaluate.threshold must be above 0 and below 1; received 1.0"),
    ],
)
def test_a_value_out_of_range_is_reported_with_the_allowed_ones(section, values, message):
    with pytest.raises(InputError) as error:
        section(**values)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_sections_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().train.epochs = 3  # type: ignore[misc]


@given(
    scale=st.floats(0.01, 1) | st.none(),
    field_diameter=st.floats(16, 5000),
    tile=st.integers(16, 4096),
    steps=st.none() | st.integers(1, 10**6),
    classes=st.lists(st.sampled_from("ABCDEFGH"), min_size=1, max_size=8, unique=True),
)
def test_a_config_is_read_back_from_its_json_as_it_was(scale, field_diameter, tile, steps, classes):
    scaling = {"field_diameter": field_diameter} if scale is None else {"scale": scale}
    config = Config(
        data=DataConfig(classes=tuple(classes), tile=tile, stride=16, **scaling),
        train=TrainConfig(steps_per_epoch=steps),
    )
    assert from_dict(json.loads(config.to_json())) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trian": {}}, "unknown field trian; the known fields are data, model, augment, train, segment, evaluate"),
        ({"train": {"epoch": 1}}, "unknown field train.epoch; the known fields are epochs"),
        ({"train": {"epochs": "many"}}, "train.epochs must be of type int; received 'many'"),
        ({"train": {"epochs": True}}, "train.epochs must be of type int; received True"),
        ({"train": 3}, "train must be a section with fields; received 3"),
        (
            {"data": {"classes": ["MA", "HE"]}, "train": {"class_sampling": [1.0]}},
            "train.class_sampling must be one number for each of data.classes (MA, HE), or empty; received (1.0,)",
        ),
        ({"train": {"class_sampling": [0.0]}}, "train.class_sampling must be numbers above 0"),
        ({"data": {"classes": [1, 2]}}, "data.classes must be of type"),
        ({"data": {"scale": float("nan")}}, "data.scale must be of type float | None; received nan"),
    ],
)
def test_an_unknown_field_or_wrong_type_is_reported(values, message):
    with pytest.raises(InputError) as error:
        from_dict(values)
    assert message in str(error.value)


def test_the_fingerprint_depends_only_on_the_named_sections():
    config = Config()
    other = dataclasses.replace(config, train=TrainConfig(epochs=7))
    assert config.fingerprint("data") == other.fingerprint("data")
    assert config.fingerprint("train") != other.fingerprint("train")
    assert config.fingerprint() != other.fingerprint()
    assert len(config.fingerprint()) == 16


def test_the_fingerprint_is_the_same_on_every_machine():
    assert Config().fingerprint("evaluate") == "5c5794322ea07601"


def test_fields_that_version_0_1_did_not_have_leave_its_fingerprints_as_they_were():
    assert Config().fingerprint() == "4622a80c6f84623b"
    assert Config().fingerprint("data") == "7fc1e4c2723c9bac"
    data = DataConfig(classes=("HE", "EX"), scale=0.5, tile=256, stride=128)
    assert Config(data=data).fingerprint("data") == "7dbcf6ccc8c1e7db"


def test_scaling_by_the_field_of_view_changes_the_fingerprint():
    fields = (
        {},
        {"field_diameter": 1136.0},
        {"field_diameter": 1137.0},
        {"field_diameter": 1136.0, "field_degrees": 45.0},
    )
    assert len({Config(data=DataConfig(**given)).fingerprint("data") for given in fields}) == 4


def test_without_a_scale_and_a_field_diameter_photographs_keep_their_size():
    assert DataConfig().scale == 1
    assert DataConfig(field_diameter=1136.0).scale is None


def test_an_int_in_place_of_a_float_has_the_same_fingerprint():
    assert from_dict({"data": {"scale": 1}}).fingerprint() == from_dict({"data": {"scale": 1.0}}).fingerprint()


def test_field_names_are_dotted_and_complete():
    names = field_names()
    assert {"data.classes", "train.steps_per_epoch", "model.network", "model.unet.levels", "segment.tile"} <= set(names)
    assert "model.unet" not in names
