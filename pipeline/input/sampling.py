"""Sampling: which tile each element of the training stream shows, and which part of it.

Everything that can be shown is a row of a table and has a weight: a tile, the lesion pixels of a tile, a lesion, or a
box around what a model mistook for a lesion. Of lesions only known pixels count.
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

from configs import InputError, TrainConfig
from configs.schema import MAX_CLASSES
from pipeline.input.draws import uniform
from pipeline.input.reading import RecordSet
from records import tile_starts
from records.grid import tile_cells
from records.shards import CaseEntry

ANYWHERE = -1  # in place of a class: the crop is not aimed at a lesion
MISTAKEN = -2  # MISTAKEN - c in place of a class: the crop shows what a model mistook for a lesion of class c


class Target(NamedTuple):
    """What an element shows: a tile, and a box in it that determines where its crop lies.

    Attributes:
      tile: number of the tile, in the order of `pipeline.input.reading.TileReader`.
      class_index: class of which the crop shows a lesion pixel from the box; if negative (`ANYWHERE`, or `MISTAKEN`
        less a class), the centre of the crop is any pixel of the box.
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
      InputError: all weights are 0, for example with lesions alone where there are none; or the config asks for healthy
        photographs or hard negatives, and the sets have none.
    """
    apart = train.healthy_fraction is not None
    others: list[list[_Rows]] = []  # of each set
    healthy: list[_Rows] = []
    mistakes: list[_Rows] = []
    tiles = 0
    for one in sets:
        others.append([])
        for name in one.cases("train"):
            entry = one.index.cases[name]
            if entry.tiles:
                rows = _rows_of_case(entry, one, train, first=tiles)
                (healthy if apart and entry.absent else others[-1]).append(rows)
            if entry.hard_negatives:
                mistakes.append(_rows_of_mistakes(entry, one, first=tiles))
            tiles += entry.tiles
    if train.balance == "tile":
        others, healthy = [_merged(rows) for rows in others], _merged(healthy)
    weights = [[_weights(group, train) for group in groups] for groups in others]
    if train.records_weights:
        weights = _weight_sets(weights, train.records_weights)
    fractions = (train.healthy_fraction or 0.0, train.hard_negative_fraction)
    strata = [
        _Stratum("", 1 - sum(fractions), [rows for groups in others for rows in groups], _flat(weights)),
        _Stratum("healthy_fraction", fractions[0], healthy, [_weights(rows, train, healthy=True) for rows in healthy]),
        _Stratum("hard_negative_fraction", fractions[1], mistakes, [rows.sizes for rows in mistakes]),
    ]
    targets, ends = _table(strata)
    if not len(ends) or ends[-1] == 0:
        raise InputError(
            f"train.lesion_pixel_fraction {train.lesion_pixel_fraction}, train.lesion_fraction {train.lesion_fraction} "
            f"and train.empty_fraction {train.empty_fraction} leave nothing to show of these records; lower one of "
            "them."
        )
    return Sampler(targets, ends / ends[-1], tiles, train.seed)


class _Stratum(NamedTuple):
    """Rows that are drawn as a fraction of their own.

    Attributes:
      field: name of the field of the config that sets the fraction; empty for the crops that are left over.
      fraction: fraction of the crops.
      groups: the rows.
      weights: of the rows of each group, within the stratum.
    """

    field: str
    fraction: float
    groups: list["_Rows"]
    weights: list[np.ndarray]


def _table(strata: Sequence[_Stratum]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the targets of all strata, int64 `[rows, 6]`, and their cumulative weights, float64 `[rows]`."""
    used = [stratum for stratum in strata if stratum.fraction > 0]
    for stratum in used:
        if stratum.field and not stratum.groups:
            what = "photographs that --healthy names" if stratum.field == "healthy_fraction" else "hard negatives"
            raise InputError(
                f"train.{stratum.field} is {stratum.fraction:g}, but the training photographs of these records have no "
                f"{what}; set it to {'none' if stratum.field == 'healthy_fraction' else '0'}."
            )
    if len(used) > 1:
        totals = [sum(float(weights.sum()) for weights in stratum.weights) for stratum in used]
        scaled = [
            [weights * (stratum.fraction / total) if total else weights for weights in stratum.weights]
            for stratum, total in zip(used, totals, strict=True)
        ]
    else:  # unscaled, so that rounding is as it always was
        scaled = [stratum.weights for stratum in used]
    targets = [rows.targets for stratum in used for rows in stratum.groups]
    weights = [one for groups in scaled for one in groups]
    return np.concatenate(targets), np.cumsum(np.concatenate(weights))


def _merged(groups: list["_Rows"]) -> list["_Rows"]:
    """Returns all rows as one group; no group if there are none."""
    return [_Rows(*map(np.concatenate, zip(*groups, strict=True)))] if groups else []


def _flat(weights: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    return [group for groups in weights for group in groups]


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


def _rows_of_case(entry: CaseEntry, one: RecordSet, train: TrainConfig, *, first: int) -> _Rows:
    """Returns what the tiles of a photograph show, the first of which has the number `first`."""
    data, places = one.index.data, one.places
    rows, columns = (
        dict(zip(tile_starts(side, data.tile, data.stride), tile_cells(side, data.tile, data.stride), strict=True))
        for side in entry.scaled_size
    )
    found: list[tuple[Target, int, float]] = []
    pixels: collections.Counter[tuple[int, int]] = collections.Counter()
    for part in entry.lesions:
        pixels[part.tile, part.class_index] += part.pixels
        box = (part.y, part.x, part.height, part.width)
        class_index = places[part.class_index]
        target = Target(first + part.tile, class_index, *box)
        found.append((target, _LESIONS + class_index, part.pixels / part.lesion_pixels))
    for tile, place in enumerate(entry.places):
        (top, bottom), (left, right) = rows[place.y], columns[place.x]
        cell = (top - place.y, left - place.x, bottom - top, right - left)
        # Whole tiles are shown equally often. The centres of crops lie in the tile's cell, so its area counts.
        size = (bottom - top) * (right - left) if train.crop else 1
        found.append((Target(first + tile, ANYWHERE, *cell), _NONEMPTY if place.lesion_pixels else _EMPTY, size))
        for own_index, class_index in enumerate(places):
            if pixels[tile, own_index]:
                target = Target(first + tile, class_index, *cell)
                found.append((target, _PIXELS + class_index, pixels[tile, own_index]))
    targets, kinds, sizes = zip(*found, strict=True)
    return _Rows(np.array(targets, np.int64), np.array(kinds), np.array(sizes, np.float64))


def _rows_of_mistakes(entry: CaseEntry, one: RecordSet, *, first: int) -> _Rows:
    """Returns a row of equal weight for each box around a mistake; the centre of the crop lies in it."""
    targets = [
        Target(
            first + box.tile,
            MISTAKEN - one.places[box.class_index],
            box.y,
            box.x,
            height=box.height,
            width=box.width,
        )
        for box in entry.hard_negatives
    ]
    return _Rows(np.array(targets, np.int64), np.full(len(targets), _NONEMPTY), np.ones(len(targets)))


def _weights(rows: _Rows, train: TrainConfig, *, healthy: bool = False) -> np.ndarray:
    """Returns the weight of each row, float64 `[rows]`.

    Their sum is 1 if photographs are balanced (the rows are those of one photograph), else the number of tiles. Of
    healthy photographs, tiles without lesions are what is asked for, whatever `train.empty_fraction` says.
    """
    kinds = rows.kinds
    if train.empty_fraction is None or healthy:
        kinds = np.where(kinds == _EMPTY, _NONEMPTY, kinds)
    present = set(kinds.tolist())
    classes = [kind - _PIXELS for kind in present if _PIXELS <= kind < _LESIONS]
    wanted = {index: train.class_sampling[index] if train.class_sampling else 1.0 for index in classes}
    fractions = {}
    for index in classes:
        part = wanted[index] / sum(wanted.values())
        fractions[_PIXELS + index] = train.lesion_pixel_fraction * part
        fractions[_LESIONS + index] = train.lesion_fraction * part
    fractions[_EMPTY] = 0.0 if healthy else train.empty_fraction or 0.0
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
