"""The configuration of a run: one frozen dataclass per section, which checks its own fields.

The sections `model`, `augment` and `train` have modules of their own beside this one.

Docstrings give each field's unit and range. A value out of range raises an `InputError` that names the field, the
received value and the allowed ones. Annotations are real types (no postponed evaluation) because the command line
parses its overrides by them.
"""

import dataclasses
import hashlib
import json
import math
import re
from typing import Literal, get_args

from configs.schema.augment import AugmentConfig
from configs.schema.checks import check, check_choice
from configs.schema.errors import InputError
from configs.schema.model import ModelConfig
from configs.schema.old_names import as_before
from configs.schema.train import TrainConfig

Window = Literal["uniform", "hann", "gaussian"]

MAX_CLASSES = 8  # a record stores the classes as the bits of one byte


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """How photographs become records.

    Attributes:
      classes: names of the lesion classes in the order of the mask's channels, 1 to 8.
      scale: factor by which all photographs are shrunk before they are cut into tiles, above 0 to 1. None: by
        `field_diameter`; becomes 1 if that is None as well.
      field_diameter: diameter of the circle of the field of view in the scaled photograph, pixels, at least 16: each
        photograph gets the scale that brings its own circle to this size, so that cameras of any resolution fit. Not
        together with `scale`.
      field_degrees: angle of view of a circle of this diameter, degrees, above 0 to 180. A photograph of another angle
        is scaled so that a degree has as many pixels.
      tile: side of a tile, pixels of the scaled photograph, at least 16.
      stride: distance between neighbouring tiles, pixels of the scaled photograph, 1 to `tile`.
      empty_per_nonempty: number of lesion-free tiles kept for each tile with a lesion, per photograph, 0 or more. A
        photograph without lesions counts as one tile with a lesion.
      validation_fraction: fraction of the training photographs set aside for validation, 0 to below 1.
      healthy_tiles: number of tiles kept of each photograph that is known to be healthy (`shard --healthy`), at least
        1. None: all tiles of which at least a quarter lies in the field of view.
      soft_labels: whether masks are soft labels, grey levels of 8 bits that are 255 times the probability of a lesion,
        and not lesion wherever they are not black. A pixel of at least half counts as lesion where that matters.
      colors: RRGGBB of each class, for sources with one coloured mask per photograph that holds all classes (paired
        folders only). Empty: one mask file per class.
      codec: format of the tiles' images. "png" is lossless and takes about 270 KB and 5 ms per tile of 512 pixels of
        IDRiD; "jpeg" (4:4:4, full chroma) takes about 40 KB and 3 ms at quality 95 and changes pixels by one or two
        grey levels. Masks are always PNG.
      jpeg_quality: quality of the codec "jpeg", 1 to 100.
      photographs_per_shard: number of photographs whose tiles are written to one TFRecord file, at least 1.
      max_pixels: photographs with more pixels than this are refused before they are decoded, at least 1.
      seed: seed of the splits and of the choice of lesion-free tiles, 0 or more.
    """

    classes: tuple[str, ...] = ("HE",)
    scale: float | None = None
    field_diameter: float | None = None
    field_degrees: float = 50.0
    tile: int = 512
    stride: int = 512
    empty_per_nonempty: float = 0.0
    validation_fraction: float = 0.2
    healthy_tiles: int | None = None
    soft_labels: bool = False
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
                isinstance(name, str) and name != "" and not set(name) & set("/\\ ,"),
                "data.classes",
                name,
                allowed="names without spaces, commas or slashes, such as ('HE','EX')",
            )
            check(
                name != "ignore" and not name.endswith("_ignore"),
                "data.classes",
                name,
                allowed="names that are not 'ignore' and do not end in '_ignore', which stand for regions to leave out",
            )
        if self.scale is None and self.field_diameter is None:
            object.__setattr__(self, "scale", 1.0)
        check_scaling("data.", scale=self.scale, field_diameter=self.field_diameter, field_degrees=self.field_degrees)
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
        check(
            self.healthy_tiles is None or self.healthy_tiles >= 1,
            "data.healthy_tiles",
            self.healthy_tiles,
            allowed="at least 1, or none",
        )
        check(
            not (self.soft_labels and self.colors),
            "data.soft_labels",
            self.soft_labels,
            allowed="False with data.colors, as colours are no levels",
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


def check_scaling(prefix: str, *, scale: float | None, field_diameter: float | None, field_degrees: float) -> None:
    """Checks the fields of `DataConfig` that say how photographs are scaled.

    Raises:
      InputError: both or none of `scale` and `field_diameter` are set, or a field is out of range; names of fields
        begin with `prefix`.
    """
    if scale is None and field_diameter is None:
        raise InputError(f"neither {prefix}scale nor {prefix}field_diameter is set; one of them is needed.")
    if scale is not None and field_diameter is not None:
        raise InputError(
            f"{prefix}scale is {scale:.4g} and {prefix}field_diameter is {field_diameter:g}; set one of them to None."
        )
    check(scale is None or 0 < scale <= 1, f"{prefix}scale", scale, allowed="above 0 and at most 1, or None")
    check(
        field_diameter is None or 16 <= field_diameter < math.inf,
        f"{prefix}field_diameter",
        field_diameter,
        allowed="at least 16, or None",
    )
    check(0 < field_degrees <= 180, f"{prefix}field_degrees", field_degrees, allowed="above 0 and at most 180")


@dataclasses.dataclass(frozen=True)
class SegmentConfig:
    """How a whole photograph is segmented.

    Attributes:
      tile: side of the tiles that the network sees, pixels of the scaled photograph, at least 16. None: `data.tile`.
      overlap: fraction of a tile's side that neighbouring tiles share, 0 to below 1.
      window: weights of a tile's pixels where tiles overlap: "uniform", "hann" or "gaussian".
      tile_batch: number of tiles that go through the network at once, at least 1.
      flips: number of orientations of each tile whose probability maps are averaged. 1: as it is; 4: also flipped
        horizontally, vertically, and both; 8: also these four transposed. The time grows in proportion.
      skip_background: skips tiles outside the field of view; the probability there is 0. Nothing changes inside the
        field of view.
      trim: where the scaled photograph is smaller than a tile, shrinks the tile to it, rounded up to a multiple of the
        network's stride, instead of padding with black. A large `tile` then covers a photograph in one piece.
      xla: whether XLA compiles the network: "on", "off" or "auto" (never on a CPU; on a GPU if a trial run is faster).
        XLA needs tiles of one shape and cannot be combined with `trim`.
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
    """How probability maps are compared with masks.

    Attributes:
      threshold: probability at and above which a pixel counts as lesion, between 0 and 1. It becomes the model's
        operating threshold of every class, unless training had --source: then the validation photographs determine one
        for each class.
      bins: number of equal bins of the probability histograms behind the precision-recall curve, at least 2; the outer
        ones are divided further (`pipeline/evaluation/probability_bins.py`). From 1,024 on, results agree with the
        exact computation to a few thousandths (`pipeline/evaluation/scores.py`). Multiples of 160 have k/10 and k/32
        among their edges.
    """

    threshold: float = 0.5
    bins: int = 1280

    def __post_init__(self) -> None:
        check(0 < self.threshold < 1, "evaluate.threshold", self.threshold, allowed="above 0 and below 1")
        check(self.bins >= 2, "evaluate.bins", self.bins, allowed="at least 2")


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of a run, saved as `config.json` beside what it produced."""

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
        """Returns 16 hexadecimal digits that depend only on the values of the named sections, or of all sections."""
        # Computed from the fields as they first were, so that a new or renamed field does not invalidate results.
        chosen = {
            name: as_before(name, dataclasses.asdict(getattr(self, name))) for name in sections or _section_names()
        }
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Returns the content of `config.json`, which `configs.loading.load_config` reads back."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def _section_names() -> list[str]:
    return [field.name for field in dataclasses.fields(Config)]
