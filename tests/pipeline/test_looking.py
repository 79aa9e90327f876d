"""The tiles that a person looks at, and what a look costs."""

import numpy as np
import pytest

from pipeline.looking import DETECTION, OPENING, TILE, TILES_ALONG, TileGrid, looking_seconds, per_minute


@pytest.mark.parametrize("size", [(2848, 4288), (4288, 2848), (1, 1), (5, 300), (100, 100), (31, 7)])
def test_tiles_cover_every_pixel_once_and_are_about_square(size):
    grid = TileGrid.of_photograph(*size)
    seen = np.zeros(size, int)
    for y, x, height, width in grid.boxes():
        assert height >= 1 and width >= 1
        seen[y : y + height, x : x + width] += 1
    assert (seen == 1).all()
    assert max(grid.rows, grid.columns) == min(TILES_ALONG, max(size))
    if min(size) > 100:
        assert all(0.8 < height / width < 1.25 for _, _, height, width in grid.boxes())


def test_sums_over_tiles_are_those_of_numpy():
    rng = np.random.default_rng(0)
    plane, mask = rng.random((53, 71), np.float32), rng.random((53, 71)) < 0.3
    grid = TileGrid.of_photograph(53, 71)
    parts = [(slice(y, y + height), slice(x, x + width)) for y, x, height, width in grid.boxes()]
    np.testing.assert_allclose(grid.sums(plane), [plane[part].sum(dtype=np.float64) for part in parts], rtol=1e-6)
    expected = [mask[part].sum() for part in parts]
    assert grid.sums(mask).tolist() == grid.sums_at(*np.nonzero(mask)).tolist() == expected
    weighted = grid.sums_at(*np.nonzero(mask), plane[mask])
    np.testing.assert_allclose(weighted, [plane[part][mask[part]].sum() for part in parts], rtol=1e-5)


def test_a_grid_at_another_size_has_the_same_tiles():
    grid = TileGrid.of_photograph(2848, 4288)
    small = grid.resized(948, 1427)
    assert len(small.boxes()) == len(grid.boxes()) == grid.rows * grid.columns
    for (y, x, *_), (small_y, small_x, *_) in zip(grid.boxes(), small.boxes(), strict=True):
        assert abs(small_y - y * 948 / 2848) < 1 and abs(small_x - x * 1427 / 4288) < 1


def test_a_photograph_costs_less_than_its_tiles_one_by_one():
    assert looking_seconds(3) == OPENING + TILE + 3 * DETECTION
    assert looking_seconds(6, tiles=2) == 2 * looking_seconds(3) - OPENING
    assert per_minute(100, looking_seconds(0)) == pytest.approx(100 / (OPENING + TILE) * 60)
