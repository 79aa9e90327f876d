"""What every format is read to: photographs, each with annotations that paint masks."""

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from configs import InputError

UNCLASSIFIED = "Unclassified"  # class of regions that have none, as QuPath calls it; written only when it is asked for
# Labels of regions where a class, or all of them, are unknown. QuPath's own class is called "Ignore*".
IGNORE = re.compile(r"(?:(?P<name>.+)_)?ignore\*?", re.IGNORECASE)
# Names of folders, and parts of file names, that say in which split photographs are.
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


class Shape(Protocol):
    """A region of a photograph. Pixel (x, y) covers the square from (x, y) to (x + 1, y + 1)."""

    def paint(self, mask: np.ndarray) -> bool:
        """Sets the region's pixels in bool `[H, W]`, and returns whether it has any.

        Raises:
          InputError: the shape is damaged, or does not suit the photograph's size.
        """


class Canvas:
    """The masks of one photograph while they are painted.

    Attributes:
      masks: bool `[H, W]` by the names under which classes are written.
      empty: regions that cover no pixel, as messages name them.
    """

    def __init__(self, size: tuple[int, int], classes: Mapping[str, str]):
        """Begins with black masks of `size`, (H, W); `classes` are the new names of the classes that are wanted."""
        self.size = size
        self.masks = {name: np.zeros(size, bool) for name in classes.values()}
        self.empty: list[str] = []
        self._classes = classes

    def mask(self, name: str) -> np.ndarray | None:
        """Returns the mask to which a class of the annotations belongs, or None if it is not wanted."""
        return self.masks[self._classes[name]] if name in self._classes else None


class Annotation(Protocol):
    """Something that paints pixels of one or several classes."""

    def paint(self, canvas: Canvas) -> None:
        """Adds its pixels to the masks of a canvas; raises an InputError if it is damaged."""


@dataclasses.dataclass(frozen=True)
class Region:
    """One annotated region.

    Attributes:
      name: its class.
      shape: its pixels.
      origin: what messages call it, such as "annotation 17".
    """

    name: str
    shape: Shape
    origin: str

    def paint(self, canvas: Canvas) -> None:
        """Adds its pixels to the mask of its class."""
        mask = canvas.mask(self.name)
        if mask is None:
            return
        try:
            if not self.shape.paint(mask):
                canvas.empty.append(self.origin)
        except InputError as error:
            raise InputError(f"{self.origin}: {error}") from error


@dataclasses.dataclass(frozen=True)
class AnnotatedPhotograph:
    """A photograph and its annotations.

    Attributes:
      path: path by which the annotations name it; its case gets the last part's stem, see `case_names`.
      photograph: its file, or the content of one.
      annotations: what paints its masks.
      origin: the file of its annotations, for messages.
      size: (H, W) of the photograph according to its annotations, or None.
      split: "train", "validation", "test", or None.
      known: the classes that were looked for, or None for all.
    """

    path: PurePosixPath
    photograph: Path | bytes
    annotations: Sequence[Annotation]
    origin: str
    size: tuple[int, int] | None = None
    split: str | None = None
    known: frozenset[str] | None = None


@dataclasses.dataclass
class AnnotatedSet:
    """All that was read from a source.

    Attributes:
      classes: names of the classes, in the order of the source, and labels of regions that are left out.
      photographs: the photographs.
      failures: what cannot be used because it is damaged or missing, a line each.
      notes: what was left out for another reason, a line each.
      used: the files that were read, and those that a line names.
    """

    classes: list[str] = dataclasses.field(default_factory=list)
    photographs: list[AnnotatedPhotograph] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    used: set[Path] = dataclasses.field(default_factory=set)

    @property
    def lesion_classes(self) -> list[str]:
        """The classes without the labels of regions that are left out; a class of which there are only such is one."""
        names = [name if (of := ignored_class(name)) is None else of for name in self.classes]
        return [name for name in dict.fromkeys(names) if name]

    def add_classes(self, names: Sequence[str]) -> None:
        """Appends the classes that are not listed yet."""
        self.classes += [name for name in dict.fromkeys(names) if name not in self.classes]


def ignored_class(label: str) -> str | None:
    """Returns the class whose regions a label says to leave out, "" for all classes; None if it is a class itself."""
    match = IGNORE.fullmatch(label)
    return match and (match["name"] or "")


def split_of_path(path: PurePosixPath | Path) -> str | None:
    """Returns the split that the first folder of a relative path names, or None."""
    return SPLITS.get(path.parts[0].lower()) if len(path.parts) > 1 else None


def case_names(paths: Sequence[PurePosixPath]) -> list[str]:
    """Returns a name for each photograph: its stem, after the names of its folders where two stems are equal."""
    number = Counter(path.stem for path in paths)
    folders = [[part for part in path.parent.parts if part not in ("/", "..")] for path in paths]
    return [
        path.stem if number[path.stem] == 1 else "_".join((*above, path.stem))
        for path, above in zip(paths, folders, strict=True)
    ]
