"""What is most worth a person's look: `review.csv`, the photographs first, then the tiles of all of them.

Both are ranked by the number of wrong pixels that a minute of looking is expected to correct (`pipeline.looking`).
`docs/outputs.md` says what each column is.
"""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.looking import looking_seconds, per_minute
from records import write_table

REVIEW = "review.csv"
COLUMNS = (
    "kind",
    "rank",
    "case",
    "x",
    "y",
    "width",
    "height",
    "detections",
    "expected_wrong_pixels",
    "seconds",
    "wrong_pixels_per_minute",
    "file",
)


@dataclasses.dataclass(frozen=True)
class Reviewed:
    """A photograph that may be worth a look.

    Attributes:
      row: its row of `predictions.csv`.
      tiles: its tiles, see `Sureness`.
    """

    row: dict[str, Any]
    tiles: list[list[Any]]


def write_review(output: Path, photographs: list[Reviewed]) -> None:
    """Writes `review.csv`, whole or not at all."""
    whole, single = [], []
    for one in photographs:
        *_, found, wrong = (sum(values) for values in zip(*one.tiles, strict=True)) if one.tiles else (0, 0)
        size = {"x": 0, "y": 0, "width": one.row["width"], "height": one.row["height"]}
        whole.append(_row(one, size, detections=found, wrong=wrong, tiles=len(one.tiles)))
        for y, x, height, width, in_tile, wrong_in_tile in one.tiles:
            box = {"x": x, "y": y, "width": width, "height": height}
            single.append(_row(one, box, detections=in_tile, wrong=wrong_in_tile))
    table: list[Iterable[object]] = [COLUMNS]
    for kind, rows in (("photograph", whole), ("tile", single)):
        rows.sort(key=lambda row: -row["wrong_pixels_per_minute"])
        for rank, row in enumerate(rows, start=1):
            numbered = {"kind": kind, "rank": rank, **row}
            table.append([numbered[column] for column in COLUMNS])
    write_table(output / REVIEW, table)


def _row(one: Reviewed, box: dict[str, int], *, detections: int, wrong: float, tiles: int = 1) -> dict[str, Any]:
    seconds = looking_seconds(detections, tiles)
    return {
        "case": one.row["case"],
        **box,
        "detections": detections,
        "expected_wrong_pixels": round(wrong, 1),
        "seconds": round(float(seconds)),
        "wrong_pixels_per_minute": round(float(per_minute(wrong, seconds)), 1),
        "file": one.row["file"],
    }
