"""Building blocks that several networks share: convolution, normalisation, dropout, two ways to enlarge."""

import math

import keras
from keras import layers, ops

from configs import InputError
from models.layers.normalization import FusedBatchNormalization
from models.saving import PACKAGE

GROUP = 8  # channels


def convolve(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    *,
    names: tuple[str, str, str],
    normalization: str,
    activation: str | None,
    use_bias: bool = True,
    scale: bool = True,
    strides: int = 1,
    dilation_rate: int = 1,
) -> keras.KerasTensor:
    """Appends a convolution, normalisation and activation.

    Args:
      x: `[B, h, w, c]`.
      filters: number of output channels.
      kernel: side of the kernel.
      names: names of the convolution, the normalisation and the activation.
      normalization: see `normalize`.
      activation: Keras' name of the activation; None: no activation.
      use_bias: whether the convolution has a bias; needless before a normalisation.
      scale: see `normalize`.
      strides: stride of the convolution.
      dilation_rate: dilation of the kernel.

    Returns:
      `[B, h / strides, w / strides, filters]`.
    """
    convolution_name, norm_name, activation_name = names
    x = layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        dilation_rate=dilation_rate,
        use_bias=use_bias,
        kernel_initializer="he_normal",
        name=convolution_name,
    )(x)
    x = normalize(x, normalization, name=norm_name, scale=scale)
    return x if activation is None else layers.Activation(activation, name=activation_name)(x)


def normalize(
    x: keras.KerasTensor, normalization: str, *, name: str, scale: bool = True, gamma_initializer: str = "ones"
) -> keras.KerasTensor:
    """Appends a normalisation.

    Args:
      x: `[B, h, w, c]`.
      normalization: "batch"; "group", groups of 8 channels (of 4, 2 or 1 where 8 does not divide c); "none".
      name: name of the layer.
      scale: whether the layer learns a factor per channel besides the shift.
      gamma_initializer: initial value of the factors.

    Returns:
      `[B, h, w, c]`.
    """
    if normalization == "batch":
        return FusedBatchNormalization(scale=scale, gamma_initializer=gamma_initializer, name=name)(x)
    if normalization == "group":
        groups = x.shape[-1] // math.gcd(x.shape[-1], GROUP)
        return layers.GroupNormalization(groups, scale=scale, gamma_initializer=gamma_initializer, name=name)(x)
    return x


def dropout(x: keras.KerasTensor, rate: float, *, name: str) -> keras.KerasTensor:
    """Appends a dropout of single values unless the rate is 0."""
    return layers.Dropout(rate, name=name)(x) if rate > 0 else x


def drop_path(x: keras.KerasTensor, rate: float, *, name: str) -> keras.KerasTensor:
    """Appends a dropout of whole samples, stochastic depth (Huang et al. 2016, arXiv:1603.09382), unless the rate is 0.

    Args:
      x: the branch of a residual block, `[B, h, w, c]`.
      rate: fraction of the samples that are dropped.
      name: name of the layer.
    """
    return layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=name)(x) if rate > 0 else x


def check_activation(field: str, activation: str) -> None:
    """Raises `InputError` unless Keras knows the activation."""
    try:
        keras.activations.get(activation)
    except ValueError as error:
        raise InputError(f"{field} must be one that Keras knows (relu, gelu, …); received {activation!r}.") from error


@keras.saving.register_keras_serializable(PACKAGE)
class Enlarge(keras.layers.Layer):
    """Enlarges `[B, h, w, c]` to `[B, factor h, factor w, c]`, bilinearly between pixel centres, with edges replicated.

    Neither `keras.layers.UpSampling2D` nor `keras.ops.image.resize` can do this in a graph that is traced with unknown
    h and w (Keras 3.15). There, the map is composed of shifted copies, whose gradient takes ten times as long as that
    of `resize`.
    """

    def __init__(self, factor: int, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        """Returns the enlarged map."""
        _, height, width, _ = x.shape
        if height is None or width is None:
            return self._from_shifted(x)
        return ops.image.resize(x, (height * self.factor, width * self.factor), data_format="channels_last")

    def compute_output_shape(self, input_shape):
        """Returns the shape of the enlarged map."""
        batch, height, width, channels = input_shape
        return (batch, height and height * self.factor, width and width * self.factor, channels)

    def get_config(self):
        """Returns the arguments of the layer."""
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
        """Returns the `factor` interpolated maps that lie side by side in place of each pixel of x."""
        offsets = [(number + 0.5) / self.factor - 0.5 for number in range(self.factor)]  # from x's pixel centres
        return [x + abs(offset) * ((after if offset > 0 else before) - x) for offset in offsets]


@keras.saving.register_keras_serializable(PACKAGE)
class DepthToSpace(keras.layers.Layer):
    """Rearranges `[B, h, w, b * b * C]` as `[B, b * h, b * w, C]`: channel (b dy + dx) C + c becomes pixel (dy, dx)."""

    def __init__(self, block: int, **kwargs):
        super().__init__(**kwargs)
        self.block = block

    def call(self, maps):
        """Returns the rearranged maps."""
        return ops.depth_to_space(maps, self.block, data_format="channels_last")

    def get_config(self):
        """Returns the arguments of the layer."""
        return {**super().get_config(), "block": self.block}
