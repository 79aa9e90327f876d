"""Compatibility module: four image operations of tensorflow-addons 0.23.0, for code that used them.

That release is the last one, and does not import on the TensorFlow of this project. The functions have the arguments,
conventions and results of `tfa.image`; `tests/pipeline/test_addons_parity.py` compares them with golden vectors of the
real package. This project itself does not use them: augmentation warps with a faster kernel
(`pipeline.input.augmentation`).
"""

from typing import Literal

import tensorflow as tf

FillMode = Literal["reflect", "constant", "wrap", "nearest"]
Interpolation = Literal["nearest", "bilinear"]


def dense_image_warp(image: tf.Tensor, flow: tf.Tensor) -> tf.Tensor:
    """Warps each pixel by its own displacement: `output[b, y, x] = image[b, y - flow[..., 0], x - flow[..., 1]]`.

    Args:
      image: float16, float32 or float64 `[B, H, W, C]`, H and W at least 2.
      flow: float16, float32 or float64 `[B, H, W, 2]`: displacement in y and x, pixels.

    Returns:
      `[B, H, W, C]` of the image's dtype, interpolated bilinearly; points beyond the border take the nearest pixel.

    Raises:
      tf.errors.InvalidArgumentError: H or W is less than 2.

    Equivalent: `tfa.image.dense_image_warp`.
    """
    image, flow = tf.convert_to_tensor(image), tf.convert_to_tensor(flow)
    shape = tf.shape(image)
    y, x = tf.meshgrid(tf.range(shape[1]), tf.range(shape[2]), indexing="ij")
    points = tf.cast(tf.stack([y, x], axis=-1), flow.dtype) - flow  # [B, H, W, 2]
    values = interpolate_bilinear(image, tf.reshape(points, [shape[0], -1, 2]))
    return tf.ensure_shape(tf.reshape(values, shape), image.shape)


def interpolate_bilinear(grid: tf.Tensor, points: tf.Tensor, *, indexing: Literal["ij", "xy"] = "ij") -> tf.Tensor:
    """Interpolates a grid bilinearly at arbitrary points.

    Args:
      grid: float16, float32 or float64 `[B, H, W, C]`, H and W at least 2; pixel centres are at whole numbers.
      points: float16, float32 or float64 `[B, N, 2]`, pixels.
      indexing: order of a point's coordinates: "ij" for (y, x), "xy" for (x, y).

    Returns:
      `[B, N, C]` of the grid's dtype; points beyond the border take the value of the nearest point on it.

    Raises:
      tf.errors.InvalidArgumentError: H or W is less than 2.

    Equivalent: `tfa.image.interpolate_bilinear`.
    """
    grid, points = tf.convert_to_tensor(grid), tf.convert_to_tensor(points)
    shape = tf.shape(grid)
    tf.debugging.assert_greater(shape[1:3], 1, "a grid must have at least 2 rows and 2 columns")
    y, x = tf.unstack(points if indexing == "ij" else points[..., ::-1], axis=-1)  # [B, N] each
    top, down = _split(y, shape[1], grid.dtype)
    left, right = _split(x, shape[2], grid.dtype)
    width = shape[2]
    pixels = tf.reshape(grid, [-1, shape[3]])
    corner = (tf.range(shape[0])[:, None] * shape[1] + top) * width + left  # [B, N], the upper left neighbour

    upper_left, upper_right = tf.gather(pixels, corner), tf.gather(pixels, corner + 1)  # [B, N, C]
    lower_left, lower_right = tf.gather(pixels, corner + width), tf.gather(pixels, corner + width + 1)
    upper = right * (upper_right - upper_left) + upper_left
    lower = right * (lower_right - lower_left) + lower_left
    return down * (lower - upper) + upper


def transform(
    images: tf.Tensor,
    transforms: tf.Tensor,
    *,
    interpolation: Interpolation = "nearest",
    fill_mode: FillMode = "constant",
    fill_value: float = 0.0,
    output_shape: tuple[int, int] | None = None,
) -> tf.Tensor:
    """Applies a projective transform to each image.

    Args:
      images: uint8, int32, int64, float16, float32 or float64 `[B, H, W, C]`, `[H, W, C]` or `[H, W]`.
      transforms: float32 `[8]` or `[B, 8]`. With a row (a0, a1, a2, b0, b1, b2, c0, c1) the output pixel (x, y) is
        the input at `((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k)`, where `k = c0 x + c1 y + 1`.
      interpolation: "nearest" or "bilinear".
      fill_mode: how a row `a b c d` continues beyond the border: "reflect" `d c b a | a b c d | d c b a`, "constant"
        `fill_value`, "wrap" `a b c d | a b c d`, "nearest" `a a | a b c d | d d`.
      fill_value: value beyond the border, for the fill mode "constant".
      output_shape: height and width of the result; None: those of the input.

    Returns:
      Images of the same rank and dtype as `images`.

    Equivalent: `tfa.image.transform`, which calls the same kernel of TensorFlow.
    """
    images = tf.convert_to_tensor(images)
    batch = _as_batch(images)
    transformed = tf.raw_ops.ImageProjectiveTransformV3(
        images=batch,
        transforms=tf.reshape(tf.cast(transforms, tf.float32), [-1, 8]),
        output_shape=tf.shape(batch)[1:3] if output_shape is None else output_shape,
        interpolation=interpolation.upper(),
        fill_mode=fill_mode.upper(),
        fill_value=fill_value,
    )
    if images.shape.rank == 4:
        return transformed
    return transformed[0] if images.shape.rank == 3 else transformed[0, ..., 0]


def rotate(
    images: tf.Tensor,
    angles: tf.Tensor,
    *,
    interpolation: Interpolation = "nearest",
    fill_mode: FillMode = "constant",
    fill_value: float = 0.0,
) -> tf.Tensor:
    """Rotates images counter-clockwise about their centre.

    Args:
      images: as in `transform`.
      angles: float32 `[]` or `[B]`, radians.
      interpolation: as in `transform`.
      fill_mode: as in `transform`.
      fill_value: as in `transform`.

    Returns:
      Images of the same shape and dtype as `images`.

    Equivalent: `tfa.image.rotate`.
    """
    images = tf.convert_to_tensor(images)
    last = tf.cast(tf.shape(_as_batch(images))[1:3] - 1, tf.float32)  # last row and column
    angles = tf.reshape(tf.cast(angles, tf.float32), [-1])
    cos, sin = tf.cos(angles), tf.sin(angles)
    x_offset = (last[1] - (cos * last[1] - sin * last[0])) / 2
    y_offset = (last[0] - (sin * last[1] + cos * last[0])) / 2
    zeros = tf.zeros_like(angles)
    transforms = tf.stack([cos, -sin, x_offset, sin, cos, y_offset, zeros, zeros], axis=1)
    return transform(images, transforms, interpolation=interpolation, fill_mode=fill_mode, fill_value=fill_value)


def _split(coordinates: tf.Tensor, size: tf.Tensor, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits coordinates into the pixel before, int32 `[B, N]`, and the fraction of the way to the next `[B, N, 1]`."""
    # The last pixel is expressed as the one before it plus a whole step, so that there is always a next one.
    before = tf.clip_by_value(tf.floor(coordinates), 0, tf.cast(size - 2, coordinates.dtype))
    step = tf.clip_by_value(tf.cast(coordinates - before, dtype), 0, 1)
    return tf.cast(before, tf.int32), step[..., None]


def _as_batch(images: tf.Tensor) -> tf.Tensor:
    if images.shape.rank == 2:
        return images[None, ..., None]
    return images if images.shape.rank == 4 else images[None]
