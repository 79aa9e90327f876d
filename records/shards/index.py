"""The index of a set of records: what was sharded, how, and into which files.

`index.json` is written last, so that a folder with an index is complete. `features.json` and `dataset_info.json`
beside it let TensorFlow Datasets open the folder as it is (`tfds.builder_from_directory`).
"""

import dataclasses
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from configs import Config, DataConfig, InputError
from configs.schema import from_dict
from records.files import sha256_of, write_text
from records.shards.ownership import OwnedLesion, Place

INDEX = "index.json"
SCHEMA_VERSION = 2
DATASET = "fundus_tiles"

_REMEDY = "python -m scripts.shard --verify --records={} says all that differs; shard again to mend it."


@dataclasses.dataclass(frozen=True)
class Shard:
    """One TFRecord file: its name, number of records, size in bytes and sha256 (hexadecimal)."""

    name: str
    records: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Split:
    """The cases of a split and the shards that hold their tiles."""

    cases: list[str]
    shards: list[Shard]

    @property
    def records(self) -> int:
        return sum(shard.records for shard in self.shards)


@dataclasses.dataclass(frozen=True)
class CaseEntry:
    """One case.

    Attributes:
      split: "train", "validation" or "test".
      patient: whose photograph it is, or None where that is not known.
      height: of the photograph, pixels.
      width: of the photograph, pixels.
      tiles: in the records.
      nonempty_tiles: those with a lesion pixel of any class.
      lesion_pixels: at full size, for every class.
      digest: sha256 of the photograph's and the masks' files together.
      perceptual_hash: of the photograph, see `records.cases.duplicates`.
      places: of its tiles, in the order of the records.
      lesions: what each tile owns of each lesion.
    """

    split: str
    patient: str | None
    height: int
    width: int
    tiles: int
    nonempty_tiles: int
    lesion_pixels: dict[str, int]
    digest: str
    perceptual_hash: str
    places: list[Place]
    lesions: list[OwnedLesion]


@dataclasses.dataclass(frozen=True)
class NearPair:
    """Two photographs that look (nearly) the same: their cases, and how many bits of their hashes differ."""

    one: str
    other: str
    bits: int


@dataclasses.dataclass(frozen=True)
class Index:
    """A whole set: the source's layout, the data config, splits, cases by name, and photographs that look the same."""

    source: str
    data: DataConfig
    splits: dict[str, Split]
    cases: dict[str, CaseEntry]
    nearly_equal: list[NearPair]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.data.classes

    @property
    def fingerprint(self) -> str:
        return Config(data=self.data).fingerprint("data")


def shard_name(split: str, number: int, shards: int) -> str:
    """Returns "fundus_tiles-SPLIT.tfrecord-00000-of-0000N"."""
    return f"{DATASET}-{split}.tfrecord-{number:05d}-of-{shards:05d}"


def write_index(folder: Path, index: Index) -> None:
    """Writes the two files for TensorFlow Datasets, then `index.json`, each whole or not at all."""
    write_text(folder / "features.json", _json(_tfds_features(index.data)))
    write_text(folder / "dataset_info.json", _json(_tfds_info(index)))
    content = {
        "schema_version": SCHEMA_VERSION,
        "fingerprint": index.fingerprint,
        "classes": list(index.classes),
        **dataclasses.asdict(index),
    }
    write_text(folder / INDEX, _json(content))


def read_index(folder: Path) -> Index:
    """Reads the index of a set of records.

    Raises:
      InputError: no such folder, no index in it, or an index that is damaged or of another schema version.
    """
    path = folder / INDEX
    if not path.is_file():
        raise InputError(f"--records={folder}: no {INDEX} there; make the records with python -m scripts.shard.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{path}: schema version {version}, but this software reads {SCHEMA_VERSION}; shard again."
            )
        splits = {
            name: Split(split["cases"], [Shard(**shard) for shard in split["shards"]])
            for name, split in content["splits"].items()
        }
        cases = {name: _case(case) for name, case in content["cases"].items()}
        near = [NearPair(**pair) for pair in content["nearly_equal"]]
        return Index(content["source"], from_dict(content["data"], DataConfig, "data."), splits, cases, near)
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); shard the photographs again.") from error


def _case(content: dict[str, Any]) -> CaseEntry:
    places = [Place(*place) for place in content["places"]]
    return CaseEntry(
        **{**content, "places": places, "lesions": [OwnedLesion(*lesion) for lesion in content["lesions"]]}
    )


def check_config(index: Index, config: Config, folder: Path) -> None:
    """Holds the records against the config that is to train on them.

    Raises:
      InputError: the fields of `data` that differ, with both values.
    """
    differing = [
        f"data.{field.name} is {getattr(index.data, field.name)!r} in the records and "
        f"{getattr(config.data, field.name)!r} in the config"
        for field in dataclasses.fields(DataConfig)
        if getattr(index.data, field.name) != getattr(config.data, field.name)
    ]
    if differing:
        raise InputError(
            f"--records={folder}: made with another config: {'; '.join(differing)}. "
            "Give the same --config to both commands, or shard again."
        )


def locate_records(index: Index, split: str, folder: Path) -> list[tuple[Path, list[int]]]:
    """Returns each shard file of a split and where its records begin, after a look whether it is the one in the index.

    Every byte is read once, a second or less a gigabyte and core, which a training reads many times.

    Raises:
      InputError: a file that is missing, or whose size, sha256 or number of records is not what the index says.
    """
    shards = index.splits[split].shards
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda shard: _locate(folder, shard), shards))


def _locate(folder: Path, shard: Shard) -> tuple[Path, list[int]]:
    path = folder / shard.name
    if not path.is_file():
        raise InputError(f"{path}: missing, but the index lists it. {_REMEDY.format(folder)}")
    size = path.stat().st_size
    if size != shard.bytes:
        raise InputError(f"{path}: {size} bytes, but the index says {shard.bytes}. {_REMEDY.format(folder)}")
    if sha256_of(path) != shard.sha256:
        raise InputError(
            f"{path}: other bytes (sha256) than the index says: damaged, or of another set. {_REMEDY.format(folder)}"
        )
    starts = _record_starts(path)
    if len(starts) != shard.records:
        raise InputError(f"{path}: {len(starts)} records, but the index says {shard.records}. {_REMEDY.format(folder)}")
    return path, starts


def _record_starts(path: Path) -> list[int]:
    """Goes from one record's length to the next, without reading what is between.

    A record is its length (8 bytes, little endian), a checksum (4), the data, a checksum (4).
    """
    starts = []
    with open(path, "rb") as file:
        while length := file.read(8):
            starts.append(file.tell() - 8)
            file.seek(int.from_bytes(length, "little") + 8, os.SEEK_CUR)
    return starts


def _tfds_features(data: DataConfig) -> dict[str, Any]:
    features = "tensorflow_datasets.core.features"

    def image(channels: int, codec: str) -> dict[str, Any]:
        shape = {"dimensions": [str(data.tile), str(data.tile), str(channels)]}
        return {
            "pythonClassName": f"{features}.image_feature.Image",
            "image": {"shape": shape, "dtype": "uint8", "encodingFormat": codec},
        }

    def scalar() -> dict[str, Any]:
        return {
            "pythonClassName": f"{features}.scalar.Scalar",
            "tensor": {"shape": {}, "dtype": "int64", "encoding": "none"},
        }

    return {
        "pythonClassName": f"{features}.features_dict.FeaturesDict",
        "featuresDict": {
            "features": {
                "image": image(3, data.codec),
                "mask": image(1, "png"),
                "case": {"pythonClassName": f"{features}.text_feature.Text", "text": {}},
                "y": scalar(),
                "x": scalar(),
            }
        },
    }


def _tfds_info(index: Index) -> dict[str, Any]:
    return {
        "name": DATASET,
        "version": f"{SCHEMA_VERSION}.0.0",
        "description": f"Tiles of {index.data.tile} pixels, masks of {', '.join(index.classes)} (bit c is class c).",
        "fileFormat": "tfrecord",
        "splits": [
            {
                "name": name,
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "shardLengths": [str(shard.records) for shard in split.shards],
                "numBytes": str(sum(shard.bytes for shard in split.shards)),
            }
            for name, split in index.splits.items()
        ],
    }


def _json(content: object) -> str:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    # Rows of numbers, of which there are thousands, on one line each.
    return re.sub(r"\[[\s\d,]+\]", lambda row: " ".join(row[0].split()), text) + "\n"
