"""Tile grids cover axes of all sizes, and windows equal SciPy's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from configs import InputError
from records.grid import WINDOWS, scaled_size, stride_of_overlap, tile_origins, tile_starts, window

tiles_and_strides = st.integers(1, 700).flatmap(lambda tile: st.tuples(st.just(tile), st.integers(1, tile)))


@given(length=st.integers(1, 3000), tile_and_stride=tiles_and_strides)
def test_every_pixel_is_covered(length, tile_and_stride):
    tile, stride = tile_and_stride
    covered = np.zeros(length, bool)
    for start in tile_starts(length, tile, stride):
        covered[start : start + tile] = True
    assert covered.all()


@given(length=st.integers(1, 3000), tile_and_stride=tiles_and_strides)
def test_the_first_tile_is_at_zero_and_the_last_is_flush_with_the_border(length, tile_and_stride):
    tile, stride = tile_and_stride
    starts = tile_starts(length, tile, stride)
    assert starts[0] == 0
    assert starts[-1] == (length - tile if length > tile else 0)


@given(length=st.integers(1, 3000), tile_and_stride=tiles_and_strides)
def test_tiles_are_one_stride_apart_except_the_last_which_may_be_closer(length, tile_and_stride):
    tile, stride = tile_and_stride
    steps = np.diff(tile_starts(length, tile, stride))
    assert (steps > 0).all()  # ascending, so none twice
    assert (steps[:-1] == stride).all() and (steps <= stride).all()


@given(length=st.integers(1, 3000), tile_and_stride=tiles_and_strides)
def test_there_are_no_more_tiles_than_needed(length, tile_and_stride):
    tile, stride = tile_and_stride
    fewest = 1 + math.ceil(max(length - tile, 0) / stride)
    assert len(tile_starts(length, tile, stride)) == fewest


@given(tile=st.integers(1, 700), shorter=st.floats(0, 1))
def test_an_axis_no_longer_than_a_tile_has_one(tile, shorter):
    assert tile_starts(max(round(tile * shorter), 1), tile, 1) == [0]


@pytest.mark.parametrize(("stride", "rows", "columns"), [(512, 6, 9), (256, 11, 16)])
def test_a_photograph_of_idrid_has_54_tiles_side_by_side_and_176_at_half_the_stride(stride, rows, columns):
    origins = tile_origins(2848, 4288, 512, stride=stride)
    assert len(origins) == rows * columns
    assert origins[-1] == (2848 - 512, 4288 - 512)
    assert len({y for y, _ in origins}) == rows and len({x for _, x in origins}) == columns


@given(height=st.integers(1, 60), width=st.integers(1, 60), tile=st.integers(1, 70), stride=st.integers(1, 70))
def test_the_grid_covers_a_photograph_of_any_shape_row_by_row(height, width, tile, stride):
    origins = tile_origins(height, width, tile, stride=min(stride, tile))
    covered = np.zeros((height, width), bool)
    for y, x in origins:
        covered[y : y + tile, x : x + tile] = True
    assert covered.all()
    assert origins == sorted(set(origins))


@pytest.mark.parametrize(
    ("length", "tile", "stride"), [(100, 32, 0), (100, 32, -8), (100, 32, 33), (0, 32, 32), (100, 0, 0)]
)
def test_a_grid_that_leaves_pixels_out_is_refused_with_its_numbers(length, tile, stride):
    with pytest.raises(InputError, match=rf"length={length}, tile={tile}, stride={stride}"):
        tile_starts(length, tile, stride)
    with pytest.raises(InputError, match=r"1 <= stride <= tile"):
        tile_origins(length, 100, tile, stride=stride)


@pytest.mark.parametrize(
    ("height", "width", "scale", "size"),
    [
        (2848, 4288, 1.0, (2848, 4288)),
        (2848, 4288, 1 / 3, (949, 1429)),
        (2848, 4288, 0.5, (1424, 2144)),
        (7, 3, 0.01, (1, 1)),
    ],
)
def test_the_scaled_size_is_rounded_and_never_zero(height, width, scale, size):
    assert scaled_size(height, width, scale) == size


@pytest.mark.parametrize(
    ("tile", "overlap", "stride"), [(512, 0, 512), (512, 0.25, 384), (512, 0.5, 256), (16, 0.999, 1), (384, 1 / 3, 256)]
)
def test_tiles_at_the_stride_of_an_overlap_share_it(tile, overlap, stride):
    assert stride_of_overlap(tile, overlap) == stride


@given(tile=st.integers(1, 4096), overlap=st.floats(0, 1, exclude_max=True), length=st.integers(1, 5000))
def test_every_overlap_below_one_gives_a_grid(tile, overlap, length):
    starts = tile_starts(length, tile, stride_of_overlap(tile, overlap))
    assert starts[-1] + tile >= length


@pytest.mark.parametrize("tile", [16, 17, 384, 512, 4096])
def test_windows_are_those_of_scipy(tile):
    reference = {
        "uniform": signal.windows.boxcar(tile),
        "hann": signal.windows.cosine(tile) ** 2,
        "gaussian": signal.windows.gaussian(tile, std=tile / 8),
    }
    assert set(WINDOWS) == set(reference)
    for name, expected in reference.items():
        weights = window(name, tile)
        assert weights.dtype == np.float32 and weights.shape == (tile,)
        np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", sorted(WINDOWS))
@given(tile=st.integers(1, 4096))
def test_windows_are_symmetric_and_above_zero(name, tile):
    weights = window(name, tile)
    assert (weights > 0).all()
    np.testing.assert_allclose(weights, weights[::-1], rtol=1e-4)


@given(half=st.integers(1, 2048))
def test_hann_windows_at_half_a_tile_add_up_to_one(half):
    weights = window("hann", 2 * half)
    np.testing.assert_allclose(weights[:half] + weights[half:], 1, atol=1e-6)
