"""Hard negatives: boxes around what a model mistook for lesions, one table per photograph.

`pseudolabel` writes them as `hard_negatives/CASE.csv` for photographs that are known to be free of a class; training
can draw crops from there.
"""

import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from configs import InputError
from records.files import write_table
from records.tables import read_table

HARD_NEGATIVES = "hard_negatives"  # folder of a source
COLUMNS = ("class", "y", "x", "height", "width", "probability")


class HardNegative(NamedTuple):
    """A box around a mistake; places and sizes are pixels of the photograph as it is read, turned by its tag.

    Attributes:
      name: class of the lesion that the model took it for.
      y: first row.
      x: first column.
      height: number of rows, at least 1.
      width: number of columns, at least 1.
      probability: the highest in the box, 0 to 1.
    """

    name: str
    y: int
    x: int
    height: int
    width: int
    probability: float


def write_hard_negatives(path: Path, boxes: Iterable[HardNegative]) -> None:
    """Writes a table of hard negatives, whole or not at all."""
    write_table(path, [COLUMNS, *((*box[:-1], f"{box.probability:.4f}") for box in boxes)])


def read_hard_negatives(
    path: Path, classes: Collection[str], *, size: tuple[int, int] | None = None
) -> list[HardNegative]:
    """Reads a table of hard negatives.

    Args:
      path: the file, as `records.tables.read_table` reads it.
      classes: the boxes of these classes are returned, in the order of the file.
      size: (H, W) of the photograph; None: unknown, so that it is not checked whether boxes lie in it.

    Raises:
      InputError: the file cannot be read or has other columns, or a row of any class is no box, lies outside the
        photograph, or has a probability that is not from 0 to 1.
    """
    rows = read_table(path, COLUMNS, flag=HARD_NEGATIVES)
    boxes = [_box(row, f"{path}: row {number}", size) for number, row in enumerate(rows, start=2)]  # after the heads
    return [box for box in boxes if box.name in classes]


def _box(row: tuple[str, ...], where: str, size: tuple[int, int] | None) -> HardNegative:
    name, *numbers, probability = row
    if not name:
        raise InputError(f"{where}: names no class.")
    y, x, height, width = (
        _whole(text, where, column, least=least)
        for text, column, least in zip(numbers, COLUMNS[1:-1], (0, 0, 1, 1), strict=True)
    )
    if size is not None and (y + height > size[0] or x + width > size[1]):
        raise InputError(
            f"{where}: rows {y} to {y + height - 1} and columns {x} to {x + width - 1} reach out of the photograph of "
            f"{size[1]}x{size[0]} pixels; correct the row or remove it."
        )
    return HardNegative(name, y, x, height, width, _fraction(probability, where))


def _whole(text: str, where: str, column: str, *, least: int) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) >= least):
        raise InputError(f"{where}: {column} is {text!r}; expected a whole number of pixels, {least} or more.")
    return int(text)


def _fraction(text: str, where: str) -> float:
    try:
        value = float(text.replace(",", "."))  # as spreadsheets write it in Europe
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise InputError(f"{where}: probability is {text!r}; expected a number from 0 to 1.")
    return value
