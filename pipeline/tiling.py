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
    """

    classes: int
    tile: int
    stride: int
    window: str
    tile_batch: int

    @property
    def strips(self) -> int:
        """How many strips a tile lies in."""
        return -(-self.tile // self.stride)

    @property
    def row(self) -> int:
        """Numbers in a row of a strip."""
        return self.stride * self.classes


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
      predict: float32 `[tile_batch, T, T, 3]` → float32 `[tile_batch, T, T, C]`.
      tiling: the geometry.
      kept: bool `[rows, columns]`, the tiles that are computed; the maps of the others count as 0. None: all.

    Returns:
      float32 `[h, w, C]`.
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    padded = tf.pad(image, [[0, tf.maximum(tiling.tile - height, 0)], [0, tf.maximum(tiling.tile - width, 0)], [0, 0]])
    rows, columns = (tile_starts(length, tiling.tile, tiling.stride) for length in (height, width))
    tiles = tf.range(tf.size(rows) * tf.size(columns))
    if kept is not None:
        tiles = tf.boolean_mask(tiles, tf.reshape(kept, [-1]))
    strips = _add_tiles(padded, tiles, rows, columns, predict, tiling)
    return _lay_strips(strips, tf.shape(padded)[1], tiling)[:height, :width]


def _add_tiles(
    image: tf.Tensor,
    tiles: tf.Tensor,
    rows: tf.Tensor,
    columns: tf.Tensor,
    predict: Callable[[tf.Tensor], tf.Tensor],
    tiling: Tiling,
) -> tf.Tensor:
    """Computes the tiles and returns their weighted sums, float32 `[strips, h, S * C]`, the last column's behind."""
    tile, batch = tiling.tile, tiling.tile_batch
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    flat = tf.reshape(image, [height, width * 3])  # of which rectangles are copied faster
    row_weights = _shares(rows, height, tiling)
    column_weights = tf.repeat(_shares(columns, width, tiling), tiling.classes, axis=1)  # [columns, T * C]
    regular = -(-width // tiling.stride)  # strips of all columns but the last
    places = tf.range(tile)[:, None] + tf.range(tiling.strips) * height  # [T, strips]: a tile's rows, from its first

    def add_batch(first: tf.Tensor, strips: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        numbers = first + tf.range(batch)  # [B]
        exists = tf.cast(numbers < tf.size(tiles), tf.float32)
        chosen = tf.gather(tiles, tf.minimum(numbers, tf.size(tiles) - 1))
        row, column = chosen // tf.size(columns), chosen % tf.size(columns)
        y, x = tf.gather(rows, row), tf.gather(columns, column)
        pixels = tf.concat([flat[y[b] : y[b] + tile, 3 * x[b] : 3 * (x[b] + tile)] for b in range(batch)], axis=0)
        maps = predict(tf.cast(tf.reshape(pixels, [batch, tile, tile, 3]), tf.float32))
        weights = (tf.gather(row_weights, row) * exists[:, None])[..., None] * tf.gather(column_weights, column)[
            :, None
        ]
        maps = tf.reshape(maps, [batch, tile, tile * tiling.classes]) * weights
        maps = tf.pad(maps, [[0, 0], [0, 0], [0, tiling.strips * tiling.row - tile * tiling.classes]])
        maps = tf.reshape(maps, [batch, tile * tiling.strips, tiling.row])
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
    """Returns what share of the weight at each pixel is each tile's, along one axis: float32 `[tiles, T]`."""
    weights = tf.tile(window(tiling.window, tiling.tile)[None], [tf.size(starts), 1])
    pixels = starts[:, None] + tf.range(tiling.tile)
    total = tf.tensor_scatter_nd_add(tf.zeros([length]), pixels[..., None], weights)
    return weights / tf.gather(total, pixels)


def _lay_strips(strips: tf.Tensor, width: tf.Tensor, tiling: Tiling) -> tf.Tensor:
    """Lays strips side by side and adds the last column's to them: a map, float32 `[h, w, C]`."""
    classes = tiling.classes
    regular = -(-width // tiling.stride)
    left = width - tiling.tile  # first pixel of the last column
    whole = left // tiling.stride  # strips that it does not touch
    before = _side_by_side(strips[:whole])  # [h, whole * S * C]
    behind = _side_by_side(strips[whole:regular])[:, : (width - whole * tiling.stride) * classes]
    last = _side_by_side(strips[regular:])[:, : tiling.tile * classes]
    behind += tf.pad(last, [[0, 0], [(left - whole * tiling.stride) * classes, 0]])
    return tf.reshape(tf.concat([before, behind], axis=1), [tf.shape(strips)[1], width, classes])


def _side_by_side(strips: tf.Tensor) -> tf.Tensor:
    count, height, row = tf.unstack(tf.shape(strips))
    return tf.reshape(tf.transpose(strips, [1, 0, 2]), [height, count * row])
