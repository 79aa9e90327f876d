"""Which classes a source has masks of, told by the names of its folders and files; nothing is decoded."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from configs import InputError
from records.cases.idrid import CLASSES, GROUNDTRUTHS, PARTS, idrid_root
from records.cases.listing import images_by_folder, list_folder
from records.cases.masks import IGNORE
from records.cases.names import image_stem
from records.cases.paired import IMAGES, MASKS, part_folders, subfolder


def classes_of_source(source: Path) -> tuple[str, ...]:
    """Returns the names of the classes that a source has masks of, those of IDRiD in its order, others by name.

    They are the folders below masks/, and what follows the name of a photograph in `masks/EYE7_HE.png`. Regions that
    are left out (`ignore`) are no class, and neither are numbers (`EYE7_2`).

    Args:
      source: folder in IDRiD's layout, or with paired folders images/ and masks/.

    Raises:
      InputError: the folder does not exist, or no class is named in it.
    """
    if not source.is_dir():
        raise InputError(f"--source={source}: no such folder.")
    root = idrid_root(source)
    found = set(_paired_classes(source) if root is None else _idrid_classes(root))
    if not found:
        raise InputError(
            f"--source={source}: no class is named there; expected masks/CLASS/PHOTOGRAPH.png, "
            "masks/PHOTOGRAPH_CLASS.png or IDRiD's layout. Give --classes=HE if masks/PHOTOGRAPH.png is of one class."
        )
    return (*(name for name in CLASSES if name in found), *sorted(found.difference(CLASSES)))


def _idrid_classes(root: Path) -> Iterator[str]:
    for name, folder in CLASSES.items():
        groundtruths = (root / GROUNDTRUTHS / part / folder for part in PARTS.values())
        if any(one.is_dir() and list_folder(one).images for one in groundtruths):
            yield name


def _paired_classes(source: Path) -> Iterator[str]:
    for part in part_folders(source):
        images, masks = subfolder(part, IMAGES), subfolder(part, MASKS)
        if not images.is_dir() or not masks.is_dir():
            continue
        stems = sorted(
            (image_stem(file) for files in images_by_folder(images, recursive=True).values() for file in files),
            key=len,
            reverse=True,
        )
        for folders, files in images_by_folder(masks, recursive=True).items():
            names = [name for name in folders if not (images / name).is_dir() and not _is_ignored(name)]
            # In a tree, masks/001/HE and masks/HE/001 are both of the class HE.
            yield from names[:1] if files else ()
            if not names and not any(map(_is_ignored, folders)):
                yield from (name for file in files if (name := _class_in_name(image_stem(file), stems)))


def _class_in_name(stem: str, photographs: Sequence[str]) -> str | None:
    """Returns CLASS of `PHOTOGRAPH_CLASS` or `PHOTOGRAPH_CLASS_2`; `photographs` are stems, the longest first."""
    photograph = next((one for one in photographs if stem.startswith(f"{one}_")), None)
    if photograph is None or stem in photographs:
        return None
    words = [word for word in stem.removeprefix(f"{photograph}_").split("_") if not word.isdecimal()]
    name = "_".join(words)
    return None if not name or _is_ignored(name) else name


def _is_ignored(name: str) -> bool:
    return name == IGNORE or name.endswith(f"_{IGNORE}")
