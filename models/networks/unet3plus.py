"""UNet 3+ (Huang et al. 2020, arXiv:2004.08790): every decoder level sees the maps of all levels.

The default network for one class has 26,984,833 parameters, of which 26,971,777 are trainable (26.97 million in the
paper). Training has 17,860 more, in the heads of deep supervision.
"""

import keras
from keras import layers, ops

from configs import PreprocessConfig, UNet3PlusConfig
from models.layers import Enlarge, convolve, dropout
from models.network import NO_PREPROCESSING, Network, image_input
from models.saving import PACKAGE

PRESENT = 0.5  # presence at and above which the map of a class is kept
PRESENCE_DROPOUT = 0.5


def build_unet3plus(options: UNet3PlusConfig, classes: int, preprocess: PreprocessConfig = NO_PREPROCESSING) -> Network:
    """Builds the network.

    Level i (0 is full resolution) of the encoder has width * 2**i filters and the dropout rate dropout * i. A decoder
    level takes width channels from each level: finer levels of the encoder by max pooling, its own level unchanged,
    coarser levels of the decoder by bilinear enlargement, each followed by a 3x3 convolution. It concatenates them and
    convolves the width * levels channels. The probabilities come from a 3x3 convolution of the finest level.

    With `options.deep_supervision` every other level, including the bridge, has a side output: a 3x3 convolution,
    enlarged to full size. With `options.classification` the deepest level predicts for each class whether the tile
    contains it, and the probabilities of an absent class are set to 0. This hard decision has no gradient, so it is
    made outside of training only; `models.supervision` trains the prediction. The authors distinguish one organ from
    none and decide in training, too, where a false negative keeps the network from learning the tile.

    Args:
      options: width, levels and others, see `configs.UNet3PlusConfig`.
      classes: number of classes C.
      preprocess: options of the first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride 2 ** (levels - 1).

    Example:
      >>> network = build_unet3plus(UNet3PlusConfig(width=8, levels=3), classes=1)
      >>> network.stride, len(network.side_outputs)
      (4, 2)
    """
    bridge = options.levels - 1
    image, x = image_input(preprocess, stride=2**bridge)
    maps = _encode(layers.Rescaling(1 / 255, name="scaling")(x), options)
    for level in reversed(range(bridge)):
        maps[level] = _decode(maps, options, level)  # replaces the encoder's map
    output, *sides = (_head(x, classes, level) for level, x in enumerate(maps))
    presence = _presence(maps[bridge], classes) if options.classification else None
    if presence is not None:
        output = PresenceGate(dtype="float32", name="gated")(output, presence)
    return Network(
        image, output, name="unet3plus", side_outputs=sides if options.deep_supervision else (), presence=presence
    )


@keras.saving.register_keras_serializable(PACKAGE)
class PresenceGate(keras.layers.Layer):
    """Sets the maps `[B, h, w, C]` of classes whose presence `[B, C]` is below 0.5 to 0, except in training."""

    def call(self, maps, presence, training=False):
        """Returns the gated maps."""
        if training:
            return maps
        return maps * ops.cast(presence >= PRESENT, maps.dtype)[:, None, None, :]

    def compute_output_shape(self, maps_shape, presence_shape):
        """Returns the shape of the maps."""
        return maps_shape


def _encode(x: keras.KerasTensor, options: UNet3PlusConfig) -> list[keras.KerasTensor]:
    """Returns the map of every level, `[B, h / 2**level, w / 2**level, width * 2**level]`."""
    maps = []
    for level in range(options.levels):
        if level > 0:
            x = layers.MaxPooling2D(name=f"down{level}")(x)
        for half in (0, 1):
            x = _convolve(x, options.width * 2**level, options, name=f"encoder{level}_conv{half}")
            if half == 0:
                x = dropout(x, options.dropout * level, name=f"encoder{level}_dropout")
        maps.append(x)
    return maps


def _decode(maps: list[keras.KerasTensor], options: UNet3PlusConfig, level: int) -> keras.KerasTensor:
    """Returns the map of a decoder level, `[B, h / 2**level, w / 2**level, width * levels]`."""
    views = []
    for other, x in enumerate(maps):
        name = f"from{other}_to{level}"
        views.append(_convolve(_resize(x, other, level, name=name), options.width, options, name=name))
    x = layers.Concatenate(name=f"views{level}")(views)
    return _convolve(x, options.width * options.levels, options, name=f"decoder{level}")


def _resize(x: keras.KerasTensor, source: int, target: int, *, name: str) -> keras.KerasTensor:
    """Resizes a map of the level `source` to the size of the level `target`."""
    if source < target:
        return layers.MaxPooling2D(2 ** (target - source), name=f"{name}_down")(x)
    if source > target:
        return Enlarge(2 ** (source - target), name=f"{name}_up")(x)
    return x


def _convolve(x: keras.KerasTensor, filters: int, options: UNet3PlusConfig, *, name: str) -> keras.KerasTensor:
    return convolve(
        x,
        filters,
        3,
        names=(name, f"{name}_norm", f"{name}_activation"),
        normalization=options.normalization,
        activation=options.activation,
    )


def _head(x: keras.KerasTensor, classes: int, level: int) -> keras.KerasTensor:
    """Returns the probabilities at full size, `[B, h, w, C]` float32, of the map of a level."""
    x = layers.Conv2D(classes, 3, padding="same", name=f"logits{level or ''}")(x)
    if level > 0:
        x = Enlarge(2**level, name=f"logits{level}_up")(x)
    return layers.Activation("sigmoid", dtype="float32", name=f"probabilities{level}")(x)


def _presence(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Returns the probabilities `[B, C]` float32 that the tile contains the classes."""
    x = layers.Dropout(PRESENCE_DROPOUT, name="presence_dropout")(x)
    x = layers.GlobalMaxPooling2D(name="presence_pool")(layers.Conv2D(classes, 1, name="presence_logits")(x))
    return layers.Activation("sigmoid", dtype="float32", name="presence")(x)
