"""Structural similarity of masks and probabilities (Wang et al. 2004, doi:10.1109/TIP.2003.819861)."""

import keras
import numpy as np
from keras import ops

from models.metrics import in_float32

SIDE, SIGMA = 11, 1.5  # of the Gaussian window, pixels
LUMINANCE, CONTRAST = 0.01**2, 0.03**2  # c1 and c2 for values of 0 to 1


def ssim(y_true, y_pred):
    """Returns the structural similarity of every sample, the mean over its classes.

    At each place of the window (those that lie in the tile as a whole):
    (2 μ_y μ_p + c1) (2 σ_yp + c2) / ((μ_y² + μ_p² + c1) (σ_y² + σ_p² + c2)); the mean over all places.
    The same as `tf.image.ssim(y_true, y_pred, max_val=1.0)`.

    Args:
      y_true: masks 0/1 `[B, h, w, C]`, h and w at least 11.
      y_pred: probabilities `[B, h, w, C]`.

    Returns:
      `[B]`, in [-1, 1]; 1 where both are equal.

    Raises:
      ValueError: tiles smaller than the window.
    """
    y_true, y_pred = in_float32(y_true, y_pred)
    if any(side is not None and side < SIDE for side in y_true.shape[1:3]):
        raise ValueError(f"SSIM takes tiles of at least {SIDE}x{SIDE} pixels; received {tuple(y_true.shape[1:3])}.")
    products = [y_true, y_pred, y_true * y_pred, y_true**2 + y_pred**2]
    means = _windowed_means(ops.concatenate(products, axis=-1))  # [B, h - 10, w - 10, 4 C]
    mean_true, mean_pred, mean_product, mean_squares = ops.split(means, 4, axis=-1)
    product, squares = mean_true * mean_pred, mean_true**2 + mean_pred**2
    luminance = (2 * product + LUMINANCE) / (squares + LUMINANCE)
    structure = (2 * (mean_product - product) + CONTRAST) / (mean_squares - squares + CONTRAST)
    return ops.mean(luminance * structure, axis=(1, 2, 3))


def _windowed_means(x: keras.KerasTensor) -> keras.KerasTensor:
    """Means under the window, of each channel: down and across, as a Gaussian is the product of both."""
    weights = np.exp(-((np.arange(SIDE) - SIDE // 2) ** 2) / (2 * SIGMA**2))
    kernel = np.tile((weights / weights.sum()).astype(np.float32)[:, None], (1, x.shape[-1]))  # [11, channels]
    for shape in ((SIDE, 1, -1, 1), (1, SIDE, -1, 1)):
        x = ops.depthwise_conv(x, kernel.reshape(shape), padding="valid", data_format="channels_last")
    return x
