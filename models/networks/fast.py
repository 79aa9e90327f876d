"""The project's own network for a CPU or a small GPU: a residual encoder and a light decoder that adds its skips.

Nothing is computed at full resolution but local contrast and the final rearrangement: a stem of stride 2 (or 4) opens
the network, and a sub-pixel head (Shi et al. 2016, arXiv:1609.05158) closes it, which predicts the 2x2 (4x4) pixels of
each of its places at once. Residual blocks as in He et al. 2015, arXiv:1512.03385; their last normalisation starts at
zero (Goyal et al. 2017, arXiv:1706.02677). With its defaults on one class 2,897,988 parameters, of which 4,224 are the
moving statistics of the normalisations.
"""

import math

import keras
from keras import layers

from configs import FastConfig, PreprocessConfig
from models.layers.blocks import DepthToSpace
from models.layers.local_contrast import LocalContrast
from models.layers.normalization import FusedBatchNormalization
from models.network import AS_IT_IS, Network, image_input

HEAD_WIDTH = 32


def build_fast(options: FastConfig, classes: int, preprocess: PreprocessConfig = AS_IT_IS) -> Network:
    """Builds the network.

    Level i works at 1 / (stem * 2 ** i) of the resolution with widths[i] filters. The encoder is a stem, a convolution
    of 5x5 for stride 2 and 7x7 for stride 4, and a residual block a level, the decoder a residual block a level but the
    deepest, after a 1x1 convolution, nearest enlargement, and the addition of the encoder's map. The input is RGB as
    shares of 255 and, with `options.contrast`, local contrast in three further channels (see
    `models.layers.local_contrast`). drop_path grows from 0 at the first level to its value at the deepest.

    Args:
      options: widths, contrast and the rest, see `configs.FastConfig`.
      classes: number of classes C.
      preprocess: its first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride stem * 2 ** (len(widths) - 1).

    Example:
      >>> build_fast(FastConfig(), classes=1).count_params()
      2897988
    """
    image, picture = image_input(preprocess, stride=options.stem * 2 ** (len(options.widths) - 1))
    x = layers.Rescaling(1 / 255, name="scaling")(picture)
    if options.contrast:
        contrast = LocalContrast(options.contrast_sigma, dtype="float32", name="contrast")(picture, image)
        x = layers.Concatenate(name="channels")([x, contrast])  # [B, h, w, 6]
    x = _convolution(x, options.widths[0], options.stem + 3, name="stem", strides=options.stem)
    x = _activation(_normalization(x, options, "stem_norm"), "stem_relu")
    skips = []
    for level, width in enumerate(options.widths):
        x = _block(x, width, options, name=f"encoder{level}", level=level, strides=1 if level == 0 else 2)
        skips.append(x)  # [B, h / (stem * 2 ** level), …, width]
    if options.dropout > 0:
        x = layers.Dropout(options.dropout, name="dropout")(x)
    for level, width in reversed(list(enumerate(options.widths[:-1]))):
        x = layers.UpSampling2D(2, name=f"up{level}")(_convolution(x, width, 1, name=f"narrow{level}"))
        x = _block(
            layers.Add(name=f"skip{level}")([x, skips[level]]), width, options, name=f"decoder{level}", level=level
        )
    return Network(image, _head(x, classes, options), name="fast")


def _block(
    x: keras.KerasTensor, width: int, options: FastConfig, *, name: str, level: int, strides: int = 1
) -> keras.KerasTensor:
    """A residual block: two 3x3 convolutions, beside them the identity or, with stride 2, a 2x2 convolution."""
    shortcut = x if strides == 1 else _convolution(x, width, 2, name=f"{name}_shortcut", strides=strides)
    x = _convolution(x, width, 3, name=f"{name}_conv0", strides=strides)
    x = _activation(_normalization(x, options, f"{name}_norm0"), f"{name}_relu0")
    x = _convolution(x, width, 3, name=f"{name}_conv1")
    x = _normalization(x, options, f"{name}_norm1", gamma_initializer="zeros")  # the block begins as its shortcut
    drop_path = options.drop_path * level / (len(options.widths) - 1)
    if drop_path > 0:  # stochastic depth (Huang et al. 2016, arXiv:1603.09382): a sample's whole branch
        x = layers.Dropout(drop_path, noise_shape=(None, 1, 1, 1), name=f"{name}_drop_path")(x)
    return _activation(layers.Add(name=f"{name}_add")([shortcut, x]), f"{name}_relu1")


def _head(x: keras.KerasTensor, classes: int, options: FastConfig) -> keras.KerasTensor:
    """From `[B, h / stem, w / stem, …]` to a probability for each pixel and class, `[B, h, w, C]`."""
    x = _convolution(x, HEAD_WIDTH, 3, name="head")
    x = _activation(_normalization(x, options, "head_norm"), "head_relu")
    bias = keras.initializers.Constant(math.log(options.prior / (1 - options.prior)))
    logits = layers.Conv2D(
        options.stem**2 * classes, 3, padding="same", bias_initializer=bias, dtype="float32", name="logits"
    )(x)
    return layers.Activation("sigmoid", dtype="float32", name="probabilities")(
        DepthToSpace(options.stem, dtype="float32", name="pixels")(logits)
    )


def _convolution(x: keras.KerasTensor, width: int, kernel: int, *, name: str, strides: int = 1) -> keras.KerasTensor:
    # No bias: a normalisation follows, or a block whose normalisations have one.
    return layers.Conv2D(
        width, kernel, strides=strides, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _normalization(x: keras.KerasTensor, options: FastConfig, name: str, *, gamma_initializer="ones"):
    if options.normalization == "group":
        return layers.GroupNormalization(x.shape[-1] // 8, gamma_initializer=gamma_initializer, name=name)(x)
    return FusedBatchNormalization(gamma_initializer=gamma_initializer, name=name)(x)


def _activation(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.Activation("relu", name=name)(x)
