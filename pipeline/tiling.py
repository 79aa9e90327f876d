"""The geometry of `records.grid` as TensorFlow ops, and the stitching of tiles into one map on the device.

Tiles are added into one band a tile column, `[columns, h, T * C]`: a scatter then moves whole rows of T * C floats, in
place inside a `tf.while_loop`. Bands that do not overlap lie side by side in a layer, so that the finished bands become
a map by a few additions at full size, done once.
"""

from collections.abc import Callable

import tensorflow as tf

from records import window


def tile_starts(length: tf.Tensor, tile: int, stride: int) -> tf.Tensor:
    """Returns the first pixel of every tile along one axis, as `records.grid.tile_starts` does: int32 `[tiles]`."""
    last = tf.maximum(length - tile, 0)
    count = -(-last // stride) + 1
    return tf.minimum(tf.range(count) * stride, last)


def stitch(
    image: tf.Tensor,
    predict: Callable[[tf.Tensor], tf.Tensor],
    *,
    classes: int,
    tile: int,
    stride: int,
    window_name: str,
    tile_batch: int,
) -> tf.Tensor:
    """Runs all tiles of an image through `predict` and blends what comes back.

    Args:
      image: `[h, w, 3]`, any dtype; smaller than a tile, it is padded with zeros at the far ends.
      predict: float32 `[tile_batch, T, T, 3]` → float32 `[tile_batch, T, T, C]`.
      classes: C.
      tile: T, pixels.
      stride: pixels between tiles, 1 to T.
      window_name: a window of `records.grid.window`; weights are normalised to sum to one at every pixel.
      tile_batch: tiles that go through `predict` at once; the last batch is filled up with the last tile, weight 0.

    Returns:
      float32 `[h, w, C]`.
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    padded = tf.pad(image, [[0, tf.maximum(tile - height, 0)], [0, tf.maximum(tile - width, 0)], [0, 0]])
    rows, columns = tile_starts(height, tile, stride), tile_starts(width, tile, stride)
    bands = _predict_into_bands(padded, rows, columns, predict, classes, tile, window_name, tile_batch)
    total = _lay_bands(bands, columns, tf.shape(padded)[1], classes, tile, stride)  # [h, w, C]
    weights = _weight_sum(rows, tf.shape(padded)[0], tile, window_name)[:, None] * _weight_sum(
        columns, tf.shape(padded)[1], tile, window_name
    )
    return (total / weights[..., None])[:height, :width]


def _predict_into_bands(
    image: tf.Tensor,
    rows: tf.Tensor,
    columns: tf.Tensor,
    predict: Callable[[tf.Tensor], tf.Tensor],
    classes: int,
    tile: int,
    window_name: str,
    tile_batch: int,
) -> tf.Tensor:
    """Returns the weighted sums of all tiles, one band a tile column: float32 `[columns, h, T * C]`."""
    height, n_columns = tf.shape(image)[0], tf.size(columns)
    tiles = tf.size(rows) * n_columns
    along = tf.constant(window(window_name, tile))
    weight = (along[:, None] * along)[..., None]  # [T, T, 1]

    def add_batch(first: tf.Tensor, bands: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        indices = first + tf.range(tile_batch)  # [B]
        exists = tf.cast(indices < tiles, tf.float32)
        indices = tf.minimum(indices, tiles - 1)
        row, column = indices // n_columns, indices % n_columns
        y, x = tf.gather(rows, row), tf.gather(columns, column)
        batch = tf.stack([tf.slice(image, [y[b], x[b], 0], [tile, tile, 3]) for b in range(tile_batch)])
        maps = predict(tf.cast(batch, tf.float32)) * weight * exists[:, None, None, None]  # [B, T, T, C]
        band_rows = (column * height + y)[:, None] + tf.range(tile)  # [B, T]
        return first + tile_batch, tf.tensor_scatter_nd_add(
            bands, tf.reshape(band_rows, [-1, 1]), tf.reshape(maps, [-1, tile * classes])
        )

    start = (tf.constant(0), tf.zeros([n_columns * height, tile * classes]))
    _, bands = tf.while_loop(
        lambda first, _: first < tiles,
        add_batch,
        start,
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, tile * classes])),
        parallel_iterations=1,
    )
    return tf.reshape(bands, [n_columns, height, tile * classes])


def _lay_bands(
    bands: tf.Tensor, columns: tf.Tensor, width: tf.Tensor, classes: int, tile: int, stride: int
) -> tf.Tensor:
    """Adds the bands up to a map, float32 `[h, w, C]`.

    Every `layers`-th band of the regular columns lies beside the next without overlap; the last column, which is
    flush with the border and need not be at a multiple of the stride, is added by itself.
    """
    height, regular = tf.shape(bands)[1], tf.size(columns) - 1
    layers = -(-tile // stride)
    pitch = layers * stride  # pixels between neighbours of one layer, at least a tile
    total = _place(bands[-1], columns[-1], width, classes)
    for layer in range(layers):
        beside = bands[layer:regular:layers]  # [n, h, T * C]
        beside = tf.pad(beside, [[0, 0], [0, 0], [0, (pitch - tile) * classes]])
        strip = tf.reshape(tf.transpose(beside, [1, 0, 2]), [height, -1])  # [h, n * pitch * C]
        # Behind the last band there may be more padding than the map has room for; it holds only zeros.
        strip = strip[:, : (width - layer * stride) * classes]
        total += _place(strip, tf.constant(layer * stride), width, classes)
    return tf.reshape(total, [height, width, classes])


def _place(strip: tf.Tensor, x: tf.Tensor, width: tf.Tensor, classes: int) -> tf.Tensor:
    """Pads `[h, n * C]` to `[h, w * C]`, its first pixel at column x."""
    right = width * classes - x * classes - tf.shape(strip)[1]
    return tf.pad(strip, [[0, 0], [x * classes, right]])


def _weight_sum(starts: tf.Tensor, length: tf.Tensor, tile: int, window_name: str) -> tf.Tensor:
    """Returns the sum of all tiles' weights along one axis, float32 `[length]`."""
    pixels = tf.reshape(starts[:, None] + tf.range(tile), [-1, 1])
    weights = tf.tile(tf.constant(window(window_name, tile)), [tf.size(starts)])
    return tf.tensor_scatter_nd_add(tf.zeros([length]), pixels, weights)
