"""Random augmentation of training tiles. Stateless: the same seed gives the same result.

All geometric transformations are composed into one field of source points, at which image and mask are sampled once and
together; those that change brightness and colour alone are in `pipeline.input.photometric`.
"""

import dataclasses
import functools
import math

import numpy as np
import tensorflow as tf

from configs import AugmentConfig
from pipeline.input.cropping import Crop
from pipeline.input.draws import fires, smooth_noise, strength, uniform
from pipeline.input.photometric import recolor

# Every augmentation: the fields of the config that are a probability and not a range of one.
AUGMENTATIONS = tuple(
    field.name
    for field in dataclasses.fields(AugmentConfig)
    if not any(field.name.startswith(f"{other.name}_") for other in dataclasses.fields(AugmentConfig))
)
# Permutations move whole pixels, so that without a warp nothing is interpolated.
PERMUTATIONS = ("horizontal_flip", "vertical_flip", "quarter_turn")
WARPS = ("rotation", "scale", "shear", "translation", "elastic", "distortion", "barrel", "pincushion")

NODE_PX = 4  # spacing of the nodes at which the field of source points is computed; bilinear in between


def augment(
    image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, *, config: AugmentConfig, crop: Crop | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Transforms image and mask together, then changes the image's brightness, colour and sharpness.

    Flips and quarter turns alone permute the pixels. With any warp the image is interpolated bilinearly and the mask
    takes the nearest pixel, both at the same points; beyond the tile's border both are mirrored, so that a lesion which
    shows there is in the mask too.

    Args:
      image: RGB 0..255 `[T, T, 3]`, T known, uint8 or float32.
      mask: 0/1, or packed classes, `[T, T, C]`, of the same dtype.
      seed: int64 `[2]`.
      config: probabilities and ranges. An augmentation of probability 0 is not built into the graph.
      crop: part of the tile that is shown; warps read pixels beyond it. None: the whole tile.

    Returns:
      The image, 0..255 `[side, side, 3]`: float32 if the config can change more than the positions of pixels, else of
      its own dtype. The mask, `[side, side, C]`, of its own dtype.
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
    image, mask = crop.of(image), crop.of(mask)
    if not any(getattr(config, name) for name in PERMUTATIONS):
        return image, mask
    transposed, from_below, from_right = _draw_pose(seed, config)
    axes = tf.where(transposed, [1, 0, 2], [0, 1, 2])
    reversed_axes = tf.boolean_mask([0, 1], tf.stack([from_below, from_right]))

    def permuted(pixels: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.reverse(tf.transpose(pixels, axes), reversed_axes), pixels.shape)

    return permuted(image), permuted(mask)


def _in_float32(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.cast(image, tf.float32), mask


def _warp(
    image: tf.Tensor, mask: tf.Tensor, crop: Crop, *, seed: tf.Tensor, config: AugmentConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    tile, side = image.shape[0], crop.side
    nodes = _source_nodes(side, seed, config) + tf.cast(crop.origin, tf.float32)
    nodes /= tile - 1  # [n, n, 2], in units in which the tile is 0..1
    points = tf.raw_ops.ResizeBilinear(images=nodes[None], size=[side, side], align_corners=True)
    # Mirrored at the centres of the border pixels.
    points = tf.reshape(tf.maximum(1 - tf.abs(1 - tf.abs(points)), 0.0), [-1, 2])  # [side * side, 2]

    # One crop of a single pixel per point: this is the one kernel that interpolates at arbitrary points. It takes two
    # thirds of the time of four gathers and their weighted sum; its coordinates are exact to 1e-4 pixels.
    boxes = tf.matmul(points, [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])  # y, x, y, x
    warped_image = tf.image.crop_and_resize(image[None], boxes, tf.zeros([side * side], tf.int32), [1, 1])
    # Exact in float32 for tiles of up to 4,096 pixels.
    nearest = tf.cast(tf.linalg.matvec(tf.round(points * (tile - 1)), [float(tile), 1.0]), tf.int32)
    warped_mask = tf.gather(tf.reshape(mask, [tile * tile, -1]), nearest)
    return tf.reshape(warped_image, [side, side, 3]), tf.reshape(warped_mask, [side, side, mask.shape[-1]])


def _source_nodes(size: int, seed: tf.Tensor, config: AugmentConfig) -> tf.Tensor:
    """Returns the source point (y, x) in the input of each node of the output, float32 `[n, n, 2]`, pixels."""
    count = -(-(size - 1) // NODE_PX) + 1
    middle = (size - 1) / 2
    line = np.linspace(-middle, middle, count, dtype=np.float32)
    points = tf.constant(np.stack(np.meshgrid(line, line, indexing="ij")))  # [2, n, n], relative to the centre
    for name, bend in _BENDS.items():
        if getattr(config, name):
            bent = functools.partial(bend, points, size, seed, config=config)
            points = tf.cond(fires(seed, config, name), bent, functools.partial(tf.identity, points))
    matrix, shift = _draw_affine(size, seed, config)
    return tf.einsum("ab,bij->ija", matrix, points) + shift + middle


def _displace_elastically(points: tf.Tensor, size: int, seed: tf.Tensor, *, config: AugmentConfig) -> tf.Tensor:
    sigma = config.elastic_sigma / _node_spacing(points, size)
    noise = smooth_noise(seed, "elastic noise", fields=2, size=points.shape[1], sigma=sigma)
    # Root mean square of alpha times uniform noise in [-1, 1), blurred along y, x and the three channels.
    most = config.elastic_alpha / (math.sqrt(8) * math.pi * config.elastic_sigma**2)
    return points + uniform(seed, "elastic strength", 0.0, high=most) * noise


def _distort(points: tf.Tensor, size: int, seed: tf.Tensor, *, config: AugmentConfig) -> tf.Tensor:
    sigma = config.distortion_sigma / _node_spacing(points, size)
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
    # Clipped since at the centre itself, where the offset is 0 anyway, a negative power would be infinite.
    distances = tf.clip_by_value(tf.norm(offsets, axis=0), 1e-3, radius)
    return center[:, None, None] + offsets * tf.sin(distances * (math.pi / 2 / radius)) ** exponent


def _draw_center(seed: tf.Tensor, name: str, offset_px: float) -> tf.Tensor:
    places = offset_px * tf.constant([[0, 0], [-1, -1], [-1, 1], [1, -1], [1, 1]], tf.float32)
    return places[tf.cast(uniform(seed, f"{name} center", 0.0, high=5.0), tf.int32)]


# In the order in which the position of an output pixel passes through them; the affine part comes last.
_BENDS = {"elastic": _displace_elastically, "distortion": _distort, "barrel": _bulge, "pincushion": _pinch}


def _draw_affine(size: int, seed: tf.Tensor, config: AugmentConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the matrix `[2, 2]` and shift `[2]`, float32, that map output to input positions about the centre."""
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
        # Whole pixels: a fraction would blur the image and misalign the mask, for no benefit.
        shift = tf.round(strength(seed, config, "translation", most=config.translation_fraction * size, shape=(2,)))
    return matrix, shift


def _draw_pose(seed: tf.Tensor, config: AugmentConfig) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns whether to transpose, and then whether to reverse the rows and the columns: bool `[]` each."""
    turns = tf.cast(uniform(seed, "quarter_turn strength", 1.0, high=4.0), tf.int32)  # counter-clockwise
    turns = tf.where(fires(seed, config, "quarter_turn"), turns, 0)
    from_below = ((turns == 1) | (turns == 2)) ^ fires(seed, config, "vertical_flip")
    from_right = ((turns == 2) | (turns == 3)) ^ fires(seed, config, "horizontal_flip")
    return turns % 2 == 1, from_below, from_right


def _matrix(yy: tf.Tensor, yx: tf.Tensor, xy: tf.Tensor, *, xx: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.stack([yy, yx, xy, xx]), [2, 2])


def _node_spacing(points: tf.Tensor, size: int) -> float:
    """Returns the distance between neighbouring nodes, pixels."""
    return (size - 1) / (points.shape[1] - 1)
