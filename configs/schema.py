"""The configuration of a run: one frozen dataclass a room, each of which checks its own fields.

The sections `model` and `augment` have files of their own, `configs.networks` and `configs.augment`.

A field's unit stands in its class's docstring. A value out of range raises `InputError` that names the field, what
was given and what is allowed. Annotations are real types (no postponed evaluation): the command line types its
overrides by them.
"""

import dataclasses
import hashlib
import json
import math
import re
from typing import Any, Literal, get_args, get_origin

from configs.augment import AugmentConfig
from configs.checks import check, check_choice
from configs.errors import InputError
from configs.networks import ModelConfig

Balance = Literal["tile", "photograph"]
CacheChoice = Literal["none", "records", "decoded", "auto"]
Window = Literal["uniform", "hann", "gaussian"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]

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
            f"1 to {MAX_CLASSES} different names",
        )
        for name in self.classes:
            check(
                isinstance(name, str) and name != "" and not set(name) & set("/\\ "),
                "data.classes",
                name,
                "names without spaces or slashes",
            )
        check(0 < self.scale <= 1, "data.scale", self.scale, "above 0 and at most 1")
        check(self.tile >= 16, "data.tile", self.tile, "at least 16")
        check(1 <= self.stride <= self.tile, "data.stride", self.stride, f"1 to data.tile ({self.tile})")
        check(self.empty_per_nonempty >= 0, "data.empty_per_nonempty", self.empty_per_nonempty, "0 or more")
        check(
            0 <= self.validation_fraction < 1,
            "data.validation_fraction",
            self.validation_fraction,
            "at least 0 and below 1",
        )
        check(
            len(self.colors) in (0, len(self.classes))
            and len(set(self.colors)) == len(self.colors)
            and all(re.fullmatch("[0-9a-f]{6}", color) and color != "000000" for color in self.colors),
            "data.colors",
            self.colors,
            f"empty, or {len(self.classes)} different RRGGBB in lower case, none of them black",
        )
        check_choice("data.codec", self.codec, ("png", "jpeg"))
        check(1 <= self.jpeg_quality <= 100, "data.jpeg_quality", self.jpeg_quality, "1 to 100")
        check(self.photographs_per_shard >= 1, "data.photographs_per_shard", self.photographs_per_shard, "at least 1")
        check(self.max_pixels >= 1, "data.max_pixels", self.max_pixels, "at least 1")
        check(self.seed >= 0, "data.seed", self.seed, "0 or more")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How the network is fitted.

    Attributes:
      epochs: number of epochs.
      steps_per_epoch: batches an epoch; None: one pass over the training tiles.
      validation_steps: batches of validation an epoch; None: every validation tile once.
      batch_size: tiles a step, over all devices together.
      precision: of the network's maps: "float32", "mixed_bfloat16" (faster on CPUs with AVX-512 BF16 and on GPUs since
        Ampere) or "mixed_float16" (older GPUs; the loss is scaled). Weights and probabilities are float32 with each,
        and a saved network keeps its precision.
      loss: name of the loss in `models.losses`.
      metrics: of training and validation tiles, by their names in `models.metrics`; of several classes also each one.
      optimizer: "adam" or "adamw".
      learning_rate: of the first step.
      schedule: "constant", or "cosine" (to zero at the last step of the last epoch).
      weight_decay: of adamw; adam has none.
      clipvalue: largest absolute value of a gradient's element; None: not clipped.
      early_stopping_patience: epochs without a better validation loss before training ends; 0: never.
      reduce_lr_patience: epochs without a better validation loss before the learning rate is reduced; 0: never.
        Only with the constant schedule.
      reduce_lr_factor: what the learning rate is multiplied by then.
      crop: side of what is shown of a stored tile, pixels; None: all of it. Augmentations reach beyond it into the
        tile. With crops of at most `data.tile` - `data.stride`, every place of a photograph is shown equally often,
        but for a rim.
      lesion_pixel_share: share of the elements that show a lesion pixel, drawn among all lesion pixels (large lesions
        come more often), anywhere in the crop. Each class comes equally often.
      lesion_share: the same with a lesion drawn first, then one of its pixels.
      empty_share: share of the elements that come from tiles without any lesion; None: as many as there are among the
        stored ones. What these three shares leave comes from the other tiles, wherever in them.
      balance: "tile": each tile equally often (with a crop, each place); "photograph": each photograph, whatever its
        number of tiles.
      records_weights: how often each of several --records is shown, relative to the others; empty: by its number of
        tiles, or of photographs.
      cache: where tiles wait in memory: "none" (read anew each time), "records" (as they are stored), "decoded" (as
        pixels, 4 bytes each), or "auto", the last of these that takes at most half of the free memory.
      previews: validation tiles drawn with their true and predicted contours after each epoch; 0: none.
      deterministic: the same config on the same machine gives the same bits, for some speed.
      seed: of weights, order of tiles, augmentation and dropout.
    """

    epochs: int = 30
    steps_per_epoch: int | None = None
    validation_steps: int | None = None
    batch_size: int = 8
    precision: Precision = "float32"
    loss: str = "bce_dice"
    metrics: tuple[str, ...] = ("dice_coef",)
    optimizer: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: float = 1e-2
    clipvalue: float | None = None
    early_stopping_patience: int = 0
    reduce_lr_patience: int = 0
    reduce_lr_factor: float = 0.4
    crop: int | None = None
    lesion_pixel_share: float = 0.0
    lesion_share: float = 0.0
    empty_share: float | None = None
    balance: Balance = "tile"
    records_weights: tuple[float, ...] = ()
    cache: CacheChoice = "auto"
    previews: int = 6
    deterministic: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            check(getattr(self, name) >= 1, f"train.{name}", getattr(self, name), "at least 1")
        for name in ("steps_per_epoch", "validation_steps"):
            value = getattr(self, name)
            check(value is None or value >= 1, f"train.{name}", value, "at least 1, or none")
        check_choice("train.precision", self.precision, get_args(Precision))
        check(self.crop is None or self.crop >= 16, "train.crop", self.crop, "at least 16, or none")
        for name in ("lesion_pixel_share", "lesion_share"):
            check(0 <= getattr(self, name) <= 1, f"train.{name}", getattr(self, name), "a share, 0 to 1")
        check(
            self.empty_share is None or 0 <= self.empty_share <= 1,
            "train.empty_share",
            self.empty_share,
            "a share, 0 to 1, or none",
        )
        shares = self.lesion_pixel_share + self.lesion_share + (self.empty_share or 0)
        check(
            shares <= 1 + 1e-9,
            "train.lesion_pixel_share, train.lesion_share and train.empty_share",
            shares,
            "at most 1 together",
        )
        check_choice("train.balance", self.balance, get_args(Balance))
        check(
            all(weight > 0 for weight in self.records_weights),
            "train.records_weights",
            self.records_weights,
            "numbers above 0, one for each of --records",
        )
        check_choice("train.cache", self.cache, get_args(CacheChoice))
        check_choice("train.optimizer", self.optimizer, ("adam", "adamw"))
        check(self.learning_rate > 0, "train.learning_rate", self.learning_rate, "above 0")
        check_choice("train.schedule", self.schedule, ("constant", "cosine"))
        check(self.weight_decay >= 0, "train.weight_decay", self.weight_decay, "0 or more")
        check(self.clipvalue is None or self.clipvalue > 0, "train.clipvalue", self.clipvalue, "above 0, or none")
        for name in ("early_stopping_patience", "reduce_lr_patience", "previews", "seed"):
            check(getattr(self, name) >= 0, f"train.{name}", getattr(self, name), "0 or more")
        check(
            self.reduce_lr_patience == 0 or self.schedule == "constant",
            "train.reduce_lr_patience",
            self.reduce_lr_patience,
            f"0 with train.schedule '{self.schedule}'",
        )
        check(0 < self.reduce_lr_factor < 1, "train.reduce_lr_factor", self.reduce_lr_factor, "above 0 and below 1")


@dataclasses.dataclass(frozen=True)
class SegmentConfig:
    """How a whole photograph is segmented.

    Attributes:
      tile: side of the tiles that go through the network, pixels of the scaled photograph; None: `data.tile`.
      overlap: share of a tile that neighbouring tiles have in common, 0 to below 1.
      window: weight of a tile's pixels where tiles overlap: "uniform", "hann" or "gaussian".
      tile_batch: tiles that go through the network at once.
    """

    tile: int | None = None
    overlap: float = 0.5
    window: Window = "hann"
    tile_batch: int = 4

    def __post_init__(self) -> None:
        check(self.tile is None or self.tile >= 16, "segment.tile", self.tile, "at least 16, or none")
        check(0 <= self.overlap < 1, "segment.overlap", self.overlap, "at least 0 and below 1")
        check_choice("segment.window", self.window, get_args(Window))
        check(self.tile_batch >= 1, "segment.tile_batch", self.tile_batch, "at least 1")


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """How maps are held against masks.

    Attributes:
      threshold: probability from which a pixel counts as lesion; it becomes the model's operating threshold of
        every class.
      bins: of the probability histograms behind the precision-recall curve; 1,024 or more is exact enough to
        agree with the sorted computation to three decimals.
    """

    threshold: float = 0.5
    bins: int = 1024

    def __post_init__(self) -> None:
        check(0 < self.threshold < 1, "evaluate.threshold", self.threshold, "above 0 and below 1")
        check(self.bins >= 2, "evaluate.bins", self.bins, "at least 2")


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
            f"at most data.tile ({self.data.tile})",
        )

    def fingerprint(self, *sections: str) -> str:
        """Returns 16 hexadecimal digits that depend on the values of the named sections, or of all, alone."""
        chosen = {name: dataclasses.asdict(getattr(self, name)) for name in sections or _section_names()}
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
    for name, value in values.items():
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
    check(_is_a(value, field_type), field, value, f"of type {_type_name(field_type)}")
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
