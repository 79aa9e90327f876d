"""The geometry of `records.grid` as TensorFlow ops, and the stitching of tiles into one probability map on the device.

The map is stored as strips that are one stride wide and contiguous in memory, `[strips, h, S * C]`. The rows of a tile
are then whole rows of a few strips, and `InplaceAdd` adds them in place. (The alternatives take several times as long:
`tensor_scatter_nd_add` copies the whole map each time, and a rectangle of `[h, w, C]` is updated pixel by pixel.) The
last column of tiles ends at the border, not at a multiple of the stride, and has strips of its own after the others.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from records import window


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How an image is cut into tiles and their probability maps are blended.

    Attributes:
      classes: C, number of channels of the probability map.
      tile: T, side of a tile, pixels.
      stride: S, distance between tiles, 1 to T pixels.
      window: how a tile's pixels are weighted, a name of `records.grid.window`; weights are normalized to a sum of one
        at every pixel.
      tile_batch: number of tiles that are computed at once; the last batch is filled with copies of the last tile, of
        weight 0.
      trim_to: None: tiles are always of T pixels; else tiles of an image shorter than T are trimmed to its length,
        rounded up to a multiple of this many pixels.
    """

    classes: int
    tile: int
    stride: int
    window: str
    tile_batch: int
    trim_to: int | None = None

    @property
    def strips(self) -> int:
        """Returns the number of strips that a tile covers."""
        return -(-self.tile // self.stride)

    @property
    def row(self) -> int:
        """Returns how many numbers a row of a strip has."""
        return self.stride * self.classes

    def side(self, length: tf.Tensor) -> int | tf.Tensor:
        """Returns the side of tiles along an axis of the image that is `length` pixels long."""
        if self.trim_to is None:
            return self.tile
        return tf.minimum(self.tile, -(-length // self.trim_to) * self.trim_to)


def tile_starts(length: tf.Tensor, tile: int, stride: int) -> tf.Tensor:
    """Returns the first pixel of every tile along one axis, as `records.grid.tile_starts` does, int32 `[tiles]`."""
    last = tf.maximum(length - tile, 0)
    count = -(-last // stride) + 1
    return tf.minimum(tf.range(count) * stride, last)


def stitch(
    image: tf.Tensor,
    predict: Callable[[tf.Tensor], tf.Tensor],
    tiling: Tiling,
    *,
    kept: tf.Tensor | None = None,
) -> tf.Tensor:
    """Runs the tiles of an image through `predict` and blends their probability maps.

    Args:
      image: `[h, w, 3]`, any dtype; an image smaller than a tile is padded with zeros at the bottom and right.
      predict: float32 `[tile_batch, t, t', 3]` → float32 `[tile_batch, t, t', C]`; t = t' = T without `trim_to`.
      tiling: the geometry.
      kept: tiles to compute, bool `[rows, columns]`; the probabilities of the others are 0. None: all tiles.

    Returns:
      Probabilities, float32 `[h, w, C]`.
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    missing = [[0, tf.maximum(tiling.side(length) - length, 0)] for length in (height, width)]
    padded = tf.pad(image, [*missing, [0, 0]])
    rows, columns = (tile_starts(length, tiling.tile, tiling.stride) for length in (height, width))
    tiles = tf.range(tf.size(rows) * tf.size(columns))
    if kept is not None:
        tiles = tf.boolean_mask(tiles, tf.reshape(kept, [-1]))
    strips = _add_tiles(padded, tiles, rows, columns=columns, predict=predict, tiling=tiling)
    return _lay_strips(strips, tf.shape(padded)[1], tiling)[:height, :width]


def _add_tiles(
    image: tf.Tensor,
    tiles: tf.Tensor,
    rows: tf.Tensor,
    *,
    columns: tf.Tensor,
    predict: Callable[[tf.Tensor], tf.Tensor],
    tiling: Tiling,
) -> tf.Tensor:
    """Returns the weighted sums of all tiles, float32 `[strips, h, S * C]`, the last column's strips at the end."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    high, wide, batch = tiling.side(height), tiling.side(width), tiling.tile_batch
    flat = tf.reshape(image, [height, width * 3])  # rectangles of this are copied faster
    row_weights = _weight_fractions(rows, height, tiling)
    column_weights = tf.repeat(_weight_fractions(columns, width, tiling), tiling.classes, axis=1)  # [columns, t' * C]
    regular = -(-width // tiling.stride)  # strips of all columns but the last
    # [t, strips]: where the rows of a tile are, relative to its first one
    places = tf.range(high)[:, None] + tf.range(tiling.strips) * height

    def add_batch(first: tf.Tensor, strips: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        numbers = first + tf.range(batch)  # [B]
        exists = tf.cast(numbers < tf.size(tiles), tf.float32)
        chosen = tf.gather(tiles, tf.minimum(numbers, tf.size(tiles) - 1))
        row, column = chosen // tf.size(columns), chosen % tf.size(columns)
        y, x = tf.gather(rows, row), tf.gather(columns, column)
        pixels = tf.concat([flat[y[b] : y[b] + high, 3 * x[b] : 3 * (x[b] + wide)] for b in range(batch)], axis=0)
        maps = predict(tf.cast(tf.reshape(pixels, [batch, high, wide, 3]), tf.float32))
        weights = (tf.gather(row_weights, row) * exists[:, None])[..., None] * tf.gather(column_weights, column)[
            :, None
        ]
        maps = tf.reshape(maps, [batch, high, wide * tiling.classes]) * weights
        maps = tf.pad(maps, [[0, 0], [0, 0], [0, tiling.strips * tiling.row - wide * tiling.classes]])
        maps = tf.reshape(maps, [batch, high * tiling.strips, tiling.row])
        strip = tf.where(column == tf.size(columns) - 1, regular, column)
        for b in range(batch):  # one by one: on a GPU, rows that occur twice in a call are added once
            where = tf.reshape(strip[b] * height + y[b] + places, [-1])
            strips = tf.raw_ops.InplaceAdd(x=strips, i=where, v=maps[b])
        return first + batch, strips

    # `Empty` is the only op for zeros that the optimizer does not treat as a constant, which must not change in place.
    shape = [(regular + tiling.strips) * height, tiling.row]
    _, strips = tf.while_loop(
        lambda first, _: first < tf.size(tiles),
        add_batch,
        (tf.constant(0), tf.raw_ops.Empty(shape=shape, dtype=tf.float32, init=True)),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, tiling.row])),
        parallel_iterations=1,
    )
    return tf.reshape(strips, [regular + tiling.strips, height, tiling.row])


def _weight_fractions(starts: tf.Tensor, length: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    """Returns each tile's fraction of the total weight of each of its pixels, along one axis, float32 `[tiles, t]`."""
    side = tiling.side(length)
    weights = tf.tile(tf.constant(window(tiling.window, tiling.tile))[None, :side], [tf.size(starts), 1])
    pixels = starts[:, None] + tf.range(side)
    total = tf.tensor_scatter_nd_add(tf.zeros([length]), pixels[..., None], weights)
    return weights / tf.gather(total, pixels)


def _lay_strips(strips: tf.Tensor, width: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    """Joins strips, with the last column's added to the others, to a probability map, float32 `[h, w, C]`."""
    classes, wide = tiling.classes, tiling.side(width)
    regular = -(-width // tiling.stride)
    left = width - wide  # first pixel of the last column
    whole = left // tiling.stride  # strips that it does not reach
    before = _side_by_side(strips[:whole])  # [h, whole * S * C]
    behind = _side_by_side(strips[whole:regular])[:, : (width - whole * tiling.stride) * classes]
    last = _side_by_side(strips[regular:])[:, : wide * classes]
    behind += tf.pad(last, [[0, 0], [(left - whole * tiling.stride) * classes, 0]])
    return tf.reshape(tf.concat([before, behind], axis=1), [tf.shape(strips)[1], width, classes])


def _side_by_side(strips: tf.Tensor) -> tf.Tensor:
    count, height, row = tf.unstack(tf.shape(strips))
    return tf.reshape(tf.transpose(strips, [1, 0, 2]), [height, count * row])
