"""Which tiles can hold retina: a superset of those that overlap `records.images.field_of_view`, found in the graph."""

import tensorflow as tf

from pipeline.inference.scaling import shrink
from records.images import MIN_BRIGHTNESS, WORKING_SIDE

# The field of view is found in the same small copy. There, closing adds to the bright pixels what lies among them
# within its disc of 9, and filling adds what they enclose; opening and the choice of the largest region take away.
DISC = 9


def tiles_with_retina(
    photograph: tf.Tensor, size: tf.Tensor, rows: tf.Tensor, *, columns: tf.Tensor, tile: int
) -> tf.Tensor:
    """Says which tiles a pixel of the field of view can depend on.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.
      size: int32 (h, w) of the scaled photograph, which is cut.
      rows: int32 `[rows]`, the tiles' first pixels along the scaled photograph's height.
      columns: int32 `[columns]`, those along its width.
      tile: their side, pixels of the scaled photograph.

    Returns:
      bool `[rows, columns]`. A tile that shows not more than the dark surround may still be True, for a bright
      spot lies beside it, but none with retina, or with a pixel that the enlarged map has in the retina, is False.
    """
    retina = possible_retina(photograph)
    small = tf.shape(retina)
    vertical = _pixels_of_tiles(rows, tile, size[0], small=small[0])  # [rows, h']
    horizontal = _pixels_of_tiles(columns, tile, size[1], small=small[1])  # [columns, w']
    return vertical @ tf.cast(retina, tf.float32) @ tf.transpose(horizontal) > 0


def possible_retina(photograph: tf.Tensor) -> tf.Tensor:
    """Finds bright pixels, what lies within a disc of them, and what these have on all four sides.

    Returns:
      bool `[h', w']`, of a copy of the photograph whose longer side is at most 512 pixels.
    """
    full = tf.cast(tf.shape(photograph)[:2], tf.float64)
    scale = tf.minimum(WORKING_SIDE / tf.reduce_max(full), 1)
    small = shrink(photograph, tf.maximum(tf.cast(tf.round(full * scale), tf.int32), 1))
    brightest = tf.reduce_max(tf.cast(small, tf.float32), axis=-1)
    # `field_of_view` asks for more than that, of pixels that OpenCV may have rounded up where `shrink` did not.
    bright = tf.cast(brightest >= MIN_BRIGHTNESS, tf.float32)[None, ..., None]
    for window in ((DISC, 1), (1, DISC)):
        bright = tf.nn.max_pool2d(bright, window, strides=1, padding="SAME")
    bright = bright[0, ..., 0]
    return _between(bright, axis=0) & _between(bright, axis=1)


def _between(bright: tf.Tensor, *, axis: int) -> tf.Tensor:
    """Says of each pixel whether it, or pixels on both sides of it along an axis, are bright: bool `[h', w']`."""
    return (tf.cumsum(bright, axis) > 0) & (tf.cumsum(bright, axis, reverse=True) > 0)


def _pixels_of_tiles(starts: tf.Tensor, tile: int, length: tf.Tensor, *, small: tf.Tensor) -> tf.Tensor:
    """Marks along one axis with 1 which pixels of the small copy a tile reaches: float32 `[tiles, small]`.

    One scaled pixel further on both sides, for the map is enlarged bilinearly, and one small one more for rounding.
    """
    ratio = tf.cast(small, tf.float32) / tf.cast(length, tf.float32)
    first = tf.floor(tf.cast(starts - 1, tf.float32) * ratio) - 1
    last = tf.floor(tf.cast(starts + tile + 1, tf.float32) * ratio) + 1
    pixels = tf.range(tf.cast(small, tf.float32))
    return tf.cast((first[:, None] <= pixels) & (pixels <= last[:, None]), tf.float32)
