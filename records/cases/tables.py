"""The tables that users make of their photographs: patients and splits, by the names of cases."""

import dataclasses
from collections.abc import Collection
from pathlib import Path

from configs import InputError
from records.cases.case import SPLITS, Case
from records.cases.names import clean_key
from records.cases.unused import Warn, listed, print_warning
from records.tables import read_table


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
    by_key: dict[str, list[str]] = {}
    for name in names:
        by_key.setdefault(clean_key(name), []).append(name)
    values: dict[str, str] = {}
    unknown = []
    rows = read_table(path, ("case", column), flag=flag)
    for written, value in rows:
        matching = [written] if written in names else by_key.get(clean_key(written), [])
        if len(matching) != 1:
            unknown.append(written)
        elif values.setdefault(matching[0], value) != value:
            raise InputError(
                f"{flag}={path}: case {written!r} needs exactly one {column}; it has {values[matching[0]]!r} and "
                f"{value!r}."
            )
    if unknown and len(unknown) == len(rows):
        raise InputError(
            f"{flag}={path}: none of its {len(rows)} rows names a photograph; it has cases such as {unknown[0]!r}, the "
            f"photographs are called {listed(names[:3])}."
        )
    if unknown:
        warn(f"{flag}={path}: {len(unknown)} of {len(rows)} rows name no photograph here: {listed(unknown)}")
    return values
