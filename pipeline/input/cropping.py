"""Where the crop of a training element lies in its tile."""

from typing import NamedTuple

import tensorflow as tf

from pipeline.input.draws import uniform
from pipeline.input.sampling import Target
from records.shards.record import LabelFormat


class Crop(NamedTuple):
    """A square part of a tile.

    Attributes:
      origin: first row and column, int32 `[2]`, pixels of the tile.
      side: height and width, pixels.
    """

    origin: tf.Tensor
    side: int

    def of(self, pixels: tf.Tensor) -> tf.Tensor:
        """Cuts the crop out of a tile, `[T, T, C]`."""
        return tf.slice(pixels, tf.pad(self.origin, [[0, 1]]), [self.side, self.side, pixels.shape[-1]])


def draw_crop(target: Target, labels: tf.Tensor, side: int, *, form: LabelFormat, seed: tf.Tensor) -> Crop:
    """Draws the crop of an element.

    If the target has a class, the crop contains a lesion pixel of that class from the target's box. Every such pixel is
    equally likely, and so is every position of it within the crop.

    Otherwise the centre of the crop is drawn uniformly from the target's box, and the crop is then moved into the tile.
    Boxes of a photograph's tiles do not overlap, so with `side` at most tile - stride every pixel of the photograph is
    shown equally often, except for a rim of half a crop.

    Args:
      target: what the element shows.
      labels: packed labels of its tile, uint8 `[T, T, L]`.
      side: of the crop, pixels, at most T.
      form: format of the labels.
      seed: int64 `[2]`, of the element.
    """
    tile = labels.shape[0]
    if side == tile:
        return Crop(tf.zeros([2], tf.int32), side)
    last = tile - side
    fractions = uniform(seed, "crop", 0.0, high=1.0, shape=(2,))
    y, x, height, width = (tf.cast(field, tf.int32) for field in target[2:])

    def centred_in_box() -> tf.Tensor:
        centre = tf.cast([y, x], tf.float32) + fractions * tf.cast([height, width], tf.float32)
        return tf.clip_by_value(tf.cast(tf.floor(centre - side / 2), tf.int32), 0, last)

    def around_lesion_pixel() -> tf.Tensor:
        box = labels[y : y + height, x : x + width]
        lesion_pixels = tf.where(form.shows(box, target.class_index))  # [n, 2]
        number = _integer_below(tf.shape(lesion_pixels)[0], uniform(seed, "crop pixel", 0.0, high=1.0))
        pixel = tf.cast(lesion_pixels[number], tf.int32) + [y, x]
        lowest, highest = tf.maximum(pixel - side + 1, 0), tf.minimum(pixel, last)
        return lowest + _integer_below(highest - lowest + 1, fractions)

    return Crop(tf.cond(target.class_index < 0, centred_in_box, around_lesion_pixel), side)


def _integer_below(count: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    """Maps a fraction in [0, 1) to an integer in 0..count - 1."""
    # The product may round up to count.
    return tf.minimum(tf.cast(tf.cast(count, tf.float32) * fraction, tf.int32), count - 1)
