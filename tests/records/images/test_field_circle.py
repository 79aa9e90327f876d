"""The circle of the field of view is found on drawn and real photographs, and nothing else is taken for one."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records import find_cases, fit_field_circle, read_photograph

fractions = st.floats(0, 1)
flags = st.booleans()


@given(
    height=st.integers(200, 520),
    aspect=st.floats(1, 1.5),
    size=st.floats(0.8, 1.25),
    shift=st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1)),
    rim=st.floats(0.4, 1),
    noise=st.floats(0, 4),
    surround=st.floats(0, 12),
    marks=st.fixed_dictionaries({"notch": flags, "flare": flags, "letters": flags}),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_circle_is_measured_to_half_a_percent(disc, height, aspect, size, shift, rim, noise, surround, marks, seed):
    width, diameter = int(height * aspect), height * size  # above size 1, it is cut off above and below
    y, x = height * (0.5 + shift[0]), width * (0.5 + shift[1])
    light = {"rim": rim, "noise": noise, "surround": surround, **marks}
    circle = fit_field_circle(disc(height, width, diameter=diameter, y=y, x=x, seed=seed, **light))
    assert circle is not None and circle.is_reliable
    assert circle.diameter == pytest.approx(diameter, rel=0.005)
    assert np.hypot(circle.x - x, circle.y - y) < 0.005 * diameter


@pytest.mark.parametrize("shown", [(0.0, 0.75), (0.25, 1.0), (0.2, 0.8)])
def test_a_circle_is_measured_though_its_side_is_cut_off(disc, shown):
    diameter = 700
    whole = disc(760, 760, diameter=diameter, seed=1)
    columns = slice(*(int(760 * place) for place in shown))
    for part in (whole[:, columns], whole[columns]):
        circle = fit_field_circle(part)
        assert circle is not None and circle.is_reliable
        assert circle.diameter == pytest.approx(diameter, rel=0.005)


def test_a_resized_photograph_has_the_resized_diameter(disc):
    photograph = disc(900, 1300, diameter=1040, notch=True, flare=True)
    for factor in (0.25, 1 / 3, 0.5, 0.9, 1.7):
        resized = cv2.resize(photograph, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        circle = fit_field_circle(resized)
        assert circle is not None and circle.is_reliable
        assert circle.diameter == pytest.approx(1040 * factor, rel=0.003)


def test_stray_light_in_the_surround_does_not_count(disc):
    photograph = disc(600, 900, diameter=540, surround=25)
    photograph[:, :150] += np.linspace(30, 0, 150).astype(np.uint8)[None, :, None]
    circle = fit_field_circle(photograph)
    assert circle is not None and circle.is_reliable
    assert circle.diameter == pytest.approx(540, rel=0.005)


HEIGHT, WIDTH = 450, 600
YS, XS = np.mgrid[:HEIGHT, :WIDTH]
FROM_CENTER = np.hypot(YS - HEIGHT / 2, XS - WIDTH / 2)


def grey(values: np.ndarray | float) -> np.ndarray:
    shape = (HEIGHT, WIDTH)
    return np.repeat(np.broadcast_to(np.asarray(values), shape).astype(np.uint8)[..., None], 3, axis=2)


def text() -> np.ndarray:
    page = np.full((HEIGHT, WIDTH), 255, np.uint8)
    for line in range(10):
        place = (10, 40 * (line + 1))
        cv2.putText(page, f"Fundus photograph, line {line}", place, cv2.FONT_HERSHEY_SIMPLEX, 1, 0, 2)
    return grey(page)


def ellipse(ratio: float) -> np.ndarray:
    return grey(200 * (np.hypot((YS - HEIGHT / 2) / ratio, XS - WIDTH / 2) < 210))


NO_CIRCLES = {
    "noise": np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
    "black and white noise": grey(255 * (np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.5)),
    "text": text(),
    "white text": 255 - text(),
    **{f"checkerboard of {side}": grey(255 * ((YS // side + XS // side) % 2)) for side in (8, 50, 150)},
    "white": grey(255),
    "black": grey(0),
    "gradient": grey(XS * 255 / WIDTH),
    "gradient downwards": grey(YS * 255 / HEIGHT),
    "gradient from the middle": grey(255 - FROM_CENTER * 255 / FROM_CENTER.max()),
    "light on one half": grey(200 * (XS > WIDTH / 2)),
    **{f"ellipse {ratio}": ellipse(ratio) for ratio in (0.8, 0.9, 0.95)},
    "rectangle": grey(200 * ((abs(YS - 225) < 150) & (abs(XS - 300) < 220))),
    "square": grey(200 * ((abs(YS - 225) < 150) & (abs(XS - 300) < 150))),
    "diamond": grey(200 * (abs(YS - 225) + abs(XS - 300) < 210)),
    "optic disc": grey(100 + 140 * (FROM_CENTER < 45)),
}


@pytest.mark.parametrize("name", NO_CIRCLES)
def test_nothing_else_is_taken_for_a_field_of_view(name):
    circle = fit_field_circle(NO_CIRCLES[name])
    assert circle is None or not circle.is_reliable


def test_a_crop_without_surround_has_no_circle(disc):
    circle = fit_field_circle(disc(1000, 1000, diameter=980)[250:750, 200:800])
    assert circle is None or not circle.is_reliable


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 3), (4, 4), (5, 9), (2, 600)])
def test_an_image_of_a_few_pixels_has_none(size):
    assert fit_field_circle(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)) is None


@pytest.mark.slow
def test_the_photographs_of_idrid_have_the_diameter_of_their_camera(idrid):
    _, cases = find_cases(idrid, ("HE",), allow_missing_masks=True)
    assert len(cases) == 54
    for case in cases:
        circle = fit_field_circle(read_photograph(case.photograph, max_pixels=10**8))
        assert circle is not None and circle.is_reliable
        # Two of them show a wider circle, which the frame cuts off further.
        low, high = (3794, 3800) if case.name in ("IDRiD_04", "IDRiD_12") else (3405, 3412)
        assert low <= circle.diameter <= high, case.name
