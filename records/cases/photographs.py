"""Finds the photographs that a command line names, and the names under which they are predicted."""

from collections.abc import Sequence
from pathlib import Path

from configs import InputError
from records.cases.listing import list_folder, walk
from records.cases.names import image_stem, name_in_tree, printable
from records.cases.unused import Warn, lines_by_reason, print_warning


def photographs_of(
    arguments: Sequence[str],
    *,
    recursive: bool = False,
    folder_names: int | None = None,
    skip: Path | None = None,
    warn: Warn = print_warning,
) -> dict[str, Path]:
    """Finds the photographs that command line arguments name.

    Args:
      arguments: image files, and folders whose image files are taken, whatever they are called.
      recursive: whether the folders below are searched, too.
      folder_names: number of folders whose names are put in front of a photograph's own; None: that of the folder of
        each photograph that lies below a folder that is searched.
      skip: folder that is not searched, as it is that of the output.
      warn: called with a line about files of the folders that are not taken.

    Returns:
      Files by the name of their case, in order.

    Raises:
      InputError: a file or folder does not exist, a folder contains no images, or two files have the same name.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        path = Path(argument)
        if not path.exists():
            raise InputError(f"{printable(path)}: no such file or folder.")
        files = _images(path, recursive=recursive, skip=skip, warn=warn) if path.is_dir() else [path]
        for file in files:
            name = _name(file, path, folder_names)
            if name in found:
                _refuse_same_name(name, found[name], file)
            found[name] = file
    return found


def _images(folder: Path, *, recursive: bool, skip: Path | None, warn: Warn) -> list[Path]:
    """Returns the images of a folder, and warns of what else is there."""
    listings = (
        [listing for one, listing in walk(folder) if not _is_in(one, skip)] if recursive else [list_folder(folder)]
    )
    images = [image for listing in listings for image in listing.images]
    unused: dict[str, list[Path]] = {}
    for listing in listings:
        for path, reason in listing.others.items():
            unused.setdefault(reason, []).append(path)
    below = [] if recursive else [one for one in listings[0].folders if not _is_in(one, skip)]
    if below:
        unused["folders, which --recursive searches"] = below
    lines = lines_by_reason(folder, unused)
    if not images:
        raise InputError(f"{folder}: contains no photographs; name the folder that does. {' '.join(lines)}".rstrip())
    for line in lines:
        warn(line)
    return images


def _is_in(path: Path, folder: Path | None) -> bool:
    return folder is not None and path.resolve().is_relative_to(folder.resolve())


def _name(file: Path, argument: Path, folder_names: int | None) -> str:
    """Returns the name of a photograph that an argument, the file itself or a folder above it, names."""
    if folder_names is None:
        return name_in_tree(file, file.parent.relative_to(argument).parts if file != argument else ())
    return "_".join([*_folders(file, folder_names), image_stem(file)])


def _folders(file: Path, number: int) -> tuple[str, ...]:
    folders = file.parent.resolve().parts[1:]
    return folders[max(len(folders) - number, 0) :]


def _refuse_same_name(name: str, one: Path, other: Path) -> None:
    """Raises an InputError that says how two files get different names."""
    files = f"{printable(one)} and {printable(other)}"
    if one.resolve() == other.resolve():
        raise InputError(f"{files} are the same file; name it once.")
    number = next((n for n in range(1, 99) if _folders(one, n) != _folders(other, n)), None)
    advice = f"; --folder_names={number} puts the names of their folders in front" if number else ""
    raise InputError(f"{files} would both be called {printable(name)}, and share their output; rename one{advice}.")
