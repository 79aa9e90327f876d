"""Elements of the training stream with their origin, and a tile under each augmentation at its extremes.

The pixels of an element are those of the stream itself. Its draws are found by augmenting its tile once more, eagerly,
under `pipeline.input.watched`: draws are stateless, so these are the same.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from configs import AugmentConfig, Config, InputError
from pipeline.input import (
    ANYWHERE,
    AUGMENTATIONS,
    MISTAKEN,
    NO_DONOR,
    Crop,
    RecordSet,
    StoredTile,
    Target,
    TileReader,
    augment,
    training_elements,
    watched,
)
from pipeline.inspection.descriptions import Draws, describe

ENOUGH = 8  # lesions in a tile that demonstrates the augmentations; more would not show them better

# Positions in their range at which the draws of an augmentation are extreme; (0, 1) for those not listed.
_ENDS: dict[str, tuple[float, ...]] = {"horizontal_flip": (0,), "vertical_flip": (0,), "quarter_turn": (0, 0.5, 1)}


@dataclasses.dataclass(frozen=True)
class Element:
    """An element of the training stream and its origin.

    Attributes:
      k: index in the stream, from 0.
      epoch: epoch to which it belongs, from 0; an epoch has as many elements as there are training tiles.
      stored: where its tile is stored.
      shows: what its crop was chosen to show: "lesion of CLASS", "mistaken for CLASS" (what a model took for a lesion
        of it), or "anywhere" if any place would have done.
      origin: y and x of its crop in the tile.
      tile: the stored tile: image uint8 `[T, T, 3]` and mask float32 0..1 `[T, T, C]`.
      image: the image as training gets it, float32 0..255 `[S, S, 3]`.
      mask: the mask as training gets it, float32 0..1 `[S, S, C]`.
      draws: for each augmentation that was applied, what it drew.
      donor: where the tile is stored whose lesions are pasted into this one; None: nothing is pasted.
      known: what training is told of what is known, bool `[S, S, C]`; None: known throughout.
    """

    k: int
    epoch: int
    stored: StoredTile
    shows: str
    origin: tuple[int, int]
    tile: tuple[np.ndarray, np.ndarray]
    image: np.ndarray
    mask: np.ndarray
    draws: dict[str, Draws]
    known: np.ndarray | None = None
    donor: StoredTile | None = None

    @property
    def description(self) -> str:
        """The augmentations that were applied and what they drew, as text."""
        return "; ".join(f"{name} {describe(draws)}".strip() for name, draws in self.draws.items()) or "none"

    def metadata(self) -> dict[str, Any]:
        """Returns everything except the pixels, ready for JSON."""
        return {
            "k": self.k,
            "epoch": self.epoch,
            "shard": str(self.stored.shard),
            "record": self.stored.record,
            "case": self.stored.case,
            "y": self.stored.y,
            "x": self.stored.x,
            "shows": self.shows,
            "crop_y": self.origin[0],
            "crop_x": self.origin[1],
            "crop": self.image.shape[0],
            "pasted_from": self.donor.case if self.donor else None,
            "augmentations": self.description,
            "draws": self.draws,
        }


@dataclasses.dataclass(frozen=True)
class Extreme:
    """A tile under one augmentation alone, at one end of its range.

    Attributes:
      name: of the augmentation; "" for the tile without any.
      description: what was drawn, as text.
      image: float32 0..255 `[S, S, 3]`.
      mask: float32 0/1 `[S, S, C]`.
    """

    name: str
    description: str
    image: np.ndarray
    mask: np.ndarray


def read_elements(sets: Sequence[RecordSet], config: Config, first: int, *, number: int) -> Iterator[Element]:
    """Yields consecutive elements of the training stream.

    Args:
      sets: records, all made with the same config.
      config: its sections data, augment and train.
      first: index of the first element, from 0.
      number: how many elements.

    Raises:
      InputError: the records have no training tiles, or a shard differs from the index.
    """
    reader = _reader(sets)
    stream = training_elements(sets, config.train, config.augment, start=first)
    for element in stream.take(number).as_numpy_iterator():
        k, target = int(element["k"]), Target(*map(int, element["target"]))
        image, labels = reader.tile(tf.constant(target.tile))
        mask = labels[..., : reader.form.classes]
        crop = Crop(tf.constant(element["origin"]), element["image"].shape[0])
        _, _, draws = replay(image, mask, (config.train.seed, k), config=config.augment, crop=crop)
        yield Element(
            k=k,
            epoch=k // reader.count,
            stored=reader.locate(target.tile),
            shows=_aim(target.class_index, config.data.classes),
            origin=(int(element["origin"][0]), int(element["origin"][1])),
            tile=(image.numpy(), mask.numpy()),
            image=element["image"],
            mask=element["labels"][..., : reader.form.classes],
            draws=draws,
            donor=None if element["donor"] == NO_DONOR else reader.locate(int(element["donor"])),
            known=element["labels"][..., reader.form.classes :] > 0 if reader.form.partly_known else None,
        )


def _aim(class_index: int, classes: Sequence[str]) -> str:
    """Returns what the crop of a target with this class was chosen to show, see `Element.shows`."""
    if class_index >= 0:
        return f"lesion of {classes[class_index]}"
    return "anywhere" if class_index == ANYWHERE else f"mistaken for {classes[MISTAKEN - class_index]}"


def replay(
    image: tf.Tensor,
    mask: tf.Tensor,
    seed: tuple[int, int],
    *,
    config: AugmentConfig,
    crop: Crop,
    end: float | None = None,
) -> tuple[np.ndarray, np.ndarray, dict[str, Draws]]:
    """Augments a tile eagerly and records what is drawn.

    Args:
      image: RGB 0..255 `[T, T, 3]`, uint8 or float32.
      mask: 0/1 `[T, T, C]`, of the same dtype.
      seed: of the stream, and k.
      config: probabilities and ranges.
      crop: part of the tile that is shown.
      end: position within its range, 0 to 1, that each draw takes instead of a random one; where one draw has several
        values, every other takes the opposite end.

    Returns:
      The image and mask, and for each augmentation that was applied what it drew, except noise.
    """
    drawn: dict[str, np.ndarray] = {}

    def watch(name: str, low: float, high: float, value: tf.Tensor) -> tf.Tensor:  # noqa: PLR0917 - a Watcher
        if value.shape.rank > 1:  # noise
            return value
        if end is not None and name not in AUGMENTATIONS:
            positions = np.abs(end - np.arange(value.shape.num_elements()) % 2)
            ends = np.minimum(low + positions * (high - low), np.nextafter(np.float32(high), np.float32(low)))
            value = tf.reshape(tf.constant(ends, tf.float32), value.shape)
        drawn[name] = value.numpy()
        return value

    # On the CPU, as in tf.data; a GPU gives other last bits.
    with tf.device("/CPU:0"), watched(watch):
        image, mask = augment(image, mask, tf.constant(seed, tf.int64), config=config, crop=crop)
    applied = [name for name in AUGMENTATIONS if drawn.get(name, 1) < getattr(config, name)]
    draws = {
        name: {key: value.reshape(-1).tolist() for key, value in drawn.items() if key.startswith(f"{name} ")}
        for name in applied
    }
    return image.numpy(), mask.numpy(), draws


def extremes(sets: Sequence[RecordSet], config: Config) -> Iterator[list[Extreme]]:
    """Yields a training tile without augmentation, then under each augmentation alone, at each end of its range.

    The augmentations that are on in the config come first. The tile has several lesions; if training crops, the largest
    of them is in the middle of the crop, as far as the tile allows.

    Args:
      sets: records, all made with the same config.
      config: its sections data, augment and train.

    Yields:
      For each augmentation, its extremes.

    Raises:
      InputError: the records have no training tiles, or a shard differs from the index.
    """
    reader = _reader(sets)
    number, middle = _tile_with_lesions(sets)
    image, labels = reader.tile(tf.constant(number))
    mask = labels[..., : reader.form.classes]
    side = config.train.crop or config.data.tile
    origin = np.clip(np.array(middle) - side // 2, 0, config.data.tile - side)
    crop = Crop(tf.constant(origin, tf.int32), side)
    off = dict.fromkeys(AUGMENTATIONS, 0.0)
    nothing = dataclasses.replace(config.augment, **off)  # type: ignore[arg-type]

    def extreme(name: str, end: float | None) -> Extreme:
        alone = dataclasses.replace(nothing, **({name: 1.0} if name else {}))  # type: ignore[arg-type]
        augmented, moved, draws = replay(image, mask, (config.train.seed, 0), config=alone, crop=crop, end=end)
        return Extreme(name, describe(draws.get(name, {})), augmented, moved)

    yield [extreme("", None)]
    for name in sorted(AUGMENTATIONS, key=lambda name: getattr(config.augment, name) == 0):
        yield [extreme(name, end) for end in _ENDS.get(name, (0, 1))]


def _reader(sets: Sequence[RecordSet]) -> TileReader:
    reader = TileReader(sets, "train")
    if not reader.count:
        folders = ", ".join(str(one.folder) for one in sets)
        raise InputError(f"--records={folders}: these records have no training tiles, so there is nothing to show.")
    return reader


def _tile_with_lesions(sets: Sequence[RecordSet]) -> tuple[int, tuple[int, int]]:
    """Returns the first tile that owns parts of enough lesions, or else of the most, and the centre of the largest."""
    number, best, most = 0, 0, 0
    tile = sets[0].index.data.tile
    middle = (tile // 2, tile // 2)
    for one in sets:
        for case in one.cases("train"):
            entry = one.index.cases[case]
            for of_case in range(entry.tiles):
                owned = [part for part in entry.lesions if part.tile == of_case]
                if min(len(owned), ENOUGH) > most:
                    best, most = number, min(len(owned), ENOUGH)
                    part = max(owned, key=lambda part: part.pixels)
                    middle = (part.y + part.height // 2, part.x + part.width // 2)
                number += 1
    return best, middle
