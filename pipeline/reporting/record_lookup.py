"""Record lookup: finds the tile, shard and record that contain a place of a photograph."""

import dataclasses

from records import Index, tile_starts


@dataclasses.dataclass(frozen=True)
class RecordPlace:
    """A record and its tile.

    Attributes:
      shard: name of the shard file.
      record: number of the record in the file, from 0.
      row: row of the tile in the grid, from 0.
      column: column of the tile in the grid, from 0.
      y: first row of the tile in the scaled photograph, pixels.
      x: first column of the tile in the scaled photograph.
    """

    shard: str
    record: int
    row: int
    column: int
    y: int
    x: int


def record_at(index: Index, case: str, *, y: float, x: float) -> RecordPlace | None:
    """Finds the record that contains a place; of overlapping tiles, the one whose centre is nearest.

    Args:
      index: index of the records.
      case: name of the case.
      y: row in the photograph, pixels.
      x: column in the photograph.

    Returns:
      The record; None if the records do not have the case, or no tile with the place (tiles without a lesion may be
      left out).
    """
    entry = index.cases.get(case)
    if entry is None:
        return None
    data = index.data
    height, width = entry.scaled_size
    scaled_y, scaled_x = (y + 0.5) * height / entry.height, (x + 0.5) * width / entry.width
    distances = [
        (max(abs(place.y + data.tile / 2 - scaled_y), abs(place.x + data.tile / 2 - scaled_x)), number)
        for number, place in enumerate(entry.places)
    ]
    distance, number = min(distances, default=(data.tile, 0))
    if distance > data.tile / 2:
        return None
    place = entry.places[number]
    shard, record = _numbered(index, case, number)
    return RecordPlace(
        shard=shard,
        record=record,
        row=tile_starts(height, data.tile, data.stride).index(place.y),
        column=tile_starts(width, data.tile, data.stride).index(place.x),
        y=place.y,
        x=place.x,
    )


def _numbered(index: Index, case: str, tile: int) -> tuple[str, int]:
    """Returns the shard of a case's tile and its record there; records are in the order of the split's cases."""
    split = index.splits[index.cases[case].split]
    before = split.cases[: split.cases.index(case)]
    record = sum(index.cases[name].tiles for name in before) + tile
    for shard in split.shards:
        if record < shard.records:
            return shard.name, record
        record -= shard.records
    raise ValueError(f"{case}: the shards of the index hold fewer records than its cases.")
