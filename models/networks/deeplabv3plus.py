"""DeepLabV3+ (Chen et al. 2018, arXiv:1802.02611): an encoder of stride 16, a pyramid of dilations, a small decoder.

The default network for one class has 40,430,913 parameters, 23,587,712 of them in ResNet50. The earlier system's
network has 11,852,353, as the Keras example: that one stops ResNet50 inside the last block of stage 4 (stride 16, 256
channels) where the paper continues with a dilated stage 5 (2048 channels), and its decoder takes 64 channels from
inside the last block of stage 2 where the paper takes the 256 channels of that stage.
"""

import keras
from keras import layers, ops

from configs import DeepLabV3PlusConfig, PreprocessConfig
from models.layers import Enlarge, convolve, dropout
from models.network import NO_PREPROCESSING, Network, image_input
from models.networks.encoders import encode
from models.saving import PACKAGE

OUTPUT_STRIDE = 16  # of the encoder
LOW_STRIDE = 4  # of the encoder's map that provides the decoder with detail
LOW_WIDTH = 48  # filters to which that map is reduced, the best in the paper


def build_deeplabv3plus(
    options: DeepLabV3PlusConfig, classes: int, preprocess: PreprocessConfig = NO_PREPROCESSING
) -> Network:
    """Builds the network.

    The last downsampling of the encoder is replaced by dilation. Its map passes in parallel through a 1x1 convolution,
    3x3 convolutions dilated by `rates`, and a global mean with a 1x1 convolution; a 1x1 convolution combines them. The
    decoder enlarges the result by 4, concatenates the encoder's map of stride 4 (1x1, 48 filters), applies two 3x3
    convolutions, and enlarges the logits by 4; both enlargements are bilinear. Each convolution is followed by
    normalisation and ReLU.

    With batch normalisation, the global mean is normalised over as many values as there are tiles in the batch: train
    with more than one tile per replica, preferably many, or use group normalisation.

    Args:
      options: encoder, weights and others, see `configs.DeepLabV3PlusConfig`.
      classes: number of classes C.
      preprocess: options of the first layers.

    Returns:
      `[B, h, w, 3]` RGB 0..255 → `[B, h, w, C]` probabilities; stride 16. `models.encoder_layers` returns the
      layers of its encoder.

    Raises:
      InputError: the weights of the encoder cannot be loaded.
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
    """Broadcasts `[B, 1, 1, c]` to `[B, h, w, c]`, the size of a map `[B, h, w, …]`."""

    def call(self, values, like):
        """Returns the broadcast values."""
        batch, height, width, _ = ops.shape(like)
        return ops.broadcast_to(values, (batch, height, width, values.shape[-1]))

    def compute_output_shape(self, values_shape, like_shape):
        """Returns the shape of the broadcast values."""
        return (*like_shape[:3], values_shape[-1])


def _pyramid(x: keras.KerasTensor, options: DeepLabV3PlusConfig) -> keras.KerasTensor:
    """Appends atrous spatial pyramid pooling: `[B, h, w, …]` → `[B, h, w, width]`."""
    views = [_convolution(x, options.width, 1, options=options, name="aspp_point")]
    for rate in options.rates:
        views.append(_convolution(x, options.width, 3, options=options, name=f"aspp_rate{rate}", dilation_rate=rate))
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)  # [B, 1, 1, …]
    mean = _convolution(mean, options.width, 1, options=options, name="aspp_image")
    views.append(Spread(name="aspp_spread")(mean, x))
    x = layers.Concatenate(name="aspp")(views)
    x = _convolution(x, options.width, 1, options=options, name="aspp_join")
    return dropout(x, options.dropout, name="dropout")


def _convolution(
    x: keras.KerasTensor, width: int, kernel: int, *, options: DeepLabV3PlusConfig, name: str, dilation_rate: int = 1
) -> keras.KerasTensor:
    return convolve(
        x,
        width,
        kernel,
        names=(f"{name}_conv", f"{name}_norm", f"{name}_relu"),
        normalization=options.normalization,
        activation="relu",
        use_bias=options.normalization == "none",
        dilation_rate=dilation_rate,
    )


def _head(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Ends the network like `probability_head`; enlarging C logits instead of the map before them is equivalent."""
    logits = layers.Conv2D(classes, 1, name="logits")(x)
    logits = Enlarge(LOW_STRIDE, dtype="float32", name="pixels")(logits)
    return layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
