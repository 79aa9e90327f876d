"""The configuration of a run: one frozen dataclass a room, each of which checks its own fields.

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

from configs.errors import InputError

Normalization = Literal["batch", "group", "none"]
Window = Literal["uniform", "hann", "gaussian"]

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
        _check(
            1 <= len(self.classes) <= MAX_CLASSES and len(set(self.classes)) == len(self.classes),
            "data.classes",
            self.classes,
            f"1 to {MAX_CLASSES} different names",
        )
        for name in self.classes:
            _check(
                isinstance(name, str) and name != "" and not set(name) & set("/\\ "),
                "data.classes",
                name,
                "names without spaces or slashes",
            )
        _check(0 < self.scale <= 1, "data.scale", self.scale, "above 0 and at most 1")
        _check(self.tile >= 16, "data.tile", self.tile, "at least 16")
        _check(1 <= self.stride <= self.tile, "data.stride", self.stride, f"1 to data.tile ({self.tile})")
        _check(self.empty_per_nonempty >= 0, "data.empty_per_nonempty", self.empty_per_nonempty, "0 or more")
        _check(
            0 <= self.validation_fraction < 1,
            "data.validation_fraction",
            self.validation_fraction,
            "at least 0 and below 1",
        )
        _check(
            len(self.colors) in (0, len(self.classes))
            and len(set(self.colors)) == len(self.colors)
            and all(re.fullmatch("[0-9a-f]{6}", color) and color != "000000" for color in self.colors),
            "data.colors",
            self.colors,
            f"empty, or {len(self.classes)} different RRGGBB in lower case, none of them black",
        )
        _check_choice("data.codec", self.codec, ("png", "jpeg"))
        _check(1 <= self.jpeg_quality <= 100, "data.jpeg_quality", self.jpeg_quality, "1 to 100")
        _check(self.photographs_per_shard >= 1, "data.photographs_per_shard", self.photographs_per_shard, "at least 1")
        _check(self.max_pixels >= 1, "data.max_pixels", self.max_pixels, "at least 1")
        _check(self.seed >= 0, "data.seed", self.seed, "0 or more")


@dataclasses.dataclass(frozen=True)
class UNetConfig:
    """The flexible U-Net (see `models.unet`).

    Attributes:
      width: filters of the first level; each further level has twice as many.
      levels: resolutions, the bridge included; the network's stride is 2 ** (levels - 1).
      kernel: side of the first level's kernels; each further level's is 2 smaller, down to 3.
      dilation: of the first level's convolutions; each further level's is 1 smaller, down to 1.
      dropout: rate of level i is `dropout * i`.
      normalization: after each convolution: "batch", "group" (groups of 8 channels) or "none".
      activation: any activation that Keras knows by name.
    """

    width: int = 16
    levels: int = 5
    kernel: int = 3
    dilation: int = 1
    dropout: float = 0.0
    normalization: Normalization = "batch"
    activation: str = "relu"

    def __post_init__(self) -> None:
        _check(self.width >= 1, "model.unet.width", self.width, "at least 1")
        _check(2 <= self.levels <= 10, "model.unet.levels", self.levels, "2 to 10")
        _check(
            self.kernel >= 3 and self.kernel % 2 == 1, "model.unet.kernel", self.kernel, "an odd number of at least 3"
        )
        _check(self.dilation >= 1, "model.unet.dilation", self.dilation, "at least 1")
        _check(
            0 <= self.dropout * (self.levels - 1) < 1,
            "model.unet.dropout",
            self.dropout,
            f"at least 0, and below 1 on the deepest level (times {self.levels - 1})",
        )
        _check_choice("model.unet.normalization", self.normalization, get_args(Normalization))
        _check(
            self.normalization != "group" or self.width % 8 == 0,
            "model.unet.width",
            self.width,
            "a multiple of 8 for model.unet.normalization 'group'",
        )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network, by its name in `models.registry`, and the options of each network.

    Attributes:
      network: name of the network; its options are the field of the same name.
      unet: options of the network "unet".
    """

    network: str = "unet"
    unet: UNetConfig = dataclasses.field(default_factory=UNetConfig)


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """What training draws for each tile.

    A name by itself is the probability that the tile gets it; the fields that begin with that name say how far it
    goes. Unless it says otherwise, its strength is drawn uniformly up to what is given, in both directions where
    there are two. The first eleven move image and mask alike (see `pipeline.augmentation`), the others change the
    image alone (see `pipeline.photometric`).

    Attributes:
      horizontal_flip: exchanges left and right.
      vertical_flip: exchanges top and bottom.
      quarter_turn: turns by 90, 180 or 270 degrees, each equally likely.
      rotation: turns about the middle, by up to `rotation_degrees`.
      scale: enlarges or shrinks about the middle, by factors from 1 / `scale_factor` to `scale_factor`, uniform in
        their logarithm.
      shear: shifts rows or columns in proportion to their distance from the middle, `shear_slope` pixels a pixel.
      translation: shifts along both axes, by whole pixels up to `translation_share` of the tile's side.
      elastic: displaces each pixel by `elastic_alpha` times noise blurred with `elastic_sigma` pixels. As in the
        earlier system, whose blur went across the colour channels too, that is alpha / (sqrt(8) pi sigma^2) pixels
        root mean square: 2.3 for 1300 and 8.
      distortion: displaces along the slopes of noise blurred with `distortion_sigma` pixels, by up to
        `distortion_share` of the tile's side.
      barrel: enlarges what lies within `barrel_radius`, a share of the side, of a centre: the offset from it is
        multiplied by sin(pi r / 2R) ** `barrel_amount`. The centre is the tile's middle or one of the four points
        that are `barrel_offset` of the side away from it on both axes.
      pincushion: as `barrel`, with a negative exponent: shrinks.
      brightness: multiplies all channels alike; `brightness_share` is the relative change.
      contrast: multiplies the distance from the tile's mean colour; `contrast_share` is the relative change.
      saturation: multiplies the distance from grey; `saturation_share` is the relative change.
      hue: turns the colours about the grey axis, by up to `hue_degrees`.
      temperature: multiplies red and blue in opposite directions; `temperature_share` is the relative change.
      color: multiplies each channel by itself; `color_share` is the relative change.
      brightening: of the earlier system: alpha * image + beta, from 1 and 0 to `brightening_alpha` and
        `brightening_beta` levels.
      illumination: multiplies by a smooth field; `illumination_share` is its largest relative change.
      gamma: raises the image, as shares of 255, to a power from 1 / `gamma_exponent` to `gamma_exponent`, uniform in
        its logarithm.
      blur: a Gaussian of up to `blur_sigma` pixels.
      sharpening: of the earlier system: a 3x3 kernel of -k around 1 + 8k, k up to `sharpening_k`.
      jpeg: writes and reads the image as JPEG of a quality from `jpeg_quality` to 100.
    """

    horizontal_flip: float = 0.5
    vertical_flip: float = 0.5
    quarter_turn: float = 0.75
    rotation: float = 0.0
    rotation_degrees: float = 15.0
    scale: float = 0.0
    scale_factor: float = 1.25
    shear: float = 0.0
    shear_slope: float = 0.1
    translation: float = 0.0
    translation_share: float = 0.1
    elastic: float = 0.0
    elastic_alpha: float = 1300.0
    elastic_sigma: float = 8.0
    distortion: float = 0.0
    distortion_share: float = 0.02
    distortion_sigma: float = 40.0
    barrel: float = 0.0
    barrel_amount: float = 0.3
    barrel_radius: float = 0.3
    barrel_offset: float = 0.2
    pincushion: float = 0.0
    pincushion_amount: float = 0.3
    pincushion_radius: float = 0.3
    pincushion_offset: float = 0.2
    brightness: float = 0.0
    brightness_share: float = 0.2
    contrast: float = 0.0
    contrast_share: float = 0.2
    saturation: float = 0.0
    saturation_share: float = 0.2
    hue: float = 0.0
    hue_degrees: float = 10.0
    temperature: float = 0.0
    temperature_share: float = 0.1
    color: float = 0.0
    color_share: float = 0.1
    brightening: float = 0.0
    brightening_alpha: float = 1.2
    brightening_beta: float = 10.0
    illumination: float = 0.0
    illumination_share: float = 0.3
    gamma: float = 0.0
    gamma_exponent: float = 1.3
    blur: float = 0.0
    blur_sigma: float = 1.0
    sharpening: float = 0.0
    sharpening_k: float = 1.0
    jpeg: float = 0.0
    jpeg_quality: int = 60

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in _AUGMENT_RANGES:
                low, high = _AUGMENT_RANGES[field.name]
                _check(low <= value <= high, f"augment.{field.name}", value, f"{low} to {high}")
            else:
                _check(0 <= value <= 1, f"augment.{field.name}", value, "a probability, 0 to 1")


# Every other field of AugmentConfig is a probability.
_AUGMENT_RANGES = {
    "rotation_degrees": (0, 180),
    "scale_factor": (1, 2),
    "shear_slope": (0, 1),
    "translation_share": (0, 0.5),
    "elastic_alpha": (0, 1e6),
    "elastic_sigma": (4, 256),  # the noise is drawn every 4 pixels
    "distortion_share": (0, 0.1),
    "distortion_sigma": (4, 256),
    "barrel_amount": (0, 1),
    "barrel_radius": (0.05, 1),
    "barrel_offset": (0, 0.5),
    "pincushion_amount": (0, 0.9),  # 1 would tear the centre
    "pincushion_radius": (0.05, 1),
    "pincushion_offset": (0, 0.5),
    "brightness_share": (0, 0.9),
    "contrast_share": (0, 0.9),
    "saturation_share": (0, 1),
    "hue_degrees": (0, 180),
    "temperature_share": (0, 0.9),
    "color_share": (0, 0.9),
    "brightening_alpha": (1, 4),
    "brightening_beta": (0, 255),
    "illumination_share": (0, 0.9),
    "gamma_exponent": (1, 4),
    "blur_sigma": (0, 4),
    "sharpening_k": (0, 4),
    "jpeg_quality": (1, 100),
}


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How the network is fitted.

    Attributes:
      epochs: number of epochs.
      steps_per_epoch: batches an epoch; None: one pass over the training tiles.
      validation_steps: batches of validation an epoch; None: every validation tile once.
      batch_size: tiles a step, over all devices together.
      loss: name of the loss in `models.losses`.
      optimizer: "adam" or "adamw".
      learning_rate: of the first step.
      schedule: "constant", or "cosine" (to zero at the last step of the last epoch).
      weight_decay: of adamw; adam has none.
      clipvalue: largest absolute value of a gradient's element; None: not clipped.
      early_stopping_patience: epochs without a better validation loss before training ends; 0: never.
      reduce_lr_patience: epochs without a better validation loss before the learning rate is reduced; 0: never.
        Only with the constant schedule.
      reduce_lr_factor: what the learning rate is multiplied by then.
      shuffle_buffer: records that are read and shuffled together; larger mixes better and takes more memory.
      previews: validation tiles drawn with their true and predicted contours after each epoch; 0: none.
      deterministic: the same config on the same machine gives the same bits, for some speed.
      seed: of weights, order of tiles, augmentation and dropout.
    """

    epochs: int = 30
    steps_per_epoch: int | None = None
    validation_steps: int | None = None
    batch_size: int = 8
    loss: str = "bce_dice"
    optimizer: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: float = 1e-2
    clipvalue: float | None = None
    early_stopping_patience: int = 0
    reduce_lr_patience: int = 0
    reduce_lr_factor: float = 0.4
    shuffle_buffer: int = 512
    previews: int = 6
    deterministic: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "shuffle_buffer"):
            _check(getattr(self, name) >= 1, f"train.{name}", getattr(self, name), "at least 1")
        for name in ("steps_per_epoch", "validation_steps"):
            value = getattr(self, name)
            _check(value is None or value >= 1, f"train.{name}", value, "at least 1, or none")
        _check_choice("train.optimizer", self.optimizer, ("adam", "adamw"))
        _check(self.learning_rate > 0, "train.learning_rate", self.learning_rate, "above 0")
        _check_choice("train.schedule", self.schedule, ("constant", "cosine"))
        _check(self.weight_decay >= 0, "train.weight_decay", self.weight_decay, "0 or more")
        _check(self.clipvalue is None or self.clipvalue > 0, "train.clipvalue", self.clipvalue, "above 0, or none")
        for name in ("early_stopping_patience", "reduce_lr_patience", "previews", "seed"):
            _check(getattr(self, name) >= 0, f"train.{name}", getattr(self, name), "0 or more")
        _check(
            self.reduce_lr_patience == 0 or self.schedule == "constant",
            "train.reduce_lr_patience",
            self.reduce_lr_patience,
            f"0 with train.schedule '{self.schedule}'",
        )
        _check(0 < self.reduce_lr_factor < 1, "train.reduce_lr_factor", self.reduce_lr_factor, "above 0 and below 1")


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
        _check(self.tile is None or self.tile >= 16, "segment.tile", self.tile, "at least 16, or none")
        _check(0 <= self.overlap < 1, "segment.overlap", self.overlap, "at least 0 and below 1")
        _check_choice("segment.window", self.window, get_args(Window))
        _check(self.tile_batch >= 1, "segment.tile_batch", self.tile_batch, "at least 1")


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
        _check(0 < self.threshold < 1, "evaluate.threshold", self.threshold, "above 0 and below 1")
        _check(self.bins >= 2, "evaluate.bins", self.bins, "at least 2")


@dataclasses.dataclass(frozen=True)
class Config:
    """All that a run depends on; written as `config.json` beside whatever it produced."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    segment: SegmentConfig = dataclasses.field(default_factory=SegmentConfig)
    evaluate: EvaluateConfig = dataclasses.field(default_factory=EvaluateConfig)

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
    _check(_is_a(value, field_type), field, value, f"of type {_type_name(field_type)}")
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


def _check(ok: bool, field: str, received: object, allowed: str) -> None:
    if not ok:
        raise InputError(f"{field} must be {allowed}; received {received!r}.")


def _check_choice(field: str, received: object, choices: tuple[str, ...]) -> None:
    _check(received in choices, field, received, f"one of {', '.join(choices)}")
