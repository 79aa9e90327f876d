"""The files of a source: which there are, and which photograph a name in an annotation means."""

import difflib
import itertools
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from configs import InputError

NO_PHOTOGRAPHS = (".json", ".geojson", ".txt", ".xml", ".csv")
IGNORED = ("thumbs.db", "desktop.ini")


def files_below(folder: Path, *, most: int | None = None) -> list[Path]:
    """Returns all files below a folder, or the first ones, without hidden ones and what Windows leaves behind."""
    return list(itertools.islice(_walk(folder), most))


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower() not in IGNORED:
                yield Path(parent) / name


def folder_of(source: Path) -> Path:
    """Returns the source, or if it is a file the folder in which it lies."""
    return source.parent if source.is_file() else source


def name_in_annotation(text: str) -> PurePosixPath:
    """Returns the path that an annotation names, which may have been written on Windows."""
    return PurePosixPath(text.replace("\\", "/"))


class PhotographFinder:
    """Finds photographs by the paths that annotations give them."""

    def __init__(self, folder: Path | None):
        """Takes the folder of the photographs, also deep below it; None: they lie beside their annotations."""
        self.folder = folder
        self._indices: dict[Path, dict[str, list[Path]]] = {}

    def find(self, path: PurePosixPath, *, beside: Sequence[Path]) -> Path:
        """Finds a photograph by its path, else by its name alone, else by its name with another suffix.

        Args:
          path: the path that the annotations give, relative or absolute; only its end may be right.
          beside: the folders in which it lies if no folder of photographs was named.

        Raises:
          InputError: there is none, or several.
        """
        folders = beside if self.folder is None else [self.folder]
        for folder in folders:
            if path.name and (folder / path).is_file():
                return folder / path
        for key in (path.name, path.stem):
            found = {file for folder in folders for file in self._index(folder).get(_plain(key), ())}
            if len(found) > 1:
                first, second, *_ = sorted(found)
                raise InputError(f"{path.name} could be {first} or {second}; rename or remove one.")
            if found:
                return found.pop()
        raise InputError(f"no photograph {path.name} in {folders[0]}{self._advice(path, folders)}")

    def _advice(self, path: PurePosixPath, folders: Iterable[Path]) -> str:
        known = {name for folder in folders for name in self._index(folder)}
        near = difflib.get_close_matches(_plain(path.name), known, n=1, cutoff=0.6)
        hint = f"; the nearest name is {near[0]}" if near else ""
        return f"{hint}; name the folder of the photographs by --images." if self.folder is None else f"{hint}."

    def _index(self, folder: Path) -> dict[str, list[Path]]:
        """Returns the files of a folder that may be photographs, by their names and by their stems."""
        if folder not in self._indices:
            below = files_below(folder) if folder == self.folder else sorted(folder.glob("[!.]*"))
            index = defaultdict(list)
            for file in below:
                if file.suffix.lower() not in NO_PHOTOGRAPHS and file.is_file():
                    for key in {_plain(file.name), _plain(file.stem)}:
                        index[key].append(file)
            self._indices[folder] = dict(index)
        return self._indices[folder]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)
