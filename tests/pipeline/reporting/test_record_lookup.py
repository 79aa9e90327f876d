"""Places of photographs in records, compared with the records themselves."""

import dataclasses

import numpy as np
import pytest

from pipeline.reporting.record_lookup import record_at
from records.shards.sharding import read_shard


@pytest.fixture(scope="module")
def tiles(records_set) -> dict:
    """All tiles by the name of their shard."""
    shards = [shard.name for split in records_set.index.splits.values() for shard in split.shards]
    return {name: list(read_shard(records_set.folder / name)) for name in shards}


def test_every_lesion_pixel_is_in_the_record_that_is_found(records_set, tiles):
    side = records_set.index.data.tile
    for name, picture in records_set.pictures.items():
        for y, x in np.argwhere(picture.masks.any(axis=-1))[::7]:
            place = record_at(records_set.index, name, y=float(y), x=float(x))
            tile = tiles[place.shard][place.record]
            assert (tile.case, tile.y, tile.x) == (name, place.y, place.x)
            assert place.y <= y < place.y + side
            assert place.x <= x < place.x + side


def test_rows_and_columns_count_the_tiles_of_the_grid(records_set):
    entry = records_set.index.cases["A"]  # 110 x 150, tiles of 64 every 48: rows at 0, 46; columns at 0, 48, 86
    found = {
        (place.y, place.x): record_at(records_set.index, "A", y=place.y + 32, x=place.x + 32) for place in entry.places
    }
    rows, columns = {0: 0, 46: 1}, {0: 0, 48: 1, 86: 2}
    assert found
    for (y, x), place in found.items():
        assert (place.row, place.column) == (rows[y], columns[x])


def test_of_overlapping_tiles_the_one_with_the_nearest_centre_is_taken(records_set):
    entry = dataclasses.replace(
        records_set.index.cases["A"], places=[p for p in records_set.index.cases["A"].places if p.y == 0]
    )
    index = dataclasses.replace(records_set.index, cases=records_set.index.cases | {"A": entry})
    starts = sorted(place.x for place in entry.places)
    for x in range(starts[0], starts[-1] + 64, 5):
        nearest = min(starts, key=lambda start, x=x: abs(start + 32 - x - 0.5))
        assert record_at(index, "A", y=32, x=x).x == nearest


def test_unknown_cases_and_places_without_a_tile_have_no_record(records_set):
    assert record_at(records_set.index, "unknown", y=1, x=1) is None
    bare = dataclasses.replace(records_set.index.cases["A"], places=[])
    index = dataclasses.replace(records_set.index, cases=records_set.index.cases | {"A": bare})
    assert record_at(index, "A", y=1, x=1) is None


def test_places_are_scaled_as_the_photograph_was(records_set):
    entry = dataclasses.replace(records_set.index.cases["A"], height=220, width=300, scale=0.5)
    index = dataclasses.replace(records_set.index, cases=records_set.index.cases | {"A": entry})
    assert record_at(index, "A", y=100, x=140) == record_at(records_set.index, "A", y=50, x=70)
