"""Verifies a set of records: compares every file with the index."""

import collections
from collections.abc import Callable
from pathlib import Path

from configs import InputError
from records.files import sha256_of
from records.shards.index import DATASET, Index, Shard
from records.shards.sharding import read_shard


def verify_records(folder: Path, index: Index, progress: Callable[[str], None] = lambda name: None) -> list[str]:
    """Verifies size, sha256, checksums and counts of every shard, and the places of every case's tiles.

    Args:
      folder: folder of the set.
      index: index as `read_index` returns it.
      progress: called with each shard's name when it has been read.

    Returns:
      One line for each difference; none if the set is intact.
    """
    differences: list[str] = []
    places: dict[str, list[tuple[int, int]]] = collections.defaultdict(list)
    for split in index.splits.values():
        for shard in split.shards:
            differences += _verify_shard(folder / shard.name, shard, set(split.cases), places=places)
            progress(shard.name)
    for name, entry in index.cases.items():
        if len(places[name]) != entry.tiles:
            differences.append(f"case {name}: {len(places[name])} tiles in the shards, the index says {entry.tiles}")
        elif places[name] != [(place.y, place.x) for place in entry.places]:
            differences.append(f"case {name}: the places of its tiles differ from the index")
    listed = {shard.name for split in index.splits.values() for shard in split.shards}
    for path in sorted(folder.glob(f"{DATASET}-*.tfrecord-*")):
        if path.name not in listed:
            differences.append(f"{path.name}: not in the index")
    in_two = collections.Counter(name for split in index.splits.values() for name in split.cases)
    differences += [f"case {name}: in {count} splits" for name, count in in_two.items() if count > 1]
    return differences


def _verify_shard(path: Path, shard: Shard, cases: set[str], *, places: dict[str, list[tuple[int, int]]]) -> list[str]:
    """Verifies one file, and adds the places of its tiles to `places`."""
    if not path.is_file():
        return [f"{shard.name}: missing"]
    differences = []
    size = path.stat().st_size
    if size != shard.bytes:
        differences.append(f"{shard.name}: {size} bytes, the index says {shard.bytes}")
    sha256 = sha256_of(path)
    if sha256 != shard.sha256:
        differences.append(f"{shard.name}: sha256 {sha256[:12]}…, the index says {shard.sha256[:12]}…")
    records = 0
    try:
        for tile in read_shard(path):
            records += 1
            places[tile.case].append((tile.y, tile.x))
            if tile.case not in cases:
                differences.append(
                    f"{shard.name}: record {records - 1} belongs to case {tile.case}, which is not in this split"
                )
    except InputError:
        differences.append(f"{shard.name}: damaged after record {records}: wrong checksum, or the file is cut short")
    if records != shard.records:
        differences.append(f"{shard.name}: {records} records, the index says {shard.records}")
    return differences
