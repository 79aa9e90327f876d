"""Landmarks: the centre of the field of view, the optic disc, and quadrants."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference import MeasuredPhotograph
from pipeline.prediction.landmarks import DISC, QUADRANTS, Landmarks, equivalent_diameter, find_landmarks
from records import FieldCircle, PhotographScale

RELIABLE = FieldCircle(x=40.5, y=20.5, diameter=60, visible=0.9, agreement=0.9, deviation=0.001)
UNRELIABLE = FieldCircle(x=40.5, y=20.5, diameter=60, visible=0.05, agreement=0.9, deviation=0.001)


def find(visible: np.ndarray, circle: FieldCircle | None = None, **found) -> Landmarks:
    measured = MeasuredPhotograph(
        np.zeros((*visible.shape, 3), np.uint8), PhotographScale(0.5, "field of view", circle)
    )
    return find_landmarks(
        measured, visible, **{"classes": (), "detected": np.zeros((*visible.shape, 0), bool), **found}
    )


def test_the_centre_is_that_of_a_reliable_circle_or_else_the_mean_of_the_field_of_view():
    visible = np.zeros((50, 90), bool)
    visible[10:21, 30:61] = True
    assert find(visible, RELIABLE).center == (40, 20)
    for circle in (None, UNRELIABLE):
        assert find(visible, circle).center == (45, 15)


def test_without_a_field_of_view_there_is_no_centre_and_no_quadrant():
    landmarks = find(np.zeros((5, 7), bool))
    assert landmarks.center is None
    assert landmarks.quadrant(1, 1) is None


@given(st.floats(-90, 90), st.floats(-90, 90))
def test_quadrants_are_those_of_the_picture_about_the_centre(right, down):
    landmarks = Landmarks((100.0, 50.0), None)
    rows = ("upper", "lower")[down >= 0], ("left", "right")[right >= 0]
    assert landmarks.quadrant(100 + right, 50 + down) in QUADRANTS
    if min(abs(right), abs(down)) > 1e-9:
        assert landmarks.quadrant(100 + right, 50 + down) == "_".join(rows)


@pytest.mark.parametrize("seed", range(4))
def test_the_disc_is_the_largest_region_of_its_class_with_scipys_centre_and_a_circle_of_its_area(seed):
    detected = np.random.default_rng(seed).random((40, 60, 2)) < 0.3
    labels, number = scipy.ndimage.label(detected[..., 1], np.ones((3, 3)))
    sizes = scipy.ndimage.sum(labels > 0, labels, range(1, number + 1))
    y, x = scipy.ndimage.center_of_mass(labels == 1 + int(np.argmax(sizes)))
    disc = find(np.ones((40, 60), bool), classes=("HE", DISC), detected=detected).disc
    assert disc.center == pytest.approx((x, y))
    assert np.pi * (disc.diameter / 2) ** 2 == pytest.approx(max(sizes))


def test_without_its_class_or_without_a_detection_there_is_no_disc():
    detected = np.ones((4, 4, 1), bool)
    assert find(np.ones((4, 4), bool), classes=("HE",), detected=detected).disc is None
    assert find(np.ones((4, 4), bool), classes=(DISC,), detected=~detected).disc is None


def test_the_equivalent_diameter_of_a_large_circle_is_its_diameter():
    ys, xs = np.mgrid[-150:151, -150:151]
    assert equivalent_diameter(np.count_nonzero(np.hypot(ys, xs) <= 120.5)) == pytest.approx(241, abs=0.2)
