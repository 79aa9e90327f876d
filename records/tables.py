"""Reads tables that users make: CSV files of any delimiter and encoding that spreadsheets write."""

import codecs
import csv
import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from configs import InputError

LABELS = "labels.csv"  # table of a source: the columns case, labelled and, if needed, absent
DELIMITERS = ",;\t|"
# Byte order marks, the longer first. Without one it is UTF-8, or what Windows writes in Western Europe and America.
ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
EXCEL = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx, .xls


def read_table(
    path: Path, columns: Sequence[str], *, flag: str | None, optional: Sequence[str] = ()
) -> list[tuple[str, ...]]:
    """Reads some columns of a CSV file.

    The delimiter is the one with which the first row that is not blank names the columns, in any case. Blank rows are
    skipped; values are brought to NFC and stripped of spaces.

    Args:
      path: the file.
      columns: names of the columns, in lower case.
      flag: flag that names the file, such as "--patients", for messages; None: it lies in the source.
      optional: names of further columns, which the file may lack.

    Returns:
      The values of the columns, then those of the optional ones, in each row; a value that is not there is empty.

    Raises:
      InputError: the file cannot be read, is no text, or has other columns; or a row has more values than columns.
    """
    where = title(path, flag)
    try:
        text = _decoded(path.read_bytes())
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise InputError(f"{where}: cannot be read ({error}); save it as CSV.") from error
    heads: list[str] = []
    for delimiter in DELIMITERS:
        heads, *rows = _rows(text, delimiter, where=where) or [[]]
        names = [head.lower() for head in heads]
        if set(columns) <= set(names):
            _refuse_surplus(rows, heads, delimiter, where=where)
            places = [names.index(one) if one in names else len(names) for one in (*columns, *optional)]
            return [tuple(row[place] if place < len(row) else "" for place in places) for row in rows]
    expected = f"column{'s' * (len(columns) > 1)} {' and '.join(columns)}"
    raise InputError(f"{where}: expected the {expected}; it has {_first_line(text)!r}.")


def _refuse_surplus(rows: Sequence[Sequence[str]], heads: Sequence[str], delimiter: str, *, where: str) -> None:
    """Raises an InputError about the first row with more values than columns: one of them is not quoted."""
    for row in rows:
        if any(row[len(heads) :]):
            raise InputError(
                f"{where}: the row that begins with {row[0]!r} has {len(row)} values for {len(heads)} columns; put "
                f"values that hold {delimiter!r} in double quotes."
            )


def title(path: Path, flag: str | None) -> str:
    """Returns what messages call a file: with the flag that names it, if one does."""
    return str(path) if flag is None else f"{flag}={path}"


def _rows(text: str, delimiter: str, *, where: str) -> list[list[str]]:
    """Returns the rows that are not blank, without the line "sep=;" that Excel may write first."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise InputError(f"{where}: cannot be read ({error}).") from error
    clean = [[unicodedata.normalize("NFC", value).strip() for value in row] for row in rows]
    clean = [row for row in clean if any(row)]
    return clean[1:] if clean and clean[0][0].lower().startswith("sep=") else clean


def _decoded(content: bytes) -> str:
    """Returns the text of a file; raises ValueError if it is none."""
    if content.startswith(EXCEL):
        raise ValueError("a workbook of Excel, not a text")
    for mark, encoding in ENCODINGS.items():
        if content.startswith(mark):
            return content.decode(encoding)
    if b"\0" in content:  # no text but UTF-16 without its mark has zeros, beside every letter of English
        if content[1::2].count(0) * 2 < len(content[1::2]):
            raise ValueError("not a text")
        return content.decode("utf-16-le")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:80]
