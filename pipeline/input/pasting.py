"""Lesions of other photographs, pasted into training tiles where none are.

Copy-paste of Ghiasi et al. 2021 (arXiv:2012.07177) with lesions for objects. A pasted lesion keeps its place relative
to the crop. What moves is how it differs from the retina around it: it takes as large a part of the light as it took
there, and adds as much. It covers neither lesions that are there nor what lies outside of the field of view.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from configs import InputError, TrainConfig
from pipeline.input.cropping import Crop, draw_crop
from pipeline.input.draws import uniform
from pipeline.input.reading import RecordSet, TileReader
from pipeline.input.sampling import Sampler, make_sampler
from records.shards.record import LabelFormat

# Added to the seed of the stream, so that donors are drawn independently of what they are pasted into.
DONOR_SEED = 2**31
NO_DONOR = -1  # in place of the number of a tile
FREE_PX = 7  # a pasted pixel has no lesion in the square of this side around it
EDGE_PX = 3  # by half of which a pasted lesion's edge is widened; over as many pixels, twice, it then fades
DARK = 20.0  # mean of the channels up to which a pixel counts as outside of the field of view
MARGIN_PX = 32  # around a crop, of which warps may show a part, in which lesions are pasted too
GRID_PX = 8  # spacing of the grid on which surroundings are averaged
GRID_BLUR = 5  # side of the squares of that grid that are averaged, twice
OFFSET = 16.0  # grey levels by which ratios of dark channels, which are noise, are kept near 1


@dataclasses.dataclass(frozen=True)
class Donors:
    """The lesions that can be pasted.

    Attributes:
      reader: reads the tiles of the training split.
      sampler: draws a lesion for each element of the stream.
      bits: sum of 1 << c over the classes c that are pasted.
      fraction: fraction of the elements that get lesions of another tile.
    """

    reader: TileReader
    sampler: Sampler
    bits: int
    fraction: float

    def paste_into(
        self, image: tf.Tensor, labels: tf.Tensor, crop: Crop, *, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Pastes, into a fraction of the elements, what a crop of another tile shows of the classes.

        Args:
          image: uint8 `[T, T, 3]`.
          labels: packed, uint8 `[T, T, L]`.
          crop: the part of the tile that the element shows.
          seed: int64 `[2]`, of the element: that of the stream, and k.

        Returns:
          The image and the labels; and the number of the tile that lesions were taken from, int64, or `NO_DONOR`.
        """

        def pasted() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            target = self.sampler.target(seed[1])
            donor, donor_labels = self.reader.packed_tile(target.tile)
            form = self.reader.form
            own_seed = seed + tf.constant([DONOR_SEED, 0], tf.int64)
            donor_crop = draw_crop(target, donor_labels, crop.side, form=form, seed=own_seed)
            here, there = (_window(one, image.shape[0]) for one in (crop, donor_crop))
            shift = (crop.origin - here.origin) - (donor_crop.origin - there.origin)
            donor, donor_labels = there.of(donor), there.of(donor_labels)
            mixed, changed = paste(
                here.of(image),
                here.of(labels),
                _moved(donor, shift),
                bits=_moved(_lesion_bits(donor_labels, self.bits, form), shift),
                surroundings=_moved(_surroundings(donor, donor_labels), shift),
                form=form,
            )
            return _put(mixed, here, image), _put(changed, here, labels), target.tile

        def untouched() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return image, labels, tf.constant(NO_DONOR, tf.int64)

        return tf.cond(uniform(seed, "paste", 0.0, high=1.0) < self.fraction, pasted, untouched)


def _window(crop: Crop, tile: int) -> Crop:
    """Returns the part of a tile around a crop that is computed: the whole tile would take several times as long."""
    side = min(crop.side + 2 * MARGIN_PX, tile)
    return Crop(tf.clip_by_value(crop.origin - MARGIN_PX, 0, tile - side), side)


def _put(part: tf.Tensor, crop: Crop, pixels: tf.Tensor) -> tf.Tensor:
    """Returns a tile, uint8 `[T, T, C]`, with other pixels in a crop."""
    behind = pixels.shape[0] - crop.side - crop.origin
    paddings = tf.pad(tf.stack([crop.origin, behind], axis=1), [[0, 1], [0, 0]])  # none of the channels
    changes = tf.pad(tf.bitwise.bitwise_xor(part, crop.of(pixels)), paddings)
    return tf.bitwise.bitwise_xor(pixels, tf.ensure_shape(changes, pixels.shape))


def make_donors(sets: Sequence[RecordSet], train: TrainConfig, reader: TileReader) -> Donors | None:
    """Lists the lesions of the training tiles that the config pastes; None if it pastes none.

    A lesion of a class is drawn as `train.lesion_fraction` draws it.

    Raises:
      InputError: labels are soft, a class is none of the config's, or the training tiles show no lesion of the classes.
    """
    if not train.paste_fraction:
        return None
    if reader.form.soft:
        raise InputError("train.paste_fraction pastes masks of 0 and 1, and data.soft_labels has levels; set it to 0.")
    classes = sets[0].classes
    unknown = [name for name in train.paste_classes if name not in classes]
    if unknown:
        raise InputError(
            f"train.paste_classes has {', '.join(unknown)}, which data.classes {', '.join(classes)} has not."
        )
    pasted = [index for index, name in enumerate(classes) if name in (train.paste_classes or classes)]
    sampler = make_sampler(sets, _of_lesions(train))
    chosen = np.isin(sampler.targets[:, 1], pasted)
    weights = np.diff(sampler.ends, prepend=0)[chosen]
    if not weights.sum():
        raise InputError(
            f"train.paste_fraction is {train.paste_fraction:g}, but these records show no lesion of "
            f"{', '.join(classes[index] for index in pasted)}; set it to 0, or train.paste_classes to other classes."
        )
    ends = np.cumsum(weights)
    only = dataclasses.replace(sampler, targets=sampler.targets[chosen], ends=ends / ends[-1])
    return Donors(reader, only, sum(1 << index for index in pasted), train.paste_fraction)


def _of_lesions(train: TrainConfig) -> TrainConfig:
    """Returns the config by which nothing but lesions is drawn, with a seed of its own."""
    return dataclasses.replace(
        train,
        lesion_pixel_fraction=0.0,
        lesion_fraction=1.0,
        empty_fraction=None,
        healthy_fraction=None,
        hard_negative_fraction=0.0,
        seed=train.seed + DONOR_SEED,
    )


def paste(
    image: tf.Tensor,
    labels: tf.Tensor,
    donor: tf.Tensor,
    *,
    bits: tf.Tensor,
    surroundings: tf.Tensor,
    form: LabelFormat,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Pastes lesions of a donor into a tile.

    Args:
      image: uint8 `[T, T, 3]`.
      labels: packed, uint8 `[T, T, L]`.
      donor: uint8 `[T, T, 3]`.
      bits: classes that are pasted at each pixel, uint8 `[T, T, 1]`.
      surroundings: mean colour around each pixel of the donor, see `_surroundings`.
      form: format of the labels.

    Returns:
      The image and the labels. A pasted pixel shows its classes, and that it does so is known.
    """
    shown = labels[..., :1]
    blocked = _largest(tf.cast(shown > 0, tf.float32), FREE_PX) > 0
    blocked |= tf.reduce_mean(tf.cast(image, tf.float32), axis=-1, keepdims=True) <= DARK
    blocked |= tf.reduce_max(donor, axis=-1, keepdims=True) == 0  # beyond the donor's border
    bits = tf.where(blocked, tf.zeros_like(bits), bits)
    # Softly, a little beyond the outline: a hard edge would give a pasted lesion away.
    weights = _largest(tf.cast(bits > 0, tf.float32), EDGE_PX)
    for _ in range(2):
        weights = _mean(weights, EDGE_PX)
    weights = tf.where(blocked, 0.0, weights)
    before, lesion = tf.cast(image, tf.float32), tf.cast(donor, tf.float32)
    kept = tf.minimum((lesion + OFFSET) / (surroundings + OFFSET), 1.0)
    after = before * kept + tf.maximum(lesion - surroundings, 0.0)
    mixed = tf.cast(tf.round(tf.clip_by_value(before + weights * (after - before), 0.0, 255.0)), tf.uint8)
    changed = [tf.bitwise.bitwise_or(shown, bits)]
    if form.partly_known:
        changed.append(tf.bitwise.bitwise_or(labels[..., -1:], bits))
    return mixed, tf.concat(changed, axis=-1)


def _lesion_bits(labels: tf.Tensor, bits: int, form: LabelFormat) -> tf.Tensor:
    """Returns the classes among `bits` that each pixel is known to show, uint8 `[T, T, 1]`."""
    shown = tf.bitwise.bitwise_and(labels[..., :1], tf.constant(bits, tf.uint8))
    return tf.bitwise.bitwise_and(shown, labels[..., -1:]) if form.partly_known else shown


def _moved(pixels: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Moves `[T, T, C]` by (rows, columns), int32 `[2]`; what comes in from beyond the border is 0."""
    side = pixels.shape[0]
    inside = tf.ones([side, side, 1], pixels.dtype)
    for axis in (0, 1):
        sources = tf.range(side) - shift[axis]
        within = tf.cast((sources >= 0) & (sources < side), pixels.dtype)
        pixels = tf.gather(pixels, tf.clip_by_value(sources, 0, side - 1), axis=axis)
        inside *= tf.reshape(within, [side, 1, 1] if axis == 0 else [1, side, 1])
    return pixels * inside


def _surroundings(image: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Returns the mean colour of the retina without lesions around each pixel, float32 `[T, T, 3]`."""
    pixels = tf.cast(image, tf.float32)
    retina = tf.reduce_mean(pixels, axis=-1, keepdims=True) > DARK
    healthy = tf.cast(retina & (_largest(tf.cast(labels[..., :1] > 0, tf.float32), FREE_PX) == 0), tf.float32)
    sums = tf.concat([pixels * healthy, healthy], axis=-1)
    sums = tf.nn.avg_pool2d(sums[None], GRID_PX, GRID_PX, "SAME")
    for _ in range(2):
        sums = tf.nn.avg_pool2d(sums, GRID_BLUR, 1, "SAME")
    means = sums[..., :3] / tf.maximum(sums[..., 3:], 1e-3)
    return tf.image.resize(means, image.shape[:2])[0]


def _largest(pixels: tf.Tensor, side: int) -> tf.Tensor:
    """Returns the largest value in the square around each pixel of `[T, T, 1]`."""
    return tf.nn.max_pool2d(pixels[None], side, 1, "SAME")[0]


def _mean(pixels: tf.Tensor, side: int) -> tf.Tensor:
    """Returns the mean of the square around each pixel of `[T, T, 1]`."""
    return tf.nn.avg_pool2d(pixels[None], side, 1, "SAME")[0]
