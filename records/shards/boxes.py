"""Boxes around what a model mistook for lesions, in the scaled photograph and in the tiles that own their centres."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from records.cases import Case, read_hard_negatives
from records.grid import scaled_size, tile_cells, tile_starts
from records.shards.ownership import Place


class ScaledBox(NamedTuple):
    """A box in the scaled photograph: first row and column, height and width, pixels; all within it."""

    class_index: int
    y: int
    x: int
    height: int
    width: int


class OwnedBox(NamedTuple):
    """The part of a box around a mistake that lies in the cell of the tile that owns its centre.

    Attributes:
      tile: number of the tile among those of its case.
      class_index: index of the class that was mistaken.
      y: first row of the part, in the tile.
      x: first column, in the tile.
      height: height, pixels.
      width: width, pixels.
    """

    tile: int
    class_index: int
    y: int
    x: int
    height: int
    width: int


def scaled_boxes(case: Case, classes: tuple[str, ...], size: tuple[int, int], *, scale: float) -> list[ScaledBox]:
    """Reads the hard negatives of a case, those of the given classes, and scales their boxes with the photograph.

    Args:
      case: the case.
      classes: names of the classes.
      size: (H, W) of the photograph.
      scale: factor by which it is scaled.

    Raises:
      InputError: the file cannot be read, or a box lies outside the photograph.
    """
    if case.hard_negatives is None:
        return []
    scaled = scaled_size(*size, scale)
    boxes = []
    for found in read_hard_negatives(case.hard_negatives, classes, size=size):
        y, height = _scaled(found.y, found.height, scaled[0] / size[0], limit=scaled[0])
        x, width = _scaled(found.x, found.width, scaled[1] / size[1], limit=scaled[1])
        boxes.append(ScaledBox(classes.index(found.name), y, x, height=height, width=width))
    return boxes


def owner_of_box(box: ScaledBox, size: tuple[int, int], *, tile: int, stride: int) -> tuple[int, int]:
    """Returns the first row and column of the tile whose cell holds the centre of a box.

    Args:
      box: the box.
      size: (h, w) of the scaled photograph.
      tile: side of a tile, pixels.
      stride: distance between tiles, pixels.
    """
    y, x = (
        tile_starts(length, tile, stride)[_cell_of(center, length, tile, stride=stride)]
        for center, length in zip(_center(box), size, strict=True)
    )
    return y, x


def own_boxes(
    boxes: Sequence[ScaledBox], places: Sequence[Place], size: tuple[int, int], *, tile: int, stride: int
) -> list[OwnedBox]:
    """Returns the part of each box in the cell of the tile that owns it.

    Args:
      boxes: boxes in the scaled photograph.
      places: places of the tiles that are kept, among them the owners of all boxes.
      size: (h, w) of the scaled photograph.
      tile: side of a tile, pixels.
      stride: distance between tiles, pixels.
    """
    numbers = {(place.y, place.x): number for number, place in enumerate(places)}
    owned = []
    for box in boxes:
        owner = owner_of_box(box, size, tile=tile, stride=stride)
        spans = []
        for start, length, first, total, center in zip(
            (box.y, box.x), (box.height, box.width), owner, size, _center(box), strict=True
        ):
            low, high = tile_cells(total, tile, stride)[_cell_of(center, total, tile, stride=stride)]
            low, high = max(low, start), min(high, start + length)
            spans.append((low - first, high - low))
        (y, height), (x, width) = spans
        owned.append(OwnedBox(numbers[owner], box.class_index, y, x, height=height, width=width))
    return owned


def _center(box: ScaledBox) -> tuple[int, int]:
    return box.y + box.height // 2, box.x + box.width // 2


def _cell_of(center: int, length: int, tile: int, *, stride: int) -> int:
    """Returns the number of the cell that holds a pixel along one axis."""
    cells = tile_cells(length, tile, stride)
    return next(number for number, (low, high) in enumerate(cells) if low <= center < high)


def _scaled(start: int, length: int, factor: float, *, limit: int) -> tuple[int, int]:
    """Returns the first pixel and the length of a scaled interval, at least one pixel long."""
    first = min(math.floor(start * factor), limit - 1)
    return first, max(min(math.ceil((start + length) * factor), limit) - first, 1)
