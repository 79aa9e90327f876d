"""The layout of paired folders: images/ and masks/, or these below folders for the splits."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from configs import InputError
from records.annotations import refuse_annotations
from records.cases.case import Case, FoundCases, SourceRules, Tell
from records.cases.hard_negatives import HARD_NEGATIVES
from records.cases.labelled_by import PSEUDOLABEL_OUTPUTS, PSEUDOLABEL_TABLES, PSEUDOLABELS
from records.cases.listing import Listing, by_stem, images_by_folder, list_folder
from records.cases.masks import MasksOfPart
from records.cases.names import image_stem, name_in_tree, nearest_name

IMAGES, MASKS = "images", "masks"
# What `view` keeps beside the masks: who corrected them, the maps of the model, and the models trained on them.
CORRECTIONS, TRAININGS = "corrections", "trainings"
# Folders above images/ and masks/, in any case, and the split of each.
PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
SUBFOLDER = "in sub-folders, which --recursive takes"
OTHER_CLASS = "masks of classes that are not asked for"


def paired_cases(source: Path, classes: tuple[str, ...], rules: SourceRules, *, tell: Tell) -> FoundCases:
    """Finds the cases of paired folders.

    Args:
      source: the folder.
      classes: names of the classes.
      rules: how it is read.
      tell: adds what is said of the classes of its photographs.

    Raises:
      InputError: a folder is missing, a photograph lacks a required mask, a mask or a table of hard negatives pairs
        with no photograph, a photograph has several masks of a class that are not to be united, or what `tell` raises.
    """
    parts = [_read_part(folder, split, classes, rules=rules) for folder, split in _parts(source)]
    folders = {folder.name for part in parts if part.masks.is_dir() for folder in list_folder(part.masks).folders}
    told = tell([case for part in parts for case in part.cases], folders)
    for part in parts:
        lacking = [case for case in told.cases if case.missing_masks and part.images in case.photograph.parents]
        if not part.masks.is_dir() and (lacking or not part.cases):
            _refuse_layout(part.masks)
        if lacking and not rules.allow_missing_masks:
            _refuse_missing(lacking[0], part, rules)
        part.gathered.refuse_unpaired()
    reasons: dict[Path, str | None] = {}
    for part in parts:
        reasons |= part.reasons
    if (source / PSEUDOLABELS).is_file():  # what pseudolabel writes beside the labels
        reasons |= dict.fromkeys(source / name for name in (*PSEUDOLABEL_OUTPUTS, *PSEUDOLABEL_TABLES))
    reasons |= {source / CORRECTIONS: None, source / TRAININGS: None}
    return FoundCases(told.cases, {**reasons, **told.reasons})


@dataclasses.dataclass(frozen=True)
class _Part:
    """A folder of images/ and masks/.

    Attributes:
      images: the folder of the photographs.
      masks: the folder of the masks; it may be missing if no photograph needs one.
      gathered: the masks.
      cases: the photographs with their masks.
      reasons: why files are not used, see `FoundCases`.
    """

    images: Path
    masks: Path
    gathered: MasksOfPart
    cases: Sequence[Case]
    reasons: Mapping[Path, str | None]


def is_paired(source: Path) -> bool:
    """Returns whether a folder has this layout."""
    return any(subfolder(part, IMAGES).is_dir() for part, _ in _parts(source))


def subfolder(folder: Path, name: str) -> Path:
    """Returns a folder of this name; else one whose name differs in capitals; else the path of the missing one."""
    if (folder / name).is_dir():
        return folder / name
    return next((one for one in list_folder(folder).folders if one.name.lower() == name), folder / name)


def part_folders(source: Path) -> list[Path]:
    """Returns the folders that hold images/ and masks/: those of the splits, or the source itself."""
    return [folder for folder, _ in _parts(source)]


def _parts(source: Path) -> list[tuple[Path, str]]:
    """Returns the folders that hold images/ and masks/, and the split of each."""
    splits = {folder: PARTS.get(folder.name.lower()) for folder in list_folder(source).folders}
    parts = [(one, split) for one, split in splits.items() if split is not None and subfolder(one, IMAGES).is_dir()]
    return parts or [(source, "train")]


def _read_part(part: Path, split: str, classes: tuple[str, ...], *, rules: SourceRules) -> _Part:
    images, masks = subfolder(part, IMAGES), subfolder(part, MASKS)
    if not images.is_dir():
        _refuse_layout(images)
    photographs = {
        folders: by_stem(files) for folders, files in images_by_folder(images, recursive=rules.recursive).items()
    }
    gathered = MasksOfPart(photographs, classes, rules)
    reasons: dict[Path, str | None] = {masks: "masks without photographs"}
    if not rules.recursive:
        reasons |= dict.fromkeys(list_folder(images).folders, SUBFOLDER)
    listing = list_folder(masks) if masks.is_dir() else Listing((), (), {})
    gathered.add_mixed(listing.images, ())
    with_folders = gathered.ignore_names if rules.colored else (*classes, *gathered.ignore_names)
    for folder in listing.folders:
        _refuse_other_letters(folder, gathered.ignore_names)
        if folder.name in with_folders:
            for folders, files in images_by_folder(folder, recursive=rules.recursive).items():
                gathered.add_of_class(files, folders, folder.name)
            reasons[folder] = SUBFOLDER
        elif not (images / folder.name).is_dir():
            reasons[folder] = OTHER_CLASS
        elif rules.recursive:
            reasons |= _add_tree(gathered, folder, photographs, classes=with_folders)
        else:
            reasons[folder] = SUBFOLDER
    cases = [
        gathered.case(stem, folders, name=name_in_tree(file, folders), split=split)
        for folders, files in photographs.items()
        for stem, file in files.items()
    ]
    cases = _with_hard_negatives(cases, subfolder(part, HARD_NEGATIVES))
    return _Part(images, masks, gathered, cases, reasons | dict.fromkeys(gathered.other_classes, OTHER_CLASS))


def _refuse_layout(folder: Path) -> None:
    """Raises an InputError about a folder that is missing: what to run if the source holds annotations."""
    refuse_annotations(folder.parent)
    raise InputError(f"{folder}: no such folder; --source takes IDRiD's layout, or folders images/ and masks/.")


def _refuse_other_letters(folder: Path, names: Sequence[str]) -> None:
    """Raises an InputError if a folder's name is that of regions to be left out, but for capitals."""
    for name in names:
        if folder.name != name and folder.name.lower() == name.lower():
            raise InputError(f"{folder}: regions that are left out are expected in a folder {name!r}; rename it.")


def _with_hard_negatives(cases: Sequence[Case], folder: Path) -> list[Case]:
    """Returns cases with their tables of hard negatives, `CASE.csv`.

    Raises:
      InputError: a table has the name of no case.
    """
    if not folder.is_dir():
        return list(cases)
    tables = {file.stem: file for file in list_folder(folder).others if file.suffix.lower() == ".csv"}
    names = [case.name for case in cases]
    for name in sorted(tables.keys() - set(names)):
        raise InputError(
            f"{tables[name]}: hard negatives of no photograph; rename or remove it.{nearest_name([name], names)}"
        )
    return [dataclasses.replace(case, hard_negatives=tables.get(case.name)) for case in cases]


def _add_tree(
    gathered: MasksOfPart, folder: Path, photographs: Collection[tuple[str, ...]], *, classes: Collection[str]
) -> dict[Path, str | None]:
    """Adds the masks of a folder of masks/ that images/ has too, where classes may be the innermost folders.

    Args:
      gathered: gets the masks.
      folder: the folder.
      photographs: the folders below images/.
      classes: names of the classes, and of regions that are left out, that may have folders of their own.

    Returns:
      Why folders below are not used.
    """
    reasons: dict[Path, str | None] = {}
    for below, files in images_by_folder(folder, recursive=True).items():
        folders = (folder.name, *below)
        if folders in photographs or folders[:-1] not in photographs:
            gathered.add_mixed(files, folders)
        elif folders[-1] in classes:
            gathered.add_of_class(files, folders[:-1], folders[-1])
        else:
            reasons[folder.joinpath(*below)] = OTHER_CLASS
    return reasons


def _refuse_missing(case: Case, part: _Part, rules: SourceRules) -> None:
    """Raises an InputError about the first mask that a photograph lacks."""
    stem, name = image_stem(case.photograph), case.missing_masks[0]
    folder = case.photograph.relative_to(part.images).parent
    forms = (folder / stem,) if rules.colored else (Path(name) / folder / stem, folder / f"{stem}_{name}")
    raise InputError(
        f"{case.photograph}: no mask of class {name}; expected {' or '.join(f'masks/{one}.png' for one in forms)}, "
        "all black where there is no lesion (with --allow_missing_masks the photograph counts as free of lesions, and "
        "--labelled says that nobody looked for a class)."
        + (part.gathered.nearest_unpaired(stem, folder.parts, name) or _folder_in_other_letters(part.masks, name))
    )


def _folder_in_other_letters(masks: Path, name: str) -> str:
    """Returns a hint at a folder whose name is that of a class but for capitals, if there is one."""
    others = [folder.name for folder in list_folder(masks).folders if folder.name != name]
    similar = [other for other in others if other.lower() == name.lower()]
    return f" Did you mean the folder {similar[0]!r} as {name!r}?" if similar else ""
