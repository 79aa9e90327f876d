"""What the graph depends on besides the network: geometry, classes, thresholds, and where they come from."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from configs import Config, DataConfig, EvaluateConfig
from pipeline.operating_point import OperatingPoint
from records import (
    UNKNOWN_CAMERA,
    Camera,
    PhotographIdentity,
    ScaleRule,
    SeenPhotographs,
    anonymous,
    anonymous_identity,
    salts_in,
)


@dataclasses.dataclass(frozen=True)
class SegmenterSpec:
    """Everything that the graph depends on besides the network; the content of a model folder's `segmenter.json`.

    Attributes:
      classes: names of the channels of the probability map.
      scale: factor by which all photographs are shrunk first; None if there is a `field_diameter`.
      tile: side of the tiles, pixels of the scaled photograph.
      overlap: fraction of a tile that it has in common with its neighbour.
      window: how a tile's pixels are weighted where tiles overlap, a name of `records.grid.window`.
      tile_batch: number of tiles that go through the network at once.
      thresholds: operating threshold of each class.
      splits: names of the cases that the network was trained and validated on and is to be tested on, by split.
      records_fingerprint: fingerprint of the records that the network was trained on.
      config_fingerprint: fingerprint of the whole config.
      colors: colours of the classes if the source has one coloured mask per photograph, else empty; see `DataConfig`.
      flips, skip_background, trim, xla: see `SegmentConfig`. The defaults are what a `segmenter.json` means that was
        written before these fields existed.
      threshold_source: "validation" if the thresholds are the best ones on the validation photographs; "held out" if
        they were chosen on photographs scored by networks that had not seen them (`pipeline.evaluation.calibration`);
        "config" if the config gives them; "members" if they are the means of the thresholds of an ensemble's members;
        "unknown" if the file does not say.
      bins: number of equal bins over 0..1 of the histograms that eval counts into.
      seen_before: names of the photographs that the initial weights and the teacher were trained on.
      calibrated_on: names of the photographs that thresholds and calibration were chosen on, if "held out".
      quality: quantiles of measures of the training photographs, see `pipeline.inference.suitability`; empty if they
        were never measured.
      min_areas: least area of a detection of each class, pixels at the network's scale, 0: every region is a detection;
        empty: so it is for all classes.
      max_pixels: photographs with more pixels are refused before they are decoded.
      field_diameter, field_degrees: how each photograph gets a scale of its own, see `DataConfig`.
      photographs: what the photographs are recognised by that the model has seen, by the names of `uses`; empty if the
        folder was written before this field existed.
      members: fingerprints of the model folders that an ensemble was made of; empty for a model of its own.
    """

    classes: tuple[str, ...]
    scale: float | None
    tile: int
    overlap: float
    window: str
    tile_batch: int
    thresholds: tuple[float, ...]
    splits: Mapping[str, Sequence[str]]
    records_fingerprint: str
    config_fingerprint: str
    colors: tuple[str, ...] = ()
    flips: int = 1
    skip_background: bool = False
    trim: bool = False
    xla: str = "auto"
    threshold_source: str = "config"
    bins: int = EvaluateConfig().bins
    seen_before: tuple[str, ...] = ()
    calibrated_on: tuple[str, ...] = ()
    quality: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    field_diameter: float | None = None
    field_degrees: float = DataConfig().field_degrees
    photographs: Mapping[str, Sequence[PhotographIdentity]] = dataclasses.field(default_factory=dict)
    max_pixels: int = DataConfig().max_pixels
    min_areas: tuple[float, ...] = ()
    members: tuple[str, ...] = ()

    @classmethod
    def from_config(
        cls, config: Config, splits: Mapping[str, Sequence[str]], thresholds: tuple[float, ...] | None = None
    ) -> "SegmenterSpec":
        """Returns the spec that a config describes.

        Args:
          config: the config of a training.
          splits: names of the cases by split.
          thresholds: thresholds found on the validation photographs; None: the config's threshold for every class.
        """
        return cls(
            classes=config.data.classes,
            scale=config.data.scale,
            tile=config.segment.tile or config.data.tile,
            overlap=config.segment.overlap,
            window=config.segment.window,
            tile_batch=config.segment.tile_batch,
            thresholds=thresholds or (config.evaluate.threshold,) * len(config.data.classes),
            splits=splits,
            records_fingerprint=config.fingerprint("data"),
            config_fingerprint=config.fingerprint(),
            colors=config.data.colors,
            flips=config.segment.flips,
            skip_background=config.segment.skip_background,
            trim=config.segment.trim,
            xla=config.segment.xla,
            threshold_source="validation" if thresholds else "config",
            bins=config.evaluate.bins,
            field_diameter=config.data.field_diameter,
            field_degrees=config.data.field_degrees,
            max_pixels=config.data.max_pixels,
        )

    @property
    def operating_point(self) -> OperatingPoint:
        """What the model counts as a detection."""
        return OperatingPoint(self.thresholds, min_areas=self.min_areas)

    @property
    def uses(self) -> dict[str, Sequence[str]]:
        """Names of the photographs that the model has seen, by what they were used for."""
        return {
            "train": self.splits.get("train", ()),
            "validation": self.splits.get("validation", ()),
            "seen_before": self.seen_before,
            "calibrated_on": self.calibrated_on,
        }

    @property
    def seen(self) -> SeenPhotographs:
        """The photographs that the model, or its initial weights, were trained on."""
        return self._seen("seen_before", "train")

    @property
    def chosen_on(self) -> SeenPhotographs:
        """The photographs that its weights, thresholds or calibration were chosen on."""
        return self._seen("validation", "calibrated_on")

    def _seen(self, *uses: str) -> SeenPhotographs:
        return SeenPhotographs(
            tuple(name for use in uses for name in self.uses[use]),
            tuple(one for use in uses for one in self.photographs.get(use, ())),
        )

    @property
    def salts(self) -> set[str]:
        """Salts of the digests that stand for names of photographs; empty unless some are anonymous."""
        listed = [name for names in (*self.splits.values(), self.seen_before, self.calibrated_on) for name in names]
        return salts_in([*listed, *(one.case for known in self.photographs.values() for one in known)])

    def anonymized(self, salt: str) -> "SegmenterSpec":
        """Returns the spec with salted digests of names and files; what photographs look like is left out."""
        return self._renamed(lambda name: anonymous(name, salt), lambda one: anonymous_identity(one, salt))

    def as_anonymous_as(self, other: "SegmenterSpec") -> "SegmenterSpec":
        """Returns the spec, anonymized if another one's own photographs are, those of its splits."""
        salts = salts_in(name for names in other.splits.values() for name in names)
        return self.anonymized(min(salts)) if salts else self

    def recognizing(self, names: Iterable[str], sha256s: Iterable[str] = ()) -> "SegmenterSpec":
        """Returns the spec with plain names and files in place of their digests, as far as they are given.

        Args:
          names: names of photographs at hand.
          sha256s: digests of their files.
        """
        salts = self.salts
        known = {anonymous(text, salt): text for text in (*names, *sha256s) for salt in salts}

        def identify(one: PhotographIdentity) -> PhotographIdentity:
            case, sha256 = (known.get(text, text) for text in (one.case, one.sha256))
            return dataclasses.replace(one, case=case, sha256=sha256)

        return self._renamed(lambda name: known.get(name, name), identify) if known else self

    def _renamed(
        self, rename: Callable[[str], str], identify: Callable[[PhotographIdentity], PhotographIdentity]
    ) -> "SegmenterSpec":
        """Returns the spec with other names, in alphabetical order: that of digests must not tell that of names."""
        return dataclasses.replace(
            self,
            splits={split: sorted(map(rename, names)) for split, names in self.splits.items()},
            seen_before=tuple(sorted(map(rename, self.seen_before))),
            calibrated_on=tuple(sorted(map(rename, self.calibrated_on))),
            photographs={
                use: tuple(sorted(map(identify, known), key=lambda one: one.case))
                for use, known in self.photographs.items()
            },
        )

    def data(self) -> DataConfig:
        """Returns what is known of the data: how photographs and masks of the model's classes are read."""
        return DataConfig(classes=self.classes, colors=self.colors, max_pixels=self.max_pixels)

    def rule(self, camera: Camera = UNKNOWN_CAMERA) -> ScaleRule:
        """Returns how photographs are scaled; if the scale is fixed, that of the camera takes its place."""
        scale = self.scale if self.field_diameter is not None else camera.scale or self.scale
        return ScaleRule(scale, self.field_diameter, self.field_degrees, camera)

    def of_classes(self, names: Sequence[str]) -> "SegmenterSpec":
        """Returns the spec of some of the classes, in the given order."""
        indices = [self.classes.index(name) for name in names]
        return dataclasses.replace(
            self,
            classes=tuple(names),
            thresholds=tuple(self.thresholds[index] for index in indices),
            colors=tuple(self.colors[index] for index in indices) if self.colors else (),
            min_areas=tuple(self.min_areas[index] for index in indices) if self.min_areas else (),
        )
