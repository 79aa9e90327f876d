"""Reading tiles by their number, from the shards or from memory; any tile costs the same, whichever was read before."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import psutil
import tensorflow as tf

from configs import Config, InputError
from records import Index, check_config, locate_records, read_index
from records.shards.record import decode_tile, parse_record, unpack_mask

Cache = Literal["none", "records", "decoded"]

MEMORY_SHARE = 0.5  # of the free memory, the most that a cache may take by itself
READ_BYTES = 2**18  # about a tile's record
CGROUP = Path("/sys/fs/cgroup")
AUTOTUNE = tf.data.AUTOTUNE


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """A folder of records and its index."""

    folder: Path
    index: Index


class StoredTile(NamedTuple):
    """Where a tile is stored, and what of.

    Attributes:
      shard: the file.
      record: number of its record in that file, from 0.
      case: the photograph.
      y: its first row in the scaled photograph.
      x: its first column.
    """

    shard: Path
    record: int
    case: str
    y: int
    x: int


def open_records(folders: Sequence[Path], config: Config) -> list[RecordSet]:
    """Reads the indexes of the sets that are trained on together, and holds them against the config and each other.

    Raises:
      InputError: no set, a set that was made with another config, or a case that is in different splits of two sets.
    """
    sets = [RecordSet(folder, read_index(folder)) for folder in folders]
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
                    f"{one.folder}: what is trained on must not be what is scored. Shard both sets with equal splits."
                )
    return sets


class TileReader:
    """The tiles of one split of several sets, numbered through in the order of the sets and their records.

    Attributes:
      count: number of tiles.
    """

    def __init__(self, sets: Sequence[RecordSet], split: str, cache: Cache = "none"):
        """Looks at every shard; with a cache, reads all of them.

        Args:
          sets: made with one config.
          split: which tiles.
          cache: "none" reads a tile from its shard each time, "records" keeps all records in memory as they are stored,
            "decoded" their pixels.

        Raises:
          InputError: a set without that split, or a shard that is not the one in the index.
        """
        self._data = sets[0].index.data
        self._cache = cache
        self._files: list[str] = []
        self._places: list[tuple[int, int]] = []  # file, first byte
        for one in sets:
            if split not in one.index.splits:
                splits = ", ".join(one.index.splits)
                raise InputError(f"{one.folder}: these records have no split {split!r}; they have {splits}.")
            for path, starts in locate_records(one.index, split, one.folder):
                self._places += [(len(self._files), start) for start in starts]
                self._files.append(str(path))
        self.count = len(self._places)
        if cache != "none" and self.count:
            with damage_named(sets):
                kept = self._record if cache == "records" else self._pixels
                # One string a tile: a batch of strings moves them, where one of pixels would copy all at once.
                self._kept = self.numbers().map(kept, AUTOTUNE).batch(self.count).get_single_element()

    def numbers(self) -> tf.data.Dataset:
        """Returns the number of every tile, int64, in order."""
        return tf.data.Dataset.range(self.count)

    def tile(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns image uint8 `[T, T, 3]` and mask uint8 0/1 `[T, T, C]`. For the functions of a dataset."""
        image, bits = self.packed_tile(number)
        return image, unpack_mask(bits, len(self._data.classes))

    def packed_tile(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns image uint8 `[T, T, 3]` and its mask as stored, bits uint8 `[T, T, 1]`, see `unpack_mask`."""
        if self._cache == "decoded":
            pixels = tf.io.parse_tensor(tf.gather(self._kept, number), tf.uint8)
            pixels = tf.ensure_shape(pixels, [self._data.tile, self._data.tile, 4])
            return pixels[..., :3], pixels[..., 3:]
        record = tf.gather(self._kept, number) if self._cache == "records" else self._record(number)
        return decode_tile(parse_record(record), tile=self._data.tile, codec=self._data.codec)

    def locate(self, number: int) -> StoredTile:
        """Returns where a tile is stored, as its own record says."""
        file, start = self._places[number]
        record = sum(other == file and before < start for other, before in self._places)
        example = parse_record(self._record(tf.constant(number)))
        case = example["case"].numpy().decode()
        return StoredTile(Path(self._files[file]), record, case, int(example["y"]), int(example["x"]))

    def _record(self, number: tf.Tensor) -> tf.Tensor:
        """Reads one record, whose checksums are held."""
        file, start = tf.unstack(tf.gather(tf.constant(self._places, tf.int64), number))
        from_there_on = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.gather(self._files, file)[None],
            compression_type="",
            buffer_size=READ_BYTES,
            byte_offsets=start[None],
        )
        record = tf.TensorSpec([], tf.string)
        return tf.data.experimental.from_variant(from_there_on, record).take(1).get_single_element()

    def _pixels(self, number: tf.Tensor) -> tf.Tensor:
        image, bits = decode_tile(parse_record(self._record(number)), tile=self._data.tile, codec=self._data.codec)
        return tf.io.serialize_tensor(tf.concat([image, bits], axis=-1))


def choose_cache(sets: Sequence[RecordSet], wanted: Literal["none", "records", "decoded", "auto"]) -> tuple[Cache, str]:
    """Chooses where the tiles of training and validation are kept.

    Returns:
      The cache, and the words that say which it is, what it takes and why.
    """
    splits = [one.index.splits[name] for one in sets for name in ("train", "validation") if name in one.index.splits]
    data = sets[0].index.data
    sizes: dict[Cache, int] = {
        "decoded": sum(split.records for split in splits) * data.tile**2 * 4,  # RGB and the bits of the mask
        "records": sum(shard.bytes for split in splits for shard in split.shards),
    }
    free = free_memory()
    chosen: Cache = "none"
    if wanted == "auto":
        chosen = next((cache for cache, size in sizes.items() if size <= MEMORY_SHARE * free), "none")
    else:
        chosen = wanted
    takes = "reads the shards each time" if chosen == "none" else f"keeps {sizes[chosen] / 1e6:.0f} MB"
    would = f"decoded would take {sizes['decoded'] / 1e6:.0f} MB, records {sizes['records'] / 1e6:.0f} MB"
    why = f"auto: {would}, {free / 1e6:.0f} MB are free" if wanted == "auto" else "as the config says"
    return chosen, f"cache {chosen}, {takes} ({why})"


def free_memory() -> int:
    """Returns how many bytes this process may still take: of the machine, or of its container where that is less."""
    free = psutil.virtual_memory().available
    try:
        most, taken = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free
    return free if most == "max" else min(free, int(most) - int(taken))


@contextmanager
def damage_named(sets: Sequence[RecordSet]) -> Iterator[None]:
    """Turns what TensorFlow says of a shard that went bad while it was read into the name of the shard.

    Raises:
      InputError: a shard that is no longer the one in the index.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError):
        for one in sets:
            for split in one.index.splits:
                locate_records(one.index, split, one.folder)
        raise
