"""Finds the photographs and masks of a source folder, as cases; nothing is decoded here."""

from collections.abc import Iterable
from pathlib import Path

from configs import InputError
from records.cases.case import ALL_KNOWN, Case, KnownRules, SourceRules
from records.cases.idrid import CLASSES, idrid_cases, idrid_root
from records.cases.known import NOTHING_KNOWN, Knowledge, labels_of
from records.cases.labelled_by import refuse_unfinished
from records.cases.names import IMAGE_SUFFIXES
from records.cases.paired import is_paired, paired_cases
from records.cases.unused import Warn, print_warning, unused_lines
from records.together import is_unfinished


def find_cases(
    source: Path | None,
    classes: tuple[str, ...],
    *,
    colored: bool = False,
    allow_missing_masks: bool = False,
    unite_masks: bool = False,
    recursive: bool = False,
    known: KnownRules = ALL_KNOWN,
    warn: Warn = print_warning,
) -> tuple[str, list[Case]]:
    """Finds the cases of a folder in IDRiD's layout, or of paired folders images/ and masks/.

    Args:
      source: folder that contains "1. Original Images", or its parent; or a folder that contains images/ and masks/, or
        train/, val(id)(ation)/ and test/ with images/ and masks/ in each. None: there are only the photographs that
        `known.healthy` adds.
      classes: names of the classes whose masks are needed.
      colored: whether one coloured mask per photograph holds all classes (paired folders only).
      allow_missing_masks: whether in paired folders a photograph without a mask shows no lesion. In IDRiD's layout this
        is always so.
      unite_masks: whether several masks of one class and photograph are united; otherwise they are an error.
      recursive: whether the sub-folders of images/ and masks/ are searched, too (paired folders only).
      known: what is said of the classes of the photographs, beside their masks.
      warn: called with a line about files of the source that are not used.

    Returns:
      The layout's name, "idrid", "paired_folders" or "photographs", and the cases sorted by name. Those of which
      nothing is known are left out.

    Raises:
      InputError: the folder does not exist, was not finished by `pseudolabel`, has neither layout, lacks a class or a
        required mask, has a mask without photograph, or has no photographs or two of the same name; or a table of what
        is known cannot be used.
    """
    if source is not None and not source.is_dir():
        raise InputError(f"--source={source}: no such folder.")
    if source is not None:
        refuse_unfinished(source)
        if is_unfinished(source):
            raise InputError(
                f"--source={source}: view is saving corrections there, or was killed as it did; run this again, or "
                f"python -m scripts.view --output={source} first, which finishes it."
            )
    if source is None and known.labelled is not None:
        raise InputError("--labelled: says which classes were looked for in the photographs of --source; add --source.")
    root = source and idrid_root(source)
    labels = labels_of(folder for folder in (source, root) if folder is not None)
    tell = Knowledge(known, classes, CLASSES, labels, recursive=recursive, warn=warn).tell
    if source is None:
        alone = _unique(tell([], ()).cases)
        _refuse_unknown(alone, classes, where=f"--healthy={known.healthy}")
        return "photographs", alone
    rules = SourceRules(colored, allow_missing_masks, unite_masks, recursive=recursive)
    layout, found = (
        ("paired_folders", paired_cases(source, classes, rules, tell=tell))
        if root is None
        else ("idrid", idrid_cases(root, classes, rules, tell=tell))
    )
    cases = _unique(found.cases)
    used = {file for case in cases for file in case.files}
    lines = unused_lines(root or source, used, found.reasons)
    if NOTHING_KNOWN in found.reasons.values():
        _refuse_unknown(cases, classes, where=f"--source={source}")
    if not cases:
        why = f" {lines[0]}" if lines else ""
        raise InputError(f"--source={source}: no photographs; expected files of {', '.join(IMAGE_SUFFIXES)}.{why}")
    for line in lines:
        warn(line)
    return layout, cases


def _refuse_unknown(cases: list[Case], classes: tuple[str, ...], *, where: str) -> None:
    """Raises an InputError if all photographs were left out, as nothing is known of them."""
    if not cases:
        raise InputError(
            f"{where}: nothing is known of {', '.join(classes)} in any of its photographs; correct what says which "
            "classes are labelled or absent, or choose other classes."
        )


def is_source(folder: Path) -> bool:
    """Returns whether a folder has one of the layouts that `find_cases` reads, and is not one of photographs alone."""
    return idrid_root(folder) is not None or is_paired(folder)


def _unique(cases: Iterable[Case]) -> list[Case]:
    by_name: dict[str, Case] = {}
    for case in cases:
        if case.name in by_name and by_name[case.name].photograph.resolve() == case.photograph.resolve():
            raise InputError(
                f"{case.photograph}: is in --source and among the further photographs of --healthy; name it there by a "
                "table with the columns case and absent."
            )
        if case.name in by_name:
            raise InputError(
                f"{case.photograph}: {by_name[case.name].photograph} has the same name; names must be unique in a set."
            )
        by_name[case.name] = case
    return [by_name[name] for name in sorted(by_name)]
