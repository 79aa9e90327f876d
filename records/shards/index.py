"""The index of a set of records: its cases, its shards and the data config.

`index.json` is written last, so that a folder with an index is complete. The cases of a set with more than
`MOST_CASES_IN_INDEX` of them are in a table beside it (`records.shards.case_table`). With `features.json` and
`dataset_info.json` beside it, TensorFlow Datasets can open the folder (`tfds.builder_from_directory`).
"""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from configs import Config, DataConfig, InputError
from configs.schema import from_dict
from records.cases import LabelledBy
from records.files import sha256_of, write_text
from records.shards.case_entry import CaseEntry
from records.shards.case_table import TABLE, open_cases, write_cases

INDEX = "index.json"
SCHEMA_VERSION = 3
TABLE_VERSION = 4  # as 3, but with the cases in a table
READ_VERSIONS = (2, SCHEMA_VERSION, TABLE_VERSION)  # sets of version 2 are known throughout
DATASET = "fundus_tiles"
MOST_CASES_IN_INDEX = 100_000

_REMEDY = "Run python -m scripts.shard --verify --records={} to list all differences, or shard again."


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
        """The number of records, one per tile."""
        return sum(shard.records for shard in self.shards)


@dataclasses.dataclass(frozen=True)
class NearPair:
    """Two photographs that look (nearly) the same: their cases, and the number of bits in which their hashes differ."""

    one: str
    other: str
    bits: int


@dataclasses.dataclass(frozen=True)
class Index:
    """The index of a set of records.

    Attributes:
      source: layout of the source, as `find_cases` returns it.
      data: the data config.
      splits: splits by name.
      cases: cases by name; those of a large set are read from a table as they are asked for.
      nearly_equal: pairs of photographs that look the same.
      labelled_by: the models whose labels these are; None if people made them.
    """

    source: str
    data: DataConfig
    splits: dict[str, Split]
    cases: Mapping[str, CaseEntry]
    nearly_equal: list[NearPair]
    labelled_by: LabelledBy | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.data.classes

    @property
    def known_throughout(self) -> bool:
        """Whether every class is known at every pixel of every photograph."""
        return not any(case.unknown_pixels for case in self.cases.values())

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the data config."""
        return Config(data=self.data).fingerprint("data")


def shard_name(split: str, number: int, shards: int) -> str:
    """Returns "fundus_tiles-SPLIT.tfrecord-00000-of-0000N"."""
    return f"{DATASET}-{split}.tfrecord-{number:05d}-of-{shards:05d}"


def write_index(folder: Path, index: Index, *, most_in_index: int = MOST_CASES_IN_INDEX) -> None:
    """Writes files for TensorFlow Datasets, a large set's table, `index.json` last; each whole or not at all.

    Args:
      folder: folder of the set.
      index: the index.
      most_in_index: the most cases that `index.json` holds itself; more are written to a table.
    """
    write_text(folder / "features.json", _json(_tfds_features(index.data)))
    write_text(folder / "dataset_info.json", _json(_tfds_info(index)))
    cases: Mapping[str, Any]
    if len(index.cases) > most_in_index:
        names = [name for split in index.splits.values() for name in split.cases]
        version, cases = TABLE_VERSION, write_cases(folder, index.cases, names)
    else:
        version, cases = SCHEMA_VERSION, {name: dataclasses.asdict(entry) for name, entry in index.cases.items()}
    content = {
        "schema_version": version,
        "fingerprint": index.fingerprint,
        "classes": list(index.classes),
        **dataclasses.asdict(dataclasses.replace(index, cases={})),
        "cases": cases,
    }
    write_text(folder / INDEX, _json(content))
    if version != TABLE_VERSION:
        (folder / TABLE).unlink(missing_ok=True)  # of an earlier set


def read_index(folder: Path) -> Index:
    """Reads the index of a set of records.

    Raises:
      InputError: the folder has no index, or the index is damaged or of another schema version.
    """
    path = folder / INDEX
    if not path.is_file():
        raise InputError(f"--records={folder}: no {INDEX} there; make records with python -m scripts.shard.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
        if version not in READ_VERSIONS:
            raise InputError(
                f"{path}: schema version {version}, but this software reads {' and '.join(map(str, READ_VERSIONS))}; "
                "shard again."
            )
        splits = {
            name: Split(split["cases"], [Shard(**shard) for shard in split["shards"]])
            for name, split in content["splits"].items()
        }
        data = from_dict(content["data"], DataConfig, "data.")
        # An index of version 0.1 has no scales, as there was one for all photographs; before version 3 all is known.
        earlier = {"scale": data.scale, "known": list(data.classes)}
        cases: Mapping[str, CaseEntry]
        if version == TABLE_VERSION:
            cases = open_cases(folder, content["cases"], [name for split in splits.values() for name in split.cases])
        else:
            cases = {name: CaseEntry.from_dict(earlier | case) for name, case in content["cases"].items()}
        near = [NearPair(**pair) for pair in content["nearly_equal"]]
        labelled_by = LabelledBy.from_dict(content["labelled_by"]) if content.get("labelled_by") else None
        return Index(content["source"], data, splits, cases, near, labelled_by)
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); shard the photographs again.") from error


# A set may have only some of the classes, and masks where the config has soft labels.
_CHECKED_APART = ("classes", "soft_labels")
# What a set takes of its photographs is its own affair: in another one of the training it may be something else.
_OWN = ("validation_fraction", "empty_per_nonempty", "healthy_tiles", "seed")


def check_config(index: Index, config: Config, folder: Path) -> None:
    """Checks that records were made with the same section `data` as a config, as far as it matters for a training.

    A set may have only some of the config's classes, and masks where the config has soft labels.

    Raises:
      InputError: fields of `data` differ; all are listed with both values.
    """
    differing = [
        f"data.{field.name} is {getattr(index.data, field.name)!r} in the records and "
        f"{getattr(config.data, field.name)!r} in the config"
        for field in dataclasses.fields(DataConfig)
        if getattr(index.data, field.name) != getattr(config.data, field.name)
        and field.name not in (*_CHECKED_APART, *_OWN)
    ]
    if not set(index.data.classes) <= set(config.data.classes):
        differing.insert(
            0, f"data.classes is {index.data.classes!r} in the records and {config.data.classes!r} in the config"
        )
    if index.data.soft_labels and not config.data.soft_labels:
        differing.append("data.soft_labels is True in the records and False in the config")
    if differing:
        raise InputError(
            f"--records={folder}: made with another config: {'; '.join(differing)}. "
            "Give the same --config to both commands, or shard again."
        )


def locate_records(index: Index, split: str, folder: Path) -> list[tuple[Path, list[int]]]:
    """Returns each shard file of a split with the offsets of its records, after comparing the file with the index.

    Every byte is read once, which takes at most a second per gigabyte and core; training reads them many times.

    Args:
      index: index of the set.
      split: name of the split.
      folder: folder of the set.

    Raises:
      InputError: a file is missing, or its size, sha256 or number of records differs from the index.
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
            f"{path}: its sha256 differs from the index: it is damaged, or of another set. {_REMEDY.format(folder)}"
        )
    starts = _record_starts(path)
    if len(starts) != shard.records:
        raise InputError(f"{path}: {len(starts)} records, but the index says {shard.records}. {_REMEDY.format(folder)}")
    return path, starts


def _record_starts(path: Path) -> list[int]:
    """Returns the offset of each record in a shard, bytes; reads only the records' lengths.

    A record consists of its length (8 bytes, little endian), a checksum (4 bytes), the data and a checksum (4 bytes).
    """
    starts = []
    with open(path, "rb") as file:
        while length := file.read(8):
            starts.append(file.tell() - 8)
            file.seek(int.from_bytes(length, "little") + 8, os.SEEK_CUR)
    return starts


def _tfds_features(data: DataConfig) -> dict[str, Any]:
    features = "tensorflow_datasets.core.features"

    def image(channels: int, codec: str, *, height: int = data.tile) -> dict[str, Any]:
        shape = {"dimensions": [str(height), str(data.tile), str(channels)]}
        return {
            "pythonClassName": f"{features}.image_feature.Image",
            "image": {"shape": shape, "dtype": "uint8", "encodingFormat": codec},
        }

    def scalar() -> dict[str, Any]:
        return {
            "pythonClassName": f"{features}.scalar.Scalar",
            "tensor": {"shape": {}, "dtype": "int64", "encoding": "none"},
        }

    text = {"pythonClassName": f"{features}.text_feature.Text", "text": {}}
    mask_height = data.tile * (len(data.classes) if data.soft_labels else 1)
    return {
        "pythonClassName": f"{features}.features_dict.FeaturesDict",
        "featuresDict": {
            "features": {
                "image": image(3, data.codec),
                "mask": image(1, "png", height=mask_height),
                "known": text,
                "case": text,
                "y": scalar(),
                "x": scalar(),
            }
        },
    }


def _tfds_info(index: Index) -> dict[str, Any]:
    masks = "levels of a class below those of the other" if index.data.soft_labels else "bit c is class c"
    return {
        "name": DATASET,
        "version": f"{SCHEMA_VERSION}.0.0",
        "description": f"Tiles of {index.data.tile} pixels, masks of {', '.join(index.classes)} ({masks}).",
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
    # The thousands of lists of numbers take one line each.
    return re.sub(r"\[[\s\d,]+\]", lambda row: " ".join(row[0].split()), text) + "\n"
