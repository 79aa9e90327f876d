"""Random draws of the augmentations: stateless, each with a name of its own.

A draw depends on the seed and its name alone, not on which other augmentations are on, nor on their order. The
augmentation NAME draws under "NAME" whether it is applied, under "NAME strength" how strongly, and anything else it
needs under "NAME …". Changing a name changes what is drawn.
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
    """Passes everything that `uniform` draws within the block to a function, which may replace it.

    Only for eager calls: while a dataset's functions are traced, draws have no values yet.

    Args:
      watcher: takes name, low, high and the drawn value, and returns the value to use instead.
    """
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def fires(seed: tf.Tensor, config: AugmentConfig, name: str) -> tf.Tensor:
    """Draws whether an augmentation is applied, bool `[]`: never with probability 0, always with 1."""
    return uniform(seed, name, 0.0, high=1.0) < getattr(config, name)


def uniform(seed: tf.Tensor, name: str, low: float, *, high: float, shape: tuple[int, ...] = ()) -> tf.Tensor:
    """Draws float32 `shape`, uniform in [low, high).

    Args:
      seed: int64 `[2]`.
      name: of the draw; the same seed and name give the same values.
      low: lower bound, inclusive.
      high: upper bound, exclusive.
      shape: of the result.
    """
    own_seed = tf.random.experimental.stateless_fold_in(seed, zlib.crc32(name.encode()))
    drawn = tf.random.stateless_uniform(shape, own_seed, low, high)
    watcher = _watcher.get()
    return drawn if watcher is None else watcher(name, low, high, drawn)


def strength(
    seed: tf.Tensor, config: AugmentConfig, name: str, *, most: float, shape: tuple[int, ...] = ()
) -> tf.Tensor:
    """Draws float32 `shape`, uniform in [-most, most) if the augmentation `name` is applied, else 0."""
    drawn = uniform(seed, f"{name} strength", -most, high=most, shape=shape)
    return tf.where(fires(seed, config, name), drawn, 0.0)


def smooth_noise(seed: tf.Tensor, name: str, *, fields: int, size: int, sigma: float) -> tf.Tensor:
    """Draws stationary noise, blurred by a Gaussian.

    With a sigma of tens of pixels, draw it on a coarse grid and enlarge the result: a coarse grid represents it fully,
    at a fraction of the cost of a blur at full size.

    Args:
      seed: int64 `[2]`.
      name: of the draw.
      fields: number of independent fields.
      size: side of a field.
      sigma: of the Gaussian, in nodes of the field's own grid.

    Returns:
      float32 `[fields, size, size]`, mean 0, variance 1.
    """
    reach = math.ceil(3 * sigma)
    distances = np.arange(size + 2 * reach) - reach - np.arange(size)[:, None]
    weights = np.exp(-0.5 * (distances / sigma) ** 2)
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))  # preserves the variance of white noise
    blur = tf.constant(weights, tf.float32)  # [size, size + 2 reach]
    noise = uniform(seed, name, -math.sqrt(3), high=math.sqrt(3), shape=(fields, size + 2 * reach, size + 2 * reach))
    return tf.matmul(blur, tf.matmul(noise, blur, transpose_b=True))
