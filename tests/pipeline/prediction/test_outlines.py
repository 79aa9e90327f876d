"""Outlines hold exactly the pixels of a lesion, in rings that geometry libraries take."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.prediction.outlines import outline, runs
from records import lesions

masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.booleans())


def rasterized(polygons, shape) -> np.ndarray:
    """Says by the even-odd rule which pixels' middles lie within all rings together: bool `[h, w]`."""
    ys, xs = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, bool)
    for ring in (ring for polygon in polygons for ring in polygon):
        for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
            if x0 == x1:  # upright: crossed by the ray to the left of every middle beyond it
                inside ^= (ys > min(y0, y1)) & (ys < max(y0, y1)) & (xs > x0)
    return inside


def shoelace(ring) -> float:
    (x, y), (next_x, next_y) = np.transpose(ring), np.transpose(ring[1:] + ring[:1])
    return float((x * next_y - next_x * y).sum() / 2)


def regions(mask: np.ndarray):
    """Each lesion alone, bool of the mask's shape, with its outline."""
    for lesion in lesions(mask):
        alone = np.zeros_like(mask)
        height, width = lesion.pixels.shape
        alone[lesion.y : lesion.y + height, lesion.x : lesion.x + width] = lesion.pixels
        yield alone, outline(lesion.pixels, lesion.x, lesion.y)


@given(masks)
def test_an_outline_holds_the_lesions_pixels_and_its_area_is_their_number(mask):
    for alone, polygons in regions(mask):
        assert np.array_equal(rasterized(polygons, mask.shape), alone)
        assert sum(shoelace(ring) for polygon in polygons for ring in polygon) == alone.sum()


@given(masks)
def test_shells_are_positive_and_holes_negative_and_within_their_shell(mask):
    for _, polygons in regions(mask):
        for shell, *holes in polygons:
            assert shoelace(shell) > 0
            filled = rasterized([[shell]], mask.shape)
            for hole in holes:
                assert shoelace(hole) < 0
                assert not (rasterized([[hole]], mask.shape) & ~filled).any()


@given(masks)
def test_rings_turn_at_every_corner_and_come_to_none_twice(mask):
    for _, polygons in regions(mask):
        for ring in (ring for polygon in polygons for ring in polygon):
            assert len({tuple(corner) for corner in ring}) == len(ring) >= 4
            for before, here, after in zip(ring, ring[1:] + ring[:1], ring[2:] + ring[:2], strict=True):
                assert (before[0] == here[0]) != (before[1] == here[1])  # along a row or a column
                assert (before[0] == here[0]) != (here[0] == after[0])  # and then along the other


@given(masks)
def test_runs_decode_to_the_lesion_down_the_columns(mask):
    for alone, polygons in regions(mask):
        counts = runs(polygons, *mask.shape)
        assert sum(counts) == mask.size
        decoded = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(mask.shape, order="F")
        assert np.array_equal(decoded, alone)


@pytest.mark.parametrize(
    ("rows", "polygons"),
    [
        (["#"], [[[[5, 3], [6, 3], [6, 4], [5, 4]]]]),
        (["#.", ".#"], [[[[5, 3], [6, 3], [6, 4], [5, 4]]], [[[6, 4], [7, 4], [7, 5], [6, 5]]]]),
        (["###", "#.#", "###"], [[[[5, 3], [8, 3], [8, 6], [5, 6]], [[6, 4], [6, 5], [7, 5], [7, 4]]]]),
    ],
    ids=["a pixel", "two that meet by a corner", "a hole"],
)
def test_by_hand(rows, polygons):
    def from_the_first_corner(ring):
        first = ring.index(min(ring))
        return ring[first:] + ring[:first]

    pixels = np.array([[letter == "#" for letter in row] for row in rows])
    found = outline(pixels, x=5, y=3)
    assert [[from_the_first_corner(ring) for ring in polygon] for polygon in found] == polygons


def test_ten_thousand_lesions_are_outlined():
    mask = np.zeros((400, 400), bool)
    mask[::4, ::4] = mask[1::4, 1::4] = True
    found = [outline(lesion.pixels, lesion.x, lesion.y) for lesion in lesions(mask)]
    assert [len(polygons) for polygons in found] == [2] * 10_000
