"""EfficientNet-Lite0, an encoder whose layers become layers of the network, as those of `models.networks.encoders`.

It is the EfficientNet-B0 of Tan & Le 2019 (arXiv:1905.11946) without squeeze-and-excitation and with ReLU6 (Google's
`efficientnet/lite` of 2020). Its stem and its 16 blocks have 3,371,008 trainable weights less those of the last
convolution to 1280 channels, which only the classifier needs: 2,958,848, and 39,456 moving statistics.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from models.layers import DepthwiseConvolution, convolve, normalize
from models.networks.encoder_weights import PREFIX, read_weights, set_weights

STEM_WIDTH = 32
EXPANSION = 6  # of all blocks but the first, which has none
SCALE, OFFSET = 1 / 128, -127 / 128  # from levels 0..255 to the range that the weights of ImageNet were trained with


class Stage(NamedTuple):
    """Blocks of one width: their number, the side of their kernels, the stride of the first one, their channels."""

    blocks: int
    kernel: int
    step: int
    width: int


STAGES = (
    Stage(1, 3, 1, 16),
    Stage(2, 3, 2, 24),
    Stage(2, 5, 2, 40),
    Stage(3, 3, 2, 80),
    Stage(3, 5, 1, 112),
    Stage(4, 5, 2, 192),
    Stage(1, 3, 1, 320),
)


def encode_lite(x: keras.KerasTensor, *, coarsest: int) -> dict[int, keras.KerasTensor]:
    """Appends the encoder.

    A block is a 1x1 convolution to six times the channels, a depthwise convolution and a 1x1 convolution, each followed
    by batch normalisation, the first two also by ReLU6; its input is added where that has the same shape. Padding is
    that of TensorFlow, as in the training of the weights.

    Args:
      x: `[B, h, w, c]`, of which the first three channels are `scale_levels` of RGB; `coarsest` divides h and w.
      coarsest: stride of the last map, 2, 4, 8, 16 or 32; the stages after it are left out.

    Returns:
      The last block's map of each stride, {2: `[B, h/2, w/2, 16]`, 4: 24 channels, 8: 40, 16: 112, 32: 320}.
    """
    x = _convolve(x, STEM_WIDTH, 3, name=f"{PREFIX}stem", strides=2, activation="relu6")
    maps, stride, number = {}, 2, 0
    for stage in STAGES:
        stride *= stage.step
        if stride > coarsest:
            break
        for block in range(stage.blocks):
            x = _block(x, stage, step=stage.step if block == 0 else 1, number=number)
            number += 1
        maps[stride] = x
    return maps


def scale_levels(image: keras.KerasTensor) -> keras.KerasTensor:
    """Scales RGB 0..255 to (x - 127) / 128, in float32 under any precision policy."""
    return layers.Rescaling(SCALE, OFFSET, dtype="float32", name=f"{PREFIX}scaling")(image)


def load_lite(encoder: list[layers.Layer], weights: str, *, field: str) -> None:
    """Loads the weights of an EfficientNet-Lite0 from a file.

    Where the stem has more channels than in the file, the kernels of the further ones become zero: the network begins
    as if it did not see them.

    Args:
      encoder: the layers that `encode_lite` has appended.
      weights: path of a file that tools/imagenet_weights has written, or of a saved network with this encoder.
      field: name of the option that names the file, for messages.

    Raises:
      InputError: the weights cannot be loaded, or belong to another encoder.
    """
    saved = read_weights(weights, field=field, allowed="none or the path of a weights file")
    stem = next(layer for layer in encoder if layer.name == f"{PREFIX}stem")
    if "stem" in saved:
        saved["stem"] = [_with_channels(kernel, stem.kernel.shape[2]) for kernel in saved["stem"]]
    set_weights(encoder, saved, received=f"{field} {weights!r}")


def _block(x: keras.KerasTensor, stage: Stage, *, step: int, number: int) -> keras.KerasTensor:
    name, shortcut = f"{PREFIX}block{number}", x
    if number > 0:
        x = _convolve(x, x.shape[-1] * EXPANSION, 1, name=f"{name}_expand", activation="relu6")
    x = DepthwiseConvolution(
        stage.kernel,
        strides=step,
        padding="same",
        use_bias=False,
        # Keras' own initialisers would count the inputs of all channels; a kernel here has those of one.
        depthwise_initializer=keras.initializers.RandomNormal(stddev=2**0.5 / stage.kernel),
        name=f"{name}_depthwise",
    )(x)
    x = normalize(x, "batch", name=f"{name}_depthwise_norm")
    x = layers.Activation("relu6", name=f"{name}_depthwise_activation")(x)
    x = _convolve(x, stage.width, 1, name=f"{name}_project")
    return layers.Add(name=f"{name}_add")([shortcut, x]) if step == 1 and shortcut.shape[-1] == stage.width else x


def _convolve(
    x: keras.KerasTensor, width: int, kernel: int, *, name: str, strides: int = 1, activation: str | None = None
) -> keras.KerasTensor:
    return convolve(
        x,
        width,
        kernel,
        names=(name, f"{name}_norm", f"{name}_activation"),
        normalization="batch",
        activation=activation,
        use_bias=False,
        strides=strides,
    )


def _with_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Appends input channels of zeros to a kernel `[kh, kw, in, out]`, up to a number of them."""
    further = max(channels - kernel.shape[2], 0)
    return np.pad(kernel, ((0, 0), (0, 0), (0, further), (0, 0)))
