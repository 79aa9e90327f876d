"""EfficientUNet: a U-Net (Ronneberger et al. 2015, arXiv:1505.04597) whose encoder is an EfficientNet.

Encoders: Tan & Le 2019, arXiv:1905.11946, and 2021, arXiv:2104.00298. The default network for one class has 10,115,373
parameters, 4,049,564 of them in the encoder.
"""

from keras import layers

from configs import EfficientUNetConfig, PreprocessConfig
from models.layers import convolve, dropout
from models.network import NO_PREPROCESSING, Network, image_input, probability_head
from models.networks.encoders import encode


def build_efficient_unet(
    options: EfficientUNetConfig, classes: int, preprocess: PreprocessConfig = NO_PREPROCESSING
) -> Network:
    """Builds the network.

    The encoder provides its last map of each of the strides 2, 4, 8, 16 and 32. The decoder's level of stride s is
    nearest-neighbour upsampling, concatenation with the encoder's map of that stride (there is none of stride 1), and
    twice 3x3 convolution, normalisation, activation with width * s filters.

    Args:
      options: encoder, weights and others, see `configs.EfficientUNetConfig`.
      classes: number of classes C.
      preprocess: options of the first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride 32. `models.encoder_layers` returns the
      layers of its encoder.

    Raises:
      InputError: the weights of the encoder cannot be loaded.
    """
    image, x = image_input(preprocess, stride=32)
    maps = encode(x, options.encoder, options.weights, field="model.efficient_unet.weights")
    x = dropout(maps[32], options.dropout, name="dropout")
    for stride in (16, 8, 4, 2, 1):
        x = layers.UpSampling2D(2, name=f"up{stride}")(x)
        if stride in maps:
            x = layers.Concatenate(name=f"skip{stride}")([x, maps[stride]])
        name = f"decoder{stride}"
        for half in (0, 1):
            x = convolve(
                x,
                options.width * stride,
                3,
                names=(f"{name}_conv{half}", f"{name}_norm{half}", f"{name}_activation{half}"),
                normalization=options.normalization,
                activation=options.activation,
                use_bias=options.normalization == "none",
            )
    return Network(image, probability_head(x, classes), name="efficient_unet")
