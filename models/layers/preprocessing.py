"""The first layers of every network: colour space, gamma, sharpening.

Each step maps float32 0..255 `[B, h, w, 3]` to the same under any precision policy, and equals OpenCV's result for
8-bit images, except that OpenCV rounds to whole levels. The conversions are sums of channels instead of matrix
products, which a GPU would compute in TF32, with a precision of three digits.
"""

import keras
from keras import ops

from configs import PreprocessConfig
from models.saving import PACKAGE

GRAY = (0.299, 0.587, 0.114)  # weights of red, green, blue in luma (ITU-R BT.601)
# Rows X, Y, Z of linear sRGB, each divided by that of the white point D65 (0.950456, 1, 1.088754).
XYZ = (
    (0.412453 / 0.950456, 0.357580 / 0.950456, 0.180423 / 0.950456),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.088754, 0.119193 / 1.088754, 0.950227 / 1.088754),
)


def preprocess(image: keras.KerasTensor, options: PreprocessConfig) -> keras.KerasTensor:
    """Appends the layers of the preprocessing; the default options have none.

    Args:
      image: RGB 0..255 `[B, h, w, 3]`.
      options: color_space, gamma and sharpening, applied in this order.

    Returns:
      `[B, h, w, 3]` 0..255.

    Example:
      >>> preprocess(keras.Input((None, None, 3)), PreprocessConfig(color_space="gray", gamma=0.8)).shape
      (None, None, None, 3)
    """
    if options.color_space != "rgb":
        image = ColorSpace(options.color_space, dtype="float32", name="color_space")(image)
    if options.gamma != 1:
        image = Gamma(options.gamma, dtype="float32", name="gamma")(image)
    if options.sharpening > 0:
        image = Sharpening(options.sharpening, dtype="float32", name="sharpening")(image)
    return image


@keras.saving.register_keras_serializable(PACKAGE)
class ColorSpace(keras.layers.Layer):
    """Converts RGB 0..255 `[B, h, w, 3]` to another colour space, with channels in 0..255 as in OpenCV's 8-bit images.

    | space | channels | OpenCV |
    | --- | --- | --- |
    | hsv | hue, where 256 is a full turn; saturation; value | COLOR_RGB2HSV_FULL |
    | lab | L* 255/100; a* + 128; b* + 128; of sRGB under D65 | COLOR_RGB2LAB |
    | ycrcb | luma; 0.713 (R - luma) + 128; 0.564 (B - luma) + 128 | COLOR_RGB2YCrCb |
    | gray | luma three times | COLOR_RGB2GRAY |
    | green | green three times | |

    Hue has OpenCV's FULL range instead of 0..179, since the following layers (gamma, the networks' scaling) assume a
    maximum of 255.
    """

    def __init__(self, space: str, **kwargs):
        super().__init__(**kwargs)
        self.space = space

    def call(self, image):
        """Returns the processed image."""
        return ops.clip(ops.stack(_SPACES[self.space](image[..., 0], image[..., 1], image[..., 2]), axis=-1), 0, 255)

    def get_config(self):
        """Returns the arguments of the layer."""
        return {**super().get_config(), "space": self.space}


@keras.saving.register_keras_serializable(PACKAGE)
class Gamma(keras.layers.Layer):
    """Computes 255 (x / 255) ** exponent of x in 0..255."""

    def __init__(self, exponent: float, **kwargs):
        super().__init__(**kwargs)
        self.exponent = exponent

    def call(self, image):
        """Returns the processed image."""
        # Black is treated separately: for exponents below 1 its gradient would be infinite.
        bright = image > 0
        return ops.where(bright, 255 * (ops.where(bright, image, 1) / 255) ** self.exponent, 0)

    def get_config(self):
        """Returns the arguments of the layer."""
        return {**super().get_config(), "exponent": self.exponent}


@keras.saving.register_keras_serializable(PACKAGE)
class Sharpening(keras.layers.Layer):
    """Applies the 3x3 kernel of -k around 1 + 8k to `[B, h, w, 3]`, with replicated edges, and clips to 0..255."""

    def __init__(self, k: float, **kwargs):
        super().__init__(**kwargs)
        self.k = k

    def call(self, image):
        """Returns the processed image."""
        # A symmetric border of one pixel is a replicated edge.
        padded = ops.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")  # [B, h + 2, w + 2, 3]
        mean = ops.average_pool(padded, 3, strides=1, padding="valid", data_format="channels_last")
        return ops.clip(image + 9 * self.k * (image - mean), 0, 255)

    def get_config(self):
        """Returns the arguments of the layer."""
        return {**super().get_config(), "k": self.k}


# Each function takes red, green, blue 0..255 `[B, h, w]` and returns three channels of that shape.


def _hsv(red, green, blue):
    value = ops.maximum(ops.maximum(red, green), blue)
    chroma = value - ops.minimum(ops.minimum(red, green), blue)
    divisor = ops.where(chroma > 0, chroma, 1)  # a grey pixel has hue 0
    sixths = ops.where(
        value == red,
        (green - blue) / divisor,
        ops.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    hue = ops.where(sixths < 0, sixths + 6, sixths) * (256 / 6)
    return hue, 255 * chroma / ops.where(value > 0, value, 1), value


def _lab(red, green, blue):
    linear = [_linear_light(channel / 255) for channel in (red, green, blue)]
    x, y, z = (_lab_root(_weighted(row, linear)) for row in XYZ)
    return (116 * y - 16) * (255 / 100), 500 * (x - y) + 128, 200 * (y - z) + 128


def _linear_light(srgb):
    """Returns linear light of sRGB 0..1."""
    # The lower limit keeps the gradient of the power finite where the linear part is used.
    return ops.where(srgb > 0.04045, ((ops.maximum(srgb, 0.04045) + 0.055) / 1.055) ** 2.4, srgb / 12.92)


def _lab_root(light):
    """Returns the cube root, linear near black, as CIE L*a*b* defines it."""
    return ops.where(light > 0.008856, ops.maximum(light, 0.008856) ** (1 / 3), 7.787 * light + 16 / 116)


def _ycrcb(red, green, blue):
    luma = _weighted(GRAY, (red, green, blue))
    return luma, 0.713 * (red - luma) + 128, 0.564 * (blue - luma) + 128


def _gray(red, green, blue):
    return (_weighted(GRAY, (red, green, blue)),) * 3


def _green(red, green, blue):
    return (green,) * 3


def _weighted(weights, channels):
    return sum(weight * channel for weight, channel in zip(weights, channels, strict=True))


_SPACES = {"hsv": _hsv, "lab": _lab, "ycrcb": _ycrcb, "gray": _gray, "green": _green}
