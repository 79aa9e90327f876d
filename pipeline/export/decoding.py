"""Decodes photographs in the graph."""

import tensorflow as tf

from pipeline.export.readme import SERVING_DEFAULT_LEAVES


def decode_photograph(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG or PNG to the same pixels as `records.read_photograph`, but without rotating them.

    Args:
      encoded: content of the file, string scalar. Other formats fail, even those that the decoder supports, since it
        would treat a WebP as an animation.

    Returns:
      uint8 RGB `[H, W, 3]`. CMYK is rounded differently, by at most one level.
    """
    is_png = tf.strings.substr(encoded, 0, 4) == b"\x89PNG"
    known = tf.debugging.Assert(tf.io.is_jpeg(encoded) | is_png, ["not a JPEG or PNG.", SERVING_DEFAULT_LEAVES])
    with tf.control_dependencies([known] if known is not None else []):
        encoded = tf.identity(encoded)
    # The default is a faster, less exact inverse cosine transform.
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
