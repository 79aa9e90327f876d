"""The table `labels.csv`: which classes models labelled in each photograph, and which are absent."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.labelling.entries import Entry
from records import LABELS, image_files, match_rows, read_table, write_table

COLUMNS = ("case", "labelled", "absent")


def write_labels_table(output: Path, entries: Mapping[str, Entry]) -> None:
    """Writes `labels.csv`; rows that are there stay as they are, as a person may have changed them.

    Raises:
      InputError: the table that is there cannot be read, or names photographs that the folder does not have.
    """
    path = output / LABELS
    rows = {case: (" ".join(entry.classes), " ".join(entry.absent)) for case, entry in sorted(entries.items())}
    if path.exists():
        there = read_table(path, COLUMNS[:2], flag="--output", optional=COLUMNS[2:])
        names = rows.keys() | image_files(output / "images").keys()  # also of photographs that somebody added
        matched = match_rows(there, names, where=f"--output={path}", what="list of classes")
        rows |= {case: (labelled, absent) for case, (labelled, absent) in matched.values.items()}
    write_table(path, [COLUMNS, *((case, *row) for case, row in rows.items())])
