"""Looking into training: each augmentation alone at its extremes, and elements of the stream with all that lies behind.

The pixels of an element are those of the stream itself. What was drawn for it is seen by augmenting its tile once more,
eagerly, while `pipeline.input.draws.watched` listens: draws are stateless, so that these are the same.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from configs import AugmentConfig, Config, InputError
from pipeline.input.augmentation import Crop, augment
from pipeline.input.draws import watched
from pipeline.input.reading import RecordSet, StoredTile, TileReader
from pipeline.input.sampling import ANYWHERE, Target
from pipeline.input.stream import training_elements

Draws = dict[str, list[float]]

AUGMENTATIONS = tuple(
    field.name
    for field in dataclasses.fields(AugmentConfig)
    if not any(field.name.startswith(f"{other.name}_") for other in dataclasses.fields(AugmentConfig))
)
ENOUGH = 8  # lesions in a tile that serves to show augmentations on; in more the eye gets lost

# At which shares of their ranges the draws of an augmentation are extreme.
_ENDS: dict[str, tuple[float, ...]] = {"horizontal_flip": (0,), "vertical_flip": (0,), "quarter_turn": (0, 0.5, 1)}
_CENTERS = ("in the middle", "upper left", "upper right", "lower left", "lower right")
_WORDS: dict[str, Callable[[float], str]] = {  # of what is drawn under a name; what is not here stays a number
    "quarter_turn strength": lambda turns: f"{90 * int(turns)}°",
    "rotation strength": lambda radians: f"{math.degrees(radians):+z.1f}°",
    "scale strength": lambda logarithm: f"×{math.exp(-logarithm):.2f}",  # the points are scaled the other way
    "shear strength": lambda slope: f"slope {slope:+.3f}",
    "shear axis": lambda axis: "of the columns" if axis < 1 else "of the rows",
    "translation strength": lambda pixels: f"{-round(pixels):+d} px",  # as are they moved
    "elastic strength": lambda pixels: f"{pixels:.2f} px rms",
    "distortion strength": lambda pixels: f"up to {pixels:.1f} px",
    "barrel strength": lambda exponent: f"exponent {exponent:z.2f}",
    "barrel center": lambda number: _CENTERS[int(number)],
    "pincushion strength": lambda exponent: f"exponent {exponent:z.2f}",
    "pincushion center": lambda number: _CENTERS[int(number)],
    "brightness strength": lambda share: f"{100 * share:+z.1f} %",
    "contrast strength": lambda share: f"{100 * share:+z.1f} %",
    "saturation strength": lambda share: f"{100 * share:+z.1f} %",
    "hue strength": lambda radians: f"{math.degrees(radians):+z.1f}°",
    "temperature strength": lambda share: f"{100 * share:+z.1f} %",
    "color strength": lambda share: f"{100 * share:+z.1f} %",
    "brightening strength": lambda share: f"{100 * share:.0f} % of the way",
    "illumination strength": lambda share: f"up to {100 * share:.0f} %",
    "gamma strength": lambda logarithm: f"exponent {math.exp(logarithm):.2f}",
    "blur strength": lambda sigma: f"sigma {sigma:.2f} px",
    "sharpening strength": lambda k: f"k {k:.2f}",
    "jpeg strength": lambda quality: f"quality {int(quality)}",
}


@dataclasses.dataclass(frozen=True)
class Element:
    """An element of the training stream, and where it comes from.

    Attributes:
      k: its number in the stream, from 0.
      epoch: how many times the stream showed as many elements as there are tiles before it.
      stored: the place of its tile.
      shows: "anywhere", or "lesion of CLASS" where the crop was aimed at one.
      origin: y and x of its crop in the tile.
      tile: what is stored: image uint8 `[T, T, 3]` and mask uint8 0/1 `[T, T, C]`.
      image: what training saw, float32 0..255 `[S, S, 3]`.
      mask: float32 0/1 `[S, S, C]`.
      draws: of each augmentation that fired, what it drew, by the names of the draws.
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

    @property
    def words(self) -> str:
        return "; ".join(f"{name} {in_words(draws)}".strip() for name, draws in self.draws.items()) or "none"

    def facts(self) -> dict[str, Any]:
        """Returns all but the pixels, as JSON takes it."""
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
            "augmentations": self.words,
            "draws": self.draws,
        }


@dataclasses.dataclass(frozen=True)
class Extreme:
    """One augmentation alone, at one end of its range.

    Attributes:
      name: of the augmentation; "" as the tile is.
      words: what was drawn.
      image: float32 0..255 `[S, S, 3]`.
      mask: float32 0/1 `[S, S, C]`.
    """

    name: str
    words: str
    image: np.ndarray
    mask: np.ndarray


def read_elements(sets: Sequence[RecordSet], config: Config, first: int, *, number: int) -> Iterator[Element]:
    """Yields elements of the training stream from a place on.

    Raises:
      InputError: records without training tiles, or a shard that is not the one in the index.
    """
    reader = _reader(sets)
    stream = training_elements(sets, config.train, config.augment, start=first)
    for shown in stream.take(number).as_numpy_iterator():
        k, target = int(shown["k"]), Target(*map(int, shown["target"]))
        image, mask = reader.tile(tf.constant(target.tile))
        crop = Crop(tf.constant(shown["origin"]), shown["image"].shape[0])
        _, _, draws = replay(image, mask, (config.train.seed, k), config=config.augment, crop=crop)
        yield Element(
            k=k,
            epoch=k // reader.count,
            stored=reader.locate(target.tile),
            shows=_words_of(target, config.data.classes),
            origin=(int(shown["origin"][0]), int(shown["origin"][1])),
            tile=(image.numpy(), mask.numpy()),
            image=shown["image"],
            mask=shown["mask"],
            draws=draws,
        )


def replay(
    image: tf.Tensor,
    mask: tf.Tensor,
    seed: tuple[int, int],
    *,
    config: AugmentConfig,
    crop: Crop,
    end: float | None = None,
) -> tuple[np.ndarray, np.ndarray, dict[str, Draws]]:
    """Augments a tile eagerly, and listens.

    Args:
      image: as of `pipeline.input.augmentation.augment`; mask, config and crop likewise.
      mask: of the image.
      seed: of the stream, and k.
      config: probabilities and ranges.
      crop: what is shown.
      end: where in its range each augmentation goes, 0 to 1, instead of what is drawn for it; of several numbers that
        one draw gives, every other goes to the opposite end.

    Returns:
      Image, mask, and of each augmentation that fired what it drew, noise left out.
    """
    drawn: dict[str, np.ndarray] = {}

    def watch(name: str, low: float, high: float, value: tf.Tensor) -> tf.Tensor:  # noqa: PLR0917 - a Watcher
        if value.shape.rank > 1:  # noise
            return value
        if end is not None and name not in AUGMENTATIONS:
            shares = np.abs(end - np.arange(value.shape.num_elements()) % 2)
            ends = np.minimum(low + shares * (high - low), np.nextafter(np.float32(high), np.float32(low)))
            value = tf.reshape(tf.constant(ends, tf.float32), value.shape)
        drawn[name] = value.numpy()
        return value

    # As in tf.data; what comes from a GPU differs in the last bits.
    with tf.device("/CPU:0"), watched(watch):
        image, mask = augment(image, mask, tf.constant(seed, tf.int64), config=config, crop=crop)
    fired = [name for name in AUGMENTATIONS if drawn.get(name, 1) < getattr(config, name)]
    draws = {
        name: {key: value.reshape(-1).tolist() for key, value in drawn.items() if key.startswith(f"{name} ")}
        for name in fired
    }
    return image.numpy(), mask.numpy(), draws


def extremes(sets: Sequence[RecordSet], config: Config) -> Iterator[list[Extreme]]:
    """Yields a tile as it is, then moved or changed by each augmentation alone, at each end of its range.

    The augmentations that the config has on come first. The tile is one of training that has several lesions; where
    training crops, the largest of them lies in the middle, as far as the tile goes.

    Raises:
      InputError: records without training tiles, or a shard that is not the one in the index.
    """
    reader = _reader(sets)
    number, middle = _tile_with_lesions(sets)
    image, mask = reader.tile(tf.constant(number))
    side = config.train.crop or config.data.tile
    origin = np.clip(np.array(middle) - side // 2, 0, config.data.tile - side)
    crop = Crop(tf.constant(origin, tf.int32), side)
    off = dict.fromkeys(AUGMENTATIONS, 0.0)
    nothing = dataclasses.replace(config.augment, **off)  # type: ignore[arg-type]

    def shown(name: str, end: float | None) -> Extreme:
        alone = dataclasses.replace(nothing, **({name: 1.0} if name else {}))  # type: ignore[arg-type]
        shown_image, shown_mask, draws = replay(image, mask, (config.train.seed, 0), config=alone, crop=crop, end=end)
        return Extreme(name, in_words(draws.get(name, {})), shown_image, shown_mask)

    yield [shown("", None)]
    for name in sorted(AUGMENTATIONS, key=lambda name: getattr(config.augment, name) == 0):
        yield [shown(name, end) for end in _ENDS.get(name, (0, 1))]


def in_words(draws: Draws) -> str:
    """Returns what an augmentation drew, for people: "exponent -0.21, upper left"."""
    return ", ".join(
        " ".join(_WORDS.get(name, lambda value: f"{value:+.3g}")(value) for value in values)
        for name, values in draws.items()
    )


def _words_of(target: Target, classes: Sequence[str]) -> str:
    return "anywhere" if target.class_index == ANYWHERE else f"lesion of {classes[target.class_index]}"


def _reader(sets: Sequence[RecordSet]) -> TileReader:
    reader = TileReader(sets, "train")
    if not reader.count:
        folders = ", ".join(str(one.folder) for one in sets)
        raise InputError(f"--records={folders}: no training tiles in these records, so that there is nothing to show.")
    return reader


def _tile_with_lesions(sets: Sequence[RecordSet]) -> tuple[int, tuple[int, int]]:
    """Returns the first tile that owns parts of enough lesions, or else of the most, and the middle of the largest."""
    number, best, most = 0, 0, 0
    tile = sets[0].index.data.tile
    middle = (tile // 2, tile // 2)
    for one in sets:
        for case in one.index.splits["train"].cases:
            entry = one.index.cases[case]
            for of_case in range(entry.tiles):
                owned = [part for part in entry.lesions if part.tile == of_case]
                if min(len(owned), ENOUGH) > most:
                    best, most = number, min(len(owned), ENOUGH)
                    part = max(owned, key=lambda part: part.pixels)
                    middle = (part.y + part.height // 2, part.x + part.width // 2)
                number += 1
    return best, middle
