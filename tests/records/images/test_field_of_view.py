"""The field of view of drawn discs is found, whatever lies inside and around them."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from configs import DataConfig
from records import field_of_view, find_cases, read_labels, read_photograph

RETINA = (200, 90, 40)


def disc(height: int, width: int, *, radius: float) -> np.ndarray:
    ys, xs = np.mgrid[:height, :width]
    return np.hypot(ys - height / 2, xs - width * 0.47) <= radius


def lit(inside: np.ndarray, *, background: int = 3, seed: int = 0) -> np.ndarray:
    """Draws a field of view of brightness 200, darkened to 0.4 of that at the rim, on a noisy background."""
    depth = ndimage.distance_transform_edt(inside)
    light = 0.4 + 0.6 * np.minimum(depth / (0.4 * depth.max()), 1)
    noise = np.random.default_rng(seed).normal(0, 2, (*inside.shape, 3))
    color = np.where(inside[..., None], light[..., None] * RETINA, background)
    return np.clip(color + noise, 0, 255).astype(np.uint8)


def assert_found(photograph: np.ndarray, inside: np.ndarray, *, within: float) -> None:
    """Asserts that the field of view found differs only within so many pixels of the true outline."""
    found = field_of_view(photograph)
    assert found.shape == inside.shape and found.dtype == bool
    from_outline = np.where(inside, ndimage.distance_transform_edt(inside), ndimage.distance_transform_edt(~inside))
    wrong = found ^ inside
    assert not wrong.any() or from_outline[wrong].max() <= within


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width", "radius"),
    [
        (300, 420, 130),  # a whole disc
        (600, 900, 350),  # cut off above and below, as IDRiD's
        (1424, 2144, 840),
        (600, 600, 290),
    ],
)
def test_a_disc_is_found_to_within_a_few_pixels(height, width, radius):
    inside = disc(height, width, radius=radius)
    assert_found(lit(inside), inside, within=max(3, 0.01 * width))


def test_stray_light_in_the_background_is_outside():
    inside = disc(600, 900, radius=270)
    assert_found(lit(inside, background=25), inside, within=6)


def test_a_date_and_bright_specks_in_the_background_are_outside():
    inside = disc(600, 900, radius=270)
    photograph = lit(inside)
    cv2.putText(photograph, "2019-03-07 OD", (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2)
    photograph[550:553, 850:853] = 255
    assert_found(photograph, inside, within=6)


def test_dark_places_within_the_field_of_view_are_inside():
    inside = disc(600, 900, radius=270)
    photograph = lit(inside)
    photograph[250:340, 350:480] = 2  # a large haemorrhage
    cv2.line(photograph, (423, 300), (680, 300), (12, 8, 5), 5)  # a vessel that runs to the rim
    assert_found(photograph, inside, within=8)


def test_a_black_photograph_has_no_field_of_view():
    assert not field_of_view(np.zeros((300, 400, 3), np.uint8)).any()
    assert not field_of_view(np.full((300, 400, 3), 12, np.uint8)).any()


def test_a_photograph_that_is_bright_everywhere_is_all_inside():
    assert field_of_view(np.full((300, 400, 3), 120, np.uint8)).all()
    assert field_of_view(np.random.default_rng(0).integers(150, 256, (700, 500, 3), dtype=np.uint8)).all()


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_photograph_of_any_size_has_a_field_of_view_of_its_size(height, width, seed):
    photograph = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = field_of_view(photograph)
    assert found.shape == (height, width) and found.dtype == bool


@pytest.mark.slow
def test_lesions_of_real_photographs_lie_within_the_field_of_view(idrid):
    classes = ("MA", "HE", "EX", "SE")
    data = DataConfig(classes=classes)
    for case in find_cases(idrid, classes)[1][::9]:
        photograph = read_photograph(case.photograph, max_pixels=data.max_pixels)
        found = field_of_view(photograph)
        lesions = read_labels(case, photograph.shape[:2], data).masks.any(axis=-1)
        assert found[lesions].mean() > 0.999, case.name
        assert 0.5 < found.mean() < 0.9, case.name  # the field of view is a fifth wider than the frame is high
