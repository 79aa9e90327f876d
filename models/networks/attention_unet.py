"""Attention U-Net (Oktay et al. 2018, arXiv:1804.03999): a U-Net whose skips are gated by the coarser level.

The default network for one class has 2,076,468 parameters. The authors' code also passes gated skips through two 1x1
convolutions and combines side outputs of all levels in its output; this network follows the equations of the paper.
"""

import keras
from keras import layers

from configs import AttentionUNetConfig, PreprocessConfig
from models.layers import Enlarge, convolve, dropout
from models.network import NO_PREPROCESSING, Network, image_input, probability_head
from models.networks.u_shape import u_shape


def build_attention_unet(
    options: AttentionUNetConfig, classes: int, preprocess: PreprocessConfig = NO_PREPROCESSING
) -> Network:
    """Builds the network.

    Level i (0 is full resolution) has width * 2**i filters and the dropout rate dropout * i. A block is 3x3
    convolution, normalisation, activation, twice. Between levels: 2x2 max pooling down, 2x2 transposed convolution up.
    Every skip except the first, whose features are too simple, is multiplied by attention in 0..1, `[B, h, w, 1]`, the
    output of the layer `attentionLEVEL`; its gating signal is the map of the next deeper level, before upsampling.

    Args:
      options: width, levels and others, see `configs.AttentionUNetConfig`.
      classes: number of classes C.
      preprocess: options of the first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride 2 ** (levels - 1).

    Example:
      >>> build_attention_unet(AttentionUNetConfig(width=8, levels=3), classes=1).stride
      4
    """
    image, x = image_input(preprocess, stride=2 ** (options.levels - 1))
    x = layers.Rescaling(1 / 255, name="scaling")(x)

    def block(x: keras.KerasTensor, level: int, name: str) -> keras.KerasTensor:
        return _block(x, options, level, name=name)

    def gate(skip: keras.KerasTensor, signal: keras.KerasTensor, level: int) -> keras.KerasTensor:
        return _gate(skip, signal, level) if level > 0 else skip

    x = u_shape(x, block, width=options.width, levels=options.levels, gate=gate)
    return Network(image, probability_head(x, classes), name="attention_unet")


def _gate(skip: keras.KerasTensor, signal: keras.KerasTensor, level: int) -> keras.KerasTensor:
    """Appends the paper's additive gate: skip `[B, h, w, c]` times sigmoid(psi(relu(W_x skip + W_g signal)))."""
    channels = skip.shape[-1]
    theta = layers.Conv2D(
        channels, 2, strides=2, use_bias=False, kernel_initializer="he_normal", name=f"gate{level}_skip"
    )(skip)  # [B, h/2, w/2, c], the size of the signal
    phi = layers.Conv2D(channels, 1, kernel_initializer="he_normal", name=f"gate{level}_signal")(signal)
    both = layers.Activation("relu", name=f"gate{level}_relu")(layers.Add(name=f"gate{level}_add")([theta, phi]))
    coarse = layers.Conv2D(1, 1, activation="sigmoid", name=f"gate{level}_psi")(both)  # [B, h/2, w/2, 1]
    attention = Enlarge(2, name=f"attention{level}")(coarse)  # [B, h, w, 1]
    return layers.Multiply(name=f"gated{level}")([skip, attention])


def _block(x: keras.KerasTensor, options: AttentionUNetConfig, level: int, *, name: str) -> keras.KerasTensor:
    for half in (0, 1):
        x = convolve(
            x,
            options.width * 2**level,
            3,
            names=(f"{name}_conv{half}", f"{name}_norm{half}", f"{name}_activation{half}"),
            normalization=options.normalization,
            activation=options.activation,
        )
        if half == 0:
            x = dropout(x, options.dropout * level, name=f"{name}_dropout")
    return x
