"""The layout of IDRiD, "A. Segmentation" (Porwal et al. 2018, doi:10.21227/H25W98)."""

from pathlib import Path

from configs import InputError
from records.cases.case import Case, FoundCases, SourceRules, Tell
from records.cases.listing import by_stem, list_folder
from records.cases.masks import MasksOfPart

PHOTOGRAPHS, GROUNDTRUTHS = "1. Original Images", "2. All Segmentation Groundtruths"
PARTS = {"train": "a. Training Set", "test": "b. Testing Set"}
CLASSES = {
    "MA": "1. Microaneurysms",
    "HE": "2. Haemorrhages",
    "EX": "3. Hard Exudates",
    "SE": "4. Soft Exudates",
    "OD": "5. Optic Disc",
}
LICENSES = ("CC-BY-4.0.txt", "LICENSE.txt")  # come with the set


def idrid_root(source: Path) -> Path | None:
    """Returns the folder with the photographs' folder in it, the source or "A. Segmentation" below; None without."""
    return next((root for root in (source, source / "A. Segmentation") if (root / PHOTOGRAPHS).is_dir()), None)


def idrid_cases(root: Path, classes: tuple[str, ...], rules: SourceRules, *, tell: Tell) -> FoundCases:
    """Finds the cases of a folder in IDRiD's layout, where a class without a file is one that a photograph lacks.

    Args:
      root: the folder, see `idrid_root`.
      classes: names of the classes.
      rules: how it is read.
      tell: adds what is said of the classes of its photographs.

    Raises:
      InputError: IDRiD lacks a class, a class has no folder, a mask pairs with no photograph, a photograph has several
        masks of a class that are not to be united, or what `tell` raises.
    """
    if rules.colored:
        raise InputError(
            f"{root}: IDRiD's layout has a mask file per class, but coloured masks of all classes are expected; make "
            "paired folders of such masks, or leave data.colors empty where the model is trained."
        )
    cases: list[Case] = []
    missing: dict[tuple[str, str], str] = {}  # why classes have no masks, by the split and the class
    reasons: dict[Path, str | None] = dict.fromkeys(root / name for name in LICENSES)
    for split, part in PARTS.items():
        groundtruths = root / GROUNDTRUTHS / part
        if not (root / PHOTOGRAPHS / part).is_dir():
            reasons[groundtruths] = f"masks of {part!r}, of which there are no photographs"
            continue
        reasons |= dict.fromkeys(groundtruths / folder for name, folder in CLASSES.items() if name not in classes)
        photographs = by_stem(list_folder(root / PHOTOGRAPHS / part).images)
        masks = MasksOfPart({(): photographs}, classes, rules)
        for name in classes:
            folder = groundtruths / CLASSES.get(name, name)
            if name not in CLASSES:
                expected = f"expected classes among {', '.join(CLASSES)}"
                missing[split, name] = f"{root}: IDRiD's layout has no class {name!r}; {expected}"
            elif folder.is_dir():
                masks.add_of_class(list_folder(folder).images, (), name)
            else:
                expected = f"the masks of class {name} of {part!r} are expected there"
                missing[split, name] = f"{folder}: no such folder; {expected}"
        masks.refuse_unpaired()
        cases += [masks.case(stem, (), name=stem, split=split) for stem in photographs]
    told = tell(cases, CLASSES)
    for case in told.cases:
        for name in case.missing_masks:
            if (case.split, name) in missing:
                raise InputError(f"{missing[case.split, name]}, or --labelled, if nobody looked for some classes.")
    return FoundCases(told.cases, {**reasons, **told.reasons})
