"""What several networks are built of: normalisation by name, the check of an activation, two ways to enlarge."""

import math

import keras
from keras import layers, ops

from configs import InputError
from models.layers.normalization import FusedBatchNormalization
from models.saving import PACKAGE

GROUP = 8  # channels


def normalize(x: keras.KerasTensor, normalization: str, *, name: str, scale: bool = True) -> keras.KerasTensor:
    """Returns `[B, h, w, c]` normalised.

    Args:
      x: `[B, h, w, c]`.
      normalization: "batch"; "group", of 8 channels (or the most of 4, 2, 1 that divide c); "none".
      name: of the layer.
      scale: whether it learns a factor a channel beside the shift.
    """
    if normalization == "batch":
        return FusedBatchNormalization(scale=scale, name=name)(x)
    if normalization == "group":
        groups = x.shape[-1] // math.gcd(x.shape[-1], GROUP)
        return layers.GroupNormalization(groups=groups, scale=scale, name=name)(x)
    return x


def check_activation(field: str, activation: str) -> None:
    """Raises `InputError` unless Keras knows the activation."""
    try:
        keras.activations.get(activation)
    except ValueError as error:
        raise InputError(f"{field} must be one that Keras knows (relu, gelu, …); received {activation!r}.") from error


@keras.saving.register_keras_serializable(PACKAGE)
class Enlarge(keras.layers.Layer):
    """`[B, h, w, c]` → `[B, factor h, factor w, c]`, bilinear between pixel centres, the border replicated.

    Neither `keras.layers.UpSampling2D` nor `keras.ops.image.resize` can do that in a graph where h and w are not known
    before a tile comes (Keras 3.15). There the map is put together from shifted ones, whose gradient takes ten times
    as long as that of `resize`.
    """

    def __init__(self, factor: int, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        _, height, width, _ = x.shape
        if height is None or width is None:
            return self._from_shifted(x)
        return ops.image.resize(x, (height * self.factor, width * self.factor), data_format="channels_last")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height and height * self.factor, width and width * self.factor, channels)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

    def _from_shifted(self, x):
        _, height, width, channels = ops.shape(x)
        above = ops.concatenate([x[:, :1], x[:, :-1]], axis=1)
        below = ops.concatenate([x[:, 1:], x[:, -1:]], axis=1)
        x = ops.stack(self._between(above, x, below), axis=2)  # [B, h, factor, w, c]
        x = ops.reshape(x, (-1, height * self.factor, width, channels))
        left = ops.concatenate([x[:, :, :1], x[:, :, :-1]], axis=2)
        right = ops.concatenate([x[:, :, 1:], x[:, :, -1:]], axis=2)
        x = ops.stack(self._between(left, x, right), axis=3)  # [B, factor h, w, factor, c]
        return ops.reshape(x, (-1, height * self.factor, width * self.factor, channels))

    def _between(self, before, x, after) -> list:
        """Returns the `factor` maps whose pixels lie side by side in the place of each of x."""
        places = [(number + 0.5) / self.factor - 0.5 for number in range(self.factor)]  # in pixels from x's
        return [x + abs(place) * ((after if place > 0 else before) - x) for place in places]


@keras.saving.register_keras_serializable(PACKAGE)
class DepthToSpace(keras.layers.Layer):
    """Lays `[B, h, w, b * b * C]` out as `[B, b * h, b * w, C]`: channel (b dy + dx) C + c becomes pixel (dy, dx)."""

    def __init__(self, block: int, **kwargs):
        super().__init__(**kwargs)
        self.block = block

    def call(self, maps):
        return ops.depth_to_space(maps, self.block, data_format="channels_last")

    def get_config(self):
        return {**super().get_config(), "block": self.block}
