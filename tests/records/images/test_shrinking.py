"""Photographs and masks at a smaller scale, against averages over exact areas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from records.images.imaging import (
    rescale_mask,
    rescale_photograph,
)


def overlaps(length: int, shrunk: int) -> np.ndarray:
    """Returns float64 `[shrunk, length]`: the fraction of each shrunk pixel that each pixel of an axis makes up."""
    edges = np.arange(shrunk + 1) * (length / shrunk)
    pixels = np.arange(length)
    common = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(common, 0, None) * shrunk / length


def area_averages(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns float64 `[height, width, …]`: the mean of `[H, W, …]` over the area of each shrunk pixel."""
    rows, columns = overlaps(image.shape[0], height), overlaps(image.shape[1], width)
    return np.einsum("yr,rc...,xc->yx...", rows, image.astype(float), columns)


sizes = st.integers(1, 60)


scales = st.floats(0.02, 1) | st.sampled_from([1 / 2, 1 / 3, 1 / 4, 2 / 3])


@given(height=sizes, width=sizes, scale=scales, seed=st.integers(0, 99))
def test_a_shrunk_photograph_is_the_average_over_areas(height, width, scale, seed):
    photograph = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    shrunk = rescale_photograph(photograph, scale)
    assert shrunk.dtype == np.uint8
    assert shrunk.shape == (max(round(height * scale), 1), max(round(width * scale), 1), 3)
    assert np.abs(shrunk - area_averages(photograph, *shrunk.shape[:2])).max() <= 1


@given(height=sizes, width=sizes, seed=st.integers(0, 99))
def test_scale_one_changes_nothing(height, width, seed):
    photograph = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    np.testing.assert_array_equal(rescale_photograph(photograph, 1.0), photograph)
    mask = photograph[..., 0] > 200
    np.testing.assert_array_equal(rescale_mask(mask, 1.0), mask)


def lesions_of(mask: np.ndarray) -> list[np.ndarray]:
    """Returns each 8-connected lesion as bool `[H, W]`."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    return [labels == label for label in range(1, count + 1)]


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """Masks of single pixels and of larger pieces, from none to nearly full."""
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    noise = ndimage.uniform_filter(rng.random((draw(sizes), draw(sizes))), draw(st.sampled_from([1, 2, 3, 5])))
    return noise <= np.quantile(noise, draw(st.sampled_from([0.01, 0.05, 0.2, 0.5, 0.9])))


@pytest.mark.slow
@given(mask=masks(), scale=scales)
def test_a_shrunk_mask_is_lesion_where_at_least_half_of_the_area_is(mask, scale):
    shrunk = rescale_mask(mask, scale)
    fraction = area_averages(mask, *shrunk.shape)
    assert shrunk.dtype == bool
    assert shrunk[fraction > 0.5 + 1e-5].all()
    kept = shrunk & (fraction < 0.5 - 1e-5)  # the one pixel of each lesion that would vanish
    fractions = [area_averages(lesion, *shrunk.shape) for lesion in lesions_of(mask)]
    small = [own for own in fractions if own.max() < 0.5]
    assert kept.sum() <= len(small)
    assert not kept[~np.any([own > 0 for own in small], axis=0)].any()


@pytest.mark.slow
@given(mask=masks(), scale=scales)
def test_no_lesion_vanishes(mask, scale):
    shrunk = rescale_mask(mask, scale)
    for lesion in lesions_of(mask):
        assert shrunk[area_averages(lesion, *shrunk.shape) > 0].any()


def test_exactly_half_of_the_area_is_enough():
    mask = np.zeros((8, 8), bool)
    mask[2:4, 2] = True  # two of the four pixels of one
    expected = np.zeros((4, 4), bool)
    expected[1, 1] = True
    np.testing.assert_array_equal(rescale_mask(mask, 0.5), expected)
    assert rescale_mask(np.indices((8, 8)).sum(axis=0) % 2 == 0, 0.5).all()  # a chessboard


@given(
    height=sizes,
    width=sizes,
    corner=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    side=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    scale=scales,
)
def test_a_lesion_that_would_vanish_keeps_the_pixel_that_covers_most_of_it(height, width, corner, side, scale):
    mask = np.zeros((height, width), bool)
    y, x = (int(place * (length - 1)) for place, length in zip(corner, mask.shape, strict=True))
    mask[y : y + side[0], x : x + side[1]] = True
    shrunk = rescale_mask(mask, scale)
    fraction = area_averages(mask, *shrunk.shape)
    if fraction.max() < 0.5 - 1e-5:
        assert shrunk.sum() == 1
        assert fraction[shrunk] > fraction.max() - 1e-5


def test_small_neighbouring_lesions_keep_a_pixel_each():
    mask = np.zeros((16, 16), bool)
    mask[5, 2:4] = True  # two pixels in one sixteen, four in the next
    mask[5:7, 4:6] = True
    mask[12, 12] = True
    np.testing.assert_array_equal(np.argwhere(rescale_mask(mask, 0.25)), [[1, 1], [3, 3]])
