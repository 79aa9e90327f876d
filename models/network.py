"""What all networks have in common: a functional `keras.Model` that knows its stride and scales its own input."""

import keras

from configs import InputError, PreprocessConfig
from models.preprocessing import preprocess

PACKAGE = "fundus_tiles"  # under which Keras registers our classes in saved files
AS_IT_IS = PreprocessConfig()


@keras.saving.register_keras_serializable(PACKAGE)
class Network(keras.Model):
    """A functional model from RGB 0..255 to probabilities.

    Example:
      >>> image, x = image_input(AS_IT_IS, stride=4)
      >>> network = Network(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))
      >>> network.stride
      4
    """

    @property
    def stride(self) -> int:
        """Height and width of the input are multiples of this."""
        return next(layer.stride for layer in self.layers if isinstance(layer, StrideCheck))


@keras.saving.register_keras_serializable(PACKAGE)
class StrideCheck(keras.layers.Layer):
    """Passes `[B, h, w, c]` on, after a look whether the network's stride divides h and w.

    Raises:
      InputError: it does not.
    """

    def __init__(self, stride: int, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, image):
        height, width = image.shape[1:3]
        if (height or 0) % self.stride or (width or 0) % self.stride:
            raise InputError(
                f"a network of stride {self.stride} takes tiles whose sides are multiples of {self.stride}; received "
                f"{width}x{height}. Change data.tile or segment.tile."
            )
        return image

    def get_config(self):
        return {**super().get_config(), "stride": self.stride}


def image_input(options: PreprocessConfig, *, stride: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Starts a network.

    Returns:
      The input, RGB 0..255 `[B, h, w, 3]` of any h and w that `stride` divides, and what the network is to see, `[B, h,
      w, 3]` 0..255: the same after the preprocessing of `options`. Each network scales it as it needs.
    """
    image = keras.Input((None, None, 3), name="image")
    return image, preprocess(StrideCheck(stride, name="stride_check")(image), options)


def probability_head(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Ends a network: a 1x1 convolution and a sigmoid a class, in float32 under any precision policy."""
    logits = keras.layers.Conv2D(classes, 1, name="logits")(x)
    return keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
