"""The spec of a config, and of some of its classes."""

import dataclasses
import re

from configs import Config, DataConfig, EvaluateConfig, SegmentConfig
from pipeline.inference import SegmenterSpec
from pipeline.operating_point import OperatingPoint
from records import Camera, PhotographIdentity, ScaleRule, anonymous


def test_some_classes_keep_their_colours(spec):
    made = spec(classes=("HE", "MA"), thresholds=(0.5, 0.25), colors=("ff0000", "00ff00"))
    assert made.of_classes(["MA"]).colors == ("00ff00",)


def test_some_classes_keep_their_thresholds_and_least_areas(spec):
    made = spec(classes=("HE", "MA"), thresholds=(0.5, 0.25), min_areas=(0.0, 4.0))
    assert made.of_classes(["MA"]).operating_point == OperatingPoint((0.25,), min_areas=(4.0,))
    assert spec(classes=("HE", "MA")).of_classes(["MA"]).min_areas == ()


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
        "min_areas": (),
        "members": (),
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


def test_an_anonymous_spec_has_no_name_and_its_order_tells_none(spec):
    names = [f"IDRiD_{number:02}" for number in range(1, 30)]
    known = [PhotographIdentity(name, f"sha of {name}", "0f" * 32) for name in names]
    plain = spec(
        splits={"train": names}, seen_before=("EYE7",), calibrated_on=tuple(names), photographs={"train": tuple(known)}
    )
    hidden = plain.anonymized("0" * 16)
    assert not re.search("IDRiD|EYE7|sha of|0f0f", repr(hidden))
    assert hidden.splits["train"] == sorted(hidden.splits["train"])
    assert hidden.splits["train"] != plain.recognizing(()).splits["train"]
    assert len(set(hidden.splits["train"])) == len(hidden.photographs["train"]) == 29
    assert hidden.anonymized("1" * 16) == hidden
    assert dataclasses.replace(hidden, splits={}, seen_before=(), calibrated_on=(), photographs={}) == spec()


def test_names_and_files_at_hand_are_recognised_and_others_stay_digests(spec):
    hidden = spec(
        splits={"train": ["A", "B"]}, photographs={"train": (PhotographIdentity("A", "sha of A", "0f"),)}
    ).anonymized("0" * 16)
    known = hidden.recognizing(["A", "C"], ["sha of A"])
    assert [name for name in known.splits["train"] if not name.startswith("anonymous-")] == ["A"]
    assert known.photographs["train"] == (PhotographIdentity("A", "sha of A", ""),)
    assert spec(splits={"train": ["A"]}).recognizing(["A"]) == spec(splits={"train": ["A"]})


def test_what_is_made_of_an_anonymous_model_stays_anonymous(spec):
    before = spec(splits={"train": ["A"]}).anonymized("0" * 16)
    calibrated = dataclasses.replace(before, calibrated_on=("K",)).as_anonymous_as(before)
    assert calibrated.calibrated_on == (anonymous("K", "0" * 16),)
    named = dataclasses.replace(spec(splits={"train": ["B"]}), seen_before=tuple(before.splits["train"]))
    assert named.as_anonymous_as(named) == named  # its own photographs have names
