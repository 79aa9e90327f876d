"""The layout of paired folders: images/ and masks/, or these below folders for the splits."""

from collections.abc import Collection
from pathlib import Path

from configs import InputError
from records.annotations import refuse_annotations
from records.cases.case import Case, FoundCases, SourceRules
from records.cases.labelled_by import PSEUDOLABEL_OUTPUTS, PSEUDOLABEL_TABLES, PSEUDOLABELS
from records.cases.listing import by_stem, images_by_folder, list_folder
from records.cases.masks import MasksOfPart
from records.cases.names import image_stem, name_in_tree

IMAGES, MASKS = "images", "masks"
# Folders above images/ and masks/, in any case, and the split of each.
PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
SUBFOLDER = "in sub-folders, which --recursive takes"
OTHER_CLASS = "masks of classes that are not asked for"


def paired_cases(source: Path, classes: tuple[str, ...], rules: SourceRules) -> FoundCases:
    """Finds the cases of paired folders.

    Raises:
      InputError: a folder is missing, a photograph lacks a required mask, a mask pairs with no photograph, or a
        photograph has several masks of a class that are not to be united.
    """
    cases: list[Case] = []
    reasons: dict[Path, str | None] = {}
    for part, split in _parts(source):
        found = _cases_of_part(part, split, classes, rules=rules)
        cases += found.cases
        reasons |= found.reasons
    if (source / PSEUDOLABELS).is_file():  # what pseudolabel writes beside the labels
        reasons |= dict.fromkeys(source / name for name in (*PSEUDOLABEL_OUTPUTS, *PSEUDOLABEL_TABLES))
    return FoundCases(cases, reasons)


def subfolder(folder: Path, name: str) -> Path:
    """Returns a folder of this name; else one whose name differs in capitals; else the path of the missing one."""
    if (folder / name).is_dir():
        return folder / name
    return next((one for one in list_folder(folder).folders if one.name.lower() == name), folder / name)


def _parts(source: Path) -> list[tuple[Path, str]]:
    """Returns the folders that hold images/ and masks/, and the split of each."""
    splits = {folder: PARTS.get(folder.name.lower()) for folder in list_folder(source).folders}
    parts = [(one, split) for one, split in splits.items() if split is not None and subfolder(one, IMAGES).is_dir()]
    return parts or [(source, "train")]


def _cases_of_part(part: Path, split: str, classes: tuple[str, ...], *, rules: SourceRules) -> FoundCases:
    images, masks = subfolder(part, IMAGES), subfolder(part, MASKS)
    for folder in (images, masks):
        if not folder.is_dir():
            refuse_annotations(part)
            raise InputError(f"{folder}: no such folder; --source takes IDRiD's layout, or folders images/ and masks/.")
    photographs = {
        folders: by_stem(files) for folders, files in images_by_folder(images, recursive=rules.recursive).items()
    }
    gathered = MasksOfPart(photographs, classes, rules)
    reasons: dict[Path, str | None] = {masks: "masks without photographs"}
    if not rules.recursive:
        reasons |= dict.fromkeys(list_folder(images).folders, SUBFOLDER)
    listing = list_folder(masks)
    gathered.add_mixed(listing.images, ())
    for folder in listing.folders:
        if folder.name in classes and not rules.colored:
            for folders, files in images_by_folder(folder, recursive=rules.recursive).items():
                gathered.add_of_class(files, folders, folder.name)
            reasons[folder] = SUBFOLDER
        elif not (images / folder.name).is_dir():
            reasons[folder] = OTHER_CLASS
        elif rules.recursive:
            reasons |= _add_tree(gathered, folder, photographs, classes=() if rules.colored else classes)
        else:
            reasons[folder] = SUBFOLDER
    cases = [
        gathered.case(stem, folders, name=name_in_tree(file, folders), split=split)
        for folders, files in photographs.items()
        for stem, file in files.items()
    ]
    if not rules.allow_missing_masks:
        for case in cases:
            _refuse_missing(case, gathered, images=images, masks=masks, colored=rules.colored)
    gathered.refuse_unpaired()
    return FoundCases(cases, reasons | dict.fromkeys(gathered.other_classes, OTHER_CLASS))


def _add_tree(
    gathered: MasksOfPart, folder: Path, photographs: Collection[tuple[str, ...]], *, classes: Collection[str]
) -> dict[Path, str | None]:
    """Adds the masks of a folder of masks/ that images/ has too, where classes may be the innermost folders.

    Args:
      gathered: gets the masks.
      folder: the folder.
      photographs: the folders below images/.
      classes: names of the classes that may have folders of their own.

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


def _refuse_missing(case: Case, gathered: MasksOfPart, *, images: Path, masks: Path, colored: bool) -> None:
    """Raises an InputError if a photograph lacks a mask."""
    stem, folder = image_stem(case.photograph), case.photograph.relative_to(images).parent
    for name, mask in case.masks.items():
        if mask is not None:
            continue
        forms = (folder / stem,) if colored else (Path(name) / folder / stem, folder / f"{stem}_{name}")
        raise InputError(
            f"{case.photograph}: no mask of class {name}; expected {' or '.join(f'masks/{one}.png' for one in forms)}, "
            "all black where there is no lesion (with --allow_missing_masks the photograph counts as free of lesions)."
            + (gathered.nearest_unpaired(stem, folder.parts, name) or _folder_in_other_letters(masks, name))
        )


def _folder_in_other_letters(masks: Path, name: str) -> str:
    """Returns a hint at a folder whose name is that of a class but for capitals, if there is one."""
    others = [folder.name for folder in list_folder(masks).folders if folder.name != name]
    similar = [other for other in others if other.lower() == name.lower()]
    return f" Did you mean the folder {similar[0]!r} as {name!r}?" if similar else ""
