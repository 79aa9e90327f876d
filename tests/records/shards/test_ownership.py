"""The cells of overlapping tiles, and the owned parts of lesions, cover a photograph once."""

import collections
import itertools

import numpy as np
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from records import tile_origins, tile_starts
from records.grid import tile_cells
from records.shards.ownership import Place, own_lesions


@st.composite
def grids(draw) -> tuple[int, int, int]:
    """A length, a tile and a stride."""
    tile = draw(st.integers(1, 40))
    return draw(st.integers(1, 200)), tile, draw(st.integers(1, tile))


@given(grids())
def test_cells_cover_an_axis_once_each_within_its_tile(grid):
    length, tile, stride = grid
    cells = tile_cells(length, tile=tile, stride=stride)
    assert cells[0][0] == 0 and cells[-1][1] == length
    assert all(one[1] == other[0] for one, other in itertools.pairwise(cells))
    for (begin, end), start in zip(cells, tile_starts(length, tile, stride), strict=True):
        assert start <= begin < end <= start + tile


@given(grids())
def test_a_pixel_belongs_to_the_tile_with_the_nearest_centre(grid):
    length, tile, stride = grid
    middles = np.array(tile_starts(length, tile, stride)) + tile / 2
    for number, (begin, end) in enumerate(tile_cells(length, tile=tile, stride=stride)):
        for pixel in (begin, end - 1):
            distances = np.abs(middles - (pixel + 0.5))
            # The middle between two tiles may lie within a pixel.
            assert distances[number] <= distances.min() + 1


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    height=st.integers(8, 70),
    width=st.integers(8, 70),
    stride=st.integers(4, 16),
    density=st.floats(0.0, 0.5),
)
def test_the_parts_of_every_lesion_add_up_to_it_and_lie_in_their_boxes(seed, height, width, stride, density):
    """Against scipy.ndimage, which labels in its own way."""
    rng = np.random.default_rng(seed)
    masks = rng.random((height, width, 2)) < density
    masks[..., 1] &= rng.random() < 0.5
    places = [Place(y, x, 0) for y, x in tile_origins(height, width, 16, stride=stride)]
    owned = own_lesions(masks, places, tile=16, stride=stride)

    covered = np.zeros((height, width, 2), int)
    for part in owned:
        y, x = places[part.tile].y + part.y, places[part.tile].x + part.x
        box = masks[y : y + part.height, x : x + part.width, part.class_index]
        assert 0 <= part.y < part.y + part.height <= 16 and 0 <= part.x < part.x + part.width <= 16
        assert 1 <= part.pixels <= np.count_nonzero(box) and part.pixels <= part.lesion_pixels
        covered[y : y + part.height, x : x + part.width, part.class_index] += 1
    assert np.all(covered[masks] >= 1)
    for class_index in range(2):
        _, number = scipy.ndimage.label(masks[..., class_index], structure=np.ones((3, 3)))
        sizes = np.bincount(scipy.ndimage.label(masks[..., class_index], structure=np.ones((3, 3)))[0].ravel())[1:]
        of_class = [part for part in owned if part.class_index == class_index]
        assert sum(part.pixels for part in of_class) == masks[..., class_index].sum()
        by_size: collections.Counter[int] = collections.Counter()
        for part in of_class:
            by_size[part.lesion_pixels] += part.pixels
        assert by_size == {size: size * count for size, count in collections.Counter(sizes.tolist()).items()}
        assert number == len(sizes)


def test_a_lesion_in_the_overlap_belongs_only_to_the_nearer_tile():
    masks = np.zeros((16, 24, 1), bool)
    masks[3:5, 9:11] = True  # tiles begin at 0 and 8: the border between their cells is at 12
    places = [Place(0, 0, 4), Place(0, 8, 4)]
    assert own_lesions(masks, places, tile=16, stride=8) == [(0, 0, 3, 9, 2, 2, 4, 4)]
    masks[3:5, 11:14] = True
    parts = own_lesions(masks, places, tile=16, stride=8)
    assert parts == [(0, 0, 3, 9, 2, 3, 6, 10), (1, 0, 3, 4, 2, 2, 4, 10)]
