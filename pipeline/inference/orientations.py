"""Flipped and turned tiles: a network's maps of several orientations of its tiles, turned back and averaged."""

from collections.abc import Callable

import tensorflow as tf


def _left_right(maps: tf.Tensor) -> tf.Tensor:
    return tf.reverse(maps, [2])


def _up_down(maps: tf.Tensor) -> tf.Tensor:
    return tf.reverse(maps, [1])


def _transposed(maps: tf.Tensor) -> tf.Tensor:
    return tf.transpose(maps, [0, 2, 1, 3])


# Reflections that lead one after the other through all orientations and back to the first.
REFLECTIONS = {1: [], 4: [_left_right, _up_down] * 2, 8: [_transposed, _left_right] * 4}


def average_over(flips: int, predict: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that averages `predict` over orientations.

    Args:
      flips: 1: the tiles as they are; 4: also flipped left to right, upside down, and both; 8: also these transposed.
      predict: `[B, T, T, 3]` → `[B, T, T, C]`.
    """

    def average(images: tf.Tensor) -> tf.Tensor:
        total = tf.constant(0.0)
        for reflect in REFLECTIONS[flips]:
            total += predict(images)
            with tf.control_dependencies([total]):  # else several orientations were in memory at once
                images = reflect(images)
            total = reflect(total)
        return total / flips

    return average if flips > 1 else predict
