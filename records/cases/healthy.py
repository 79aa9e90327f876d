"""Reads which photographs are known to be free of which classes, for labels that models make."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from configs import InputError
from configs.suggestions import did_you_mean
from records.cases.names import clean_key
from records.cases.unused import Warn, listed, print_warning
from records.tables import read_table


def read_absent(
    table: Path,
    names: Collection[str],
    classes: tuple[str, ...],
    *,
    absent: Sequence[str] = (),
    warn: Warn = print_warning,
) -> dict[str, frozenset[str]]:
    """Reads the classes that healthy photographs show none of.

    Args:
      table: CSV with the columns case and absent, classes separated by spaces, commas, semicolons or bars. Suffixes of
        images are ignored in names.
      names: names of the photographs.
      classes: the classes that may be absent.
      absent: the classes that are absent where the table says nothing.
      warn: called with a line about rows that name no photograph.

    Returns:
      The absent classes of each photograph that has any.

    Raises:
      InputError: the table cannot be read, names no photograph or an unknown class, or does not say what is absent.
    """
    where = f"--healthy={table}"
    by_key = {clean_key(name): name for name in names}
    default = _classes(",".join(absent), classes, where="--absent")
    found: dict[str, frozenset[str]] = {}
    rows, unknown = _rows(table, needs_absent=not absent), []
    for written, text in rows:
        name = written if written in names else by_key.get(clean_key(written))
        if name is None:
            unknown.append(written)
            continue
        one = _classes(text, classes, where=where) or default
        if not one:
            raise InputError(f"{where}: does not say what {written} shows none of; fill its column absent.")
        if found.setdefault(name, one) != one:
            raise InputError(f"{where}: names {written} twice, with other classes; remove one of the rows.")
    if len(unknown) == len(rows):
        some = (
            f"; its cases are called {listed(unknown[:3])}, the photographs {listed(list(names)[:3])}" if rows else ""
        )
        raise InputError(f"{where}: names none of the photographs{some}.")
    if unknown:
        warn(f"{where}: {len(unknown)} of {len(rows)} rows name no photograph here: {listed(unknown)}")
    return found


def _rows(table: Path, *, needs_absent: bool) -> list[tuple[str, ...]]:
    try:
        return read_table(table, ("case", "absent"), flag="--healthy")
    except InputError as error:
        if needs_absent:
            raise InputError(f"{error} --absent says it for all, such as --absent=MA,HE.") from error
        return [(case, "") for (case,) in read_table(table, ("case",), flag="--healthy")]


def _classes(text: str, classes: tuple[str, ...], *, where: str) -> frozenset[str]:
    names = frozenset(filter(None, re.split(r"[\s,;|]+", text)))
    for name in sorted(names.difference(classes)):
        raise InputError(
            f"{where}: no class {name!r}; expected some of {', '.join(classes)}, the classes that are labelled."
            f"{did_you_mean(name, classes)}"
        )
    return names
