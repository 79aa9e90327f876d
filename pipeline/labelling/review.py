"""Which photographs are most worth correcting: `review.csv`, the most doubtful ones first."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.labelling.entries import Entry
from pipeline.labelling.labels import ClassSummary
from records import write_table

REVIEW = "review.csv"
COLUMNS = (
    *("rank", "case", "uncertainty", "why", "corrected"),
    *("lesions", "doubtful", "mistakes", "lesion_pixels", "doubtful_pixels", "unknown_fraction"),
    *("overlay", "warnings"),
)


def uncertainty(entry: Entry) -> float:
    """Returns how much is to be corrected in a photograph.

    It is the number of doubtful regions and of mistakes, times their fraction of all regions: a few doubtful regions
    beside many lesions matter less than as many where nothing else was found.
    """
    wrong = sum(one.doubtful + one.mistakes for one in entry.classes.values())
    return wrong * wrong / max(wrong + sum(one.lesions for one in entry.classes.values()), 1)


def ranked(entries: Mapping[str, Entry]) -> list[str]:
    """Returns the names of photographs, those most worth correcting first; of equal ones the larger doubtful area."""
    return sorted(
        entries,
        key=lambda name: (-uncertainty(entries[name]), -_sum(entries[name], "doubtful_pixels"), name),
    )


def write_review(folder: Path, entries: Mapping[str, Entry]) -> list[str]:
    """Writes `review.csv` and returns the names in its order."""
    names, table = ranked(entries), list[Iterable[object]]([COLUMNS])
    for rank, name in enumerate(names, start=1):
        row = {"rank": rank, "case": name, **_row(folder, name, entries[name])}
        table.append([row[column] for column in COLUMNS])
    write_table(folder / REVIEW, table)
    return names


def _row(folder: Path, name: str, entry: Entry) -> dict[str, object]:
    pixels = entry.height * entry.width * len(entry.classes)
    numbers = {column: _sum(entry, column) for column in ClassSummary._fields if column in COLUMNS}
    return {
        **numbers,
        "uncertainty": f"{uncertainty(entry):.3g}",
        "why": "; ".join(filter(None, (_why(*item) for item in entry.classes.items()))),
        "corrected": "yes" if entry.corrected(folder) else "no",
        "unknown_fraction": f"{_sum(entry, 'unknown_pixels') / pixels:.2g}",
        "overlay": f"overlays/{name}.jpg",
        "warnings": "; ".join(entry.warnings),
    }


def _why(name: str, summary: ClassSummary) -> str:
    if summary.mistakes:
        return f"{name}: {summary.mistakes} where it is absent"
    return f"{name}: {summary.doubtful} doubtful beside {summary.lesions}" if summary.doubtful else ""


def _sum(entry: Entry, field: str) -> int:
    return sum(getattr(one, field) for one in entry.classes.values())
