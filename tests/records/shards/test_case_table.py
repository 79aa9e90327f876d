"""The cases of a large set are read back from a table as they are asked for, and no other table is taken for it."""

import dataclasses
import json
import pickle
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from configs import InputError
from records import Case, plan_records, read_index, write_index
from records.shards import case_table, planning
from records.shards.case_table import TABLE, CaseTable
from records.shards.index import INDEX


@pytest.fixture(autouse=True)
def no_rows_of_other_tests():
    """Nothing is kept of tables that other tests read."""
    case_table._read_group.cache_clear()


@pytest.fixture
def large(records_set, tmp_path, monkeypatch) -> Path:
    """A folder with an index whose cases are in a table, two in a group."""
    monkeypatch.setattr(case_table, "GROUP", 2)
    write_index(tmp_path, records_set.index, most_in_index=2)
    return tmp_path


def test_all_cases_are_read_back_unchanged_in_the_order_of_their_splits(records_set, large):
    found = read_index(large)
    assert isinstance(found.cases, CaseTable)
    assert found == records_set.index
    assert list(found.cases) == [name for split in found.splits.values() for name in split.cases]
    assert len(found.cases) == len(records_set.index.cases) == 9
    assert "nobody" not in found.cases and found.cases.get("nobody") is None
    assert found.known_throughout == records_set.index.known_throughout


def test_only_the_group_of_a_case_that_is_asked_for_is_read(large, monkeypatch):
    cases = read_index(large).cases
    read = []
    read_row_group = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, number: (read.append(number), read_row_group(self, number))[1]
    )
    names = list(cases)
    assert cases[names[4]] == cases[names[4]] and cases[names[5]].split
    assert read == [2]


def test_the_index_names_the_table_and_says_that_it_is_of_another_version(large):
    content = json.loads((large / INDEX).read_text(encoding="utf-8"))
    assert content["schema_version"] == 4
    assert content["cases"]["table"] == TABLE
    assert pq.ParquetFile(large / TABLE).metadata.num_row_groups == 5


def test_cases_are_passed_on_to_other_processes(records_set, large):
    assert pickle.loads(pickle.dumps(read_index(large))) == records_set.index


@pytest.mark.parametrize("damage", ["gone", "cut", "another"])
def test_another_table_is_refused_with_its_name(large, damage):
    table = large / TABLE
    content = table.read_bytes()
    table.unlink()
    if damage != "gone":
        table.write_bytes(content[:-9] if damage == "cut" else content[:-1] + b"\0")
    with pytest.raises(InputError) as error:
        read_index(large)
    assert str(table) in str(error.value) and "shard again" in str(error.value) and "\n" not in str(error.value)


def test_a_smaller_set_in_the_same_folder_leaves_no_table(records_set, large):
    write_index(large, records_set.index, most_in_index=9)
    assert not (large / TABLE).exists()
    assert read_index(large) == records_set.index


def test_rows_of_an_earlier_table_are_not_taken_for_those_of_a_new_one(records_set, large):
    before = read_index(large)
    name = next(iter(before.cases))
    assert before.cases[name].patient is None
    cases = {key: dataclasses.replace(entry, patient="眼") for key, entry in records_set.index.cases.items()}
    write_index(large, dataclasses.replace(records_set.index, cases=cases), most_in_index=2)
    assert read_index(large).cases[name].patient == "眼"


def test_without_pyarrow_a_large_set_is_refused_before_any_mask_is_read(records_set, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setattr(planning, "MOST_CASES_IN_INDEX", 1)
    cases = [Case("A", Path("A.jpg"), {}, "train"), Case("B", Path("B.jpg"), {}, "train")]
    with pytest.raises(InputError, match=r"set of 2 are kept .*pip install -e \.\[tables\]"):
        plan_records("paired", cases, records_set.data, source="--source=S", keep_splits=False, workers=1)
