"""Ownership of lesion pixels: which tile a pixel belongs to where tiles overlap, so that all pixels are drawn alike.

Each tile owns the pixels of its cell (`records.grid.tile_cells`); the cells cover a photograph once.
"""

from typing import NamedTuple

import numpy as np

from records.grid import tile_cells, tile_starts
from records.images import lesions


class Place(NamedTuple):
    """The first row and column of a tile in the scaled photograph, and its number of lesion pixels of any class."""

    y: int
    x: int
    lesion_pixels: int


class OwnedLesion(NamedTuple):
    """The part of a lesion (8-connected, of one class) that a tile owns.

    Attributes:
      tile: number of the tile among those of its case.
      class_index: index of the class.
      y: first row of a box around the owned part, in the tile.
      x: first column of that box, in the tile.
      height: height of that box, pixels.
      width: width of that box, pixels.
      pixels: number of pixels of the owned part.
      lesion_pixels: number of pixels of the whole lesion.
    """

    tile: int
    class_index: int
    y: int
    x: int
    height: int
    width: int
    pixels: int
    lesion_pixels: int


def own_lesions(masks: np.ndarray, places: list[Place], *, tile: int, stride: int) -> list[OwnedLesion]:
    """Divides all lesions among the tiles that own their pixels.

    Args:
      masks: bool `[H, W, C]` of the scaled photograph.
      places: places of the tiles that are kept: all that show a lesion pixel, and possibly others.
      tile: side of a tile, pixels.
      stride: distance between tiles, pixels.

    Returns:
      The owned parts, ordered by class, lesion and tile; the parts of a lesion add up to the whole.
    """
    height, width, classes = masks.shape
    rows = dict(zip(tile_starts(height, tile, stride), tile_cells(height, tile, stride), strict=True))
    columns = dict(zip(tile_starts(width, tile, stride), tile_cells(width, tile, stride), strict=True))
    owned = []
    for class_index in range(classes):
        for lesion in lesions(masks[..., class_index]):
            total = int(np.count_nonzero(lesion.pixels))
            end_y, end_x = lesion.y + lesion.pixels.shape[0], lesion.x + lesion.pixels.shape[1]
            for number, (y, x, _) in enumerate(places):
                top, bottom = max(rows[y][0], lesion.y), min(rows[y][1], end_y)
                left, right = max(columns[x][0], lesion.x), min(columns[x][1], end_x)
                if top >= bottom or left >= right:
                    continue
                part = lesion.pixels[top - lesion.y : bottom - lesion.y, left - lesion.x : right - lesion.x]
                if pixels := int(np.count_nonzero(part)):
                    box = (top - y, left - x, bottom - top, right - left)
                    owned.append(OwnedLesion(number, class_index, *box, pixels, total))
    return owned
