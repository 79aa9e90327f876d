"""Shifts of the camera: deterministic, black stays black, and each changes what its name says."""

import cv2
import numpy as np
import pytest

from scripts.benchmarks import camera_shifts as shifts
from scripts.benchmarks.camera_shifts import FIELD_SHIFTS, SHIFTS, UNSHIFTED, find_field, shift_camera

HEIGHT, WIDTH, RADIUS = 180, 240, 100
DISTANCE = np.hypot(*np.mgrid[-HEIGHT / 2 + 0.5 : HEIGHT / 2, -WIDTH / 2 + 0.5 : WIDTH / 2])
INSIDE, OUTSIDE = DISTANCE < RADIUS - 4, DISTANCE > RADIUS + 4


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """A field of view with some texture, cut off above and below, in a surround that is not quite black."""
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.uniform(-20, 20, (9, 12, 1)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    texture = smooth[..., None] + rng.uniform(-6, 6, (HEIGHT, WIDTH, 3))
    pixels = np.where((DISTANCE < RADIUS)[..., None], np.array([160, 85, 40]) + texture, 3)
    return np.rint(pixels).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def copies(photograph) -> dict[str, np.ndarray]:
    field = find_field(photograph)
    return {name: shift_camera(photograph, name, case="EYE7", field=field) for name in SHIFTS}


def test_the_field_of_view_is_the_circle_even_where_the_frame_cuts_it_off(photograph):
    field = find_field(photograph)
    assert field.diameter == pytest.approx(2 * RADIUS, rel=0.03)
    assert (field.y, field.x) == pytest.approx(((HEIGHT - 1) / 2, (WIDTH - 1) / 2), abs=2)
    assert (field.weight[INSIDE] == 1).all()
    assert (field.weight[OUTSIDE] == 0).all()


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_gives_the_same_pixels_each_time_and_leaves_its_argument_alone(photograph, copies, name):
    before = photograph.copy()
    again = shift_camera(photograph, name, case="EYE7", field=find_field(photograph))
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again, copies[name])
    np.testing.assert_array_equal(photograph, before)


@pytest.mark.parametrize("name", SHIFTS)
def test_the_field_changes_and_the_surround_stays_dark(photograph, copies, name):
    changed = np.abs(copies[name].astype(int) - photograph)
    assert (changed[INSIDE].mean() > 0.3) == (name != UNSHIFTED)
    if name in FIELD_SHIFTS or name == UNSHIFTED:
        assert (changed[OUTSIDE] <= 0).all()
    else:
        assert copies[name][OUTSIDE].mean() < 8


def test_noise_is_of_the_case_and_of_the_strength_that_is_documented(photograph, copies):
    other = shift_camera(photograph, "noise", case="EYE8", field=find_field(photograph))
    noise = copies["noise"][INSIDE].astype(float) - photograph[INSIDE]
    assert noise.std() == pytest.approx(shifts.NOISE, rel=0.05)
    assert abs(noise.mean()) < 0.3
    assert abs(np.corrcoef(noise.ravel(), (other[INSIDE].astype(float) - photograph[INSIDE]).ravel())[0, 1]) < 0.05


def test_noise_of_a_larger_photograph_has_the_grain_of_a_small_camera():
    grey = np.full((300, 3000, 3), 128, np.uint8)
    noise = shift_camera(grey, "noise", case="EYE7", field=find_field(grey)).astype(float) - 128
    assert noise.std() == pytest.approx(shifts.NOISE, rel=0.05)
    assert cv2.resize(noise, None, fx=1 / 2, fy=1 / 2, interpolation=cv2.INTER_AREA).std() > 0.9 * shifts.NOISE


@pytest.mark.parametrize("name", ["warm", "cool"])
def test_white_balance_multiplies_the_channels(photograph, copies, name):
    gains = np.array({"warm": shifts.WARM, "cool": shifts.COOL}[name])
    np.testing.assert_allclose(copies[name][INSIDE], photograph[INSIDE] * gains, atol=0.51)


@pytest.mark.parametrize("name", ["darker", "brighter"])
def test_gamma_is_a_power(photograph, copies, name):
    exponent = {"darker": shifts.DARKER, "brighter": shifts.BRIGHTER}[name]
    np.testing.assert_allclose(copies[name][INSIDE], 255 * (photograph[INSIDE] / 255) ** exponent, atol=0.51)


@pytest.mark.parametrize("name", ["less saturated", "more saturated"])
def test_saturation_spreads_colours_about_the_grey_of_opencvs_luma(photograph, copies, name):
    factor = {"less saturated": shifts.LESS_SATURATED, "more saturated": shifts.MORE_SATURATED}[name]
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)[..., None].astype(float)
    expected = np.clip(grey + factor * (photograph - grey), 0, 255)
    np.testing.assert_allclose(copies[name][INSIDE], expected[INSIDE], atol=1.1)


def test_haze_takes_contrast_in_proportion(photograph, copies):
    spread = copies["haze"][INSIDE].std(axis=0) / photograph[INSIDE].std(axis=0)
    np.testing.assert_allclose(spread, 1 - shifts.HAZE, rtol=0.05)
    assert (copies["haze"][INSIDE].mean(axis=0) > photograph[INSIDE].mean(axis=0) - 1).all()


def test_a_vignette_leaves_the_centre_and_takes_its_fraction_at_the_rim(photograph, copies):
    left = copies["vignette"].sum(axis=-1) / np.maximum(photograph.sum(axis=-1), 1)
    assert left[DISTANCE < 8].mean() == pytest.approx(1, abs=0.02)
    ring = (DISTANCE > RADIUS - 8) & INSIDE
    assert left[ring].mean() == pytest.approx(1 - shifts.VIGNETTE * 0.94**2, abs=0.04)


def test_sharpening_raises_contrast_and_keeps_the_mean(photograph, copies):
    detail = {name: cv2.Laplacian(copies[name], cv2.CV_64F)[DISTANCE < RADIUS - 12] for name in SHIFTS}
    assert detail["sharpened"].std() > 1.1 * detail[UNSHIFTED].std()
    difference = copies["sharpened"][INSIDE].mean(axis=0) - photograph[INSIDE].mean(axis=0)
    np.testing.assert_allclose(difference, 0, atol=1.5)


def test_without_a_field_of_view_the_whole_frame_is_shifted():
    black = np.zeros((20, 30, 3), np.uint8)
    hazy = shift_camera(black, "haze", case="EYE7", field=find_field(black))
    np.testing.assert_allclose(hazy, np.broadcast_to(shifts.HAZE * np.array(shifts.VEIL), hazy.shape), atol=0.51)
