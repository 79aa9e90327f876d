"""The configuration of a run: one frozen dataclass a room, each of which checks its own fields.

The sections `model`, `augment` and `train` have files of their own, `configs.schema.model`, `configs.schema.augment`
and `configs.schema.train`.

A field's unit stands in its class's docstring. A value out of range raises `InputError` that names the field, what
was given and what is allowed. Annotations are real types (no postponed evaluation): the command line types its
overrides by them.
"""

import dataclasses
import functools
import hashlib
import json
import math
import re
from typing import Any, Literal, get_args, get_origin

from configs.schema.augment import AugmentConfig
from configs.schema.checks import check, check_choice
from configs.schema.errors import InputError
from configs.schema.model import ModelConfig
from configs.schema.old_names import new_name, with_old_names
from configs.schema.train import TrainConfig

Window = Literal["uniform", "hann", "gaussian"]

# Fields that a training may go on with at other values: they change no number but by rounding.
FREE_FIELDS = {
    "train.cache",
    "train.checkpoint_minutes",
    "train.previews",
    "train.preview_cases",
    "train.strategy",
    "train.xla",
}

MAX_CLASSES = 8  # a record keeps the classes as the bits of one byte


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """How photographs become records.

    Attributes:
      classes: names of the lesion classes, in the order of the mask's channels; 1 to 8.
      scale: factor in (0, 1] by which photographs are shrunk before they are cut.
      tile: side of a tile, pixels of the scaled photograph.
      stride: distance between neighbouring tiles, pixels of the scaled photograph; at most `tile`.
      empty_per_nonempty: tiles without any lesion pixel kept for each tile with one, per photograph. A photograph
        without lesions counts as one nonempty tile.
      validation_fraction: share of the training photographs kept apart for validation, in [0, 1).
      colors: RRGGBB of each class where one coloured mask a photograph holds all of them (paired folders only);
        empty: a mask file a class.
      codec: of the tiles' images. "png" loses nothing and takes about 270 KB and 5 ms a 512 tile of IDRiD; "jpeg"
        (4:4:4, no chroma lost) about 40 KB and 3 ms at quality 95, with changes of a level or two. Masks are PNG.
      jpeg_quality: of codec "jpeg", 1 to 100.
      photographs_per_shard: photographs whose tiles share one TFRecord file.
      max_pixels: photographs with more pixels are refused before they are decoded.
      seed: of the splits and of the choice of empty tiles.
    """

    classes: tuple[str, ...] = ("HE",)
    scale: float = 1.0
    tile: int = 512
    stride: int = 512
    empty_per_nonempty: float = 0.0
    validation_fraction: float = 0.2
    colors: tuple[str, ...] = ()
    codec: Literal["png", "jpeg"] = "png"
    jpeg_quality: int = 95
    photographs_per_shard: int = 8
    max_pixels: int = 200_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        check(
            1 <= len(self.classes) <= MAX_CLASSES and len(set(self.classes)) == len(self.classes),
            "data.classes",
            self.classes,
            allowed=f"1 to {MAX_CLASSES} different names",
        )
        for name in self.classes:
            check(
                isinstance(name, str) and name != "" and not set(name) & set("/\\ "),
                "data.classes",
                name,
                allowed="names without spaces or slashes",
            )
        check(0 < self.scale <= 1, "data.scale", self.scale, allowed="above 0 and at most 1")
        check(self.tile >= 16, "data.tile", self.tile, allowed="at least 16")
        check(1 <= self.stride <= self.tile, "data.stride", self.stride, allowed=f"1 to data.tile ({self.tile})")
        check(self.empty_per_nonempty >= 0, "data.empty_per_nonempty", self.empty_per_nonempty, allowed="0 or more")
        check(
            0 <= self.validation_fraction < 1,
            "data.validation_fraction",
            self.validation_fraction,
            allowed="at least 0 and below 1",
        )
        check(
            len(self.colors) in (0, len(self.classes))
            and len(set(self.colors)) == len(self.colors)
            and all(re.fullmatch("[0-9a-f]{6}", color) and color != "000000" for color in self.colors),
            "data.colors",
            self.colors,
            allowed=f"empty, or {len(self.classes)} different RRGGBB in lower case, none of them black",
        )
        check_choice("data.codec", self.codec, ("png", "jpeg"))
        check(1 <= self.jpeg_quality <= 100, "data.jpeg_quality", self.jpeg_quality, allowed="1 to 100")
        check(
            self.photographs_per_shard >= 1,
            "data.photographs_per_shard",
            self.photographs_per_shard,
            allowed="at least 1",
        )
        check(self.max_pixels >= 1, "data.max_pixels", self.max_pixels, allowed="at least 1")
        check(self.seed >= 0, "data.seed", self.seed, allowed="0 or more")


@dataclasses.dataclass(frozen=True)
class SegmentConfig:
    """How a whole photograph is segmented.

    Attributes:
      tile: side of the tiles that go through the network, pixels of the scaled photograph; None: `data.tile`.
      overlap: share of a tile that neighbouring tiles have in common, 0 to below 1.
      window: weight of a tile's pixels where tiles overlap: "uniform", "hann" or "gaussian".
      tile_batch: tiles that go through the network at once.
      flips: orientations of each tile whose maps are averaged: 1, as it is; 4, also flipped left to right, upside down,
        and both; 8, also these transposed. The time grows in proportion.
      skip_background: leaves out tiles that show no retina; their map is 0. Nothing changes in the field of view.
      trim: cuts tiles to the scaled photograph where that is the shorter, but to a multiple of the network's stride,
        instead of filling them up with black; so that a large `tile` takes a photograph in one piece.
      xla: "on" or "off": whether XLA compiles the network; "auto": not on a CPU, on a GPU if a trial shows it faster.
        Its tiles are of one shape: not with `trim`.
    """

    tile: int | None = None
    overlap: float = 0.5
    window: Window = "hann"
    tile_batch: int = 4
    flips: int = 1
    skip_background: bool = False
    trim: bool = False
    xla: Literal["auto", "on", "off"] = "auto"

    def __post_init__(self) -> None:
        check(self.tile is None or self.tile >= 16, "segment.tile", self.tile, allowed="at least 16, or none")
        check(0 <= self.overlap < 1, "segment.overlap", self.overlap, allowed="at least 0 and below 1")
        check_choice("segment.window", self.window, get_args(Window))
        check(self.tile_batch >= 1, "segment.tile_batch", self.tile_batch, allowed="at least 1")
        check(self.flips in (1, 4, 8), "segment.flips", self.flips, allowed="1, 4 or 8")
        check_choice("segment.xla", self.xla, ("auto", "on", "off"))
        check(not (self.trim and self.xla == "on"), "segment.xla", self.xla, allowed="auto or off with segment.trim")


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """How maps are held against masks.

    Attributes:
      threshold: probability from which a pixel counts as lesion; it becomes the model's operating threshold of
        every class, unless training had --source, whose photographs choose one for each class.
      bins: of the probability histograms behind the precision-recall curve; 1,024 or more agree with the sorted
        computation to some thousandths (`pipeline/evaluation/scores.py`). A multiple of 160 has k/10 and k/32 among
        its edges.
    """

    threshold: float = 0.5
    bins: int = 1280

    def __post_init__(self) -> None:
        check(0 < self.threshold < 1, "evaluate.threshold", self.threshold, allowed="above 0 and below 1")
        check(self.bins >= 2, "evaluate.bins", self.bins, allowed="at least 2")


@dataclasses.dataclass(frozen=True)
class Config:
    """All that a run depends on; written as `config.json` beside whatever it produced."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    segment: SegmentConfig = dataclasses.field(default_factory=SegmentConfig)
    evaluate: EvaluateConfig = dataclasses.field(default_factory=EvaluateConfig)

    def __post_init__(self) -> None:
        check(
            self.train.crop is None or self.train.crop <= self.data.tile,
            "train.crop",
            self.train.crop,
            allowed=f"at most data.tile ({self.data.tile})",
        )
        check(
            len(self.train.class_sampling) in (0, len(self.data.classes)),
            "train.class_sampling",
            self.train.class_sampling,
            allowed=f"one number for each of data.classes ({', '.join(self.data.classes)}), or empty",
        )

    def fingerprint(self, *sections: str) -> str:
        """Returns 16 hexadecimal digits that depend on the values of the named sections, or of all, alone."""
        # Under the names that the fields had first, so that a renamed field leaves records and results as they are.
        chosen = {
            name: with_old_names(name, dataclasses.asdict(getattr(self, name))) for name in sections or _section_names()
        }
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Returns the text of `config.json`, which `configs.loading.load_config` reads back."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def field_names(schema: type = Config) -> list[str]:
    """Returns the dotted names of all fields of a schema: `["data.classes", "data.scale", …]`."""
    names = []
    for field in dataclasses.fields(schema):
        if dataclasses.is_dataclass(field.type):
            names += [f"{field.name}.{name}" for name in field_names(field.type)]  # type: ignore[arg-type]
        else:
            names.append(field.name)
    return names


def differing_fields(before: Config, now: Config) -> list[str]:
    """Says in which fields two configs differ, `FREE_FIELDS` left out: `["data.seed was 0 and is 1", …]`."""

    def value(config: Config, name: str) -> object:
        return functools.reduce(getattr, name.split("."), config)

    pairs = [(name, value(before, name), value(now, name)) for name in field_names() if name not in FREE_FIELDS]
    return [f"{name} was {old!r} and is {new!r}" for name, old, new in pairs if old != new]


def optional_fields(schema: type = Config) -> list[str]:
    """Returns the dotted names of the fields that may be None."""
    names = []
    for field in dataclasses.fields(schema):
        if dataclasses.is_dataclass(field.type):
            names += [f"{field.name}.{name}" for name in optional_fields(field.type)]  # type: ignore[arg-type]
        elif type(None) in get_args(field.type):
            names.append(field.name)
    return names


def from_dict(values: dict[str, Any], schema: type = Config, prefix: str = "") -> Any:
    """Builds a schema from nested dictionaries as JSON has them: lists become tuples, absent fields their defaults.

    Raises:
      InputError: a field that the schema does not have, or a section that is no dictionary.
    """
    fields = {field.name: field for field in dataclasses.fields(schema)}
    arguments = {}
    for given, value in values.items():
        name = (new_name(f"{prefix}{given}") or given).removeprefix(prefix)
        if name in values and name != given:
            raise InputError(f"{prefix}{given} is the old name of {prefix}{name}; both are given, leave one out.")
        if name not in fields:
            raise InputError(f"unknown field {prefix}{name}; known here are {', '.join(fields)}.")
        field_type = fields[name].type
        if dataclasses.is_dataclass(field_type):
            if not isinstance(value, dict):
                raise InputError(f"{prefix}{name} must be a section with fields; received {value!r}.")
            arguments[name] = from_dict(value, field_type, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            arguments[name] = _typed(value, field_type, f"{prefix}{name}")
    return schema(**arguments)


def _section_names() -> list[str]:
    return [field.name for field in dataclasses.fields(Config)]


def _typed(value: Any, field_type: Any, field: str) -> Any:
    value = tuple(value) if isinstance(value, list) else value
    check(_is_a(value, field_type), field, value, allowed=f"of type {_type_name(field_type)}")
    # A float written as 1 is the same setting as 1.0, and must have the same fingerprint.
    return float(value) if _is_a(1.5, field_type) and value is not None else value


def _is_a(value: object, field_type: Any) -> bool:
    origin, parts = get_origin(field_type), get_args(field_type)
    if origin is Literal:
        return isinstance(value, str)  # which one, the section checks itself
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_a(item, parts[0]) for item in value)
    if parts:
        return any(_is_a(value, part) for part in parts)
    if field_type is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, field_type) and not (field_type is int and isinstance(value, bool))


def _type_name(field_type: Any) -> str:
    return field_type.__name__ if isinstance(field_type, type) else str(field_type)
