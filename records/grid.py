"""The tile geometry that records and tiled inference share, as pure functions of integers.

A photograph is covered by square tiles at 0, stride, 2 stride, … along each axis; the last tile is flush with the
border. An axis shorter than a tile has one tile, which extends past its end.
"""

import itertools
from collections.abc import Callable

import numpy as np

from configs import InputError


def tile_starts(length: int, tile: int, stride: int) -> list[int]:
    """Returns the first pixel of every tile along one axis, ascending.

    Args:
      length: length of the axis, pixels, at least 1.
      tile: side of a tile, pixels.
      stride: distance between tiles, pixels, 1 to `tile`, so that no pixel is left out.

    Raises:
      InputError: an argument is out of range.

    >>> tile_starts(2848, tile=512, stride=512)
    [0, 512, 1024, 1536, 2048, 2336]
    """
    if length < 1 or not 1 <= stride <= tile:
        raise InputError(f"tiles need length >= 1 and 1 <= stride <= tile; received {length=}, {tile=}, {stride=}.")
    last = max(length - tile, 0)
    return [*range(0, last, stride), last]


def tile_origins(height: int, width: int, tile: int, *, stride: int) -> list[tuple[int, int]]:
    """Returns (y, x) of every tile's first pixel, row by row: 54 tiles for 2848 x 4288 pixels, tile 512, stride 512."""
    columns = tile_starts(width, tile, stride)
    return [(y, x) for y in tile_starts(height, tile, stride) for x in columns]


def tile_cells(length: int, tile: int, stride: int) -> list[tuple[int, int]]:
    """Returns the cell of every tile along one axis: the first pixel that the tile owns, and the end of its pixels.

    Where neighbouring tiles overlap, each owns the half nearer to its centre, so that the cells cover the axis once.

    >>> tile_cells(2848, tile=512, stride=512)
    [(0, 512), (512, 1024), (1024, 1536), (1536, 2048), (2048, 2448), (2448, 2848)]
    """
    starts = tile_starts(length, tile, stride)
    borders = [(one + tile + other) // 2 for one, other in itertools.pairwise(starts)]
    return list(zip([0, *borders], [*borders, length], strict=True))


def scaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Returns (round(H * scale), round(W * scale)), at least one pixel each."""
    return max(round(height * scale), 1), max(round(width * scale), 1)


def stride_of_overlap(tile: int, overlap: float) -> int:
    """Returns the stride, pixels, at which neighbours share the fraction `overlap` (0 to below 1) of a tile's side."""
    return max(round(tile * (1 - overlap)), 1)


def window(name: str, tile: int) -> np.ndarray:
    """Returns the weights of a tile along one axis, float32 `[tile]`, all above 0; a tile has their outer product.

    "uniform": 1; "hann": sin²(π (i + ½) / T); "gaussian": exp(−½ ((i + ½ − T/2) / (T/8))²).
    """
    return WINDOWS[name](np.arange(tile) + 0.5, tile).astype(np.float32)


WINDOWS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "uniform": lambda center, tile: np.ones(tile),
    "hann": lambda center, tile: np.sin(np.pi * center / tile) ** 2,
    "gaussian": lambda center, tile: np.exp(-0.5 * ((center - tile / 2) / (tile / 8)) ** 2),
}
