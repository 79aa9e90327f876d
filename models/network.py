"""What all networks share: a functional `keras.Model` with a stride, its input and its head."""

from collections.abc import Sequence

import keras

from configs import InputError, PreprocessConfig
from models.layers import preprocess
from models.saving import PACKAGE

NO_PREPROCESSING = PreprocessConfig()


@keras.saving.register_keras_serializable(PACKAGE)
class Network(keras.Model):
    """A functional model from RGB 0..255 to probabilities.

    What only training needs is kept as further tensors of the same graph, for `models.supervision.TrainingModel`. They
    are not outputs: a saved network has only the layers of its probabilities, and a loaded one has no such tensors.

    Attributes:
      side_outputs: further probabilities `[B, h, w, C]` float32 of the same masks (deep supervision).
      presence: probabilities float32 `[B, C]` that the tile contains the class; None if the network has no such output.

    Example:
      >>> image, x = image_input(NO_PREPROCESSING, stride=4)
      >>> network = Network(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))
      >>> network.stride
      4
    """

    # Keras recognises a functional subclass by the names of the first three arguments.
    def __init__(
        self,
        inputs,
        outputs,
        name=None,
        *,
        side_outputs: Sequence[keras.KerasTensor] = (),
        presence: keras.KerasTensor | None = None,
        **kwargs,
    ):
        super().__init__(inputs, outputs, name=name, **kwargs)
        self.side_outputs = list(side_outputs)
        self.presence = presence

    @property
    def stride(self) -> int:
        """Number of pixels of which the height and width of the input must be multiples."""
        return next(layer.stride for layer in self.layers if isinstance(layer, StrideCheck))


@keras.saving.register_keras_serializable(PACKAGE)
class StrideCheck(keras.layers.Layer):
    """Returns its input `[B, h, w, c]` and checks that the network's stride divides h and w.

    Raises:
      InputError: the stride does not divide them.
    """

    def __init__(self, stride: int, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, image):
        """Returns the image."""
        height, width = image.shape[1:3]
        if (height or 0) % self.stride or (width or 0) % self.stride:
            raise InputError(
                f"a network of stride {self.stride} takes tiles whose sides are multiples of {self.stride}; received "
                f"{width}x{height}. Change data.tile or segment.tile."
            )
        return image

    def compute_output_shape(self, input_shape):
        """Returns the shape of the input."""
        return input_shape  # otherwise JAX would call the layer, with placeholder sizes

    def get_config(self):
        """Returns the arguments of the layer."""
        return {**super().get_config(), "stride": self.stride}


def image_input(options: PreprocessConfig, *, stride: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Starts a network.

    Args:
      options: the preprocessing.
      stride: the stride of the network.

    Returns:
      The input, RGB 0..255 `[B, h, w, 3]` of any h and w that `stride` divides, and the preprocessed image, `[B, h, w,
      3]` 0..255, which each network scales as it needs.
    """
    image = keras.Input((None, None, 3), name="image")
    # In float32 under any precision policy: bfloat16 would round fractions of levels before the network sees them.
    return image, preprocess(StrideCheck(stride, dtype="float32", name="stride_check")(image), options)


def probability_head(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Ends a network with a 1x1 convolution and a sigmoid per class, which is in float32 under any precision policy."""
    logits = keras.layers.Conv2D(classes, 1, name="logits")(x)
    return keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
