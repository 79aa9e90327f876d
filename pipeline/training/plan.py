"""The plan of a training: all that is decided before its first step."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from configs import Config, InputError
from models import build_metrics
from pipeline.inference import SEGMENTER_FILE
from pipeline.input import Cache, RecordSet
from pipeline.training.callbacks import choose_previews
from pipeline.training.checkpoints import Checkpoint
from records import SPLITS, Case, ScaleRule, SeenPhotographs


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a training will do.

    Attributes:
      config: all settings.
      workdir: the folder where everything is written.
      salt: salt of the digests that stand for names in what is written; None: the names are written.
      tiles: number of tiles in the records, by split.
      parameters: number of the network's parameters.
      stride: the network's stride, pixels.
      cases: validation photographs that are scored whole; empty without sources.
      previewed: names of the validation photographs that are drawn after each epoch.
      thresholds: operating thresholds of the classes before validation photographs choose any: those of the initial
        model if its classes are the same, else the config's.
      monitor: column of `history.csv` that chooses the epoch whose weights are kept; None to keep the last epoch's.
      cache: how tiles are kept in memory, see `pipeline.input.reading.TileReader`.
      teacher: fingerprint of `train.teacher`, None without one.
      seen_before: the photographs that other models were trained on from which this one learns: that of the initial
        weights, the teacher, and those that labelled photographs of the records.
      quality_before: quantiles of measures of the photographs that the initial model was trained on; empty without one.
      start: checkpoint from which the training continues; None to start from the beginning.
      messages: lines that tell the user about devices, precision, XLA, cache, initial weights and teacher.
      warnings: lines that tell the user what scores will not say, one each.
    """

    config: Config
    workdir: Path
    salt: str | None
    tiles: dict[str, int]
    parameters: int
    stride: int
    cases: tuple[Case, ...]
    previewed: tuple[str, ...]
    thresholds: tuple[float, ...]
    monitor: str | None
    cache: Cache
    teacher: str | None
    seen_before: SeenPhotographs
    quality_before: Mapping[str, Sequence[float]]
    start: Checkpoint | None
    messages: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Number of batches of an epoch."""
        train = self.config.train
        return train.steps_per_epoch or self.tiles["train"] // train.batch_size

    @property
    def validation_steps(self) -> int:
        """Number of batches of a validation, the last of which may be padded; 0 without validation tiles."""
        train = self.config.train
        batches = math.ceil(self.tiles["validation"] / train.batch_size)
        return batches if train.validation_steps is None else min(batches, train.validation_steps)

    @property
    def first_step(self) -> int:
        """The step where the training starts or continues, counted over all epochs."""
        return 0 if self.start is None else self.start.epoch * self.steps + self.start.step

    @property
    def model_folder(self) -> Path:
        """The folder where the trained model is written."""
        return self.workdir / "model"

    @property
    def finished(self) -> bool:
        """Whether an earlier start has already done everything."""
        return self.start is not None and self.start.ended and (self.model_folder / SEGMENTER_FILE).exists()

    def lines(self) -> list[str]:
        """Returns the plan as text for the user."""
        train, data = self.config.train, self.config.data
        photographs = f", and {len(self.cases)} whole photographs" if self.cases else ""
        limit = "" if train.max_minutes is None else f" or {train.max_minutes:g} minutes"
        kept = f"the weights with the best {self.monitor} are kept" if self.monitor else "the last weights are kept"
        lines = [
            f"network {self.config.model.network}: {self.parameters:,} parameters, stride {self.stride}; "
            f"classes {', '.join(data.classes)}; loss {train.loss}, {train.optimizer}",
            f"{self.tiles['train']} training tiles of {data.tile} pixels at {ScaleRule.of(data)}, "
            f"{self.tiles['validation']} for validation ({self.validation_steps} batches){photographs}",
            *self.messages,
        ]
        if self.start is not None:
            lines.append(f"continues after epoch {self.start.epoch} and {self.start.step} steps")
        lines.append(
            f"{train.epochs} epochs of {self.steps} steps{limit}, {train.batch_size} tiles per step; {kept} → "
            f"{self.workdir}"
        )
        return lines


def count_tiles(sets: Sequence[RecordSet]) -> dict[str, int]:
    """Returns the number of tiles of all sets together, by split."""
    return {name: sum(one.index.splits[name].records for one in sets if name in one.index.splits) for name in SPLITS}


def describe_known(sets: Sequence[RecordSet]) -> list[str]:
    """Returns a line that says in how many training photographs each class is known; none if all are, throughout."""
    if all(one.known_throughout for one in sets):
        return []
    entries = [one.index.cases[name] for one in sets for name in one.cases("train")]
    known = [f"{name} {sum(name in entry.known for entry in entries)}" for name in sets[0].classes]
    in_parts = sum(any(name in entry.known for name in entry.unknown_pixels) for entry in entries)
    regions = f"; regions are left out in {in_parts}" if in_parts else ""
    return [f"of {len(entries)} training photographs the classes are known in: {', '.join(known)}{regions}"]


def choose_monitor(config: Config, *, tiles: bool, photographs: bool) -> str | None:
    """Returns the quantity that chooses the best epoch: `train.monitor`, or for "auto" the best one that there is.

    Args:
      config: all settings.
      tiles: whether there are validation tiles.
      photographs: whether whole validation photographs are scored.

    Raises:
      InputError: `train.monitor` is not a quantity of this training.
    """
    train, classes = config.train, config.data.classes
    if train.monitor == "auto":
        return "val_photo_aupr" if photographs else "val_loss" if tiles else None
    known = ["loss", *(metric.name for metric in build_metrics(train.metrics, classes))]
    if tiles:
        known += [f"val_{name}" for name in known]
    if photographs:
        suffixes = ["", *(f"_{name}" for name in classes)] if len(classes) > 1 else [""]
        known += [f"val_photo_{score}{suffix}" for score in ("aupr", "dice") for suffix in suffixes]
    if train.monitor not in known:
        hint = "" if photographs else "; val_photo_aupr and others need --source"
        raise InputError(f"train.monitor must be auto or one of {', '.join(known)}; received {train.monitor!r}{hint}.")
    return train.monitor


def choose_previewed(config: Config, sets: Sequence[RecordSet], *, only_with_tiles: bool) -> list[str]:
    """Returns the names of the validation photographs that are drawn.

    Args:
      config: all settings.
      sets: the sets of records.
      only_with_tiles: leave out photographs that have no tiles.

    Raises:
      InputError: `train.preview_cases` names others.
    """
    lesion_pixels = {
        name: sum(entry.lesion_pixels.values())
        for one in sets
        for name, entry in one.index.cases.items()
        if entry.split == "validation" and (entry.tiles or not only_with_tiles)
    }
    if not config.train.previews or not lesion_pixels:
        return []
    return choose_previews(lesion_pixels, config.train.previews, config.train.preview_cases)
