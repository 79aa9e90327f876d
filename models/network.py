"""What all networks have in common: a functional `keras.Model` that knows its stride."""

from collections.abc import Sequence

import keras

from configs import InputError, PreprocessConfig
from models.layers.preprocessing import preprocess
from models.saving import PACKAGE

AS_IT_IS = PreprocessConfig()


@keras.saving.register_keras_serializable(PACKAGE)
class Network(keras.Model):
    """A functional model from RGB 0..255 to probabilities.

    What only training needs hangs on further tensors of the same graph, for `models.supervision.TrainingModel`. They
    are no outputs: a saved network has only the layers of its probabilities, and a loaded one has no such tensors.

    Attributes:
      side_outputs: further probabilities `[B, h, w, C]` float32 of the same masks (deep supervision).
      presence: probabilities float32 `[B, C]` that the tile holds the class, None where the network does not say.

    Example:
      >>> image, x = image_input(AS_IT_IS, stride=4)
      >>> network = Network(image, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))
      >>> network.stride
      4
    """

    # Keras reads the names of the first three: they are what makes a subclass a functional model.
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

    def compute_output_shape(self, input_shape):
        return input_shape  # else jax would call the layer, with sizes that are no numbers

    def get_config(self):
        return {**super().get_config(), "stride": self.stride}


def image_input(options: PreprocessConfig, *, stride: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Starts a network.

    Returns:
      The input, RGB 0..255 `[B, h, w, 3]` of any h and w that `stride` divides, and what the network is to see, `[B, h,
      w, 3]` 0..255: the same after the preprocessing of `options`. Each network scales it as it needs.
    """
    image = keras.Input((None, None, 3), name="image")
    # In float32 under any precision policy: bfloat16 would round what is not a whole level before the network sees it.
    return image, preprocess(StrideCheck(stride, dtype="float32", name="stride_check")(image), options)


def probability_head(x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
    """Ends a network: a 1x1 convolution and a sigmoid a class, in float32 under any precision policy."""
    logits = keras.layers.Conv2D(classes, 1, name="logits")(x)
    return keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
