"""Which photographs that a model labels are known to be free of which classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from configs import InputError
from records.cases.case import Case, KnownRules
from records.cases.idrid import CLASSES
from records.cases.known import Knowledge
from records.cases.unused import Warn, print_warning


def add_healthy(
    photographs: Mapping[str, Path],
    classes: tuple[str, ...],
    known: KnownRules,
    *,
    recursive: bool = False,
    warn: Warn = print_warning,
) -> tuple[dict[str, Path], dict[str, frozenset[str]]]:
    """Reads what --healthy and --absent say of photographs without masks.

    Args:
      photographs: files by name.
      classes: the classes that are labelled.
      known: what the flags say.
      recursive: whether the folders below one of healthy photographs are searched, too.
      warn: called with a line about rows that name no photograph.

    Returns:
      The photographs with those that --healthy adds, and by name, the classes that photographs are known to be free
      of, without those that have none.

    Raises:
      InputError: the flags do not fit together; a table cannot be read, or names a class that does not exist; or a
        photograph that is added has the name of another.
    """
    cases = [Case(name, file, dict.fromkeys(classes), "train") for name, file in photographs.items()]
    told = Knowledge(known, classes, CLASSES, None, recursive=recursive, warn=warn).tell(cases, ())
    found = dict(photographs)
    for case in told.cases:
        if found.setdefault(case.name, case.photograph) != case.photograph:
            raise InputError(f"{case.photograph}: {found[case.name]} has the same name; rename one of them.")
    absent = {case.name: case.absent.intersection(classes) for case in told.cases}
    return found, {name: names for name, names in absent.items() if names}


def healthy_folders(known: KnownRules, cases: Sequence[Case]) -> list[Path]:
    """Returns the folders of the photographs that --healthy adds to a source, as `train --source` takes them.

    Args:
      known: what the flags say.
      cases: the cases of the source and those that are added. A table names these among photographs of the source,
        which lie where photographs with masks do.
    """
    if known.healthy is None:
        return []
    if Path(known.healthy).is_dir():
        return [Path(known.healthy)]
    with_masks = {case.photograph.parent for case in cases if any(case.masks.values())}
    return sorted({case.photograph.parent for case in cases} - with_masks)
