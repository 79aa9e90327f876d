"""Sampling: which tile each element of the training stream shows, and which part of it.

Everything that can be shown is a row of a table and has a weight: a tile, the lesion pixels of a tile, or a lesion.
An epoch of n elements is a systematic sample of n rows (Madow & Madow 1944): n equidistant points along the cumulative
weights, in an order that is shuffled anew for each epoch. A row of weight w (of a total of 1) thus occurs floor(n w) or
ceil(n w) times per epoch; with equal weights, exactly once. All draws are pure functions of (seed, k).
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
from records.grid import tile_cells
from records.shards import CaseEntry

ANYWHERE = -1  # in place of a class: the crop is not aimed at a lesion


class Target(NamedTuple):
    """What an element shows: a tile, and a box in it that determines where its crop lies.

    Attributes:
      tile: number of the tile, in the order of `pipeline.input.reading.TileReader`.
      class_index: class of which the crop shows a lesion pixel from the box; `ANYWHERE`: the centre of the crop is any
        pixel of the box.
      y: first row of the box, pixels of the tile.
      x: first column of the box.
      height: of the box, pixels.
      width: of the box, pixels.
    """

    tile: int
    class_index: int
    y: int
    x: int
    height: int
    width: int


@dataclasses.dataclass(frozen=True)
class Sampler:
    """The table of targets and their weights, from which each element is drawn.

    Attributes:
      targets: int64 `[rows, 6]`, the fields of `Target`.
      ends: float64 `[rows]`, cumulative weights; the last is 1.
      per_epoch: number n of elements per epoch.
      seed: of the stream.
    """

    targets: np.ndarray
    ends: np.ndarray
    per_epoch: int
    seed: int

    def target(self, k: tf.Tensor) -> Target:
        """Returns the target of element k (int64); its fields are int64 scalars."""
        epoch_seed = tf.stack([tf.cast(self.seed, tf.int64), k // self.per_epoch])
        # index_shuffle treats seeds that differ little, or only beyond 32 bits, as (nearly) the same seed.
        order = tf.random.stateless_uniform([2], epoch_seed, minval=None, maxval=None, dtype=tf.int32)
        shuffled = tf.random.experimental.index_shuffle(k % self.per_epoch, seed=order, max_index=self.per_epoch - 1)
        # Kept away from the ends, where rounding could select the neighbouring row.
        offset = uniform(epoch_seed, "systematic sample", 0.001, high=0.999)
        point = (tf.cast(shuffled, tf.float64) + tf.cast(offset, tf.float64)) / self.per_epoch
        row = tf.searchsorted(tf.constant(self.ends), point[None], side="right")[0]
        return Target(*tf.unstack(tf.gather(tf.constant(self.targets), row)))


def make_sampler(sets: Sequence[RecordSet], train: TrainConfig) -> Sampler:
    """Lists everything that the training tiles of the sets can show, weighted as the config says.

    Raises:
      InputError: all weights are 0, for example with lesions alone where there are none.
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
        weights = _weight_sets(weights, train.records_weights)
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
    """Rows of the table before they are weighted.

    Attributes:
      targets: int64 `[rows, 6]`.
      kinds: int64 `[rows]`; the rows of one kind divide the kind's fraction among them.
      sizes: float64 `[rows]`, in proportion to which they divide it.
    """

    targets: np.ndarray
    kinds: np.ndarray
    sizes: np.ndarray


# The kinds: tiles with lesions, tiles without, then for each class one kind for its pixels and one for its lesions.
_NONEMPTY, _EMPTY, _PIXELS, _LESIONS = 0, 1, 2, 2 + MAX_CLASSES


def _rows_of_case(entry: CaseEntry, data: DataConfig, train: TrainConfig, *, first: int) -> _Rows:
    rows, columns = (
        dict(zip(tile_starts(side, data.tile, data.stride), tile_cells(side, data.tile, data.stride), strict=True))
        for side in entry.scaled_size
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
        # Whole tiles are shown equally often. The centres of crops lie in the tile's cell, so its area counts.
        size = (bottom - top) * (right - left) if train.crop else 1
        found.append((Target(first + tile, ANYWHERE, *cell), _NONEMPTY if place.lesion_pixels else _EMPTY, size))
        for class_index in range(len(data.classes)):
            if pixels[tile, class_index]:
                target = Target(first + tile, class_index, *cell)
                found.append((target, _PIXELS + class_index, pixels[tile, class_index]))
    targets, kinds, sizes = zip(*found, strict=True)
    return _Rows(np.array(targets, np.int64), np.array(kinds), np.array(sizes, np.float64))


def _weights(rows: _Rows, train: TrainConfig) -> np.ndarray:
    """Returns the weight of each row, float64 `[rows]`.

    Their sum is 1 if photographs are balanced (the rows are those of one photograph), else the number of tiles.
    """
    kinds = rows.kinds
    if train.empty_fraction is None:
        kinds = np.where(kinds == _EMPTY, _NONEMPTY, kinds)
    present = set(kinds.tolist())
    classes = [kind - _PIXELS for kind in present if _PIXELS <= kind < _LESIONS]
    wanted = {index: train.class_sampling[index] if train.class_sampling else 1.0 for index in classes}
    fractions = {}
    for index in classes:
        part = wanted[index] / sum(wanted.values())
        fractions[_PIXELS + index] = train.lesion_pixel_fraction * part
        fractions[_LESIONS + index] = train.lesion_fraction * part
    fractions[_EMPTY] = train.empty_fraction or 0.0
    fractions[_NONEMPTY] = max(1 - train.lesion_pixel_fraction - train.lesion_fraction - fractions[_EMPTY], 0.0)
    weights = np.zeros(len(kinds))
    for kind in present:
        members = kinds == kind
        weights[members] = fractions[kind] * rows.sizes[members] / rows.sizes[members].sum()
    total = 1 if train.balance == "photograph" else len(np.unique(rows.targets[:, 0]))
    return weights * (total / weights.sum()) if weights.any() else weights


def _weight_sets(weights: list[list[np.ndarray]], wanted: Sequence[float]) -> list[list[np.ndarray]]:
    """Scales the weights of each set so that their sum is the wanted one; a set without any weight drops out."""
    totals = [sum(float(group.sum()) for group in groups) for groups in weights]
    return [
        [group * (one / total) for group in groups] if total else []
        for groups, one, total in zip(weights, wanted, totals, strict=True)
    ]
