"""Augmentation: what training draws for each tile. Stateless: the same seed draws the same."""

import tensorflow as tf

from configs import AugmentConfig


def augment(image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """Flips and turns image and mask alike, then changes the image's brightness and colour.

    Args:
      image: float32 RGB 0..255 `[T, T, 3]`.
      mask: float32 0/1 `[T, T, C]`.
      seed: int64 `[2]`.
      config: probabilities and ranges.

    Returns:
      The same shapes, ranges and dtypes.
    """
    image, mask = _turn(image, mask, tf.random.stateless_uniform([4], seed), config)
    return _recolor(image, tf.random.stateless_uniform([4], seed + 1, minval=-1.0), config), mask


def _turn(image: tf.Tensor, mask: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tuple[tf.Tensor, tf.Tensor]:
    both = tf.concat([image, mask], axis=-1)  # one move for both, so that they cannot come apart
    both = tf.where(draws[0] < config.horizontal_flip, tf.reverse(both, [1]), both)
    both = tf.where(draws[1] < config.vertical_flip, tf.reverse(both, [0]), both)
    turns = tf.where(draws[2] < config.quarter_turn, 1 + tf.cast(draws[3] * 3, tf.int32), 0)
    turned = tf.ensure_shape(tf.image.rot90(both, turns), both.shape)
    return turned[..., :3], turned[..., 3:]


def _recolor(image: tf.Tensor, draws: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    gain = (1 + config.brightness * draws[0]) * (1 + config.color * draws[1:])  # [3]
    return tf.clip_by_value(image * gain, 0.0, 255.0)
