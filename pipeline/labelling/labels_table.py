"""The table `labels.csv`: which classes models labelled in each photograph, and which are absent."""

from collections.abc import Collection, Mapping
from pathlib import Path

from pipeline.labelling.entries import Entry
from records import LABELS, image_files, match_rows, read_table, write_table

COLUMNS = ("case", "labelled", "absent")


def write_labels_table(output: Path, entries: Mapping[str, Entry]) -> None:
    """Writes `labels.csv`; rows that are there stay as they are, as a person may have changed them.

    Raises:
      InputError: the table that is there cannot be read, or names photographs that the folder does not have.
    """
    rows = {case: (" ".join(entry.classes), " ".join(entry.absent)) for case, entry in sorted(entries.items())}
    _write(output, rows | _read(output, rows))


def forget_rows(output: Path, cases: Collection[str]) -> None:
    """Removes the rows of photographs that are labelled again from `labels.csv`, if there is one.

    Raises:
      InputError: as `write_labels_table`.
    """
    rows = {case: row for case, row in _read(output, cases).items() if case not in cases}
    if rows:
        _write(output, rows)
    else:
        (output / LABELS).unlink(missing_ok=True)


def _read(output: Path, cases: Collection[str]) -> dict[str, tuple[str, str]]:
    """Returns the classes that are labelled and absent by case, of `cases` and of photographs that somebody added."""
    path = output / LABELS
    if not path.exists():
        return {}
    there = read_table(path, COLUMNS[:2], flag="--output", optional=COLUMNS[2:])
    names = {*cases, *image_files(output / "images")}
    matched = match_rows(there, names, where=f"--output={path}", what="list of classes")
    return {case: (labelled, absent) for case, (labelled, absent) in matched.values.items()}


def _write(output: Path, rows: Mapping[str, tuple[str, str]]) -> None:
    write_table(output / LABELS, [COLUMNS, *((case, *row) for case, row in rows.items())])
