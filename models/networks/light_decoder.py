"""The decoder of the networks for a CPU: additive skips, residual blocks, and a head that predicts several pixels.

Residual blocks are those of He et al. 2015, arXiv:1512.03385; their last normalisation starts at zero (Goyal et al.
2017, arXiv:1706.02677). The sub-pixel head (Shi et al. 2016, arXiv:1609.05158) predicts the 2x2 or 4x4 pixels of each
position at once, so that no layer with weights works at full resolution.
"""

import math

import keras
from keras import layers

from models.layers import DepthToSpace, drop_path, normalize

HEAD_WIDTH = 32


def decode(
    x: keras.KerasTensor, skips: list[keras.KerasTensor], *, normalization: str, drop_paths: list[float]
) -> keras.KerasTensor:
    """Appends, for each skip, a 1x1 convolution, nearest-neighbour upsampling, the sum with it and a residual block.

    Args:
      x: `[B, h, w, …]`.
      skips: maps of the finer levels, the finest one first; each has twice the height and width of the next one, the
        last one 2 h and 2 w.
      normalization: see `models.layers.normalize`.
      drop_paths: fraction of the samples for which the block of each level is skipped in training.

    Returns:
      A map of the size and with the channels of the first skip.
    """
    for level in reversed(range(len(skips))):
        width = skips[level].shape[-1]
        x = layers.UpSampling2D(2, name=f"up{level}")(convolution(x, width, 1, name=f"narrow{level}"))
        x = layers.Add(name=f"skip{level}")([x, skips[level]])
        x = residual_block(x, width, name=f"decoder{level}", normalization=normalization, dropped=drop_paths[level])
    return x


def residual_block(
    x: keras.KerasTensor, width: int, *, name: str, normalization: str, dropped: float, strides: int = 1
) -> keras.KerasTensor:
    """Appends two 3x3 convolutions, plus the identity or, with stride 2, a 2x2 convolution.

    Args:
      x: `[B, h, w, c]`; without a stride, c is `width`.
      width: number of filters.
      name: what the names of the layers begin with.
      normalization: see `models.layers.normalize`.
      dropped: fraction of the samples for which the convolutions are skipped in training.
      strides: 1 or 2.
    """
    shortcut = x if strides == 1 else convolution(x, width, 2, name=f"{name}_shortcut", strides=strides)
    x = convolution(x, width, 3, name=f"{name}_conv0", strides=strides)
    x = relu(normalize(x, normalization, name=f"{name}_norm0"), f"{name}_relu0")
    x = convolution(x, width, 3, name=f"{name}_conv1")
    # With factors of zero, the block starts as its shortcut.
    x = normalize(x, normalization, name=f"{name}_norm1", gamma_initializer="zeros")
    x = drop_path(x, dropped, name=f"{name}_drop_path")
    return relu(layers.Add(name=f"{name}_add")([shortcut, x]), f"{name}_relu1")


def pixel_head(
    x: keras.KerasTensor, classes: int, *, block: int, normalization: str, prior: float
) -> keras.KerasTensor:
    """Returns the probabilities of block x block pixels at each position.

    Args:
      x: `[B, h, w, c]`.
      classes: number of classes C.
      block: side of the square of pixels.
      normalization: see `models.layers.normalize`.
      prior: initial probability of every pixel.

    Returns:
      float32 `[B, block h, block w, C]` under any precision policy.
    """
    x = convolution(x, HEAD_WIDTH, 3, name="head")
    x = relu(normalize(x, normalization, name="head_norm"), "head_relu")
    bias = keras.initializers.Constant(math.log(prior / (1 - prior)))
    logits = layers.Conv2D(
        block**2 * classes, 3, padding="same", bias_initializer=bias, dtype="float32", name="logits"
    )(x)
    return layers.Activation("sigmoid", dtype="float32", name="probabilities")(
        DepthToSpace(block, dtype="float32", name="pixels")(logits)
    )


def convolution(x: keras.KerasTensor, width: int, kernel: int, *, name: str, strides: int = 1) -> keras.KerasTensor:
    """Appends a convolution without bias: the following normalisation, or those of the following block, have one."""
    return layers.Conv2D(
        width, kernel, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Appends a ReLU."""
    return layers.Activation("relu", name=name)(x)
