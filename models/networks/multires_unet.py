"""MultiResUNet (Ibtehaz and Rahman 2019, arXiv:1902.04049): blocks that see 3x3, 5x5 and 7x7 pixels, and ResPaths.

With its defaults on one class 7,262,748 parameters. The authors' Keras code has 7,262,750: it normalises the logits,
where this network has a bias.
"""

import keras
from keras import layers

from configs import MultiResUNetConfig, PreprocessConfig
from models.layers.blocks import check_activation, normalize
from models.network import AS_IT_IS, Network, image_input, probability_head

SHARES = (0.167, 0.333, 0.5)  # of a block's filters: the paper's 1/6, 1/3, 1/2 as the authors' code rounds them


def build_multires_unet(options: MultiResUNetConfig, classes: int, preprocess: PreprocessConfig = AS_IT_IS) -> Network:
    """Builds the network.

    Level i (0 is full resolution) stands for a U-Net's level of U = width * 2**i filters, has W = alpha * U filters and
    dropout * i. Its block is three 3x3 convolutions in a row, of about W/6, W/3 and W/2 filters, whose maps lie side
    by side, plus a 1x1 convolution of what came in. The skip of level i is a ResPath of levels - 1 - i residual 3x3
    convolutions of U filters. Between levels: 2x2 max pooling down, 2x2 transposed convolution up.

    Args:
      options: width, levels, alpha and the rest, see `configs.MultiResUNetConfig`.
      classes: number of classes C.
      preprocess: its first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride 2 ** (levels - 1).

    Example:
      >>> build_multires_unet(MultiResUNetConfig(), classes=1).count_params()
      7262748
    """
    check_activation("model.multires_unet.activation", options.activation)
    bridge = options.levels - 1
    image, x = image_input(preprocess, stride=2**bridge)
    x = layers.Rescaling(1 / 255, name="scaling")(x)
    skips = []
    for level in range(bridge):
        x = _block(x, options, level, name=f"encoder{level}")
        skips.append(_res_path(x, options, level, length=bridge - level))
        x = layers.MaxPooling2D(name=f"down{level}")(x)
    x = _block(x, options, bridge, name="bridge")
    for level in reversed(range(bridge)):
        x = layers.Conv2DTranspose(options.width * 2**level, 2, strides=2, name=f"up{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([x, skips[level]])
        x = _block(x, options, level, name=f"decoder{level}")
    return Network(image, probability_head(x, classes), name="multires_unet")


def _block(x: keras.KerasTensor, options: MultiResUNetConfig, level: int, *, name: str) -> keras.KerasTensor:
    filters = [int(options.alpha * options.width * 2**level * share) for share in SHARES]
    shortcut = _convolve(x, sum(filters), 1, options=options, name=f"{name}_shortcut")
    scales = []  # as a 3x3, a 5x5 and a 7x7 convolution would see them
    for number, one in enumerate(filters):
        x = _activate(
            _convolve(x, one, 3, options=options, name=f"{name}_conv{number}"), options, f"{name}_activation{number}"
        )
        scales.append(x)
    x = layers.Concatenate(name=f"{name}_scales")(scales)
    x = normalize(x, options.normalization, name=f"{name}_scales_norm")
    x = _add(shortcut, x, options, name=f"{name}_add")
    return layers.Dropout(options.dropout * level, name=f"{name}_dropout")(x) if options.dropout * level > 0 else x


def _res_path(x: keras.KerasTensor, options: MultiResUNetConfig, level: int, *, length: int) -> keras.KerasTensor:
    filters = options.width * 2**level
    for step in range(length):
        name = f"path{level}_step{step}"
        shortcut = _convolve(x, filters, 1, options=options, name=f"{name}_shortcut")
        x = _activate(_convolve(x, filters, 3, options=options, name=f"{name}_conv"), options, f"{name}_activation")
        x = _add(shortcut, x, options, name=f"{name}_add")
    return x


def _add(
    shortcut: keras.KerasTensor, x: keras.KerasTensor, options: MultiResUNetConfig, *, name: str
) -> keras.KerasTensor:
    x = _activate(layers.Add(name=name)([shortcut, x]), options, f"{name}_activation")
    return normalize(x, options.normalization, name=f"{name}_norm")


def _convolve(
    x: keras.KerasTensor, filters: int, kernel: int, *, options: MultiResUNetConfig, name: str
) -> keras.KerasTensor:
    """Convolution and normalisation; the shift of the normalisation is the bias, and what follows scales by itself."""
    bias = options.normalization == "none"
    x = layers.Conv2D(filters, kernel, padding="same", use_bias=bias, kernel_initializer="he_normal", name=name)(x)
    return normalize(x, options.normalization, scale=False, name=f"{name}_norm")


def _activate(x: keras.KerasTensor, options: MultiResUNetConfig, name: str) -> keras.KerasTensor:
    return layers.Activation(options.activation, name=name)(x)
