"""CVAT's "Segmentation mask 1.1": labelmap.txt, and one coloured mask per photograph in SegmentationClass/.

https://docs.cvat.ai/docs/dataset_management/formats/format-smask/
"""

from pathlib import Path, PurePosixPath

from configs import InputError
from records.annotations.annotated import SPLITS, AnnotatedPhotograph, AnnotatedSet
from records.annotations.files import PhotographFinder, files_below
from records.annotations.mask_files import ColoredMask

LABELS, CLASSES, OBJECTS, PHOTOGRAPHS = "labelmap.txt", "SegmentationClass", "SegmentationObject", "JPEGImages"
LISTS = Path("ImageSets", "Segmentation")
BACKGROUND = "background"


def is_cvat(source: Path) -> bool:
    """Returns whether a folder has CVAT's layout."""
    return (source / LABELS).is_file() and (source / CLASSES).is_dir()


def read_cvat(source: Path, finder: PhotographFinder) -> AnnotatedSet:
    """Reads the photographs that the lists name; one without a mask shows nothing, which a note says."""
    labels = _labels(source / LABELS)
    annotated = AnnotatedSet([name for name in labels if name.lower() != BACKGROUND])
    annotated.used.add(source / LABELS)
    if finder.folder is None and (source / PHOTOGRAPHS).is_dir():
        finder = PhotographFinder(source / PHOTOGRAPHS)
    masks = {file.relative_to(source / CLASSES).with_suffix("").as_posix(): file for file in _masks(source)}
    annotated.used |= {*masks.values(), *files_below(source / OBJECTS)}
    for name, split in _listed(source, annotated).items():
        mask = masks.pop(name, None)
        try:
            photograph = finder.find(PurePosixPath(name), beside=[source])
        except InputError as error:
            annotated.failures.append(f"{source / LISTS}: {error}")
            continue
        annotated.used.add(photograph)
        if mask is None:
            annotated.notes.append(
                f"{photograph}: listed, but without a mask in {CLASSES}; it counts as free of lesions."
            )
        annotated.photographs.append(
            AnnotatedPhotograph(
                PurePosixPath(f"{name}{photograph.suffix}"),
                photograph,
                [] if mask is None else [ColoredMask(mask, labels)],
                str(mask or source / LISTS),
                split=split,
            )
        )
    annotated.failures += [f"{mask}: not in the lists of {source / LISTS}." for mask in masks.values()]
    return annotated


def _labels(path: Path) -> dict[str, tuple[int, int, int]]:
    """Reads lines such as "HE:250,50,83::", a label and its colour in RGB."""
    labels = {}
    try:
        for line in path.read_text(encoding="utf-8-sig").splitlines():
            if line.strip() and not line.startswith("#"):
                name, color, *_ = line.rsplit(":", 3)
                red, green, blue = (int(value) for value in color.split(","))
                bytes((red, green, blue))  # raises a ValueError if a value is none of 0 to 255
                labels[name] = red, green, blue
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected lines such as HE:250,50,83:: ({error}).") from error
    if len(set(labels.values())) < len(labels):
        raise InputError(f"{path}: two labels have the same colour; give each its own and export again.")
    return labels


def _masks(source: Path) -> list[Path]:
    return [file for file in files_below(source / CLASSES) if file.suffix.lower() == ".png"]


def _listed(source: Path, annotated: AnnotatedSet) -> dict[str, str | None]:
    """Returns the photographs of the lists and the splits by which lists such as Train.txt are named."""
    listed: dict[str, str | None] = {}
    for file in sorted((source / LISTS).glob("*.txt")):
        annotated.used.add(file)
        try:
            names = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: cannot be read ({error}).") from error
        for name in filter(None, map(str.strip, names)):
            if name in listed:
                annotated.failures.append(f"{file}: {name} is listed twice; the first counts.")
            listed.setdefault(name, SPLITS.get(file.stem.lower()))
    return listed or {file.relative_to(source / CLASSES).with_suffix("").as_posix(): None for file in _masks(source)}
