"""Sampling: which tile element k of the training stream shows, and which part of it. Pure functions of (seed, k).

Everything that may be shown is a row of a table with a weight: a tile, the lesion pixels of a tile, a lesion.
An epoch of n elements is a systematic sample of n rows (Madow & Madow 1944): n points at equal distances along the
summed weights, in an order shuffled anew each epoch. A row of the weight w (of 1) so comes floor(n w) or ceil(n w)
times an epoch, and with equal weights exactly once.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from configs import DataConfig, InputError, TrainConfig
from configs.schema import MAX_CLASSES
from pipeline.input.draws import uniform
from pipeline.input.reading import RecordSet
from records import tile_starts
from records.grid import scaled_size, tile_cells
from records.shards import CaseEntry

ANYWHERE = -1  # instead of a class: the crop is not aimed at a lesion


class Target(NamedTuple):
    """What an element shows: a tile, and a box in it in which the crop's middle, or a lesion pixel of it, lies.

    Attributes:
      tile: number of the tile, in the order of `pipeline.input.reading.TileReader`.
      class_index: of which class the crop shows a lesion pixel out of the box; `ANYWHERE`: the crop's middle is any
        pixel of the box.
      y: first row of the box, pixels of the tile; x, height and width likewise.
      x: first column.
      height: of the box.
      width: of the box.
    """

    tile: int
    class_index: int
    y: int
    x: int
    height: int
    width: int


@dataclasses.dataclass(frozen=True)
class Sampler:
    """The table.

    Attributes:
      targets: int64 `[rows, 6]`, the fields of `Target`.
      ends: float64 `[rows]`, the weights summed up to and with each row; the last is 1.
      per_epoch: number of elements n.
      seed: of the stream.
    """

    targets: np.ndarray
    ends: np.ndarray
    per_epoch: int
    seed: int

    def target(self, k: tf.Tensor) -> Target:
        """Returns what element k (int64) shows; its fields are int64 scalars."""
        epoch_seed = tf.stack([tf.cast(self.seed, tf.int64), k // self.per_epoch])
        # index_shuffle takes numbers that differ little, or beyond 32 bits, for (nearly) the same seed.
        order = tf.random.stateless_uniform([2], epoch_seed, minval=None, maxval=None, dtype=tf.int32)
        shuffled = tf.random.experimental.index_shuffle(k % self.per_epoch, seed=order, max_index=self.per_epoch - 1)
        # Away from the ends, where rounding could step into the next row.
        offset = uniform(epoch_seed, "systematic sample", 0.001, high=0.999)
        point = (tf.cast(shuffled, tf.float64) + tf.cast(offset, tf.float64)) / self.per_epoch
        row = tf.searchsorted(tf.constant(self.ends), point[None], side="right")[0]
        return Target(*tf.unstack(tf.gather(tf.constant(self.targets), row)))


def make_sampler(sets: Sequence[RecordSet], train: TrainConfig) -> Sampler:
    """Weighs all that the training tiles of the sets can show, as `train` says.

    Raises:
      InputError: nothing has a weight, such as lesions alone where there are none.
    """
    cases: list[list[_Rows]] = []  # of each set
    tiles = 0
    for one in sets:
        cases.append([])
        for name in one.index.splits["train"].cases:
            entry = one.index.cases[name]
            if entry.tiles:
                cases[-1].append(_rows_of_case(entry, one.index.data, train, first=tiles))
            tiles += entry.tiles
    if train.balance == "tile":
        cases = [[_Rows(*map(np.concatenate, zip(*rows, strict=True)))] if rows else [] for rows in cases]
    weights = [[_weights(group, train) for group in groups] for groups in cases]
    if train.records_weights:
        totals = [sum(float(group.sum()) for group in groups) for groups in weights]
        weights = [
            [group * (wanted / total) for group in groups] if total else []
            for groups, wanted, total in zip(weights, train.records_weights, totals, strict=True)
        ]
    targets = np.concatenate([group.targets for groups in cases for group in groups])
    ends = np.cumsum(np.concatenate([group for groups in weights for group in groups]))
    if ends[-1] == 0:
        raise InputError(
            f"train.lesion_pixel_fraction {train.lesion_pixel_fraction}, train.lesion_fraction {train.lesion_fraction} "
            f"and train.empty_fraction {train.empty_fraction} leave nothing to show of these records; lower one of "
            "them."
        )
    return Sampler(targets, ends / ends[-1], tiles, train.seed)


class _Rows(NamedTuple):
    """Rows of the table before they are weighed.

    Attributes:
      targets: int64 `[rows, 6]`.
      kinds: int64 `[rows]`; rows of one kind share what the config gives to the kind.
      sizes: float64 `[rows]`, in proportion to which they share it.
    """

    targets: np.ndarray
    kinds: np.ndarray
    sizes: np.ndarray


# Kinds: tiles with and without lesions, then a kind for the pixels and one for the lesions of each class.
_NONEMPTY, _EMPTY, _PIXELS, _LESIONS = 0, 1, 2, 2 + MAX_CLASSES


def _rows_of_case(entry: CaseEntry, data: DataConfig, train: TrainConfig, *, first: int) -> _Rows:
    height, width = scaled_size(entry.height, entry.width, data.scale)
    rows, columns = (
        dict(zip(tile_starts(side, data.tile, data.stride), tile_cells(side, data.tile, data.stride), strict=True))
        for side in (height, width)
    )
    found: list[tuple[Target, int, float]] = []
    pixels: collections.Counter[tuple[int, int]] = collections.Counter()
    for part in entry.lesions:
        pixels[part.tile, part.class_index] += part.pixels
        box = (part.y, part.x, part.height, part.width)
        target = Target(first + part.tile, part.class_index, *box)
        found.append((target, _LESIONS + part.class_index, part.pixels / part.lesion_pixels))
    for tile, place in enumerate(entry.places):
        (top, bottom), (left, right) = rows[place.y], columns[place.x]
        cell = (top - place.y, left - place.x, bottom - top, right - left)
        # A whole tile shows more than its cell: each comes equally often. A crop is of the cell.
        size = (bottom - top) * (right - left) if train.crop else 1
        found.append((Target(first + tile, ANYWHERE, *cell), _NONEMPTY if place.lesion_pixels else _EMPTY, size))
        for class_index in range(len(data.classes)):
            if pixels[tile, class_index]:
                target = Target(first + tile, class_index, *cell)
                found.append((target, _PIXELS + class_index, pixels[tile, class_index]))
    targets, kinds, sizes = zip(*found, strict=True)
    return _Rows(np.array(targets, np.int64), np.array(kinds), np.array(sizes, np.float64))


def _weights(rows: _Rows, train: TrainConfig) -> np.ndarray:
    """Returns float64 `[rows]`, whose sum is 1 for a photograph of its own, or the number of tiles they are of."""
    kinds = rows.kinds
    if train.empty_fraction is None:
        kinds = np.where(kinds == _EMPTY, _NONEMPTY, kinds)
    present = set(kinds.tolist())
    classes = [kind - _PIXELS for kind in present if _PIXELS <= kind < _LESIONS]
    wanted = {index: train.class_sampling[index] if train.class_sampling else 1.0 for index in classes}
    shares = {}
    for index in classes:
        part = wanted[index] / sum(wanted.values())
        shares[_PIXELS + index] = train.lesion_pixel_fraction * part
        shares[_LESIONS + index] = train.lesion_fraction * part
    shares[_EMPTY] = train.empty_fraction or 0.0
    shares[_NONEMPTY] = max(1 - train.lesion_pixel_fraction - train.lesion_fraction - shares[_EMPTY], 0.0)
    weights = np.zeros(len(kinds))
    for kind in present:
        members = kinds == kind
        weights[members] = shares[kind] * rows.sizes[members] / rows.sizes[members].sum()
    total = 1 if train.balance == "photograph" else len(np.unique(rows.targets[:, 0]))
    return weights * (total / weights.sum()) if weights.any() else weights


def crop_origin(target: Target, bits: tf.Tensor, side: int, *, seed: tf.Tensor) -> tf.Tensor:
    """Returns the first row and column of the crop in its tile, int32 `[2]`.

    A crop that is aimed at a lesion has one of the class's pixels in the box, each equally likely, anywhere in it.
    Any other has its middle at any pixel of the tile's own cell, but where the tile ends before the crop: with `side`
    at most tile - stride, every place of a photograph is shown equally often but for a rim of half a crop.

    Args:
      target: of the element.
      bits: uint8 `[T, T, 1]`, the mask of its tile, bit c of a byte being class c.
      side: of the crop, at most T.
      seed: int64 `[2]`, of the element.
    """
    tile = bits.shape[0]
    if side == tile:
        return tf.zeros([2], tf.int32)
    last = tile - side
    shares = uniform(seed, "crop", 0.0, high=1.0, shape=(2,))
    y, x, height, width = (tf.cast(field, tf.int32) for field in target[2:])

    def anywhere() -> tf.Tensor:
        middle = tf.cast([y, x], tf.float32) + shares * tf.cast([height, width], tf.float32)
        return tf.clip_by_value(tf.cast(tf.floor(middle - side / 2), tf.int32), 0, last)

    def at_a_lesion() -> tf.Tensor:
        class_bit = tf.bitwise.left_shift(tf.constant(1, tf.uint8), tf.cast(target.class_index, tf.uint8))
        part = tf.bitwise.bitwise_and(bits[y : y + height, x : x + width, 0], class_bit)
        pixels = tf.where(part > 0)  # [n, 2]
        pixel = tf.cast(pixels[_below(tf.shape(pixels)[0], uniform(seed, "crop pixel", 0.0, high=1.0))], tf.int32) + [
            y,
            x,
        ]
        least, most = tf.maximum(pixel - side + 1, 0), tf.minimum(pixel, last)
        return least + _below(most - least + 1, shares)

    return tf.cond(target.class_index == ANYWHERE, anywhere, at_a_lesion)


def _below(count: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Returns the whole number, 0 to count - 1, at a share of [0, 1) of the way."""
    return tf.minimum(tf.cast(tf.cast(count, tf.float32) * share, tf.int32), count - 1)  # the product may round up
