"""MultiResUNet (Ibtehaz and Rahman 2019, arXiv:1902.04049): blocks that see 3x3, 5x5 and 7x7 pixels, and ResPaths.

The default network for one class has 7,262,748 parameters. The authors' Keras code has 7,262,750: it normalises the
logits, where this network has a bias.
"""

import keras
from keras import layers

from configs import MultiResUNetConfig, PreprocessConfig
from models.layers import convolve, dropout, normalize
from models.network import NO_PREPROCESSING, Network, image_input, probability_head
from models.networks.u_shape import u_shape

FRACTIONS = (0.167, 0.333, 0.5)  # of a block's filters: 1/6, 1/3, 1/2 in the paper, rounded as in the authors' code


def build_multires_unet(
    options: MultiResUNetConfig, classes: int, preprocess: PreprocessConfig = NO_PREPROCESSING
) -> Network:
    """Builds the network.

    Level i (0 is full resolution) corresponds to a U-Net level of U = width * 2**i filters. It has W = alpha * U
    filters and the dropout rate dropout * i. Its block is a chain of three 3x3 convolutions with about W/6, W/3 and W/2
    filters, whose outputs are concatenated and added to a 1x1 convolution of the block's input. The skip of level i is
    a ResPath of levels - 1 - i residual 3x3 convolutions with U filters. Between levels: 2x2 max pooling down, 2x2
    transposed convolution up.

    Args:
      options: width, levels, alpha and others, see `configs.MultiResUNetConfig`.
      classes: number of classes C.
      preprocess: options of the first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride 2 ** (levels - 1).

    Example:
      >>> build_multires_unet(MultiResUNetConfig(width=8, levels=3), classes=1).stride
      4
    """
    image, x = image_input(preprocess, stride=2 ** (options.levels - 1))
    x = layers.Rescaling(1 / 255, name="scaling")(x)

    def block(x: keras.KerasTensor, level: int, name: str) -> keras.KerasTensor:
        return _block(x, options, level, name=name)

    def skip(features: keras.KerasTensor, level: int) -> keras.KerasTensor:
        return _res_path(features, options, level, length=options.levels - 1 - level)

    x = u_shape(x, block, width=options.width, levels=options.levels, skip=skip)
    return Network(image, probability_head(x, classes), name="multires_unet")


def _block(x: keras.KerasTensor, options: MultiResUNetConfig, level: int, *, name: str) -> keras.KerasTensor:
    filters = [int(options.alpha * options.width * 2**level * fraction) for fraction in FRACTIONS]
    shortcut = _convolve(x, sum(filters), 1, options=options, name=f"{name}_shortcut")
    scales = []  # receptive fields of 3x3, 5x5 and 7x7 pixels
    for number, width in enumerate(filters):
        activation = f"{name}_activation{number}"
        x = _convolve(x, width, 3, options=options, name=f"{name}_conv{number}", activation=activation)
        scales.append(x)
    x = layers.Concatenate(name=f"{name}_scales")(scales)
    x = normalize(x, options.normalization, name=f"{name}_scales_norm")
    x = _add(shortcut, x, options, name=f"{name}_add")
    return dropout(x, options.dropout * level, name=f"{name}_dropout")


def _res_path(x: keras.KerasTensor, options: MultiResUNetConfig, level: int, *, length: int) -> keras.KerasTensor:
    filters = options.width * 2**level
    for step in range(length):
        name = f"path{level}_step{step}"
        shortcut = _convolve(x, filters, 1, options=options, name=f"{name}_shortcut")
        x = _convolve(x, filters, 3, options=options, name=f"{name}_conv", activation=f"{name}_activation")
        x = _add(shortcut, x, options, name=f"{name}_add")
    return x


def _add(
    shortcut: keras.KerasTensor, x: keras.KerasTensor, options: MultiResUNetConfig, *, name: str
) -> keras.KerasTensor:
    x = layers.Add(name=name)([shortcut, x])
    x = layers.Activation(options.activation, name=f"{name}_activation")(x)
    return normalize(x, options.normalization, name=f"{name}_norm")


def _convolve(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    *,
    options: MultiResUNetConfig,
    name: str,
    activation: str | None = None,
) -> keras.KerasTensor:
    """Appends a convolution, a normalisation and, if it gets a name, the activation.

    The shift of the normalisation serves as bias; it has no scale, since the following layers can learn one.
    """
    return convolve(
        x,
        filters,
        kernel,
        names=(name, f"{name}_norm", activation or ""),
        normalization=options.normalization,
        activation=options.activation if activation else None,
        use_bias=options.normalization == "none",
        scale=False,
    )
