"""What a person corrects, saved as a source of paired folders that `shard` reads.

A photograph's masks, and what is to be ignored, are one file per class. `labels.csv` says which classes are complete:
all others are unknown in that photograph. `corrections/NAME.json` says who saved when, and `corrections/NAME_model.npz`
keeps the map of the model as it was. All files of a save are replaced together.
"""

import contextlib
import dataclasses
import datetime
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError
from pipeline.viewer.library import Viewed
from records import (
    CORRECTIONS,
    IMAGE_SUFFIXES,
    LABELS,
    PSEUDOLABELS,
    Replacement,
    check_name,
    complete_file,
    finish_replacement,
    image_files,
    match_rows,
    read_mask,
    read_table,
    replaced_together,
    sha256_of,
    split_names,
    sweep_temporaries,
    write_png,
    write_table,
    write_text,
)

SCHEMA_VERSION = 1
COLUMNS = ("case", "labelled", "absent")
LONGEST_NAME = 80  # characters of who saved


@dataclasses.dataclass(frozen=True)
class Drawn:
    """The labels of a photograph as the page holds them; bit c is class c.

    Attributes:
      lesion: uint8 `[H, W]`.
      ignored: uint8 `[H, W]`, where a class is unknown.
      complete: the classes of which all lesions are drawn.
    """

    lesion: np.ndarray
    ignored: np.ndarray
    complete: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Sidecar:
    """The content of `corrections/NAME.json`.

    Attributes:
      revision: number of times that it was saved; 0: never.
      by: who saved.
      saved: when, in UTC.
      complete: the classes that are complete.
      sha256: digest of the photograph's file.
      model: fingerprint of the model that made the map beside it.
      started_from: thresholds and least areas of the detections that were corrected.
    """

    revision: int = 0
    by: str = ""
    saved: str = ""
    complete: tuple[str, ...] = ()
    sha256: str = ""
    model: str = ""
    started_from: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class ConflictError(Exception):
    """Raised when somebody else has saved since; `args[0]` is what is there."""


class Corrections:
    """The source that corrections are saved in.

    Attributes:
      output: its folder.
      classes: names of the classes.
      model: fingerprint of the model of the maps that are kept.
    """

    def __init__(self, output: Path, classes: tuple[str, ...], *, max_pixels: int, model: str):
        """Opens a source, or describes a new one.

        Args:
          output: the folder, which exists.
          classes: names of the classes.
          max_pixels: masks with more pixels are refused.
          model: fingerprint of the model.

        Raises:
          InputError: the folder holds something, but no such source, or what an interrupted save left is damaged.
        """
        self.output, self.classes, self.model, self._max_pixels = output, classes, model, max_pixels
        self._saving = threading.Lock()
        _refuse_other_layouts(output)
        for folder in [output, *output.glob("*/"), *output.glob("masks/*/")]:
            sweep_temporaries(folder)
        finish_replacement(output)

    @contextlib.contextmanager
    def unchanged(self) -> Iterator[None]:
        """Saves nothing while the block runs."""
        with self._saving:
            yield

    def usable(self) -> list[str]:
        """Returns the photographs that were corrected and in which some class is complete.

        Raises:
          InputError: a sidecar is damaged.
        """
        names = sorted(path.stem for path in (self.output / CORRECTIONS).glob("*.json"))
        return [name for name in names if self.sidecar(name).complete]

    def sidecar(self, name: str) -> Sidecar:
        """Returns who saved a photograph last and when; revision 0 if nobody has.

        Raises:
          InputError: the file is damaged.
        """
        path = self._sidecar(name)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("schema_version") == SCHEMA_VERSION:
                return Sidecar(**{**content, "complete": tuple(content["complete"])})
        except FileNotFoundError:
            return Sidecar()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        raise InputError(f"{path}: damaged, or written by another version of view; move it away.")

    def another(self, case: Viewed) -> Path | None:
        """Returns the photograph of the folder that has a photograph's name and is not it; None if there is none."""
        images = self.output / "images"
        there = image_files(images).get(case.name) if images.is_dir() else None
        if there is None or there.samefile(case.path) or sha256_of(there) == sha256_of(case.path):
            return None
        return there

    def is_corrected(self, case: Viewed) -> bool:
        """Returns whether corrections of this photograph are saved, and not of another of its name.

        Raises:
          InputError: the sidecar is damaged.
        """
        return bool(self.sidecar(case.name).revision) and self.another(case) is None

    def refuse_another(self, case: Viewed) -> None:
        """Raises an InputError if what the folder has under a photograph's name is of another photograph."""
        if there := self.another(case):
            raise InputError(f"{there}: is another photograph of the same name; rename one of them.")

    def is_there(self, name: str) -> bool:
        """Returns whether a photograph has masks here, corrected or made by something else."""
        return any(self._mask(one, name).exists() for one in self.classes)

    def read(self, name: str, size: tuple[int, int]) -> Drawn | None:
        """Reads the labels of a photograph of this size, (H, W); None if it has none here.

        Raises:
          InputError: a file is damaged, or has another size.
        """
        if not self.is_there(name):
            return None
        lesion, ignored = (
            self._read_bits([self._mask(f"{one}{end}", name) for one in self.classes], size) for end in ("", "_ignore")
        )
        return Drawn(lesion, ignored, self._complete(name))

    def save(
        self,
        case: Viewed,
        drawn: Drawn,
        *,
        revision: int,
        by: str,
        levels: np.ndarray,
        started_from: Mapping[str, Any],
    ) -> Sidecar:
        """Saves the labels of a photograph.

        Args:
          case: the photograph.
          drawn: its labels.
          revision: that of the sidecar that they were made from.
          by: who saves.
          levels: the map of the model, uint8 `[C, h, w]`.
          started_from: thresholds and least areas of the detections that were corrected.

        Returns:
          The new sidecar.

        Raises:
          ConflictError: somebody else has saved since `revision`.
          InputError: no files can be called by the photograph's name, or the folder has another photograph of its name.
          OSError: a file, which the error names, could not be written.
        """
        with self._saving:
            before = self.sidecar(case.name)
            if before.revision != revision:
                raise ConflictError(before)
            check_name(case.name, (f"{one}_ignore" for one in self.classes), path=case.path)
            for folder in ("images", CORRECTIONS, *(f"masks/{one}" for one in self.classes)):
                (self.output / folder).mkdir(parents=True, exist_ok=True)
            with replaced_together(self.output) as files:
                sha256 = self._place(case, files)
                self._keep_map(case.name, levels, files)
                self._write_masks(case.name, drawn, files)
                self._write_table(case.name, drawn, files)
                now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                after = Sidecar(
                    revision + 1,
                    " ".join(by.split())[:LONGEST_NAME],
                    now,
                    drawn.complete,
                    sha256,
                    before.model or self.model,
                    before.started_from or started_from,
                )
                content = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(after)}
                text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
                write_text(files.new(self._sidecar(case.name)), text)
            return after

    def _place(self, case: Viewed, files: Replacement) -> str:
        """Copies a photograph to the others, unless it is there, and returns its digest."""
        self.refuse_another(case)
        if case.name not in image_files(self.output / "images"):
            suffix = case.path.suffix if case.path.suffix.lower() in IMAGE_SUFFIXES else ""
            with complete_file(files.new(self.output / "images" / f"{case.name}{suffix}")) as temporary:
                shutil.copyfile(case.path, temporary)
        return sha256_of(case.path)

    def _keep_map(self, name: str, levels: np.ndarray, files: Replacement) -> None:
        """Writes the model's map, once."""
        path = self.output / CORRECTIONS / f"{name}_model.npz"
        if not path.exists():
            with complete_file(files.new(path)) as temporary:
                np.savez_compressed(temporary, levels=np.moveaxis(levels, 0, -1), classes=np.array(self.classes))

    def _write_masks(self, name: str, drawn: Drawn, files: Replacement) -> None:
        for bit, one in enumerate(self.classes):
            write_png(files.new(self._mask(one, name)), _plane(drawn.lesion, bit))
            ignored, path = _plane(drawn.ignored, bit), self._mask(f"{one}_ignore", name)
            if ignored.any():
                write_png(files.new(path), ignored)
            else:
                files.remove(path)

    def _write_table(self, name: str, drawn: Drawn, files: Replacement) -> None:
        """Writes `labels.csv`, in which every photograph of the folder needs a row; those of others stay."""
        rows = self._rows()
        rows.setdefault(name, ("", ""))
        for other in image_files(self.output / "images"):
            there = [one for one in self.classes if self._mask(one, other).exists()]
            rows.setdefault(other, (" ".join(there), ""))
        with_lesions = {one for bit, one in enumerate(self.classes) if (drawn.lesion >> bit & 1).any()}
        absent = [one for one in split_names(rows[name][1]) if one not in with_lesions]
        # Classes of which the model knows nothing stay as they are.
        further = [one for one in split_names(rows[name][0]) if one not in self.classes]
        rows[name] = (" ".join([*drawn.complete, *further]), " ".join(absent))
        table = [COLUMNS, *((other, *row) for other, row in sorted(rows.items()))]
        write_table(files.new(self.output / LABELS), table)

    def _rows(self) -> dict[str, tuple[str, str]]:
        """Returns the columns labelled and absent of `labels.csv`, by case; {} if there is no table."""
        path = self.output / LABELS
        if not path.exists():
            return {}
        there = read_table(path, COLUMNS[:2], flag="--output", optional=COLUMNS[2:])
        images = self.output / "images"
        names = image_files(images) if images.is_dir() else {}
        matched = match_rows(there, names, where=f"--output={path}", what="list of classes") if names else None
        return {case: (labelled, absent) for case, (labelled, absent) in matched.values.items()} if matched else {}

    def _complete(self, name: str) -> tuple[str, ...]:
        """Returns the classes that are complete: by the table, or, without one, those that have a mask."""
        rows = self._rows()
        if not rows:
            return tuple(one for one in self.classes if self._mask(one, name).exists())
        labelled = split_names(rows.get(name, ("", ""))[0])
        return tuple(one for one in self.classes if one in labelled)

    def _read_bits(self, paths: list[Path], size: tuple[int, int]) -> np.ndarray:
        bits = np.zeros(size, np.uint8)
        for bit, path in enumerate(paths):
            if path.exists():
                mask = read_mask(path, max_pixels=self._max_pixels)
                if mask.shape != size:
                    raise InputError(f"{path}: {mask.shape[1]}x{mask.shape[0]} pixels, but not its photograph.")
                bits |= mask.astype(np.uint8) << bit
        return bits

    def _mask(self, folder: str, name: str) -> Path:
        return self.output / "masks" / folder / f"{name}.png"

    def _sidecar(self, name: str) -> Path:
        return self.output / CORRECTIONS / f"{name}.json"


def masks_of(bits: np.ndarray, classes: int) -> np.ndarray:
    """Returns bits, uint8 `[H, W]`, as masks, bool `[H, W, C]`; each class is contiguous in memory."""
    return np.moveaxis(np.stack([bits >> bit & 1 for bit in range(classes)]).astype(bool), 0, -1)


def _plane(bits: np.ndarray, bit: int) -> np.ndarray:
    return (bits >> bit & 1) * np.uint8(255)


def _refuse_other_layouts(output: Path) -> None:
    visible = [path for path in output.iterdir() if not path.name.startswith(".")]
    masks = output / "masks"
    flat = masks.is_dir() and any(path.is_file() and not path.name.startswith(".") for path in masks.iterdir())
    if flat or (visible and not (output / "images").is_dir()):
        raise InputError(
            f"--output={output}: expected an empty folder, or one with images/NAME.jpg and masks/CLASS/NAME.png."
        )
    if _is_soft(output / PSEUDOLABELS):
        raise InputError(
            f"--output={output}: its masks hold probabilities (pseudolabel --soft), which cannot be corrected; label "
            "the photographs into another folder without --soft."
        )


def _is_soft(state: Path) -> bool:
    try:
        return bool(json.loads(state.read_text(encoding="utf-8"))["settings"]["soft"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False  # pseudolabel has not written it, or refuses it itself
