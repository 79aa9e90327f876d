"""UNet 3+ (Huang et al. 2020, arXiv:2004.08790): every decoder level sees all levels, finer, equal and coarser.

With its defaults on one class 26,984,833 parameters, of which training moves 26,971,777 (the paper's 26.97 million),
and 17,860 more in the heads of deep supervision, which only training has.
"""

import keras
from keras import layers, ops

from configs import PreprocessConfig, UNet3PlusConfig
from models.layers.blocks import Enlarge, check_activation, normalize
from models.network import AS_IT_IS, Network, image_input
from models.saving import PACKAGE

PRESENT = 0.5  # presence from which a class's map is kept
PRESENCE_DROPOUT = 0.5


def build_unet3plus(options: UNet3PlusConfig, classes: int, preprocess: PreprocessConfig = AS_IT_IS) -> Network:
    """Builds the network.

    Level i (0 is full resolution) has width * 2**i filters and dropout * i in the encoder. A decoder level takes from
    each of the levels width channels (finer levels of the encoder through max pooling, its own as it is, coarser
    levels of the decoder enlarged bilinearly; then a 3x3 convolution), and convolves them together, width * levels
    channels. Probabilities come from a 3x3 convolution of the finest.

    With `options.deep_supervision` every other level, the bridge included, gives a side output: a 3x3 convolution,
    enlarged to full size. With `options.classification` the deepest level says for each class whether the tile holds
    it, and the map of a class that is not there is 0. This decision is hard and teaches nothing, so it is taken
    outside training only; `models.supervision` teaches it. The authors decide between one organ and none, and decide
    in training, too, where a wrong no keeps the tile's map from learning.

    Args:
      options: width, levels and the rest, see `configs.UNet3PlusConfig`.
      classes: number of classes C.
      preprocess: its first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride 2 ** (levels - 1).

    Example:
      >>> build_unet3plus(UNet3PlusConfig(), classes=1).count_params()
      26984833
    """
    check_activation("model.unet3plus.activation", options.activation)
    bridge = options.levels - 1
    image, x = image_input(preprocess, stride=2**bridge)
    maps = _encode(layers.Rescaling(1 / 255, name="scaling")(x), options)
    for level in reversed(range(bridge)):
        maps[level] = _decode(maps, options, level)  # from here on the decoder's
    output, *sides = (_head(x, classes, level) for level, x in enumerate(maps))
    presence = _presence(maps[bridge], classes) if options.classification else None
    if presence is not None:
        output = PresenceGate(dtype="float32", name="gated")(output, presence)
    return Network(
        image, output, name="unet3plus", side_outputs=sides if options.deep_supervision else (), presence=presence
    )


@keras.saving.register_keras_serializable(PACKAGE)
class PresenceGate(keras.layers.Layer):
    """Sets the maps `[B, h, w, C]` of classes whose presence `[B, C]` is below 0.5 to 0, but not in training."""

    def call(self, maps, presence, training=False):
        if training:
            return maps
        return maps * ops.cast(presence >= PRESENT, maps.dtype)[:, None, None, :]

    def compute_output_shape(self, maps_shape, presence_shape):
        return maps_shape


def _encode(x: keras.KerasTensor, options: UNet3PlusConfig) -> list[keras.KerasTensor]:
    """Returns the map of every level, `[B, h / 2**level, w / 2**level, width * 2**level]`."""
    maps = []
    for level in range(options.levels):
        if level > 0:
            x = layers.MaxPooling2D(name=f"down{level}")(x)
        for half in (0, 1):
            x = _convolve(x, options.width * 2**level, options, name=f"encoder{level}_conv{half}")
            if half == 0 and options.dropout * level > 0:
                x = layers.Dropout(options.dropout * level, name=f"encoder{level}_dropout")(x)
        maps.append(x)
    return maps


def _decode(maps: list[keras.KerasTensor], options: UNet3PlusConfig, level: int) -> keras.KerasTensor:
    """Returns a decoder level's map, `[B, h / 2**level, w / 2**level, width * levels]`."""
    views = []
    for other, x in enumerate(maps):
        name = f"from{other}_to{level}"
        views.append(_convolve(_resize(x, other, level, name=name), options.width, options, name=name))
    x = layers.Concatenate(name=f"views{level}")(views)
    return _convolve(x, options.width * options.levels, options, name=f"decoder{level}")


def _resize(x: keras.KerasTensor, source: int, target: int, *, name: str) -> keras.KerasTensor:
    """Brings a map of the level `source` to the size of the level `target`."""
    if source < target:
        return layers.MaxPooling2D(2 ** (target - source), name=f"{name}_down")(x)
    if source > target:
        return Enlarge(2 ** (source - target), name=f"{name}_up")(x)
    return x


def _convolve(x: keras.KerasTensor, filters: int, options: UNet3PlusConfig, *, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal", name=name)(x)
    x = normalize(x, options.normalization, name=f"{name}_norm")
    return layers.Activation(options.activation, name=f"{name}_activation")(x)


def _head(x: keras.KerasTensor, classes: int, level: int) -> keras.KerasTensor:
    """Probabilities at full size, `[B, h, w, C]` float32, of a level's map."""
    x = layers.Conv2D(classes, 3, padding="same", name=f"logits{level or ''}")(x)
    if level > 0:
        x = Enlarge(2**level, name=f"logits{level}_up")(x)
    return layers.Activation("sigmoid", dtype="float32", name=f"probabilities{level}")(x)


def _presence(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Probabilities `[B, C]` float32 that the tile holds the classes."""
    x = layers.Dropout(PRESENCE_DROPOUT, name="presence_dropout")(x)
    x = layers.GlobalMaxPooling2D(name="presence_pool")(layers.Conv2D(classes, 1, name="presence_logits")(x))
    return layers.Activation("sigmoid", dtype="float32", name="presence")(x)
