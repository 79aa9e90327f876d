"""Which pixels a shape covers."""

import contextlib

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_masks

from configs import InputError
from records.annotations.shapes import Bitmap, Disc, Polygons, RunLengths, ring

HEIGHT, WIDTH = 12, 15
SHAPE = (HEIGHT, WIDTH)
coordinates = st.tuples(st.floats(-3, WIDTH + 3), st.floats(-3, HEIGHT + 3))


def fill(shape) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    painted = shape.paint(mask)
    assert painted == mask.any()
    return mask


def middles() -> tuple[np.ndarray, np.ndarray]:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return xs, ys


@settings(max_examples=60)
@given(st.lists(coordinates, min_size=3, max_size=6))
def test_a_polygon_covers_the_pixels_whose_middles_it_holds_except_near_its_edges(corners):
    xs, ys = middles()
    inside, distance = np.zeros(SHAPE, bool), np.full(SHAPE, np.inf)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        crosses = (y0 <= ys) != (y1 <= ys)
        if y0 != y1:
            inside ^= crosses & (xs > x0 + (ys - y0) * (x1 - x0) / (y1 - y0))
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = np.clip(((xs - x0) * (x1 - x0) + (ys - y0) * (y1 - y0)) / (length or 1), 0, 1)
        distance = np.minimum(distance, np.hypot(xs - x0 - along * (x1 - x0), ys - y0 - along * (y1 - y0)))
    differs = fill(Polygons([[ring(corners)]])) != inside
    assert not differs[distance > 0.75].any()


@settings(max_examples=60)
@given(st.integers(0, 10), st.integers(0, 10), st.integers(1, 8), st.integers(1, 8))
def test_whole_numbers_are_exact_also_at_the_border_and_for_holes(x, y, width, height):
    def corners(left, top, right, bottom):
        return ring([[left, top], [left, bottom], [right, bottom], [right, top], [left, top]])

    xs, ys = middles()
    expected = (xs > x) & (xs < x + width) & (ys > y) & (ys < y + height)
    shell = corners(x, y, x + width, y + height)
    assert np.array_equal(fill(Polygons([[shell]])), expected)
    if width > 2 and height > 2:
        hole = corners(x + 1, y + 1, x + width - 1, y + height - 1)
        expected &= ~((xs > x + 1) & (xs < x + width - 1) & (ys > y + 1) & (ys < y + height - 1))
        assert np.array_equal(fill(Polygons([[shell, hole]])), expected)


@settings(max_examples=30)
@given(coordinates, st.floats(0, 9))
def test_a_disc_covers_the_pixels_whose_middles_it_holds(middle, radius):
    xs, ys = middles()
    expected = np.hypot(xs - middle[0], ys - middle[1]) <= radius
    near = np.isclose(np.hypot(xs - middle[0], ys - middle[1]), radius)
    assert not ((fill(Disc(*middle, radius)) != expected) & ~near).any()


@settings(max_examples=30)
@given(st.integers(-5, 17), st.integers(-5, 14))
def test_a_bitmap_is_cut_off_at_the_border(x, y):
    pixels = np.array([[1, 0, 1], [0, 1, 1]], bool)
    large = np.zeros((HEIGHT + 20, WIDTH + 20), bool)
    large[y + 10 : y + 12, x + 10 : x + 13] = pixels
    assert np.array_equal(fill(Bitmap(pixels, x, y)), large[10 : 10 + HEIGHT, 10 : 10 + WIDTH])


@pytest.mark.parametrize(
    "corners", [[], [[0, 0], [1, 1]], [[0, 0], [1, 1], [2]], [[0, 0], [1, 1], ["2", 0]], [[True, False]] * 3, 3, None]
)
def test_corners_that_are_none_are_refused(corners):
    with pytest.raises(InputError, match="three or more corners of two numbers each"):
        ring(corners)


def test_further_coordinates_are_dropped():
    assert ring([[0, 1, 9], [2, 3, 9], [4, 5, 9]]).tolist() == [[0, 1], [2, 3], [4, 5]]


@settings(max_examples=60)
@given(arrays.arrays(np.bool_, SHAPE, elements=st.booleans()))
def test_run_lengths_of_either_form_are_what_pycocotools_encodes(mask):
    encoded = coco_masks.encode(np.asfortranarray(mask.view(np.uint8)))
    text = encoded["counts"].decode()
    assert np.array_equal(fill(RunLengths([HEIGHT, WIDTH], text)), mask)
    changes = np.flatnonzero(np.diff(mask.ravel(order="F"), prepend=False, append=not mask[-1, -1]))
    counts = np.diff(changes, prepend=0).tolist()
    assert np.array_equal(fill(RunLengths([HEIGHT, WIDTH], counts)), mask)


@settings(max_examples=100)
@given(st.text("0123456789:;<=>?@ABCDEFPQRSTUV`abcdefo~é", max_size=8))
def test_damaged_compressed_runs_set_no_pixels_at_random(text):
    mask = np.zeros(SHAPE, bool)
    with contextlib.suppress(InputError):
        RunLengths([HEIGHT, WIDTH], text).paint(mask)
    assert set(np.unique(mask.view(np.uint8))) <= {0, 1}
