"""Cuts a photograph into tiles and blends their maps in ONNX, as `pipeline.inference.tiling` does.

One tile is computed at a time, in two nested loops: of the rows of tiles, and of the columns. The maps of a row are
added to a band as wide as the photograph, and the bands to the map of the photograph. Values of a loop cannot change in
place, so that every addition copies what it adds to: a band for each tile, the whole map only for each row of tiles.
"""

from collections.abc import Callable

import numpy as np
import spox.opset.ai.onnx.v18 as op
from spox import Var

from pipeline.export.onnx_graph.operators import (
    END,
    Size,
    ceil_divide,
    cut,
    length_of,
    numbers,
    repeat,
    reversed_along,
    scalar,
    to_float,
    vector,
    with_axes,
    zeros,
)
from pipeline.inference import Tiling
from records import window

Predict = Callable[[Var], Var]  # float32 RGB `[1, t, t', 3]` → probabilities, float32 `[1, t, t', C]`
# What brings a tile, or its map, from one orientation to the next; after all of them it is as it was.
REFLECTIONS: dict[int, tuple[Predict, Predict]] = {
    4: (lambda maps: reversed_along(maps, 2), lambda maps: reversed_along(maps, 1)),
    8: (lambda maps: op.transpose(maps, perm=[0, 2, 1, 3]), lambda maps: reversed_along(maps, 2)),
}


def tile_starts(length: Var, tiling: Tiling) -> Var:
    """Returns the first pixel of every tile along one axis, as `records.grid.tile_starts` does, int64 `[tiles]`."""
    last = op.max([length - tiling.tile, op.const(0)])
    return op.min([numbers(ceil_divide(last, tiling.stride) + 1) * tiling.stride, last])


def stitch(image: Var, predict: Predict, tiling: Tiling, *, kept: Var | None = None) -> Var:
    """Runs the tiles of an image through `predict` and blends their probability maps.

    Args:
      image: uint8 `[h, w, 3]`; if it is smaller than a tile it is padded with zeros at the bottom and right.
      predict: the network.
      tiling: the geometry; its `tile_batch` has no meaning here.
      kept: tiles to compute, bool `[rows, columns]`; the probabilities of the others are 0. None: all tiles.

    Returns:
      Probabilities, float32 `[h, w, C]`.
    """
    size = length_of(image, 0), length_of(image, 1)
    padded, tops, lefts = _padded(image, tiling), tile_starts(size[0], tiling), tile_starts(size[1], tiling)
    high, wide = (_side(length, tiling) for length in size)

    def map_of(row: Var, column: Var) -> Var:
        top, left = op.gather(tops, row), op.gather(lefts, column)
        tile = cut(cut(padded, top, top + high, axis=0), left, left + wide, axis=1)
        return op.squeeze(predict(with_axes(to_float(tile), 0)), op.const([0]))

    return blend(size, map_of, tiling, kept=kept)


def cut_tiles(image: Var, tiling: Tiling) -> Var:
    """Cuts an image, uint8 `[h, w, 3]`, into all of its tiles, row by row: uint8 `[n, t, t', 3]`."""
    size = length_of(image, 0), length_of(image, 1)
    sides = [_side(length, tiling) for length in size]
    places = [
        with_axes(tile_starts(length, tiling), 1) + numbers(side) for length, side in zip(size, sides, strict=True)
    ]
    tiles = op.gather(op.gather(_padded(image, tiling), places[0], axis=0), places[1], axis=2)  # [R, t, C, t', 3]
    return op.reshape(op.transpose(tiles, perm=[0, 2, 1, 3, 4]), vector(-1, *sides, 3))


def blend(size: tuple[Var, Var], map_of: Callable[[Var, Var], Var], tiling: Tiling, *, kept: Var | None = None) -> Var:
    """Blends the probability maps of tiles, where those of all tiles together have a weight of 1 at each pixel.

    Args:
      size: height and width of the image that is cut.
      map_of: row and column of a tile → its map, float32 `[t, t', C]`.
      tiling: the geometry.
      kept: see `stitch`.

    Returns:
      Probabilities, float32 `[h, w, C]`.
    """
    height, width = size
    high, wide = _side(height, tiling), _side(width, tiling)
    padded_height, padded_width = op.max([height, high]), op.max([width, wide])
    rows, columns = tile_starts(height, tiling), tile_starts(width, tiling)
    row_weights = _weight_fractions(rows, padded_height, high, tiling=tiling)
    column_weights = _weight_fractions(columns, padded_width, wide, tiling=tiling)

    def add_row(row: Var, whole: Var) -> list[Var]:
        weights = op.gather(row_weights, row)

        def add_tile(column: Var, band: Var) -> list[Var]:
            probabilities = _if_kept(
                kept, (row, column), lambda: [map_of(row, column)], otherwise=(high, wide, tiling.classes)
            )
            weighted = _weighted(probabilities, weights, op.gather(column_weights, column), classes=tiling.classes)
            return [_add_at(band, weighted, op.gather(columns, column), axis=1)]

        (band,) = repeat(length_of(columns, 0), add_tile, zeros((high, padded_width, tiling.classes)))
        return [_add_at(whole, band, op.gather(rows, row), axis=0)]

    (whole,) = repeat(length_of(rows, 0), add_row, zeros((padded_height, padded_width, tiling.classes)))
    return op.slice(whole, op.const([0, 0]), vector(height, width), op.const([0, 1]))


def average_over(flips: int, predict: Predict) -> Predict:
    """Returns a function that averages `predict` over orientations, as `pipeline.inference.orientations` does.

    The orientations are a loop, so that the graph has only one copy of the network.
    """
    if flips == 1:
        return predict
    even, odd = REFLECTIONS[flips]

    def average(images: Var) -> Var:
        def add_orientation(number: Var, images: Var, total: Var) -> list[Var]:
            total = total + predict(images)
            images, total = op.if_(
                op.equal(op.mod(number, op.const(2)), op.const(0)),
                then_branch=lambda: [even(images), even(total)],
                else_branch=lambda: [odd(images), odd(total)],
            )
            return [images, total]

        nothing = op.const(np.zeros((1, 1, 1, 1), np.float32))
        shape = vector(*(length_of(images, axis) for axis in range(3)), 1)
        of_any_size = op.reshape(images, op.shape(images))  # transposing may exchange the lengths
        _, total = repeat(op.const(flips), add_orientation, of_any_size, op.expand(nothing, shape))
        return total / flips

    return average


def _side(length: Var, tiling: Tiling) -> Var:
    """Returns the side of tiles along an axis of the image that is `length` pixels long, as `Tiling.side` does."""
    if tiling.trim_to is None:
        return scalar(tiling.tile)
    return op.min([ceil_divide(length, tiling.trim_to) * tiling.trim_to, op.const(tiling.tile)])


def _padded(image: Var, tiling: Tiling) -> Var:
    """Returns an image with zeros at the bottom and right if it is smaller than a tile."""
    missing = [_side(length, tiling) - length for length in (length_of(image, 0), length_of(image, 1))]
    below, beside = (op.max([length, op.const(0)]) for length in missing)
    return op.pad(image, vector(0, 0, 0, below, beside, 0))


def _weight_fractions(starts: Var, length: Var, side: Var, *, tiling: Tiling) -> Var:
    """Returns each tile's fraction of the total weight of each of its pixels, along one axis, float32 `[tiles, t]`."""
    count = length_of(starts, 0)
    weights = cut(op.const(window(tiling.window, tiling.tile)), 0, side, axis=0)
    pixels = op.reshape(with_axes(starts, 1) + numbers(side), op.const([-1]))
    repeated = op.reshape(op.expand(weights, vector(count, side)), op.const([-1]))
    total = op.scatter_elements(zeros([length]), pixels, repeated, reduction="add")
    return op.reshape(repeated / op.gather(total, pixels), vector(count, side))


def _if_kept(
    kept: Var | None, place: tuple[Var, Var], tile_map: Callable[[], list[Var]], *, otherwise: tuple[Size, ...]
) -> Var:
    """Returns the map of a tile, or zeros if it is not kept; `place` is its row and column."""
    if kept is None:
        return tile_map()[0]
    is_kept = op.gather(op.gather(kept, place[0]), place[1])
    return op.if_(is_kept, then_branch=tile_map, else_branch=lambda: [zeros(otherwise)])[0]


def _weighted(probabilities: Var, rows: Var, columns: Var, *, classes: int) -> Var:
    """Returns probabilities `[t, t', C]` times the weights of their rows and columns, float32 `[t]` and `[t']`.

    Each weight is repeated for all classes first: onnxruntime multiplies slowly where a short last axis is spread.
    """
    spread = op.reshape(op.expand(with_axes(columns, 1), op.const([1, classes])), op.const([1, -1]))  # [1, t' C]
    flat = op.reshape(probabilities, op.const([0, -1]))
    return op.reshape(flat * (with_axes(rows, 1) * spread), op.shape(probabilities))


def _add_at(canvas: Var, piece: Var, start: Var, *, axis: int) -> Var:
    """Adds a piece to a canvas, from a place along an axis on."""
    stop = start + length_of(piece, axis)
    middle = cut(canvas, start, stop, axis=axis) + piece
    return op.concat([cut(canvas, 0, start, axis=axis), middle, cut(canvas, stop, END, axis=axis)], axis=axis)
