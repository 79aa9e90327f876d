"""Finds the photographs and masks of a source folder, as cases; nothing is decoded here."""

from collections.abc import Iterable
from pathlib import Path

from configs import InputError
from records.cases.case import Case, SourceRules
from records.cases.idrid import idrid_cases, idrid_root
from records.cases.labelled_by import refuse_unfinished
from records.cases.names import IMAGE_SUFFIXES
from records.cases.paired import paired_cases
from records.cases.unused import Warn, print_warning, unused_lines


def find_cases(
    source: Path,
    classes: tuple[str, ...],
    *,
    colored: bool = False,
    allow_missing_masks: bool = False,
    unite_masks: bool = False,
    recursive: bool = False,
    warn: Warn = print_warning,
) -> tuple[str, list[Case]]:
    """Finds the cases of a folder in IDRiD's layout, or of paired folders images/ and masks/.

    Args:
      source: folder that contains "1. Original Images", or its parent; or a folder that contains images/ and masks/, or
        train/, val(id)(ation)/ and test/ with images/ and masks/ in each.
      classes: names of the classes whose masks are needed.
      colored: whether one coloured mask per photograph holds all classes (paired folders only).
      allow_missing_masks: whether in paired folders a photograph without a mask shows no lesion. In IDRiD's layout this
        is always so.
      unite_masks: whether several masks of one class and photograph are united; otherwise they are an error.
      recursive: whether the sub-folders of images/ and masks/ are searched, too (paired folders only).
      warn: called with a line about files of the source that are not used.

    Returns:
      The layout's name, "idrid" or "paired_folders", and the cases sorted by name.

    Raises:
      InputError: the folder does not exist, was not finished by `pseudolabel`, has neither layout, lacks a class or a
        required mask, has a mask without photograph, or has no photographs or two of the same name.
    """
    if not source.is_dir():
        raise InputError(f"--source={source}: no such folder.")
    refuse_unfinished(source)
    rules = SourceRules(colored, allow_missing_masks, unite_masks, recursive=recursive)
    root = idrid_root(source)
    layout, found = (
        ("paired_folders", paired_cases(source, classes, rules))
        if root is None
        else ("idrid", idrid_cases(root, classes, rules))
    )
    cases = _unique(found.cases)
    used = {case.photograph for case in cases}
    used |= {file for case in cases for name in classes for file in case.mask_files(name)}
    lines = unused_lines(root or source, used, found.reasons)
    if not cases:
        why = f" {lines[0]}" if lines else ""
        raise InputError(f"--source={source}: no photographs; expected files of {', '.join(IMAGE_SUFFIXES)}.{why}")
    for line in lines:
        warn(line)
    return layout, cases


def _unique(cases: Iterable[Case]) -> list[Case]:
    by_name: dict[str, Case] = {}
    for case in cases:
        if case.name in by_name:
            raise InputError(
                f"{case.photograph}: {by_name[case.name].photograph} has the same name; names must be unique in a set."
            )
        by_name[case.name] = case
    return [by_name[name] for name in sorted(by_name)]
