"""The entry of a photograph, `pseudolabels/CASE.json`: what it was labelled from, what the labels show, which files."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from configs import InputError
from pipeline.labelling.labels import ClassSummary
from records import sha256_of, write_text

SCHEMA_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Entry:
    """The entry of a photograph.

    Attributes:
      files: all files of the photograph but the entry, relative to the folder: for masks the sha256 of what was
        written, and empty text for those that were not; for all others empty text.
      finished: whether they are complete.
      photograph: path of the photograph that was labelled.
      sha256: digest of its file.
      perceptual_hash: hash of what it looks like.
      height: its height, pixels.
      width: its width.
      absent: classes that it is known to be free of.
      classes: what the labels show, by class.
      scales: the factor by which each model scaled it.
      warnings: what does not suit the models about it.
    """

    files: Mapping[str, str]
    finished: bool = False
    photograph: str = ""
    sha256: str = ""
    perceptual_hash: str = ""
    height: int = 0
    width: int = 0
    absent: tuple[str, ...] = ()
    classes: Mapping[str, ClassSummary] = dataclasses.field(default_factory=dict)
    scales: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()

    def corrected(self, folder: Path) -> bool:
        """Returns whether a mask differs from what was written, or is gone or new."""
        masks = {name for name in self.files if name.startswith("masks/")}
        return any(_digest(folder / name) != self.files[name] for name in masks)


def write_entry(path: Path, entry: Entry) -> None:
    """Writes an entry, whole or not at all."""
    classes = {
        name: {**summary._asdict(), "unknown_fraction": round(summary.unknown_pixels / (entry.height * entry.width), 6)}
        for name, summary in entry.classes.items()
    }
    content = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(entry), "classes": classes}
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_entry(path: Path) -> Entry:
    """Reads an entry.

    Raises:
      InputError: the file is damaged, or of another schema version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("schema_version") == SCHEMA_VERSION:
            tuples = {name: tuple(content[name]) for name in ("absent", "scales", "warnings")}
            classes = {
                name: ClassSummary(**{field: one[field] for field in ClassSummary._fields})
                for name, one in content["classes"].items()
            }
            return Entry(**{**content, **tuples, "classes": classes})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise InputError(
        f"{path}: damaged, or written by another version of pseudolabel; remove it with the files of its photograph, "
        "and start again."
    )


def _digest(path: Path) -> str:
    """Returns the sha256 of a file; empty text if there is none."""
    try:
        return sha256_of(path)
    except FileNotFoundError:
        return ""
