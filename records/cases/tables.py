"""The tables that users make of their photographs: patients and splits, by the names of cases."""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from configs import InputError
from records.cases.case import SPLITS, Case
from records.cases.names import clean_key
from records.cases.unused import Warn, listed, print_warning
from records.tables import read_table, title


def split_names(text: str) -> list[str]:
    """Returns the names in a cell of a table, which spaces, commas, semicolons or bars separate."""
    return [name for name in re.split(r"[\s,;|]+", text) if name]


def read_patients(
    path: Path, cases: list[Case], *, left_out: Collection[str] = (), warn: Warn = print_warning
) -> list[Case]:
    """Reads the patient of each case from a CSV file with the columns case and patient.

    Args:
      path: the file, as `read_table` reads it. Image suffixes of its cases are ignored.
      cases: the cases.
      left_out: names of further cases that the file may name.
      warn: called with a line about cases that are unknown, or have no patient.

    Returns:
      The cases with their patients; a case that is not in the file is treated as a patient of its own.

    Raises:
      InputError: the file cannot be read, has other columns or names none of the cases, a case has two patients, or a
        patient is in two splits of the source.
    """
    names = [case.name for case in cases]
    patients = _read_column(path, "patient", [*names, *left_out], flag="--patients", warn=warn)
    known = [dataclasses.replace(case, patient=patients.get(case.name) or None) for case in cases]
    without = [case.name for case in known if case.patient is None]
    if without:
        warn(
            f"--patients={path}: {len(without)} of {len(cases)} photographs have none, and count as patients of their "
            f"own: {listed(without)}"
        )
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


def read_splits(path: Path, cases: list[Case], *, warn: Warn = print_warning) -> list[Case]:
    """Reads the split of each case from a CSV file with the columns case and split.

    Args:
      path: the file, as `read_table` reads it. Image suffixes of its cases and capitals of its splits are ignored.
      cases: the cases.
      warn: called with a line about cases that are unknown.

    Returns:
      The cases in the file, with its splits instead of the source's; all other cases are left out.

    Raises:
      InputError: the file cannot be read, has other columns or names none of the cases, a case has two splits, or a
        split is unknown.
    """
    splits = _read_column(path, "split", [case.name for case in cases], flag="--splits", warn=warn)
    for name, split in splits.items():
        if split.lower() not in SPLITS:
            raise InputError(f"--splits={path}: case {name!r} has the split {split!r}; expected {', '.join(SPLITS)}.")
    if not splits:
        raise InputError(f"--splits={path}: lists no case; expected a row for each case that takes part.")
    return [dataclasses.replace(case, split=splits[case.name].lower()) for case in cases if case.name in splits]


def _read_column(path: Path, column: str, names: list[str], *, flag: str, warn: Warn) -> dict[str, str]:
    """Reads the values of one column by the names of cases."""
    where = title(path, flag)
    matched = match_rows(read_table(path, ("case", column), flag=flag), names, where=where, what=column)
    matched.say_unmatched(names, where=where, warn=warn)
    return {name: value for name, (value,) in matched.values.items()}


@dataclasses.dataclass(frozen=True)
class MatchedRows:
    """The rows of a table, by the cases that they name.

    Attributes:
      values: what follows the name of a case in its row.
      unmatched: the rows that name no case.
      number: number of all rows.
    """

    values: Mapping[str, tuple[str, ...]]
    unmatched: Sequence[tuple[str, ...]]
    number: int

    def say_unmatched(self, names: Collection[str], *, where: str, warn: Warn) -> None:
        """Warns of the rows that name no case.

        Args:
          names: names of all cases.
          where: what messages call the table.
          warn: called with a line.

        Raises:
          InputError: no row names a case, though there are rows.
        """
        unknown = [row[0] for row in self.unmatched]
        if unknown and not self.values:
            called = f"the photographs are called {listed(list(names)[:3])}" if names else "there is no such file"
            raise InputError(
                f"{where}: none of its {self.number} rows names a photograph; it has cases such as {unknown[0]!r}, "
                f"{called}."
            )
        if unknown:
            warn(f"{where}: {len(unknown)} of {self.number} rows name no photograph here: {listed(unknown)}")


def match_rows(rows: Sequence[tuple[str, ...]], names: Collection[str], *, where: str, what: str) -> MatchedRows:
    """Finds which case each row of a table names.

    Args:
      rows: rows of a table, that begin with the name of a case. Suffixes of images are ignored.
      names: names of all cases.
      where: what messages call the table.
      what: what messages call the values that follow.

    Raises:
      InputError: two rows say different things of one case.
    """
    exactly, by_key = set(names), dict[str, list[str]]()
    for name in names:
        by_key.setdefault(clean_key(name), []).append(name)
    values: dict[str, tuple[str, ...]] = {}
    unmatched = []
    for row in rows:
        written = row[0]
        matching = [written] if written in exactly else by_key.get(clean_key(written), [])
        if len(matching) != 1:
            unmatched.append(row)
            continue
        for one, other in zip(values.setdefault(matching[0], row[1:]), row[1:], strict=True):
            if one != other:
                raise InputError(f"{where}: case {written!r} needs exactly one {what}; it has {one!r} and {other!r}.")
    return MatchedRows(values, unmatched, len(rows))
