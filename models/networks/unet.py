"""Flexible U-Net (Ronneberger et al. 2015, arXiv:1505.04597) whose kernels and dilations shrink with depth.

The default network for one class has 1,946,993 parameters. With width 16, levels 8, kernel 9, dilation 3 and no
normalisation it has 124,996,849, as the network of the earlier system.
"""

import keras
from keras import layers

from configs import PreprocessConfig, UNetConfig
from models.layers import dropout, normalize
from models.network import NO_PREPROCESSING, Network, image_input, probability_head
from models.networks.u_shape import u_shape


def build_unet(options: UNetConfig, classes: int, preprocess: PreprocessConfig = NO_PREPROCESSING) -> Network:
    """Builds the network.

    Level i (0 is full resolution) has width * 2**i filters, kernels of side max(3, kernel - 2i), dilation
    max(1, dilation - i) and the dropout rate dropout * i. A block of the encoder or decoder is convolution,
    normalisation, dropout, convolution, normalisation; the activation is part of the convolution and thus comes before
    the normalisation. Between levels: 2x2 max pooling down, 2x2 transposed convolution up, skips by concatenation.

    Args:
      options: width, levels and others, see `configs.UNetConfig`.
      classes: number of classes C.
      preprocess: options of the first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride 2 ** (levels - 1).

    Example:
      >>> build_unet(UNetConfig(width=16, levels=5, normalization="none"), classes=1).count_params()
      1941105
    """
    image, x = image_input(preprocess, stride=2 ** (options.levels - 1))
    x = layers.Rescaling(1 / 255, name="scaling")(x)

    def block(x: keras.KerasTensor, level: int, name: str) -> keras.KerasTensor:
        return _block(x, options, level, name=name)

    x = u_shape(x, block, width=options.width, levels=options.levels)
    return Network(image, probability_head(x, classes), name="unet")


def _block(x: keras.KerasTensor, options: UNetConfig, level: int, *, name: str) -> keras.KerasTensor:
    for half in (0, 1):
        x = layers.Conv2D(
            filters=options.width * 2**level,
            kernel_size=max(3, options.kernel - 2 * level),
            dilation_rate=max(1, options.dilation - level),
            padding="same",
            activation=options.activation,
            kernel_initializer="he_normal",
            name=f"{name}_conv{half}",
        )(x)
        x = normalize(x, options.normalization, name=f"{name}_norm{half}")
        if half == 0:
            x = dropout(x, options.dropout * level, name=f"{name}_dropout")
    return x
