"""EfficientUNet: a U-Net (Ronneberger et al. 2015, arXiv:1505.04597) whose encoder is an EfficientNet.

Encoders: Tan & Le 2019, arXiv:1905.11946, and 2021, arXiv:2104.00298. With its defaults on one class 10,115,373
parameters, 4,049,564 of them the encoder's.
"""

import keras
from keras import layers

from configs import EfficientUNetConfig, PreprocessConfig
from models.layers.blocks import check_activation, normalize
from models.network import AS_IT_IS, Network, image_input, probability_head
from models.networks.encoders import encode


def build_efficient_unet(
    options: EfficientUNetConfig, classes: int, preprocess: PreprocessConfig = AS_IT_IS
) -> Network:
    """Builds the network.

    The encoder gives its last map of each of the strides 2, 4, 8, 16 and 32. The decoder's level of stride s is nearest
    enlargement, the encoder's map of that stride beside it (there is none of stride 1), and twice 3x3 convolution,
    normalisation, activation with width * s filters.

    Args:
      options: encoder, weights and the rest, see `configs.EfficientUNetConfig`.
      classes: number of classes C.
      preprocess: its first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride 32. `models.networks.encoders.encoder_layers`
      gives those of its encoder.

    Raises:
      InputError: the encoder's weights cannot be had, or there is no such activation.

    Example:
      >>> build_efficient_unet(EfficientUNetConfig(), classes=1).count_params()
      10115373
    """
    check_activation("model.efficient_unet.activation", options.activation)
    image, x = image_input(preprocess, stride=32)
    maps = encode(x, options.encoder, options.weights, field="model.efficient_unet.weights")
    x = maps[32]
    if options.dropout > 0:
        x = layers.Dropout(options.dropout, name="dropout")(x)
    for stride in (16, 8, 4, 2, 1):
        x = layers.UpSampling2D(2, name=f"up{stride}")(x)
        if stride in maps:
            x = layers.Concatenate(name=f"skip{stride}")([x, maps[stride]])
        for half in (0, 1):
            x = _convolution(x, options, stride, name=f"decoder{stride}", half=half)
    return Network(image, probability_head(x, classes), name="efficient_unet")


def _convolution(
    x: keras.KerasTensor, options: EfficientUNetConfig, stride: int, *, name: str, half: int
) -> keras.KerasTensor:
    x = layers.Conv2D(
        options.width * stride,
        3,
        padding="same",
        use_bias=options.normalization == "none",
        kernel_initializer="he_normal",
        name=f"{name}_conv{half}",
    )(x)
    x = normalize(x, options.normalization, name=f"{name}_norm{half}")
    return layers.Activation(options.activation, name=f"{name}_activation{half}")(x)
