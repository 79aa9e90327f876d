"""Local contrast and standardisation: a pixel compared with the retina around it, whatever the light and camera."""

import keras
import numpy as np
from keras import ops

from models.saving import PACKAGE

# A pixel counts as background if its brightest channel is below the first level, as retina above the second, and in
# part between them. In the 81 photographs of IDRiD at a third of their size, 0.001 % of the background is brighter than
# the first level, and 0.01 % of the retina darker than the second, haemorrhages and vessels included. The levels are
# constants, so that all tiles that contain a pixel treat it alike; the ramp limits the effect of noise.
DARK, RETINA = 20.0, 40.0
GAIN, LIMIT = 4.0, 3.0
FLOOR, SPREAD, SPREAD_LIMIT = 2.0, 0.4, 2.0
EMPTY = 1e-6  # fraction of retina around a pixel below which there is no mean


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


@keras.saving.register_keras_serializable(PACKAGE)
class LocalStandardization(keras.layers.Layer):
    """Computes 0.4 (x - m) / (s + 2) f, clipped to ±2, of an image x of levels 0..255 with its field of view f.

    m and s are mean and standard deviation of the retina around a pixel, as in `LocalContrast`. What multiplies a
    channel by a factor or adds to it, slowly varying over the photograph, leaves no trace in the result but by the 2
    levels that keep noise small where a retina is flat: white balance, exposure, uneven light, a vignette, haze. The
    factor 0.4 gives the result about the spread that networks with weights of ImageNet expect.

    Args:
      sigma: standard deviation of the Gaussian in pixels, at least 16.

    Example:
      >>> photograph = np.random.default_rng(0).uniform(60, 200, (1, 64, 64, 3)).astype("float32")
      >>> layer = LocalStandardization(sigma=32.0)
      >>> changed = layer(0.7 * photograph + 50, photograph)
      >>> float(abs(np.asarray(layer(photograph, photograph) - changed)).max()) < 0.05
      True
    """

    SHRINK = 8

    def __init__(self, sigma: float, **kwargs):
        super().__init__(**kwargs)
        self.sigma = sigma

    def call(self, image, photograph):
        """Returns the standardised image.

        Args:
          image: the preprocessed image, 0..255 `[B, h, w, 3]`, h and w multiples of 8.
          photograph: the RGB image in which the background is black, 0..255 `[B, h, w, 3]`.

        Returns:
          float32 `[B, h, w, 3]`.
        """
        retina, centered, both = _for_standardization(image, photograph)
        means = _enlarged(_local_means(both, retina, shrink=self.SHRINK, sigma=self.sigma), self.SHRINK)
        return _standardized(centered, means, retina)

    def compute_output_shape(self, image_shape, photograph_shape):
        """Returns the shape of the image."""
        return image_shape

    def get_config(self):
        """Returns the arguments of the layer."""
        return {**super().get_config(), "sigma": self.sigma}


@keras.saving.register_keras_serializable(PACKAGE)
class TileStandardization(keras.layers.Layer):
    """Computes what `LocalStandardization` does with mean and deviation of all retina in the tile.

    So the inside of a lesion that is wider than the neighbourhood there is still dark or bright. Uneven light is left.

    Example:
      >>> photograph = np.random.default_rng(0).uniform(60, 200, (1, 64, 64, 3)).astype("float32")
      >>> layer = TileStandardization()
      >>> changed = layer(0.7 * photograph + 50, photograph)
      >>> float(abs(np.asarray(layer(photograph, photograph) - changed)).max()) < 0.05
      True
    """

    def call(self, image, photograph):
        """Returns the standardised image, as `LocalStandardization` does."""
        retina, centered, both = _for_standardization(image, photograph)
        weights = _for_channels(retina)
        sums = ops.sum(both * weights, axis=(1, 2), keepdims=True)
        means = sums / (ops.sum(weights, axis=(1, 2), keepdims=True) + EMPTY)
        return _standardized(centered, means, retina)

    def compute_output_shape(self, image_shape, photograph_shape):
        """Returns the shape of the image."""
        return image_shape


def _for_standardization(image, photograph):
    """Returns the retina `[B, h, w]`, the image, and beside it its squares `[B, h, w, 6]`.

    The levels are around the middle, as the variance is a small difference of squares.
    """
    centered = image - 127.5
    return _retina(photograph), centered, ops.concatenate([centered, ops.square(centered)], axis=-1)


def _standardized(centered, means, retina):
    """Standardises an image by the means of it and of its squares, `[B, h or 1, w or 1, 6]`."""
    variance = ops.maximum(means[..., 3:] - ops.square(means[..., :3]), 0)
    scaled = (centered - means[..., :3]) / (ops.sqrt(variance) + FLOOR)
    return ops.clip(scaled * _for_channels(retina * SPREAD), -SPREAD_LIMIT, SPREAD_LIMIT)


def _retina(photograph):
    """Returns how far each pixel counts as retina, 0..1 `[B, h, w]`.

    It has no last axis of length 1, with which onnxruntime takes ten times as long.
    """
    brightest = ops.max(photograph, axis=-1)
    return ops.clip((brightest - DARK) / (RETINA - DARK), 0, 1)


def _local_means(maps, retina, *, shrink: int, sigma: float):
    """Returns the means of the retina around each pixel, `[B, h / shrink + 2, w / shrink + 2, c]`, for `_enlarged`."""
    channels, weights = maps.shape[-1], _for_channels(retina)
    sums = ops.concatenate([_shrunk(maps * weights, shrink), _shrunk(weights, shrink)], axis=-1)
    # Averaging and bilinear enlargement by an even s have variances of (s² - 1) / 12 and (2 s² + 1) / 12 pixels².
    small = (sigma**2 - shrink**2 / 4) ** 0.5 / shrink
    # One more pixel on each side, with a mean over the pixels inside: the enlargement reads it.
    sums = _blurred(ops.pad(sums, ((0, 0), (1, 1), (1, 1), (0, 0))), small)
    return sums[..., :channels] / ops.maximum(sums[..., channels:], EMPTY)


def _for_channels(retina):
    return ops.expand_dims(retina, -1)


def _shrunk(maps, factor: int):
    return ops.average_pool(maps, factor, strides=factor, data_format="channels_last")


def _blurred(maps, sigma: float):
    """Blurs `[B, h, w, c]` with a Gaussian that is cut off at 3 sigma; pixels outside count as 0."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = np.tile((weights / weights.sum()).astype(np.float32)[:, None, None, None], (1, 1, maps.shape[-1], 1))
    for direction in (kernel, kernel.transpose(1, 0, 2, 3)):  # vertical, then horizontal
        maps = ops.depthwise_conv(maps, direction, padding="same", data_format="channels_last")
    return maps


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
