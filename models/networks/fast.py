"""A network of our own for a CPU or a small GPU: a residual encoder and a light decoder with additive skips.

Only local contrast and the final rearrangement work at full resolution: the network begins with a stem of stride 2
(or 4) and ends with a sub-pixel head (Shi et al. 2016, arXiv:1609.05158), which predicts the 2x2 (or 4x4) pixels of
each position at once. Residual blocks are those of He et al. 2015, arXiv:1512.03385; their last normalisation starts at
zero (Goyal et al. 2017, arXiv:1706.02677). The default network for one class has 2,897,988 parameters, of which 4,224
are moving statistics of the normalisations.
"""

import math

import keras
from keras import layers

from configs import FastConfig, PreprocessConfig
from models.layers import DepthToSpace, LocalContrast, drop_path, dropout, normalize
from models.network import NO_PREPROCESSING, Network, image_input

HEAD_WIDTH = 32


def build_fast(options: FastConfig, classes: int, preprocess: PreprocessConfig = NO_PREPROCESSING) -> Network:
    """Builds the network.

    Level i works at 1 / (stem * 2 ** i) of the resolution with widths[i] filters. The encoder consists of a stem (a 5x5
    convolution for stride 2, 7x7 for stride 4) and one residual block per level. On each level except the deepest, the
    decoder consists of a 1x1 convolution, nearest-neighbour upsampling, the addition of the encoder's map, and a
    residual block. The input is RGB as fractions of 255 and, with `options.contrast`, local contrast in three further
    channels (see `models.layers.local_contrast`). drop_path grows from 0 at the first level to its value at the
    deepest.

    Args:
      options: widths, contrast and others, see `configs.FastConfig`.
      classes: number of classes C.
      preprocess: options of the first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride stem * 2 ** (len(widths) - 1).

    Example:
      >>> build_fast(FastConfig(widths=(8, 16)), classes=1).stride
      4
    """
    photograph, image = image_input(preprocess, stride=options.stem * 2 ** (len(options.widths) - 1))
    x = layers.Rescaling(1 / 255, name="scaling")(image)
    if options.contrast:
        contrast = LocalContrast(options.contrast_sigma, dtype="float32", name="contrast")(image, photograph)
        x = layers.Concatenate(name="channels")([x, contrast])  # [B, h, w, 6]
    x = _convolution(x, options.widths[0], options.stem + 3, name="stem", strides=options.stem)
    x = _relu(normalize(x, options.normalization, name="stem_norm"), "stem_relu")
    skips = []
    for level, width in enumerate(options.widths):
        x = _block(x, width, options, name=f"encoder{level}", level=level, strides=1 if level == 0 else 2)
        skips.append(x)  # [B, h / (stem * 2 ** level), …, width]
    x = dropout(x, options.dropout, name="dropout")
    for level, width in reversed(list(enumerate(options.widths[:-1]))):
        x = layers.UpSampling2D(2, name=f"up{level}")(_convolution(x, width, 1, name=f"narrow{level}"))
        x = layers.Add(name=f"skip{level}")([x, skips[level]])
        x = _block(x, width, options, name=f"decoder{level}", level=level)
    return Network(photograph, _head(x, classes, options), name="fast")


def _block(
    x: keras.KerasTensor, width: int, options: FastConfig, *, name: str, level: int, strides: int = 1
) -> keras.KerasTensor:
    """Appends a residual block: two 3x3 convolutions plus the identity or, with stride 2, a 2x2 convolution."""
    shortcut = x if strides == 1 else _convolution(x, width, 2, name=f"{name}_shortcut", strides=strides)
    x = _convolution(x, width, 3, name=f"{name}_conv0", strides=strides)
    x = _relu(normalize(x, options.normalization, name=f"{name}_norm0"), f"{name}_relu0")
    x = _convolution(x, width, 3, name=f"{name}_conv1")
    # With factors of zero, the block starts as its shortcut.
    x = normalize(x, options.normalization, name=f"{name}_norm1", gamma_initializer="zeros")
    x = drop_path(x, options.drop_path * level / (len(options.widths) - 1), name=f"{name}_drop_path")
    return _relu(layers.Add(name=f"{name}_add")([shortcut, x]), f"{name}_relu1")


def _head(x: keras.KerasTensor, classes: int, options: FastConfig) -> keras.KerasTensor:
    """Returns the probabilities `[B, h, w, C]` of a map `[B, h / stem, w / stem, …]`."""
    x = _convolution(x, HEAD_WIDTH, 3, name="head")
    x = _relu(normalize(x, options.normalization, name="head_norm"), "head_relu")
    bias = keras.initializers.Constant(math.log(options.prior / (1 - options.prior)))
    logits = layers.Conv2D(
        options.stem**2 * classes, 3, padding="same", bias_initializer=bias, dtype="float32", name="logits"
    )(x)
    return layers.Activation("sigmoid", dtype="float32", name="probabilities")(
        DepthToSpace(options.stem, dtype="float32", name="pixels")(logits)
    )


def _convolution(x: keras.KerasTensor, width: int, kernel: int, *, name: str, strides: int = 1) -> keras.KerasTensor:
    # No bias: the following normalisation, or those of the following block, have one.
    return layers.Conv2D(
        width, kernel, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.Activation("relu", name=name)(x)
