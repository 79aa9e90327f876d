"""Augmentations of the image alone: light, blur, noise, colours, gamma, sharpening, JPEG, in that order.

The order is that of a camera: light, optics, sensor, processing, storage. Linear changes of colour are composed into
one matrix, and values are clipped only at the end, and where gamma and JPEG need it. Haze is in that matrix, too, where
it costs nothing, as the first of its changes.
"""

import functools
import math

import numpy as np
import tensorflow as tf

from configs import AugmentConfig
from pipeline.input.draws import fires, smooth_noise, strength, uniform

COLORS = ("haze", "brightness", "contrast", "saturation", "hue", "temperature", "color", "brightening")
FIELD_PX = 16  # spacing of the nodes of the illumination field, whose bumps are a quarter of a tile wide

# RGB to luma and two axes of chroma (NTSC, FCC 1953), in which saturation is a scaling and hue a rotation.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def recolor(image: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Changes illumination, colours and sharpness at random.

    Args:
      image: RGB 0..255 `[T, T, 3]`, T known, uint8 or float32.
      seed: int64 `[2]`.
      config: probabilities and ranges. An augmentation of probability 0 is not built into the graph.

    Returns:
      An image of the same shape and range, float32; the image itself if the config has none of these augmentations.
    """
    if not any(getattr(config, name) for names, _ in _CHANGES for name in names):
        return image
    image = tf.cast(image, tf.float32)
    for names, change in _CHANGES:
        used = [fires(seed, config, name) for name in names if getattr(config, name)]
        if used:
            changed = functools.partial(change, image, seed, config)
            image = tf.cond(tf.reduce_any(used), changed, functools.partial(tf.identity, image))
    return tf.clip_by_value(image, 0.0, 255.0)


def _illuminate(image: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    size = image.shape[0]
    nodes = -(-size // FIELD_PX) + 1
    field = smooth_noise(seed, "illumination noise", fields=1, size=nodes, sigma=nodes / 4)[0]
    field *= uniform(seed, "illumination strength", 0.0, high=config.illumination_fraction) / tf.reduce_max(
        tf.abs(field)
    )
    # Repeated for each channel: three times as fast as broadcasting one plane.
    planes = tf.repeat(1 + field[None, ..., None], 3, axis=-1)
    return image * tf.raw_ops.ResizeBilinear(images=planes, size=[size, size], align_corners=True)[0]


def _darken_rim(image: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    size, radius = image.shape[0], config.vignette_radius
    distance = uniform(seed, "vignette distance", 0.0, high=radius)
    direction = uniform(seed, "vignette direction", 0.0, high=2 * math.pi)
    center = distance * tf.stack([tf.sin(direction), tf.cos(direction)])  # from the image's, in its sides
    places = (tf.range(size, dtype=tf.float32) + 0.5) / size - 0.5
    y, x = tf.unstack(tf.exp(-2 * ((places - center[:, None]) / radius) ** 2))  # a Gaussian, which is separable
    lost = uniform(seed, "vignette strength", 0.0, high=config.vignette_fraction)
    light = 1 - lost + lost * y[:, None] * tf.repeat(x, 3)  # in rows of pixels and channels
    return image * tf.reshape(light, [size, size, 3])


def _blur(image: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    reach = math.ceil(3 * config.blur_sigma)
    sigma = tf.maximum(uniform(seed, "blur strength", 0.0, high=config.blur_sigma), 0.1)  # 0.1 px: no blur
    weights = tf.exp(-0.5 * (tf.range(-reach, reach + 1, dtype=tf.float32) / sigma) ** 2)
    weights /= tf.reduce_sum(weights)
    return _filter(image, weights[:, None], weights[None, :])


def _add_noise(image: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    sigma = uniform(seed, "noise strength", 0.0, high=config.noise_sigma)
    # Uniform, which is drawn faster than normal; the first convolution sums several pixels.
    return image + sigma * uniform(seed, "noise pixels", -math.sqrt(3), high=math.sqrt(3), shape=tuple(image.shape))


def _change_colors(image: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Composes all changes into one `color @ matrix + offset`."""
    matrix, offset = tf.eye(3), tf.zeros([3])
    clear, veil = _draw_haze(seed, config) if config.haze else (1.0, tf.zeros([3]))
    if config.brightness:
        matrix *= 1 + strength(seed, config, "brightness", most=config.brightness_fraction)
    if config.temperature:
        warmer = strength(seed, config, "temperature", most=config.temperature_fraction)
        matrix *= tf.stack([1 + warmer, 1.0, 1 - warmer])
    if config.color:
        matrix *= 1 + strength(seed, config, "color", most=config.color_fraction, shape=(3,))
    if config.saturation or config.hue:
        matrix @= _draw_chroma(seed, config)
    if config.contrast:
        change = strength(seed, config, "contrast", most=config.contrast_fraction)
        mean = clear * tf.reduce_mean(tf.reduce_mean(image, 0), 0) + veil  # over both axes at once: twice as long
        offset = -change * tf.linalg.matvec(matrix, mean, transpose_a=True)
        matrix *= 1 + change
    if config.brightening:
        drawn = uniform(seed, "brightening strength", 0.0, high=1.0)
        fraction = tf.where(fires(seed, config, "brightening"), drawn, 0.0)
        alpha = 1 + fraction * (config.brightening_alpha - 1)
        matrix, offset = alpha * matrix, alpha * offset + fraction * config.brightening_beta
    offset += tf.linalg.matvec(matrix, veil, transpose_a=True)  # of clear * image + veil, which all others change
    matrix *= clear
    # A 1x1 convolution takes half the time of a matrix product.
    return tf.nn.bias_add(tf.nn.conv2d(image[None], matrix[None, None], 1, "VALID"), offset)[0]


def _draw_haze(seed: tf.Tensor, config: AugmentConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the fraction of the image's own light, float32 `[]`, and the scattered light, float32 `[3]`."""
    drawn = uniform(seed, "haze strength", 0.0, high=config.haze_fraction)
    fraction = tf.where(fires(seed, config, "haze"), drawn, 0.0)
    level = uniform(seed, "haze level", config.haze_level, high=255.0)
    return 1 - fraction, tf.fill([3], fraction * level)


def _draw_chroma(seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Returns the matrix, for colours as row vectors, that changes saturation and rotates hue."""
    gain, angle = tf.constant(1.0), tf.constant(0.0)
    if config.saturation:
        gain += strength(seed, config, "saturation", most=config.saturation_fraction)
    if config.hue:
        angle = strength(seed, config, "hue", most=math.radians(config.hue_degrees))
    cos, sin = gain * tf.cos(angle), gain * tf.sin(angle)
    turn = tf.stack([[1.0, 0.0, 0.0], tf.stack([0.0, cos, sin]), tf.stack([0.0, -sin, cos])])
    return tf.constant(_YIQ.T, tf.float32) @ turn @ tf.constant(np.linalg.inv(_YIQ.T), tf.float32)


def _apply_gamma(image: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    reach = math.log(config.gamma_exponent)
    exponent = tf.exp(uniform(seed, "gamma strength", -reach, high=reach))
    # 255 (image / 255) ** exponent; exp and log take a sixth of the time of tf.pow. Black: log 0 is -inf, exp(-inf) 0.
    return tf.exp(exponent * tf.math.log(tf.clip_by_value(image, 0.0, 255.0)) + (1 - exponent) * math.log(255))


def _sharpen(image: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    k = uniform(seed, "sharpening strength", 0.0, high=config.sharpening_k)
    center = tf.pad([[1.0]], [[1, 1], [1, 1]])  # [3, 3]
    return _filter(image, (1 + 9 * k) * center - k)  # 1 + 8k in the centre, -k around it


def _compress(image: tf.Tensor, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    quality = tf.cast(uniform(seed, "jpeg strength", config.jpeg_quality, high=101.0), tf.int32)
    levels = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
    encoded = tf.raw_ops.EncodeJpegVariableQuality(images=levels, quality=quality)
    return tf.ensure_shape(tf.cast(tf.io.decode_jpeg(encoded, channels=3), tf.float32), image.shape)


def _filter(image: tf.Tensor, *kernels: tf.Tensor) -> tf.Tensor:
    """Correlates the image with kernels `[h, w]` of odd sides, one after the other, with mirrored borders."""
    filtered = _mirror(image, *(sum(kernel.shape[axis] // 2 for kernel in kernels) for axis in (0, 1)))
    for kernel in kernels:
        height, width, channels = filtered.shape
        if kernel.shape[1] == 1:
            # A row as one pixel of many channels: twice as fast, since depthwise convolutions vectorise over channels.
            width, channels = 1, width * channels
        channelwise = tf.repeat(kernel[..., None, None], channels, axis=2)
        pixels = tf.reshape(filtered, [1, height, width, channels])
        filtered = tf.nn.depthwise_conv2d(pixels, channelwise, [1, 1, 1, 1], "VALID")
        filtered = tf.reshape(filtered, [filtered.shape[1], -1, 3])
    return filtered


def _mirror(image: tf.Tensor, y: int, x: int) -> tf.Tensor:
    """Pads y rows and x columns of reflection on each side, in half the time of tf.pad's "REFLECT"."""
    image = tf.concat([tf.reverse(image[1 : y + 1], [0]), image, tf.reverse(image[-y - 1 : -1], [0])], axis=0)
    return tf.concat([tf.reverse(image[:, 1 : x + 1], [1]), image, tf.reverse(image[:, -x - 1 : -1], [1])], axis=1)


_CHANGES = (
    (("illumination",), _illuminate),
    (("vignette",), _darken_rim),
    (("blur",), _blur),
    (("noise",), _add_noise),
    (COLORS, _change_colors),
    (("gamma",), _apply_gamma),
    (("sharpening",), _sharpen),
    (("jpeg",), _compress),
)
