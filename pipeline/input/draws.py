"""The draws of the augmentations: stateless, and each under a name of its own.

A draw thus depends on the seed and its name alone, not on which other augmentations are on nor on their order. The
augmentation NAME draws under "NAME" whether it fires, under "NAME strength" how far it goes, whatever else it needs
under "NAME …".
"""

import contextlib
import contextvars
import math
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from configs import AugmentConfig

Watcher = Callable[[str, float, float, tf.Tensor], tf.Tensor]

_watcher: contextvars.ContextVar[Watcher | None] = contextvars.ContextVar("watcher", default=None)


@contextlib.contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Hands what `uniform` draws within the block to a function, for people who want to see or to choose it.

    For eager calls: in the functions of a dataset the draws have no values yet.

    Args:
      watcher: takes name, low, high and what was drawn, and returns what is used instead.
    """
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def fires(seed: tf.Tensor, config: AugmentConfig, name: str) -> tf.Tensor:
    """Returns whether the tile gets an augmentation, bool `[]`: never with probability 0, always with 1."""
    return uniform(seed, name, 0.0, high=1.0) < getattr(config, name)


def uniform(seed: tf.Tensor, name: str, low: float, *, high: float, shape: tuple[int, ...] = ()) -> tf.Tensor:
    """Draws float32 `shape`, uniform in [low, high).

    Args:
      seed: int64 `[2]`, of the tile.
      name: of the draw; the same name draws the same.
      low: the least.
      high: above the most.
      shape: of the result.
    """
    own_seed = tf.random.experimental.stateless_fold_in(seed, zlib.crc32(name.encode()))
    drawn = tf.random.stateless_uniform(shape, own_seed, low, high)
    watcher = _watcher.get()
    return drawn if watcher is None else watcher(name, low, high, drawn)


def strength(
    seed: tf.Tensor, config: AugmentConfig, name: str, *, most: float, shape: tuple[int, ...] = ()
) -> tf.Tensor:
    """Draws float32 `shape`, uniform in [-most, most) where the augmentation `name` fires, else 0."""
    drawn = uniform(seed, f"{name} strength", -most, high=most, shape=shape)
    return tf.where(fires(seed, config, name), drawn, 0.0)


def smooth_noise(seed: tf.Tensor, name: str, *, fields: int, size: int, sigma: float) -> tf.Tensor:
    """Draws stationary noise blurred by a Gaussian.

    Args:
      seed: int64 `[2]`, of the tile.
      name: of the draw.
      fields: independent fields.
      size: side of a field.
      sigma: of the Gaussian, in the field's own grid. A blur of tens of pixels leaves nothing that a coarse grid
        does not hold: drawing and blurring there, and enlarging the result, costs a fraction of a blur at full size.

    Returns:
      float32 `[fields, size, size]`, mean 0, variance 1.
    """
    reach = math.ceil(3 * sigma)
    distances = np.arange(size + 2 * reach) - reach - np.arange(size)[:, None]
    weights = np.exp(-0.5 * (distances / sigma) ** 2)
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))  # white noise of variance 1 keeps it
    blur = tf.constant(weights, tf.float32)  # [size, size + 2 reach]
    noise = uniform(seed, name, -math.sqrt(3), high=math.sqrt(3), shape=(fields, size + 2 * reach, size + 2 * reach))
    return tf.matmul(blur, tf.matmul(noise, blur, transpose_b=True))
