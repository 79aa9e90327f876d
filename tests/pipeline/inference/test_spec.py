"""The spec of a config, and of some of its classes."""

import dataclasses

from configs import Config, DataConfig, EvaluateConfig, SegmentConfig
from pipeline.inference import SegmenterSpec
from records import Camera, ScaleRule


def test_some_classes_keep_their_colours(spec):
    made = spec(classes=("HE", "MA"), thresholds=(0.5, 0.25), colors=("ff0000", "00ff00"))
    assert made.of_classes(["MA"]).colors == ("00ff00",)


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
        "photographs": {},
        "calibrated_on": (),
        "quality": {},
        "field_diameter": None,
        "field_degrees": 50.0,
        "max_pixels": 200_000_000,
    }


def test_a_spec_scales_by_the_field_of_view_as_its_config_does():
    data = DataConfig(field_diameter=1136.0, field_degrees=45.0)
    made = SegmenterSpec.from_config(Config(data=data), {})
    assert made.rule() == ScaleRule.of(data) == ScaleRule(None, 1136.0, 45.0)


def test_what_the_user_says_of_the_camera_is_part_of_the_rule_and_replaces_a_fixed_scale(spec):
    camera = Camera(scale=0.5, degrees=30)
    assert spec(scale=None, field_diameter=100.0).rule(camera) == ScaleRule(None, 100.0, 50.0, camera)
    assert spec(scale=0.25).rule(Camera(scale=0.5)).fixed().factor == 0.5
    assert spec(scale=0.25).rule().fixed().factor == 0.25


def test_a_spec_takes_thresholds_that_it_is_given():
    config = Config(data=DataConfig(classes=("HE", "EX")), evaluate=EvaluateConfig(threshold=0.4))
    given = SegmenterSpec.from_config(config, {}, (0.25, 0.75))
    assert given.thresholds == (0.25, 0.75)
    assert given.threshold_source == "validation"
    assert dataclasses.replace(given, thresholds=(0.4, 0.4), threshold_source="config") == SegmenterSpec.from_config(
        config, {}
    )


def test_segment_tile_may_differ_from_the_records_tile():
    config = Config(data=DataConfig(tile=256, stride=256), segment=SegmentConfig(tile=384))
    assert SegmenterSpec.from_config(config, {}).tile == 384
