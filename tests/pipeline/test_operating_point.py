"""The operating point: flags and what they refuse; a detection is a region of enough positive pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from configs import InputError
from pipeline.operating_point import OperatingPoint, parse_operating_point

CLASSES = ("HE", "MA")
DEFAULTS = (0.25, 0.75)
MODEL = OperatingPoint(DEFAULTS)


def parse(threshold: str | None = None, min_area: str | None = None, default: OperatingPoint = MODEL) -> OperatingPoint:
    return parse_operating_point(threshold=threshold, min_area=min_area, classes=CLASSES, default=default)


def test_without_flags_the_thresholds_are_the_models_and_all_regions_are_detections():
    assert parse() == OperatingPoint(DEFAULTS)
    assert parse().least_areas == (1, 1)


@pytest.mark.parametrize(
    ("text", "expected"), [("0.3", (0.3, 0.3)), ("MA=0.2,HE=0.6", (0.6, 0.2)), ("HE=.5, MA=1e-3", (0.5, 0.001))]
)
def test_thresholds_are_given_for_all_classes_or_for_each(text, expected):
    assert parse(text).thresholds == expected


@pytest.mark.parametrize("text", ["0", "1", "nan", "high", "", "HE=0.5", "HE=0.5,EX=0.5", "HE=0.5,MA=0.5,MA=0.6"])
def test_other_thresholds_are_refused(text):
    with pytest.raises(InputError, match=rf"^--threshold={text}: expected [^\n]+$"):
        parse(text)


@pytest.mark.parametrize(("text", "expected"), [("4", (4, 4)), ("MA=4,HE=20", (20, 4)), ("HE=1, MA=3", (1, 3))])
def test_least_areas_are_given_for_all_classes_or_for_each(text, expected):
    assert parse(min_area=text).least_areas == expected
    assert parse(min_area=text).thresholds == DEFAULTS


@pytest.mark.parametrize("text", ["0", "-3", "2.5", "small", "", "MA=4", "HE=4,EX=4"])
def test_other_least_areas_are_refused(text):
    with pytest.raises(InputError, match=rf"^--min_area={text}: expected [^\n]+$"):
        parse(min_area=text)


@given(st.integers(0, 2**32 - 1), st.integers(1, 24), st.integers(1, 24), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_detections_are_the_8_connected_regions_of_enough_pixels_that_scipy_finds(seed, height, width, least):
    rng = np.random.default_rng(seed)
    probabilities = rng.random((height, width, 2)).astype(np.float32)
    detected = OperatingPoint((0.6, 0.8), (least, 1)).detect(probabilities)
    assert (detected.dtype, detected.shape) == (bool, probabilities.shape)
    assert np.array_equal(detected[..., 1], probabilities[..., 1] >= np.float32(0.8))
    positive = probabilities[..., 0] >= np.float32(0.6)
    labels, number = ndimage.label(positive, np.ones((3, 3)))
    large = np.flatnonzero(np.bincount(labels.ravel(), minlength=number + 1) >= least)
    assert np.array_equal(detected[..., 0], positive & np.isin(labels, large))


def test_a_pixel_at_the_threshold_is_positive_as_its_float32_number():
    assert OperatingPoint((0.3,)).detect(np.full((1, 1, 1), 0.3, np.float32)).all()


@pytest.mark.parametrize(("factor", "expected"), [(1.0, (1, 4)), (0.5, (1, 16)), (0.3, (1, 44)), (2.0, (1, 1))])
def test_areas_at_the_networks_scale_are_converted_by_the_square_of_a_photographs_factor(factor, expected):
    point = OperatingPoint(DEFAULTS, min_areas=(0.0, 4.0))
    assert point.of_photograph(factor) == OperatingPoint(DEFAULTS, expected)
    with pytest.raises(AssertionError):
        point.least_areas  # noqa: B018


def test_areas_of_a_flag_replace_the_models_and_are_those_of_every_photograph():
    model = OperatingPoint(DEFAULTS, min_areas=(0.0, 4.0))
    assert parse(default=model) == model
    assert parse("0.3", default=model) == OperatingPoint((0.3, 0.3), min_areas=(0.0, 4.0))
    given = parse(min_area="5", default=model)
    assert given == given.of_photograph(0.25) == OperatingPoint(DEFAULTS, (5, 5))


def test_only_areas_that_drop_something_are_described():
    assert (
        OperatingPoint(DEFAULTS, min_areas=(0.0, 4.0)).describe_areas(CLASSES) == "MA 4 pixels at the network's scale"
    )
    assert OperatingPoint(DEFAULTS, (6, 1)).describe_areas(CLASSES) == "HE 6 pixels"
    assert OperatingPoint(DEFAULTS).describe_areas(CLASSES) == ""
