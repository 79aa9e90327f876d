"""DeepLabV3+ (Chen et al. 2018, arXiv:1802.02611): an encoder at stride 16, a pyramid of dilations, a small decoder.

With its defaults on one class 40,430,913 parameters, 23,587,712 of them ResNet50's. The earlier system's 11,852,353
are those of the Keras example, which ends ResNet50 inside the last block of its stage 4 (stride 16, 256 channels) where
the paper goes on through a dilated stage 5 (2048 channels), and takes 64 channels inside the last block of stage 2 for
the decoder where the paper takes the stage's 256.
"""

import keras
from keras import layers, ops

from configs import DeepLabV3PlusConfig, PreprocessConfig
from models.layers.blocks import Enlarge, normalize
from models.network import AS_IT_IS, Network, image_input
from models.networks.encoders import encode
from models.saving import PACKAGE

OUTPUT_STRIDE = 16  # of the encoder
LOW_STRIDE = 4  # of the encoder's map that gives the decoder its detail
LOW_WIDTH = 48  # filters to which that map is brought, the paper's best


def build_deeplabv3plus(options: DeepLabV3PlusConfig, classes: int, preprocess: PreprocessConfig = AS_IT_IS) -> Network:
    """Builds the network.

    The encoder's last step down is replaced by dilation. Its map goes side by side through a 1x1 convolution, 3x3
    convolutions dilated by `rates`, and a mean over the whole map with a 1x1 convolution; a 1x1 convolution joins
    them. The decoder enlarges this four times, sets the encoder's map of stride 4 (1x1, 48 filters) beside it,
    convolves 3x3 twice, and enlarges the logits four times, bilinearly as before. Each convolution is followed by
    normalisation and ReLU.

    With batch normalisation, the mean over the map is normalised over as many values as there are tiles in the batch:
    train with more than one a replica, better with many, or with group normalisation.

    Args:
      options: encoder, weights and the rest, see `configs.DeepLabV3PlusConfig`.
      classes: number of classes C.
      preprocess: its first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride 16. `models.networks.encoders.encoder_layers`
      gives those of its encoder.

    Raises:
      InputError: the encoder's weights cannot be had.

    Example:
      >>> build_deeplabv3plus(DeepLabV3PlusConfig(), classes=1).count_params()
      40430913
    """
    image, x = image_input(preprocess, stride=OUTPUT_STRIDE)
    weights_field = "model.deeplabv3plus.weights"
    maps = encode(x, options.encoder, options.weights, field=weights_field, output_stride=OUTPUT_STRIDE)
    x = _pyramid(maps[OUTPUT_STRIDE], options)
    x = Enlarge(OUTPUT_STRIDE // LOW_STRIDE, name="up")(x)
    low = _convolution(maps[LOW_STRIDE], LOW_WIDTH, 1, options=options, name="low")
    x = layers.Concatenate(name="skip")([x, low])
    for half in (0, 1):
        x = _convolution(x, options.width, 3, options=options, name=f"decoder{half}")
    return Network(image, _head(x, classes), name="deeplabv3plus")


@keras.saving.register_keras_serializable(PACKAGE)
class Spread(layers.Layer):
    """`[B, 1, 1, c]` and a map `[B, h, w, …]` → `[B, h, w, c]`, the same everywhere."""

    def call(self, values, like):
        batch, height, width, _ = ops.shape(like)
        return ops.broadcast_to(values, (batch, height, width, values.shape[-1]))

    def compute_output_shape(self, values_shape, like_shape):
        return (*like_shape[:3], values_shape[-1])


def _pyramid(x: keras.KerasTensor, options: DeepLabV3PlusConfig) -> keras.KerasTensor:
    """Atrous spatial pyramid pooling: `[B, h, w, …]` → `[B, h, w, width]`."""
    views = [_convolution(x, options.width, 1, options=options, name="aspp_point")]
    for rate in options.rates:
        views.append(_convolution(x, options.width, 3, options=options, name=f"aspp_rate{rate}", dilation_rate=rate))
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)  # [B, 1, 1, …]
    mean = _convolution(mean, options.width, 1, options=options, name="aspp_image")
    views.append(Spread(name="aspp_spread")(mean, x))
    x = layers.Concatenate(name="aspp")(views)
    x = _convolution(x, options.width, 1, options=options, name="aspp_join")
    return layers.Dropout(options.dropout, name="dropout")(x) if options.dropout > 0 else x


def _convolution(
    x: keras.KerasTensor, width: int, kernel: int, *, options: DeepLabV3PlusConfig, name: str, dilation_rate: int = 1
) -> keras.KerasTensor:
    x = layers.Conv2D(
        width,
        kernel,
        padding="same",
        dilation_rate=dilation_rate,
        use_bias=options.normalization == "none",
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    x = normalize(x, options.normalization, name=f"{name}_norm")
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _head(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Like `probability_head`, but what is enlarged is C logits and not the map before them, which gives the same."""
    logits = layers.Conv2D(classes, 1, name="logits")(x)
    logits = Enlarge(LOW_STRIDE, dtype="float32", name="pixels")(logits)
    return layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
