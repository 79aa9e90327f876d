"""The scale of a photograph: by its circle, by what the user knows, or by its frame; and what users are told of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import DataConfig
from records import Camera, FieldCircle, PhotographScale, ScaleRule, describe_scales

BY_FIELD = ScaleRule(None, 100.0, 50.0)
BLACK = np.zeros((90, 120, 3), np.uint8)  # its diagonal is 150


def test_a_fixed_scale_is_that_of_the_config_for_all_photographs(disc):
    rule = ScaleRule.of(DataConfig(scale=0.4))
    for photograph in (BLACK, disc(120, 150, diameter=100)):
        assert rule.measure(photograph, degrees=30) == rule.fixed() == PhotographScale(0.4, "fixed")


@pytest.mark.parametrize("diameter", [160, 400])
def test_the_circle_gets_the_configs_diameter(disc, diameter):
    scale = BY_FIELD.measure(disc(int(1.1 * diameter), int(1.4 * diameter), diameter=diameter))
    assert scale.ruler == "field of view"
    assert scale.factor * diameter == pytest.approx(100, rel=0.005)
    assert scale.circle.diameter == pytest.approx(diameter, rel=0.005)
    assert scale.warnings() == []


@given(degrees=st.floats(1, 179), camera=st.none() | st.floats(1, 179), reference=st.floats(1, 180))
def test_a_degree_has_as_many_pixels_whatever_the_angle_of_view(degrees, camera, reference):
    rule = ScaleRule(None, 100.0, reference, Camera(degrees=camera))
    circle = FieldCircle(5000, 5000, diameter=10_000, visible=1, agreement=1, deviation=0)
    scale = rule.by_circle(circle, (9999, 10_000), degrees)
    seen = camera or degrees  # the user's word counts before the file's
    assert scale.factor * 10_000 / seen == pytest.approx(100 / reference)
    assert rule.diameter / rule.degrees == pytest.approx(100 / reference)


def test_without_a_circle_the_users_scale_is_taken_or_else_the_frame():
    frame = BY_FIELD.measure(BLACK)
    assert (frame.factor, frame.ruler, frame.circle) == (pytest.approx(100 / 150), "frame", None)
    assert BY_FIELD.measure(BLACK, degrees=25).factor == pytest.approx(50 / 150)
    told = ScaleRule(None, 100.0, 50.0, Camera(scale=0.3, degrees=25)).measure(BLACK)
    assert (told.factor, told.ruler) == (0.3, "--scale")


@pytest.mark.parametrize(
    ("scale", "lines"),
    [
        (PhotographScale(0.3, "fixed"), []),
        (PhotographScale(1.2, "field of view"), []),
        (PhotographScale(1.5, "field of view"), ["enlarged 1.5 times: small lesions may not be there to be seen"]),
        (
            PhotographScale(2.0, "field of view", limited=True),
            ["too small: enlarged 2 times, which is not enough; lesions are smaller than usual"],
        ),
        (
            PhotographScale(0.5, "frame"),
            [
                "no field of view found: scaled by 0.5 as if its circle were as wide as the frame's diagonal; "
                "give --scale"
            ],
        ),
        (PhotographScale(0.25, "--scale"), ["no field of view found: scaled by 0.25 (--scale)"]),
        (
            PhotographScale(1.4, "--scale"),
            [
                "no field of view found: scaled by 1.4 (--scale)",
                "enlarged 1.4 times: small lesions may not be there to be seen",
            ],
        ),
    ],
)
def test_what_a_reader_of_the_results_must_know_is_said(scale, lines):
    assert scale.warnings() == lines


def test_few_scales_are_listed_and_many_described_by_their_range():
    assert describe_scales([0.3, 0.33334, 0.33333, 0.33333]) == "0.333 (3), 0.3 (1)"
    assert describe_scales([0.1 + 0.01 * number for number in range(11)]) == "0.1 to 0.2, median 0.15"
