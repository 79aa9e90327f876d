"""Random access to the tiles of a split by number, from the shards or from memory."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import tensorflow as tf

from configs import Config, InputError
from pipeline.machine import free_memory
from records import Index, check_config, locate_records, read_index
from records.shards.record import LabelFormat, decode_image, decode_labels, parse_record, unpack_bits

Cache = Literal["none", "records", "decoded"]

MEMORY_FRACTION = 0.5  # of the free memory that cache "auto" may take
READ_BYTES = 2**18  # read buffer; about the size of a tile's record
AUTOTUNE = tf.data.AUTOTUNE


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """A folder of records and its index.

    Attributes:
      folder: folder that `scripts.shard` wrote.
      index: content of its `index.json`.
      all_classes: names of the classes of all sets together, in the order of the config; those that this set does not
        have are unknown in it. Empty: the set's own.
    """

    folder: Path
    index: Index
    all_classes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of all sets together."""
        return self.all_classes or self.index.classes

    def cases(self, split: str) -> list[str]:
        """Returns the names of the cases of a split, in the order of their tiles; none if the set lacks the split."""
        return self.index.splits[split].cases if split in self.index.splits else []

    @property
    def places(self) -> list[int]:
        """The place of each of the set's own classes among those of all sets."""
        return [self.classes.index(name) for name in self.index.classes]

    @property
    def known_throughout(self) -> bool:
        """Whether each of all classes is known at every pixel of every photograph."""
        return self.index.known_throughout and set(self.index.classes) == set(self.classes)


class StoredTile(NamedTuple):
    """Where a tile is stored, and from which photograph it was cut.

    Attributes:
      shard: the TFRecord file.
      record: number of its record in that file, from 0.
      case: name of the photograph.
      y: first row of the tile in the scaled photograph.
      x: first column of the tile in the scaled photograph.
    """

    shard: Path
    record: int
    case: str
    y: int
    x: int


def open_records(folders: Sequence[Path], config: Config) -> list[RecordSet]:
    """Reads the indexes of the sets to train on, and checks that they fit the config and each other.

    Args:
      folders: at least one folder that `scripts.shard` wrote.
      config: its sections data and train.

    Raises:
      InputError: a folder without an index, a set that was made with another config, a case that two sets have in
        different splits, or a number of `records_weights` that differs from the number of sets.
    """
    sets = [RecordSet(folder, read_index(folder), config.data.classes) for folder in folders]
    weights = config.train.records_weights
    if weights and len(weights) != len(sets):
        raise InputError(
            f"train.records_weights has {len(weights)} numbers for {len(sets)} --records; give one for each."
        )
    seen: dict[str, RecordSet] = {}
    for one in sets:
        check_config(one.index, config, one.folder)
        for name, entry in one.index.cases.items():
            other = seen.setdefault(name, one)
            if other.index.cases[name].split != entry.split:
                raise InputError(
                    f"case {name} is in {other.index.cases[name].split} of {other.folder} and in {entry.split} of "
                    f"{one.folder}; a case must not be both trained on and scored. Shard both sets with equal splits."
                )
    _check_known(sets)
    return sets


def _check_known(sets: Sequence[RecordSet]) -> None:
    """Refuses sets in which a class is known in no training photograph: nothing could be learnt of it."""
    entries = [entry for one in sets for entry in one.index.cases.values() if entry.split == "train"]
    for name in sets[0].classes:
        if entries and not any(name in entry.known for entry in entries):
            raise InputError(
                f"--records={', '.join(str(one.folder) for one in sets)}: class {name} is known in no training "
                "photograph; add records in which it is, or take it out of data.classes."
            )


def label_format(sets: Sequence[RecordSet]) -> LabelFormat:
    """Returns the format into which the labels of all sets are brought."""
    return LabelFormat(
        classes=len(sets[0].classes),
        soft=any(one.index.data.soft_labels for one in sets),
        partly_known=not all(one.known_throughout for one in sets),
    )


class TileReader:
    """Reads the tiles of one split of several sets; they are numbered in the order of the sets and their records.

    Any tile takes equally long, whichever was read before.

    Attributes:
      count: number of tiles.
      form: format of packed labels.
    """

    def __init__(self, sets: Sequence[RecordSet], split: str, cache: Cache = "none"):
        """Checks the size of every shard; with a cache, reads all of them.

        Args:
          sets: records, all made with the same config.
          split: which tiles.
          cache: "none" reads a tile from its shard each time, "records" keeps all records in memory as they are stored,
            "decoded" keeps their pixels.

        Raises:
          InputError: all sets lack the split, or a shard differs from the index.
        """
        self.form = label_format(sets)
        self._data = sets[0].index.data
        self._sets = sets
        self._cache = cache
        self._files: list[str] = []
        self._places: list[tuple[int, int, int]] = []  # number of the file, offset in bytes, number of the set
        if not any(split in one.index.splits for one in sets):
            splits = ", ".join(sets[0].index.splits)
            raise InputError(f"{sets[0].folder}: these records have no split {split!r}; they have {splits}.")
        for number, one in enumerate(sets):
            if split not in one.index.splits:
                continue
            for path, starts in locate_records(one.index, split, one.folder):
                self._places += [(len(self._files), start, number) for start in starts]
                self._files.append(str(path))
        self.count = len(self._places)
        if cache != "none" and self.count:
            with naming_damaged_shards(sets):
                kept = self._record if cache == "records" else self._pixels
                # One string per tile: batching moves strings, but would copy tensors of pixels.
                self._kept = (
                    self.numbers()
                    .map(tf.autograph.experimental.do_not_convert(kept), AUTOTUNE)
                    .batch(self.count)
                    .get_single_element()
                )

    def numbers(self) -> tf.data.Dataset:
        """Returns the number of every tile, int64, in order."""
        return tf.data.Dataset.range(self.count)

    def tile(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads a tile: image uint8 `[T, T, 3]` and labels float32 `[T, T, C]` or `[T, T, 2 C]`, see `LabelFormat`."""
        image, packed = self.packed_tile(number)
        return image, self.form.unpack(packed)

    def packed_tile(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads a tile with packed labels: image uint8 `[T, T, 3]`, labels uint8 `[T, T, L]`, see `LabelFormat`."""
        if self._cache == "decoded":
            side = self._data.tile
            pixels = tf.io.parse_tensor(tf.gather(self._kept, number), tf.uint8)
            pixels = tf.ensure_shape(pixels, [side, side, 3 + self.form.channels])
            return pixels[..., :3], pixels[..., 3:]
        record = tf.gather(self._kept, number) if self._cache == "records" else self._record(number)
        return self._decode(record, number)

    def locate(self, number: int) -> StoredTile:
        """Returns where a tile is stored; its case and position are read from its record."""
        file, start, _ = self._places[number]
        record = sum(other == file and before < start for other, before, _ in self._places)
        example = parse_record(self._record(tf.constant(number)))
        case = example["case"].numpy().decode()
        return StoredTile(Path(self._files[file]), record, case, int(example["y"]), int(example["x"]))

    def _record(self, number: tf.Tensor) -> tf.Tensor:
        """Reads one record and verifies its CRCs."""
        file, start, _ = tf.unstack(tf.gather(tf.constant(self._places, tf.int64), number))
        from_offset = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.gather(self._files, file)[None],
            compression_type="",
            buffer_size=READ_BYTES,
            byte_offsets=start[None],
        )
        record = tf.TensorSpec([], tf.string)
        return tf.data.experimental.from_variant(from_offset, record).take(1).get_single_element()

    def _pixels(self, number: tf.Tensor) -> tf.Tensor:
        return tf.io.serialize_tensor(tf.concat(self._decode(self._record(number), number), axis=-1))

    def _decode(self, record: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes a tile's record, whose labels are brought into the format of all sets."""
        example = parse_record(record)
        image = decode_image(example, tile=self._data.tile, codec=self._data.codec)
        branches = [functools.partial(_labels, example, one, self.form) for one in self._sets]
        if len(branches) == 1 or len({_label_key(one) for one in self._sets}) == 1:
            return image, branches[0]()
        owner = tf.gather(tf.constant([owner for _, _, owner in self._places]), number)
        return image, tf.switch_case(owner, branches)


def _label_key(one: RecordSet) -> tuple[tuple[str, ...], bool]:
    """Returns what the labels of sets are decoded by: those of equal keys are decoded in the same way."""
    return one.index.classes, one.index.data.soft_labels


def _labels(example: dict[str, tf.Tensor], one: RecordSet, form: LabelFormat) -> tf.Tensor:
    """Decodes the labels of a set's record, and brings them into the format of all sets: uint8 `[T, T, L]`."""
    own = LabelFormat(len(one.index.classes), one.index.data.soft_labels, form.partly_known)
    labels = decode_labels(example, tile=one.index.data.tile, form=own)
    if one.index.classes == one.classes and own == form:
        return labels
    masks = labels[..., : own.channels - own.partly_known]
    if form.soft:
        if not own.soft:
            masks = unpack_bits(masks, own.classes) * tf.constant(255, tf.uint8)
        # A class that the set does not have reads the zeros behind its own.
        sources = [one.index.classes.index(name) if name in one.index.classes else own.classes for name in one.classes]
        masks = tf.gather(tf.pad(masks, [[0, 0], [0, 0], [0, 1]]), sources, axis=-1)
    else:
        masks = _moved_bits(masks, one.places)
    return tf.concat([masks, _moved_bits(labels[..., -1:], one.places)], axis=-1) if form.partly_known else masks


def _moved_bits(bits: tf.Tensor, places: Sequence[int]) -> tf.Tensor:
    """Moves bit i of each byte to `places[i]`; all further bits are 0."""
    table = [sum(1 << place for bit, place in enumerate(places) if byte >> bit & 1) for byte in range(256)]
    return tf.gather(tf.constant(table, tf.uint8), tf.cast(bits, tf.int32))


def choose_cache(sets: Sequence[RecordSet], wanted: Literal["none", "records", "decoded", "auto"]) -> tuple[Cache, str]:
    """Chooses where the tiles of training and validation are kept.

    Args:
      sets: records to train on.
      wanted: the cache; "auto" takes the fastest one that fits into half of the free memory.

    Returns:
      The cache, and a message that says which one it is, what it takes and why.
    """
    splits = [one.index.splits[name] for one in sets for name in ("train", "validation") if name in one.index.splits]
    data = sets[0].index.data
    channels = 3 + label_format(sets).channels
    sizes: dict[Cache, int] = {
        "decoded": sum(split.records for split in splits) * data.tile**2 * channels,
        "records": sum(shard.bytes for split in splits for shard in split.shards),
    }
    free = free_memory()
    chosen: Cache = "none"
    if wanted == "auto":
        chosen = next((cache for cache, size in sizes.items() if size <= MEMORY_FRACTION * free), "none")
    else:
        chosen = wanted
    takes = "reads the shards each time" if chosen == "none" else f"keeps {sizes[chosen] / 1e6:.0f} MB"
    would = f"decoded would take {sizes['decoded'] / 1e6:.0f} MB, records {sizes['records'] / 1e6:.0f} MB"
    why = f"auto: {would}, {free / 1e6:.0f} MB are free" if wanted == "auto" else "as the config says"
    return chosen, f"cache {chosen}, {takes} ({why})"


@contextmanager
def naming_damaged_shards(sets: Sequence[RecordSet]) -> Iterator[None]:
    """Replaces TensorFlow's error about a record that cannot be read with one that names the damaged shard.

    Raises:
      InputError: a shard no longer matches the index.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError):
        for one in sets:
            for split in one.index.splits:
                locate_records(one.index, split, one.folder)
        raise
