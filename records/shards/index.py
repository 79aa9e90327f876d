"""The index of a set of records: its cases, its shards and the data config.

`index.json` is written last, so that a folder with an index is complete. With `features.json` and `dataset_info.json`
beside it, TensorFlow Datasets can open the folder (`tfds.builder_from_directory`).
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
from records.cases import LabelledBy
from records.files import sha256_of, write_text
from records.grid import scaled_size
from records.shards.boxes import OwnedBox
from records.shards.ownership import OwnedLesion, Place

INDEX = "index.json"
SCHEMA_VERSION = 3
READ_VERSIONS = (2, SCHEMA_VERSION)  # sets of version 2 are known throughout
DATASET = "fundus_tiles"

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
class CaseEntry:
    """One case of a set of records.

    Attributes:
      split: "train", "validation" or "test".
      patient: name of the patient, or None if unknown.
      height: height of the photograph, pixels.
      width: width of the photograph, pixels.
      scale: factor by which it was scaled.
      tiles: number of tiles in the records.
      nonempty_tiles: number of tiles with a lesion pixel of any class.
      lesion_pixels: for every class, number of lesion pixels at full size.
      digest: sha256 of the files of the photograph and the masks together.
      perceptual_hash: perceptual hash of the photograph, see `records.cases.duplicates`.
      places: places of the tiles, in the order of the records.
      lesions: parts of lesions that the tiles own.
      quality: measures of the photograph, see `records.shards.cutting.Cut`; empty in sets of version 0.1.
      photograph_digest: sha256 of the photograph's file; empty in sets of earlier versions.
      known: names of the classes that are known in it, if only in parts.
      unknown_pixels: for every class that is not known throughout, number of unknown pixels at full size.
      absent: names of the classes that it is known to show none of, as a healthy eye.
      hard_negatives: boxes around what a model mistook for lesions, in the tiles that own them.
    """

    split: str
    patient: str | None
    height: int
    width: int
    scale: float
    tiles: int
    nonempty_tiles: int
    lesion_pixels: dict[str, int]
    digest: str
    perceptual_hash: str
    places: list[Place]
    lesions: list[OwnedLesion]
    quality: dict[str, float] = dataclasses.field(default_factory=dict)
    photograph_digest: str = ""
    known: list[str] = dataclasses.field(default_factory=list)
    unknown_pixels: dict[str, int] = dataclasses.field(default_factory=dict)
    absent: list[str] = dataclasses.field(default_factory=list)
    hard_negatives: list[OwnedBox] = dataclasses.field(default_factory=list)

    @property
    def scaled_size(self) -> tuple[int, int]:
        """Height and width of the scaled photograph, pixels."""
        return scaled_size(self.height, self.width, self.scale)


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
      cases: cases by name.
      nearly_equal: pairs of photographs that look the same.
      labelled_by: the models whose labels these are; None if people made them.
    """

    source: str
    data: DataConfig
    splits: dict[str, Split]
    cases: dict[str, CaseEntry]
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
        cases = {name: _case(case, data) for name, case in content["cases"].items()}
        near = [NearPair(**pair) for pair in content["nearly_equal"]]
        labelled_by = LabelledBy.from_dict(content["labelled_by"]) if content.get("labelled_by") else None
        return Index(content["source"], data, splits, cases, near, labelled_by)
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); shard the photographs again.") from error


def _case(content: dict[str, Any], data: DataConfig) -> CaseEntry:
    places = [Place(*place) for place in content["places"]]
    lesions = [OwnedLesion(*lesion) for lesion in content["lesions"]]
    boxes = [OwnedBox(*box) for box in content.get("hard_negatives", [])]
    # An index of version 0.1 has no scales, as there was one for all photographs, and before version 3 all is known.
    earlier = {"scale": data.scale, "known": list(data.classes)}
    return CaseEntry(**{**earlier, **content, "places": places, "lesions": lesions, "hard_negatives": boxes})


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
