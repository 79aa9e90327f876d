"""The cases of a large set of records in a Parquet table, of which only the rows that are asked for are read.

A row is a `CaseEntry`. Parquet stores rows in groups; a group is read at once, and the last few are kept. The table
needs PyArrow, which smaller sets do without.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from configs import InputError
from records.files import complete_file, sha256_of
from records.shards.case_entry import CaseEntry

TABLE = "cases.parquet"
GROUP = 1024  # rows, some megabytes as Python objects
GROUPS_KEPT = 8


class CaseTable(Mapping[str, CaseEntry]):
    """The entries of all cases by name, in the order of the table; read from it as they are asked for."""

    def __init__(self, path: Path, sha256: str, names: Sequence[str], *, group: int):
        """Initializes the mapping.

        Args:
          path: the table.
          sha256: its sha256, by which rows that were read from an earlier table are told apart.
          names: the cases' names in the order of its rows.
          group: number of rows in a group.
        """
        self._path, self._sha256, self._group = path, sha256, group
        self._rows = {name: row for row, name in enumerate(names)}

    def __getitem__(self, name: str) -> CaseEntry:
        """Returns the entry of a case."""
        group, row = divmod(self._rows[name], self._group)
        return _read_group(self._path, self._sha256, group)[row]

    def __iter__(self) -> Iterator[str]:
        """Yields the names of all cases."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Returns the number of cases."""
        return len(self._rows)


def check_tables(cases: int) -> None:
    """Checks that a table of so many cases could be written.

    Raises:
      InputError: PyArrow is missing.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the cases of a set of {cases:,} are kept in a Parquet table, which needs PyArrow; install it with "
            "`pip install -e .[tables]`, or divide the photographs among several sets."
        ) from error


def write_cases(folder: Path, cases: Mapping[str, CaseEntry], names: Sequence[str]) -> dict[str, Any]:
    """Writes the table, whole or not at all.

    Args:
      folder: folder of the set.
      cases: entries by name.
      names: their names in the order of the rows.

    Returns:
      What the index keeps of the table, for `open_cases`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    with complete_file(folder / TABLE) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for first in range(0, len(names), GROUP):
            rows = [dataclasses.asdict(cases[name]) for name in names[first : first + GROUP]]
            writer.write_table(pa.Table.from_pylist(rows, schema), row_group_size=GROUP)
    return {"table": TABLE, "sha256": sha256_of(folder / TABLE), "group": GROUP}


def open_cases(folder: Path, about: Mapping[str, Any], names: Sequence[str]) -> CaseTable:
    """Opens a table after comparing it with the index.

    Args:
      folder: folder of the set.
      about: what `write_cases` returned.
      names: names of the cases in the order of the rows.

    Raises:
      InputError: the table is missing or another one, or PyArrow is missing.
    """
    check_tables(len(names))
    path = folder / about["table"]
    if not path.is_file() or sha256_of(path) != about["sha256"]:
        reason = "differs from the one that the index names" if path.is_file() else "missing, but the index names it"
        raise InputError(f"{path}: {reason}; copy the whole folder once more, or shard again.")
    return CaseTable(path, about["sha256"], names, group=about["group"])


@functools.lru_cache(GROUPS_KEPT)
def _read_group(path: Path, sha256: str, group: int) -> list[CaseEntry]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as table:
        rows = table.read_row_group(group).to_pylist(maps_as_pydicts="strict")
    return [CaseEntry.from_dict(row) for row in rows]


def _schema() -> Any:
    """Returns the types of the columns, the fields of `CaseEntry`."""
    import pyarrow as pa

    number, text = pa.int64(), pa.string()
    numbers_of_classes, tuples = pa.map_(text, number), pa.list_(pa.list_(number))
    types = {
        "scale": pa.float64(),
        "lesion_pixels": numbers_of_classes,
        "unknown_pixels": numbers_of_classes,
        "quality": pa.map_(text, pa.float64()),
        "known": pa.list_(text),
        "absent": pa.list_(text),
        **dict.fromkeys(("places", "lesions", "hard_negatives"), tuples),
        **dict.fromkeys(("height", "width", "tiles", "nonempty_tiles"), number),
    }
    return pa.schema([(field.name, types.get(field.name, text)) for field in dataclasses.fields(CaseEntry)])
