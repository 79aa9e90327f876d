"""Lists folders: which entries are images, judged by their content, which are folders, and what the others are."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from configs import InputError
from records.cases.names import has_image_suffix, image_stem, printable
from records.images import image_kind, unread_kind

JUNK = ("thumbs.db", "desktop.ini")  # files of Windows; those of macOS are hidden


@dataclasses.dataclass(frozen=True)
class Listing:
    """The entries of a folder, sorted, without hidden ones and those of operating systems.

    Attributes:
      images: files with the suffix of an image, or with the content of one whatever their name.
      folders: folders.
      others: all other entries, and why each is none of these.
    """

    images: tuple[Path, ...]
    folders: tuple[Path, ...]
    others: Mapping[Path, str]


def list_folder(folder: Path) -> Listing:
    """Lists a folder.

    Files with the suffix of an image are taken unseen; if they are none, reading them says so.

    Raises:
      InputError: the folder cannot be read.
    """
    images, folders, others = [], [], {}
    try:
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.name.lower() in JUNK:
                continue
            if path.is_dir():
                folders.append(path)
            elif not path.is_file():
                others[path] = "a link to nothing" if path.is_symlink() else "not a file"
            elif has_image_suffix(path) or image_kind(path) is not None:
                images.append(path)
            else:
                others[path] = unread_kind(path)
    except OSError as error:
        raise InputError(f"{printable(folder)}: the folder cannot be read ({error.strerror}).") from error
    return Listing(tuple(images), tuple(folders), others)


def walk(folder: Path) -> Iterator[tuple[Path, Listing]]:
    """Yields a folder and every folder below it, with their listings; links are followed, but none twice.

    A folder below that cannot be read, such as lost+found, is in its own listing with the reason.

    Raises:
      InputError: the folder itself cannot be read.
    """
    yield folder, (listing := list_folder(folder))
    seen, todo = {_identity(folder)}, list(listing.folders)
    while todo:
        path = todo.pop(0)
        if _identity(path) not in seen:
            seen.add(_identity(path))
            try:
                listing = list_folder(path)
            except InputError:
                listing = Listing((), (), {path: "folders that cannot be read"})
            yield path, listing
            todo[:0] = listing.folders


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def images_by_folder(folder: Path, *, recursive: bool) -> dict[tuple[str, ...], tuple[Path, ...]]:
    """Returns the images of a folder, and if recursive of those below it, by the names of the folders in between."""
    if not recursive:
        return {(): list_folder(folder).images}
    return {path.relative_to(folder).parts: listing.images for path, listing in walk(folder)}


def image_files(folder: Path) -> dict[str, Path]:
    """Returns the image files of a folder by their stems, sorted, without hidden files.

    Raises:
      InputError: two files have the same stem, or the folder cannot be read.
    """
    return by_stem(list_folder(folder).images)


def by_stem(images: Iterable[Path]) -> dict[str, Path]:
    """Returns images of one folder by their stems.

    Raises:
      InputError: two files have the same stem.
    """
    files: dict[str, Path] = {}
    for file in images:
        stem = image_stem(file)
        if stem in files:
            raise InputError(f"{file}: {files[stem].name} has the same name; rename or remove one.")
        files[stem] = file
    return files
