"""Augmentation: what training draws for each tile. Stateless: the same seed draws the same.

All that moves pixels is composed into one field of source points, through which image and mask are read once and
together; what changes brightness and colour alone is in `pipeline.input.photometric`.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from configs import AugmentConfig
from pipeline.input.draws import fires, smooth_noise, strength, uniform
from pipeline.input.photometric import recolor

# These leave pixels whole, unless one of the others fires.
PERMUTATIONS = ("horizontal_flip", "vertical_flip", "quarter_turn")
WARPS = ("rotation", "scale", "shear", "translation", "elastic", "distortion", "barrel", "pincushion")

NODE_PX = 4  # distance of the nodes at which the field of source points is computed; between them it is bilinear


class Crop(NamedTuple):
    """A square part of a tile: its first row and column, int32 `[2]`, and its side, pixels."""

    origin: tf.Tensor
    side: int


def augment(
    image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, *, config: AugmentConfig, crop: Crop | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Moves image and mask alike, then changes the image's brightness, colour and sharpness.

    Flips and quarter turns by themselves permute the pixels. With any other movement the image is read bilinearly and
    the mask at the nearest pixel, both at the same points; beyond the tile's border both go on as their mirror image,
    so that whatever lesion shows there is in the mask as well.

    Args:
      image: RGB 0..255 `[T, T, 3]`, T known, uint8 or float32.
      mask: 0/1 `[T, T, C]`, of the same dtype.
      seed: int64 `[2]`.
      config: probabilities and ranges. An augmentation of probability 0 is not built.
      crop: what is shown of the tile, before it is moved; movements reach beyond it. None: all.

    Returns:
      image 0..255 `[side, side, 3]`, float32 where anything may change but the places of its pixels, else of the dtype
      it had; mask 0/1 `[side, side, C]` of the dtype it had.
    """
    crop = crop or Crop(tf.zeros([2], tf.int32), image.shape[0])
    permute = functools.partial(_permute, image, mask, crop, seed=seed, config=config)
    warps = [fires(seed, config, name) for name in WARPS if getattr(config, name)]
    if warps:
        warp = functools.partial(_warp, image, mask, crop, seed=seed, config=config)
        image, mask = tf.cond(tf.reduce_any(warps), warp, lambda: _in_float32(*permute()))
    else:
        image, mask = permute()
    return recolor(image, seed, config), mask


def _permute(
    image: tf.Tensor, mask: tf.Tensor, crop: Crop, *, seed: tf.Tensor, config: AugmentConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    begin = tf.pad(crop.origin, [[0, 1]])
    image, mask = (tf.slice(one, begin, [crop.side, crop.side, one.shape[-1]]) for one in (image, mask))
    if not any(getattr(config, name) for name in PERMUTATIONS):
        return image, mask
    transposed, from_below, from_right = _draw_pose(seed, config)
    axes = tf.where(transposed, [1, 0, 2], [0, 1, 2])
    reversed_axes = tf.boolean_mask([0, 1], tf.stack([from_below, from_right]))

    def moved(picture: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.reverse(tf.transpose(picture, axes), reversed_axes), picture.shape)

    return moved(image), moved(mask)


def _in_float32(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.cast(image, tf.float32), mask


def _warp(
    image: tf.Tensor, mask: tf.Tensor, crop: Crop, *, seed: tf.Tensor, config: AugmentConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    tile, side = image.shape[0], crop.side
    nodes = _source_nodes(side, seed, config) + tf.cast(crop.origin, tf.float32)
    nodes /= tile - 1  # [n, n, 2], the tile being 0..1
    points = tf.raw_ops.ResizeBilinear(images=nodes[None], size=[side, side], align_corners=True)
    # Mirrored at the centres of the border's pixels.
    points = tf.reshape(tf.maximum(1 - tf.abs(1 - tf.abs(points)), 0.0), [-1, 2])  # [side * side, 2]

    # A crop of one pixel a point: the one kernel that reads bilinearly at any place takes two thirds of the time of
    # four gathers and their weighted sum (`warping.interpolate_bilinear`); its places are exact to 1e-4 pixels.
    boxes = tf.matmul(points, [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])  # y, x, y, x
    moved_image = tf.image.crop_and_resize(image[None], boxes, tf.zeros([side * side], tf.int32), [1, 1])
    # Exact in float32 for tiles of up to 4,096 pixels.
    nearest = tf.cast(tf.linalg.matvec(tf.round(points * (tile - 1)), [float(tile), 1.0]), tf.int32)
    moved_mask = tf.gather(tf.reshape(mask, [tile * tile, -1]), nearest)
    return tf.reshape(moved_image, [side, side, 3]), tf.reshape(moved_mask, [side, side, mask.shape[-1]])


def _source_nodes(size: int, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Returns where the output's pixels at the nodes are read in the input, float32 `[n, n, 2]`: y and x, pixels."""
    count = -(-(size - 1) // NODE_PX) + 1
    middle = (size - 1) / 2
    line = np.linspace(-middle, middle, count, dtype=np.float32)
    points = tf.constant(np.stack(np.meshgrid(line, line, indexing="ij")))  # [2, n, n], from the middle
    for name, bend in _BENDS.items():
        if getattr(config, name):
            bent = functools.partial(bend, points, size, seed, config=config)
            points = tf.cond(fires(seed, config, name), bent, functools.partial(tf.identity, points))
    matrix, shift = _draw_affine(size, seed, config)
    return tf.einsum("ab,bij->ija", matrix, points) + shift + middle


def _displace_elastically(points: tf.Tensor, size: int, seed: tf.Tensor, *, config: AugmentConfig) -> tf.Tensor:
    sigma = config.elastic_sigma / _node_distance(points, size)
    noise = smooth_noise(seed, "elastic noise", fields=2, size=points.shape[1], sigma=sigma)
    # The root mean square of alpha times noise from [-1, 1), blurred along y, x and three channels.
    most = config.elastic_alpha / (math.sqrt(8) * math.pi * config.elastic_sigma**2)
    return points + uniform(seed, "elastic strength", 0.0, high=most) * noise


def _distort(points: tf.Tensor, size: int, seed: tf.Tensor, *, config: AugmentConfig) -> tf.Tensor:
    sigma = config.distortion_sigma / _node_distance(points, size)
    hills = smooth_noise(seed, "distortion noise", fields=1, size=points.shape[1] + 2, sigma=sigma)[0]
    slopes = tf.stack([hills[2:, 1:-1] - hills[:-2, 1:-1], hills[1:-1, 2:] - hills[1:-1, :-2]])  # [2, n, n]
    most = uniform(seed, "distortion strength", 0.0, high=config.distortion_fraction * size)
    return points + most * slopes / tf.reduce_max(tf.abs(slopes), axis=[1, 2], keepdims=True)


def _bulge(points: tf.Tensor, size: int, seed: tf.Tensor, *, config: AugmentConfig) -> tf.Tensor:
    exponent = uniform(seed, "barrel strength", 0.0, high=config.barrel_amount)
    center = _draw_center(seed, "barrel", config.barrel_offset * size)
    return _magnify(points, center, config.barrel_radius * size, exponent=exponent)


def _pinch(points: tf.Tensor, size: int, seed: tf.Tensor, *, config: AugmentConfig) -> tf.Tensor:
    exponent = uniform(seed, "pincushion strength", -config.pincushion_amount, high=0.0)
    center = _draw_center(seed, "pincushion", config.pincushion_offset * size)
    return _magnify(points, center, config.pincushion_radius * size, exponent=exponent)


def _magnify(points: tf.Tensor, center: tf.Tensor, radius: float, *, exponent: tf.Tensor) -> tf.Tensor:
    offsets = points - center[:, None, None]
    # At the centre itself, where an offset of 0 stays 0, a negative power would be infinite.
    distances = tf.clip_by_value(tf.norm(offsets, axis=0), 1e-3, radius)
    return center[:, None, None] + offsets * tf.sin(distances * (math.pi / 2 / radius)) ** exponent


def _draw_center(seed: tf.Tensor, name: str, offset_px: float) -> tf.Tensor:
    places = offset_px * tf.constant([[0, 0], [-1, -1], [-1, 1], [1, -1], [1, 1]], tf.float32)
    return places[tf.cast(uniform(seed, f"{name} center", 0.0, high=5.0), tf.int32)]


# In the order in which an output pixel's place goes through them; the affine part comes last.
_BENDS = {"elastic": _displace_elastically, "distortion": _distort, "barrel": _bulge, "pincushion": _pinch}


def _draw_affine(size: int, seed: tf.Tensor, config: AugmentConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what leads from the output's places to the input's, about the middle: float32 `[2, 2]` and `[2]`."""
    transposed, from_below, from_right = _draw_pose(seed, config)
    matrix = tf.linalg.diag(tf.where(tf.stack([from_below, from_right]), -1.0, 1.0))
    matrix = tf.where(transposed, matrix[::-1], matrix)
    if config.rotation:
        angle = strength(seed, config, "rotation", most=math.radians(config.rotation_degrees))
        matrix @= _matrix(tf.cos(angle), tf.sin(angle), -tf.sin(angle), xx=tf.cos(angle))
    if config.scale:
        matrix *= tf.exp(strength(seed, config, "scale", most=math.log(config.scale_factor)))
    if config.shear:
        slope = strength(seed, config, "shear", most=config.shear_slope)
        along_y = tf.cast(uniform(seed, "shear axis", 0.0, high=2.0) < 1, tf.float32)
        matrix @= _matrix(1.0, slope * along_y, slope * (1 - along_y), xx=1.0)
    shift = tf.zeros([2])
    if config.translation:
        # Whole pixels: a fraction would blur the image, and part it from its mask, for nothing.
        shift = tf.round(strength(seed, config, "translation", most=config.translation_fraction * size, shape=(2,)))
    return matrix, shift


def _draw_pose(seed: tf.Tensor, config: AugmentConfig) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns whether to exchange rows and columns, and then to reverse the rows, and the columns: bool `[]` each."""
    turns = tf.cast(uniform(seed, "quarter_turn strength", 1.0, high=4.0), tf.int32)  # counter-clockwise
    turns = tf.where(fires(seed, config, "quarter_turn"), turns, 0)
    from_below = ((turns == 1) | (turns == 2)) ^ fires(seed, config, "vertical_flip")
    from_right = ((turns == 2) | (turns == 3)) ^ fires(seed, config, "horizontal_flip")
    return turns % 2 == 1, from_below, from_right


def _matrix(yy: tf.Tensor, yx: tf.Tensor, xy: tf.Tensor, *, xx: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.stack([yy, yx, xy, xx]), [2, 2])


def _node_distance(points: tf.Tensor, size: int) -> float:
    return (size - 1) / (points.shape[1] - 1)
