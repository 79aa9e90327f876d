"""Measures of photographs: each follows what it is named after, and none depends on the photograph's size."""

import cv2
import numpy as np
import pytest

from records import MEASURES, equivalent_diameter, fit_field_circle, measure_quality
from records.synthetic import synthetic_photograph


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return synthetic_photograph(np.random.default_rng(0), 900, 1300)[0]


def quality_of(photograph: np.ndarray, *, factor: float = 0.8) -> dict[str, float]:
    return measure_quality(photograph, fit_field_circle(photograph), factor)


def test_a_photograph_has_all_measures_as_plain_numbers(photograph):
    quality = quality_of(photograph)
    assert set(quality) == set(MEASURES)
    assert all(type(value) is float and np.isfinite(value) for value in quality.values())


@pytest.mark.parametrize("picture", [np.zeros((1, 1, 3)), np.zeros((300, 5, 3)), np.full((50, 60, 3), 255)])
def test_pictures_without_a_field_of_view_or_detail_are_measured_as_well(picture):
    quality = quality_of(picture.astype(np.uint8))
    assert set(quality) == set(MEASURES)
    assert all(np.isfinite(value) for value in quality.values())
    assert quality["sharpness"] < 0.2


def test_measures_are_those_of_the_retina_at_the_models_scale_whatever_the_resolution(photograph):
    twice = cv2.resize(photograph, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    padded = cv2.copyMakeBorder(twice, 200, 100, 50, 300, cv2.BORDER_CONSTANT)
    first, second = quality_of(photograph), quality_of(padded, factor=0.4)
    for name in ("brightness", "evenness", "red_to_green", "blue_to_green", "saturation", "isotropy", "circle_visible"):
        assert second[name] == pytest.approx(first[name], rel=0.05), name
    assert second["sharpness"] == pytest.approx(first["sharpness"], rel=0.15)


def test_blur_lowers_sharpness_and_movement_isotropy(photograph):
    before = quality_of(photograph)
    blurred = quality_of(cv2.GaussianBlur(photograph, (0, 0), 4))
    line = np.zeros((21, 21), np.float32)
    line[10] = 1 / 21
    moved = quality_of(cv2.filter2D(photograph, -1, line))
    assert blurred["sharpness"] < 0.7 * before["sharpness"]
    assert moved["isotropy"] < 0.7 * before["isotropy"]
    assert blurred["isotropy"] > 0.8 * before["isotropy"]


def test_light_and_colour_are_measured_in_the_field_of_view(photograph):
    before, darker = quality_of(photograph), quality_of(photograph // 2)
    assert darker["brightness"] == pytest.approx(before["brightness"] / 2, rel=0.05)
    grey = np.repeat(photograph.max(axis=-1, keepdims=True), 3, axis=-1)
    assert quality_of(grey)["saturation"] == 0
    assert quality_of(grey)["red_to_green"] == pytest.approx(1)
    shaded = (photograph * np.linspace(0.3, 1, photograph.shape[1])[:, None]).astype(np.uint8)
    assert quality_of(shaded)["evenness"] < 0.8 * before["evenness"]
    exposed = np.minimum(photograph.astype(int) * 3, 255).astype(np.uint8)
    assert quality_of(exposed)["clipped"] > before["clipped"] + 0.2


def test_the_fraction_of_the_frame_is_that_of_the_circle(photograph):
    circle = fit_field_circle(photograph)
    ys, xs = np.mgrid[:900, :1300] + 0.5
    inside = np.hypot(xs - circle.x, ys - circle.y) <= circle.diameter / 2
    assert quality_of(photograph)["field_fraction"] == pytest.approx(inside.mean(), rel=0.05)


def test_the_equivalent_diameter_is_that_of_a_circle_of_the_area():
    assert equivalent_diameter(np.pi * 25) == pytest.approx(10)
