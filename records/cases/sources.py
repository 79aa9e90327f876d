"""Finds the photographs and masks of a source folder, as cases; nothing is decoded here."""

import csv
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from configs import InputError
from records.annotations import refuse_annotations

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dcm")
SPLITS = ("train", "validation", "test")

# IDRiD, "A. Segmentation" (Porwal et al. 2018, doi:10.21227/H25W98): folders of its parts and classes.
IDRID_PARTS = {"train": "a. Training Set", "test": "b. Testing Set"}
IDRID_CLASSES = {
    "MA": "1. Microaneurysms",
    "HE": "2. Haemorrhages",
    "EX": "3. Hard Exudates",
    "SE": "4. Soft Exudates",
    "OD": "5. Optic Disc",
}
# Folders above images/ and masks/, and the split of each.
PAIRED_PARTS = {"train": "train", "valid": "validation", "validation": "validation", "test": "test"}


@dataclasses.dataclass(frozen=True)
class Case:
    """One photograph with its masks.

    Attributes:
      name: stem of the photograph's file, unique in a set.
      photograph: file of the photograph.
      masks: mask file of every class, or None where the photograph shows none of it.
      split: "train", "validation" or "test".
      patient: name of the patient, or None if unknown.
    """

    name: str
    photograph: Path
    masks: Mapping[str, Path | None]
    split: str
    patient: str | None = None


def find_cases(
    source: Path, classes: tuple[str, ...], *, colored: bool = False, allow_missing_masks: bool = False
) -> tuple[str, list[Case]]:
    """Finds the cases of a folder in IDRiD's layout, or of paired folders images/ and masks/.

    Args:
      source: folder that contains "1. Original Images", or its parent; or a folder that contains images/ and masks/, or
        train/, valid(ation)/ and test/ with images/ and masks/ in each.
      classes: names of the classes whose masks are needed.
      colored: whether one coloured mask per photograph holds all classes (paired folders only).
      allow_missing_masks: whether in paired folders a photograph without a mask shows no lesion. In IDRiD's layout this
        is always so.

    Returns:
      The layout's name, "idrid" or "paired_folders", and the cases sorted by name.

    Raises:
      InputError: the folder does not exist, has neither layout, lacks a class or a required mask, or has no photographs
        or two of the same name.
    """
    if not source.is_dir():
        raise InputError(f"--source={source}: no such folder.")
    for root in (source, source / "A. Segmentation"):
        if (root / "1. Original Images").is_dir():
            if colored:
                raise InputError(
                    f"data.colors: {source} has IDRiD's layout, a mask file per class; leave colors empty."
                )
            layout, cases = "idrid", _idrid_cases(root, classes)
            break
    else:
        layout, cases = "paired_folders", _paired_cases(source, classes, colored, allow_missing=allow_missing_masks)
    if not cases:
        raise InputError(f"--source={source}: no photographs; expected files of {', '.join(IMAGE_SUFFIXES)}.")
    return layout, _unique(cases)


def image_files(folder: Path) -> dict[str, Path]:
    """Returns the image files of a folder by their stems, sorted, without hidden files.

    Raises:
      InputError: two files have the same stem.
    """
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith("."):
            if file.stem in files:
                raise InputError(f"{file}: {files[file.stem].name} has the same name; rename or remove one.")
            files[file.stem] = file
    return files


def _idrid_cases(root: Path, classes: tuple[str, ...]) -> list[Case]:
    for name in classes:
        if name not in IDRID_CLASSES:
            raise InputError(f"data.classes: IDRiD has no class {name!r}; it has {', '.join(IDRID_CLASSES)}.")
    cases = []
    for split, part in IDRID_PARTS.items():
        photographs = root / "1. Original Images" / part
        if not photographs.is_dir():
            continue
        masks: dict[str, dict[str, Path]] = {}
        for name in classes:
            folder = root / "2. All Segmentation Groundtruths" / part / IDRID_CLASSES[name]
            if not folder.is_dir():
                raise InputError(f"{folder}: no such folder; the masks of class {name} of {part!r} are expected there.")
            masks[name] = image_files(folder)
        cases += [
            Case(stem, file, {name: masks[name].get(f"{stem}_{name}") for name in classes}, split)
            for stem, file in image_files(photographs).items()
        ]
    return cases


def _paired_cases(source: Path, classes: tuple[str, ...], colored: bool, *, allow_missing: bool) -> list[Case]:
    parts = {source / name: split for name, split in PAIRED_PARTS.items() if (source / name / "images").is_dir()}
    parts = parts or {source: "train"}
    cases = []
    for part, split in parts.items():
        for folder in (part / "images", part / "masks"):
            if not folder.is_dir():
                refuse_annotations(source)
                raise InputError(
                    f"{folder}: no such folder; --source takes IDRiD's layout, or folders images/ and masks/."
                )
        if colored:
            masks = dict.fromkeys(classes, image_files(part / "masks"))
        else:
            masks = {name: _paired_masks(part / "masks", name, classes) for name in classes}
        for stem, file in image_files(part / "images").items():
            for name in classes:
                if stem not in masks[name] and not allow_missing:
                    where = f"masks/{stem}.png" if colored else f"masks/{name}/{stem}.png or masks/{stem}_{name}.png"
                    raise InputError(
                        f"{file}: no mask of class {name}; expected {where}, all black where there is no lesion "
                        "(with --allow_missing_masks the photograph counts as free of lesions)."
                    )
            cases.append(Case(stem, file, {name: masks[name].get(stem) for name in classes}, split))
    return cases


def _paired_masks(folder: Path, name: str, classes: tuple[str, ...]) -> dict[str, Path]:
    """Returns a class's masks by the photographs' stems: from its folder, by its suffix, or all of a single class."""
    if (folder / name).is_dir():
        return image_files(folder / name)
    files = image_files(folder)
    suffix = f"_{name}"
    by_suffix = {stem.removesuffix(suffix): file for stem, file in files.items() if stem.endswith(suffix)}
    return by_suffix if by_suffix or len(classes) > 1 else files


def _unique(cases: Iterable[Case]) -> list[Case]:
    by_name: dict[str, Case] = {}
    for case in cases:
        if case.name in by_name:
            raise InputError(
                f"{case.photograph}: {by_name[case.name].photograph} has the same name; names must be unique in a set."
            )
        by_name[case.name] = case
    return [by_name[name] for name in sorted(by_name)]


def read_patients(path: Path, cases: list[Case]) -> list[Case]:
    """Reads the patient of each case from a CSV file with the columns case and patient.

    Returns:
      The cases with their patients; a case that is not in the file is treated as a patient of its own.

    Raises:
      InputError: the file cannot be read or has other columns, a case is unknown or occurs twice, or a patient is in
        two splits of the source.
    """
    patients = _read_column(path, "patient", cases, flag="--patients")
    known = [dataclasses.replace(case, patient=patients.get(case.name)) for case in cases]
    split_of: dict[str, Case] = {}
    for case in known:
        if case.patient is not None:
            other = split_of.setdefault(case.patient, case)
            if other.split != case.split:
                raise InputError(
                    f"--patients={path}: patient {case.patient!r} has {other.name} in {other.split} and {case.name} in "
                    f"{case.split}, which would leak from one split into the other; move or remove one of them."
                )
    return known


def read_splits(path: Path, cases: list[Case]) -> list[Case]:
    """Reads the split of each case from a CSV file with the columns case and split.

    Returns:
      The cases in the file, with its splits instead of the source's; all other cases are left out.

    Raises:
      InputError: the file cannot be read, is empty or has other columns, a case is unknown or occurs twice, or a split
        is unknown.
    """
    splits = _read_column(path, "split", cases, flag="--splits")
    for name, split in splits.items():
        if split not in SPLITS:
            raise InputError(f"--splits={path}: case {name!r} has the split {split!r}; expected {', '.join(SPLITS)}.")
    if not splits:
        raise InputError(f"--splits={path}: lists no case; expected a row for each case that takes part.")
    return [dataclasses.replace(case, split=splits[case.name]) for case in cases if case.name in splits]


def _read_column(path: Path, column: str, cases: list[Case], *, flag: str) -> dict[str, str]:
    """Reads one column of a CSV file, by case."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"case", column} <= set(reader.fieldnames or ()):
                raise InputError(f"{flag}={path}: expected the columns case and {column}; it has {reader.fieldnames}.")
            rows = [(row["case"], row[column]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{flag}={path}: cannot be read ({error}).") from error
    names = {case.name for case in cases}
    values: dict[str, str] = {}
    for name, value in rows:
        if name not in names:
            raise InputError(f"{flag}={path}: case {name!r} is not among the photographs.")
        if name in values or not value:
            raise InputError(f"{flag}={path}: case {name!r} needs exactly one row with a {column}.")
        values[name] = value
    return values
