"""Test-time augmentation: averages a network's probability maps over flips and transpositions of its tiles."""

from collections.abc import Callable

import tensorflow as tf


def _left_right(maps: tf.Tensor) -> tf.Tensor:
    return tf.reverse(maps, [2])


def _up_down(maps: tf.Tensor) -> tf.Tensor:
    return tf.reverse(maps, [1])


def _transposed(maps: tf.Tensor) -> tf.Tensor:
    return tf.transpose(maps, [0, 2, 1, 3])


# Applied one after the other, these pass through all orientations and return to the first.
REFLECTIONS = {1: [], 4: [_left_right, _up_down] * 2, 8: [_transposed, _left_right] * 4}


def average_over(flips: int, predict: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that averages `predict` over orientations.

    Args:
      flips: number of orientations. 1: tiles as they are; 4: also flipped horizontally, vertically and both; 8: also
        all of these transposed.
      predict: float32 `[B, T, T, 3]` → float32 `[B, T, T, C]`.
    """

    def average(images: tf.Tensor) -> tf.Tensor:
        total = tf.constant(0.0)
        for reflect in REFLECTIONS[flips]:
            total += predict(images)
            with tf.control_dependencies([total]):  # keeps only one orientation in memory
                images = reflect(images)
            total = reflect(total)
        return total / flips

    return average if flips > 1 else predict
