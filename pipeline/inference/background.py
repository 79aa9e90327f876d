"""Finds in the graph which tiles may overlap the field of view: a superset of those that do.

The field of view is that of `records.images.field_of_view`.
"""

import tensorflow as tf

from pipeline.inference.scaling import shrink
from records.images import MIN_BRIGHTNESS, WORKING_SIDE

# `field_of_view` works on the same small copy. There, closing by a disc of 9 adds dark pixels between bright ones, and
# filling adds what bright ones enclose; opening and the choice of the largest region only remove pixels.
DISC = 9


def tiles_in_field_of_view(
    photograph: tf.Tensor, size: tf.Tensor, rows: tf.Tensor, *, columns: tf.Tensor, tile: int
) -> tf.Tensor:
    """Returns which tiles may influence the probability map within the field of view.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.
      size: height and width of the scaled photograph, which is cut, int32 `[2]`.
      rows: first row of each row of tiles in the scaled photograph, int32 `[rows]`.
      columns: first column of each column of tiles, int32 `[columns]`.
      tile: side of the tiles, pixels of the scaled photograph.

    Returns:
      bool `[rows, columns]`. Every tile is True that contributes to a pixel of the field of view in the enlarged
      probability map. A tile of the dark surround alone can be True as well, if a bright spot is near it.
    """
    region = possible_field_of_view(photograph)
    small = tf.shape(region)
    vertical = _pixels_of_tiles(rows, tile, size[0], small=small[0])  # [rows, h']
    horizontal = _pixels_of_tiles(columns, tile, size[1], small=small[1])  # [columns, w']
    return vertical @ tf.cast(region, tf.float32) @ tf.transpose(horizontal) > 0


def possible_field_of_view(photograph: tf.Tensor) -> tf.Tensor:
    """Finds a superset of the field of view in a small copy of a photograph.

    It consists of the bright pixels, the pixels near them, and the pixels that have such ones on all four sides.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.

    Returns:
      bool `[h', w']`, the size of the copy, whose longer side is at most 512 pixels.
    """
    full = tf.cast(tf.shape(photograph)[:2], tf.float64)
    scale = tf.minimum(WORKING_SIDE / tf.reduce_max(full), 1)
    small = shrink(photograph, tf.maximum(tf.cast(tf.round(full * scale), tf.int32), 1))
    brightest = tf.reduce_max(tf.cast(small, tf.float32), axis=-1)
    # `field_of_view` requires a brightness above this; >=, because OpenCV may round up where `shrink` rounds down.
    bright = tf.cast(brightest >= MIN_BRIGHTNESS, tf.float32)[None, ..., None]
    for window in ((DISC, 1), (1, DISC)):
        bright = tf.nn.max_pool2d(bright, window, strides=1, padding="SAME")
    bright = bright[0, ..., 0]
    return _between(bright, axis=0) & _between(bright, axis=1)


def _between(bright: tf.Tensor, *, axis: int) -> tf.Tensor:
    """Returns which pixels are bright or have bright ones on both sides along an axis, bool `[h', w']`."""
    return (tf.cumsum(bright, axis) > 0) & (tf.cumsum(bright, axis, reverse=True) > 0)


def _pixels_of_tiles(starts: tf.Tensor, tile: int, length: tf.Tensor, *, small: tf.Tensor) -> tf.Tensor:
    """Marks with 1 the pixels of the small copy that each tile covers along one axis, float32 `[tiles, small]`.

    Adds a scaled pixel on both sides, because the map is enlarged bilinearly, and a small one for rounding.
    """
    ratio = tf.cast(small, tf.float32) / tf.cast(length, tf.float32)
    first = tf.floor(tf.cast(starts - 1, tf.float32) * ratio) - 1
    last = tf.floor(tf.cast(starts + tile + 1, tf.float32) * ratio) + 1
    pixels = tf.range(tf.cast(small, tf.float32))
    return tf.cast((first[:, None] <= pixels) & (pixels <= last[:, None]), tf.float32)
