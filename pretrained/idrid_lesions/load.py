"""Loads the Keras network beside this file. Needs keras 3 on TensorFlow or JAX, and nothing of fundus-tiles.

    import load                    # registers the layers, so that keras.models.load_model("network.keras") works
    network = load.load_network()  # the network beside this file

python load.py computes one tile and prints what goes in and what comes out.

Written by fundus-tiles, from the code of its layers, with Keras 3.15.1.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops


PACKAGE = "fundus_tiles"


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


@keras.saving.register_keras_serializable(PACKAGE)
class DepthwiseConvolution(keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` of maps `[B, h, w, c]`, with the same arguments and weights.

    In training, a layer that computes in another dtype than float32 casts its input and its kernel, rounded as that
    dtype rounds them, to float32, and the result back. In inference it computes as Keras' own.

    Example:
      >>> maps = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32")
      >>> layer = DepthwiseConvolution(3, padding="same", dtype="mixed_bfloat16")
      >>> layer(maps, training=True).dtype, float(ops.max(abs(layer(maps, training=True) - layer(maps)))) < 0.05
      (tf.bfloat16, True)
    """

    def call(self, inputs, training=None):
        """Returns the map `[B, h', w', c']`."""
        if not training or self.compute_dtype == "float32":
            return super().call(inputs)
        outputs = ops.depthwise_conv(
            ops.cast(inputs, "float32"),
            ops.cast(ops.cast(self.kernel, self.compute_dtype), "float32"),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        if self.use_bias:
            outputs = outputs + ops.cast(self.bias, "float32")
        return ops.cast(self.activation(outputs), self.compute_dtype)


MOMENTUM = 0.9  # of the moving averages; with Keras' 0.99 they lag behind in a short training of a few hundred steps
KERNEL_DTYPES = ("float32", "bfloat16", "float16")  # of the map; statistics and parameters are float32 with each


@keras.saving.register_keras_serializable(PACKAGE)
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of maps `[B, h, w, c]`, with equal results (to rounding) and the same weights.

    Where the kernel cannot be used, the layer computes as Keras' own: on other backends than TensorFlow, in float64,
    and when several replicas train (`tf.distribute`), since the statistics are then those of the whole batch and the
    kernel knows only those of one replica.

    Args:
      momentum: momentum of the moving averages.
      epsilon: number added to the variance.
      scale: whether the layer learns a factor per channel besides the shift.
      gamma_initializer: initial value of the factors; "zeros" for the last normalisation of a residual block.

    Example:
      >>> maps = np.random.default_rng(0).normal(3, 2, (2, 8, 8, 4)).astype("float32")
      >>> normal = np.asarray(FusedBatchNormalization()(maps, training=True))
      >>> bool(abs(normal.mean()) < 1e-5), bool(abs(normal.std() - 1) < 1e-2)
      (True, True)
    """

    def __init__(
        self,
        *,
        momentum: float = MOMENTUM,
        epsilon: float = 1e-3,
        scale: bool = True,
        gamma_initializer="ones",
        **kwargs,
    ):
        super().__init__(
            momentum=momentum,
            epsilon=epsilon,
            scale=scale,
            gamma_initializer=gamma_initializer,
            # For Keras' own computation; other backends do not accept the argument.
            synchronized=keras.backend.backend() == "tensorflow",
            **kwargs,
        )

    def call(self, inputs, training=None, mask=None):
        """Returns the normalised map; in training it also updates the moving averages."""
        training = bool(training) and self.trainable
        if not self._kernel_serves(training):
            return super().call(inputs, training=training, mask=mask)
        # Keras does not expose the kernel; only the TensorFlow backend reaches this line.
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma if self.scale else tf.ones_like(self.beta),
            offset=self.beta,
            mean=tf.zeros([0]) if training else self.moving_mean,
            variance=tf.zeros([0]) if training else self.moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel divides the variance by n - 1, Keras by n.
            n = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance * ((n - 1) / n))
        return outputs

    def get_config(self):
        """Returns the arguments of the layer."""
        config = super().get_config()
        return {name: config[name] for name in ("name", "trainable", "dtype", "momentum", "epsilon", "scale")} | {
            "gamma_initializer": config["gamma_initializer"]
        }

    def _kernel_serves(self, training: bool) -> bool:
        if keras.backend.backend() != "tensorflow" or self.compute_dtype not in KERNEL_DTYPES:
            return False
        import tensorflow as tf

        return not training or tf.distribute.get_strategy().num_replicas_in_sync == 1

    def _move(self, average, value) -> None:
        average.assign(average * self.momentum + value * (1 - self.momentum))


# A pixel counts as background if its brightest channel is below the first level, as retina above the second, and in
# part between them. In the 81 photographs of IDRiD at a third of their size, 0.001 % of the background is brighter than
# the first level, and 0.01 % of the retina darker than the second, haemorrhages and vessels included. The levels are
# constants, so that all tiles that contain a pixel treat it alike; the ramp limits the effect of noise.
DARK, RETINA = 20.0, 40.0


def _retina(photograph):
    """Returns how far each pixel counts as retina, 0..1 `[B, h, w]`.

    It has no last axis of length 1, with which onnxruntime takes ten times as long.
    """
    brightest = ops.max(photograph, axis=-1)
    return ops.clip((brightest - DARK) / (RETINA - DARK), 0, 1)


def _enlarged(maps, factor: int):
    """Enlarges `[B, h + 2, w + 2, c]` to `[B, factor * h, factor * w, c]`, bilinearly with half-pixel centres.

    A convolution computes the factor² pixels of each position at once; `ops.image.resize` cannot be traced with unknown
    sizes.
    """
    channels = maps.shape[-1]
    offsets = (np.arange(factor) + 0.5) / factor - 0.5  # of the new pixels from the centre of the old one
    taps = np.maximum(0, 1 - np.abs(np.arange(-1, 2)[:, None] - offsets))  # [3, factor]
    weights = np.einsum("ya,xb,cd->yxcabd", taps, taps, np.eye(channels))
    kernel = weights.reshape(3, 3, channels, -1).astype(np.float32)  # channel (factor a + b) c + d: d of pixel (a, b)
    pixels = ops.conv(maps, kernel, padding="valid", data_format="channels_last")
    return ops.depth_to_space(pixels, factor, data_format="channels_last")


GAIN, LIMIT = 4.0, 3.0


def _blurred(maps, sigma: float):
    """Blurs `[B, h, w, c]` with a Gaussian that is cut off at 3 sigma; pixels outside count as 0."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = np.tile((weights / weights.sum()).astype(np.float32)[:, None, None, None], (1, 1, maps.shape[-1], 1))
    for direction in (kernel, kernel.transpose(1, 0, 2, 3)):  # vertical, then horizontal
        maps = ops.depthwise_conv(maps, direction, padding="same", data_format="channels_last")
    return maps


def _for_channels(retina):
    return ops.expand_dims(retina, -1)


EMPTY = 1e-6  # fraction of retina around a pixel below which there is no mean


def _shrunk(maps, factor: int):
    return ops.average_pool(maps, factor, strides=factor, data_format="channels_last")


def _local_means(maps, retina, *, shrink: int, sigma: float):
    """Returns the means of the retina around each pixel, `[B, h / shrink + 2, w / shrink + 2, c]`, for `_enlarged`."""
    channels, weights = maps.shape[-1], _for_channels(retina)
    sums = ops.concatenate([_shrunk(maps * weights, shrink), _shrunk(weights, shrink)], axis=-1)
    # Averaging and bilinear enlargement by an even s have variances of (s² - 1) / 12 and (2 s² + 1) / 12 pixels².
    small = (sigma**2 - shrink**2 / 4) ** 0.5 / shrink
    # One more pixel on each side, with a mean over the pixels inside: the enlargement reads it.
    sums = _blurred(ops.pad(sums, ((0, 0), (1, 1), (1, 1), (0, 0))), small)
    return sums[..., :channels] / ops.maximum(sums[..., channels:], EMPTY)


@keras.saving.register_keras_serializable(PACKAGE)
class LocalContrast(keras.layers.Layer):
    """Computes 4 (x - G(x f) / G(f)) f, clipped to ±3, of an image x as fractions of 255 with its field of view f.

    G is a Gaussian blur. f in 0..1 is derived from the photograph: 1 on the retina, 0 on the black background and
    outside of the tile. G(x f) / G(f) is thus the mean of the retina around the pixel that the tile contains (a
    normalised convolution, Knutsson and Westin 1993). Near the edge of the field of view or of the tile the mean is
    over fewer pixels, so neither edge is visible in the result.

    The means are computed on an image that is shrunk by averaging, and are enlarged bilinearly. The blur between is
    narrower by what these two steps blur: for sigma 10 the result equals that at full resolution within 0.01.

    Args:
      sigma: standard deviation of the Gaussian in pixels, at least 4.

    Example:
      >>> photograph = np.full((1, 64, 64, 3), 100.0, "float32")
      >>> float(abs(np.asarray(LocalContrast(sigma=10.0)(photograph, photograph))).max()) < 1e-5
      True
    """

    def __init__(self, sigma: float, **kwargs):
        super().__init__(**kwargs)
        self.sigma = sigma
        # Sigma spans at least two pixels of the shrunk image; with fewer, its pixels would be visible.
        self.shrink = 4 if sigma >= 10 else 2

    def call(self, image, photograph):
        """Returns the local contrast.

        Args:
          image: the preprocessed image, 0..255 `[B, h, w, 3]`, h and w multiples of 4.
          photograph: the RGB image in which the background is black, 0..255 `[B, h, w, 3]`.

        Returns:
          float32 `[B, h, w, 3]`.
        """
        retina = _retina(photograph)
        means = _enlarged(_local_means(image, retina, shrink=self.shrink, sigma=self.sigma), self.shrink)
        return ops.clip((image - means) * _for_channels(retina * (GAIN / 255)), -LIMIT, LIMIT)

    def compute_output_shape(self, image_shape, photograph_shape):
        """Returns the shape of the image."""
        return image_shape

    def get_config(self):
        """Returns the arguments of the layer."""
        return {**super().get_config(), "sigma": self.sigma}


class InputError(ValueError):
    """An error in a file, folder, flag or config field that the user can correct.

    Its message is one line that names the thing, what was expected and what to do. Commands print that line without a
    traceback and exit with code 2. Any other exception is a defect of this software and keeps its traceback.
    """


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


def load_network(file: str | Path | None = None) -> Network:
    """Loads a network on whichever backend Keras runs.

    Args:
      file: a `network.keras`; None: the one beside this module.

    Returns:
      A `keras.Model` from float32 RGB 0..255 `[B, h, w, 3]` to probabilities float32 0..1 `[B, h, w, C]`. Its `stride`
      divides h and w.
    """
    return keras.models.load_model(file or Path(__file__).with_name("network.keras"), compile=False)


def main() -> None:
    """Loads the network, computes one tile and prints what goes in and what comes out."""
    network = load_network()
    segmenter = json.loads(Path(__file__).with_name("segmenter.json").read_text(encoding="utf-8"))
    tile = np.full((1, segmenter["tile"], segmenter["tile"], 3), 128, np.float32)
    probabilities = network.predict(tile, verbose=0)
    print(
        f"Keras {keras.__version__} on {keras.backend.backend()}, {network.count_params():,} parameters: "
        f"RGB 0..255 {list(tile.shape)}, sides multiples of {network.stride} → probabilities of "
        f"{', '.join(segmenter['classes'])} {list(probabilities.shape)}, here up to {probabilities.max():.4f}"
    )


if __name__ == "__main__":
    main()
