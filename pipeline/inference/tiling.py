"""The geometry of `records.grid` as TensorFlow ops, and the stitching of tiles into one map on the device.

The map is kept as strips a stride wide, each of which lies in memory as a whole, `[strips, h, S * C]`: the rows of a
tile then are whole rows of a few strips, and `InplaceAdd` adds them where they lie. (`tensor_scatter_nd_add` copies the
whole map each time, and a rectangle of `[h, w, C]` is updated pixel by pixel: both cost several times as much.) The
last column of tiles, flush with the border and not at a multiple of the stride, has strips of its own behind the rest.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from records import window


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How an image is cut and a map put together.

    Attributes:
      classes: C, channels of the map.
      tile: T, side of a tile, pixels.
      stride: S, pixels between tiles, 1 to T.
      window: weight of a tile's pixels, a name of `records.grid.window`; those of all tiles sum to one at every pixel.
      tile_batch: tiles that are computed at once; the last batch is filled up with the last tile, weight 0.
      trim_to: where the image is shorter than a tile, tiles are cut to it, but to a multiple of this, pixels; None:
        they are of T pixels always.
    """

    classes: int
    tile: int
    stride: int
    window: str
    tile_batch: int
    trim_to: int | None = None

    @property
    def strips(self) -> int:
        """How many strips a tile lies in."""
        return -(-self.tile // self.stride)

    @property
    def row(self) -> int:
        """Numbers in a row of a strip."""
        return self.stride * self.classes

    def side(self, length: tf.Tensor) -> int | tf.Tensor:
        """Returns how long tiles are along an axis of the image, pixels."""
        if self.trim_to is None:
            return self.tile
        return tf.minimum(self.tile, -(-length // self.trim_to) * self.trim_to)


def tile_starts(length: tf.Tensor, tile: int, stride: int) -> tf.Tensor:
    """Returns the first pixel of every tile along one axis, as `records.grid.tile_starts` does: int32 `[tiles]`."""
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
    """Runs the tiles of an image through `predict` and blends what comes back.

    Args:
      image: `[h, w, 3]`, any dtype; smaller than a tile, it is padded with zeros at the far ends.
      predict: float32 `[tile_batch, t, t', 3]` → float32 `[tile_batch, t, t', C]`, with t = t' = T but for `trim_to`.
      tiling: the geometry.
      kept: bool `[rows, columns]`, the tiles that are computed; the maps of the others count as 0. None: all.

    Returns:
      float32 `[h, w, C]`.
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
    """Computes the tiles and returns their weighted sums, float32 `[strips, h, S * C]`, the last column's behind."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    high, wide, batch = tiling.side(height), tiling.side(width), tiling.tile_batch
    flat = tf.reshape(image, [height, width * 3])  # of which rectangles are copied faster
    row_weights = _shares(rows, height, tiling)
    column_weights = tf.repeat(_shares(columns, width, tiling), tiling.classes, axis=1)  # [columns, t' * C]
    regular = -(-width // tiling.stride)  # strips of all columns but the last
    places = tf.range(high)[:, None] + tf.range(tiling.strips) * height  # [t, strips]: a tile's rows, from its first

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
        for b in range(batch):  # one after the other: on a GPU, rows that come twice in one call would be lost
            where = tf.reshape(strip[b] * height + y[b] + places, [-1])
            strips = tf.raw_ops.InplaceAdd(x=strips, i=where, v=maps[b])
        return first + batch, strips

    # Of the ops that make zeros, `Empty` is the one that no optimiser takes for a constant, which would not stay one.
    shape = [(regular + tiling.strips) * height, tiling.row]
    _, strips = tf.while_loop(
        lambda first, _: first < tf.size(tiles),
        add_batch,
        (tf.constant(0), tf.raw_ops.Empty(shape=shape, dtype=tf.float32, init=True)),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, tiling.row])),
        parallel_iterations=1,
    )
    return tf.reshape(strips, [regular + tiling.strips, height, tiling.row])


def _shares(starts: tf.Tensor, length: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    """Returns what share of the weight at each pixel is each tile's, along one axis: float32 `[tiles, t]`."""
    side = tiling.side(length)
    weights = tf.tile(tf.constant(window(tiling.window, tiling.tile))[None, :side], [tf.size(starts), 1])
    pixels = starts[:, None] + tf.range(side)
    total = tf.tensor_scatter_nd_add(tf.zeros([length]), pixels[..., None], weights)
    return weights / tf.gather(total, pixels)


def _lay_strips(strips: tf.Tensor, width: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    """Lays strips side by side and adds the last column's to them: a map, float32 `[h, w, C]`."""
    classes, wide = tiling.classes, tiling.side(width)
    regular = -(-width // tiling.stride)
    left = width - wide  # first pixel of the last column
    whole = left // tiling.stride  # strips that it does not touch
    before = _side_by_side(strips[:whole])  # [h, whole * S * C]
    behind = _side_by_side(strips[whole:regular])[:, : (width - whole * tiling.stride) * classes]
    last = _side_by_side(strips[regular:])[:, : wide * classes]
    behind += tf.pad(last, [[0, 0], [(left - whole * tiling.stride) * classes, 0]])
    return tf.reshape(tf.concat([before, behind], axis=1), [tf.shape(strips)[1], width, classes])


def _side_by_side(strips: tf.Tensor) -> tf.Tensor:
    count, height, row = tf.unstack(tf.shape(strips))
    return tf.reshape(tf.transpose(strips, [1, 0, 2]), [height, count * row])
