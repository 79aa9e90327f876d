"""Local contrast: how a pixel differs from the retina around it, whatever the illumination there."""

import keras
import numpy as np
from keras import ops

from models.saving import PACKAGE

# Brightest channel from which a pixel begins to count as retina, and from which it fully does. Over the 81 photographs
# of IDRiD at a third of their size, 0.001 % of the surround is brighter than the first, and 0.01 % of the retina
# darker than the second, haemorrhages and vessels included. Constants, and a ramp between them: what counts as retina
# depends on the pixel alone, so that every tile that shows it agrees, and noise at the limit moves it little.
DARK, RETINA = 20.0, 40.0
GAIN, LIMIT = 4.0, 3.0
EMPTY = 1e-6  # share of retina around a pixel under which there is no mean of it


@keras.saving.register_keras_serializable(PACKAGE)
class LocalContrast(keras.layers.Layer):
    """4 (x - G(x f) / G(f)) f, clipped to ±3, of a picture x as shares of 255 with its field of view f.

    G is a Gaussian and f in 0..1 is read off the photograph: 1 where it is retina, 0 in the black surround, and 0
    outside the tile. G(x f) / G(f) is thus the mean of what retina the tile shows around the pixel, and neither the
    rim of the field of view nor the border of a tile shows as a frame: near a border the mean is of fewer pixels,
    and that is all (a normalised convolution, Knutsson and Westin 1993).

    The means are computed on a picture shrunk by averaging and enlarged bilinearly, and the blur there is narrower by
    what these two blur themselves: for sigma 10 the map equals that of the whole computation within 0.01.

    Args:
      sigma: of the Gaussian, pixels; at least 4.

    Example:
      >>> photograph = np.full((1, 64, 64, 3), 100.0, "float32")
      >>> float(abs(np.asarray(LocalContrast(sigma=10.0)(photograph, photograph))).max()) < 1e-5
      True
    """

    def __init__(self, sigma: float, **kwargs):
        super().__init__(**kwargs)
        self.sigma = sigma
        self.shrink = 4 if sigma >= 10 else 2  # two pixels of the shrunk picture in a sigma, else its pixels show

    def call(self, picture, photograph):
        """Takes both 0..255 `[B, h, w, 3]`, h and w multiples of 4; gives float32 `[B, h, w, 3]`.

        `picture` is what the network sees, `photograph` RGB, in which black is the surround.
        """
        brightest = ops.max(photograph, axis=-1, keepdims=True)
        retina = ops.clip((brightest - DARK) / (RETINA - DARK), 0, 1)  # [B, h, w, 1]
        sums = ops.concatenate([_shrunk(picture * retina, self.shrink), _shrunk(retina, self.shrink)], axis=-1)
        # A pixel more on each side, in which the mean is of what lies within: the enlargement reaches that far.
        sums = _blurred(ops.pad(sums, ((0, 0), (1, 1), (1, 1), (0, 0))), self._small_sigma())
        means = sums[..., :3] / ops.maximum(sums[..., 3:], EMPTY)  # [B, h / shrink + 2, w / shrink + 2, 3]
        return ops.clip((picture - _enlarged(means, self.shrink)) * (retina * (GAIN / 255)), -LIMIT, LIMIT)

    def compute_output_shape(self, picture_shape, photograph_shape):
        return picture_shape

    def get_config(self):
        return {**super().get_config(), "sigma": self.sigma}

    def _small_sigma(self) -> float:
        # Averaging and bilinear enlargement by an even s spread by (s² - 1) / 12 and (2 s² + 1) / 12 square pixels.
        return (self.sigma**2 - self.shrink**2 / 4) ** 0.5 / self.shrink


def _shrunk(maps, factor: int):
    return ops.average_pool(maps, factor, strides=factor, data_format="channels_last")


def _blurred(maps, sigma: float):
    """Sums `[B, h, w, c]` with the weights of a Gaussian cut off at 3 sigma; what lies outside counts as 0."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = np.tile((weights / weights.sum()).astype(np.float32)[:, None, None, None], (1, 1, maps.shape[-1], 1))
    for side in (kernel, kernel.transpose(1, 0, 2, 3)):  # down the rows, then along them
        maps = ops.depthwise_conv(maps, side, padding="same", data_format="channels_last")
    return maps


def _enlarged(maps, factor: int):
    """Interpolates `[B, h + 2, w + 2, c]` bilinearly (half-pixel centres) at `[B, factor * h, factor * w, c]`.

    A convolution gives the factor² pixels of each place at once; `ops.image.resize` cannot be traced with open sizes.
    """
    channels = maps.shape[-1]
    offsets = (np.arange(factor) + 0.5) / factor - 0.5  # of the new pixels from the old one's centre
    taps = np.maximum(0, 1 - np.abs(np.arange(-1, 2)[:, None] - offsets))  # [3, factor]
    weights = np.einsum("ya,xb,cd->yxcabd", taps, taps, np.eye(channels))
    kernel = weights.reshape(3, 3, channels, -1).astype(np.float32)  # channel (factor a + b) c + d is d of pixel (a, b)
    pixels = ops.conv(maps, kernel, padding="valid", data_format="channels_last")
    return ops.depth_to_space(pixels, factor, data_format="channels_last")
