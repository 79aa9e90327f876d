"""Sharding: cases become TFRecord shards and an index.

`plan_shards` says which cases go into which file; `write_shard` turns one plan into one finished file and depends
on nothing else, so that anything may call it: a loop, a pool, or a distributed engine.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import tensorflow as tf

from configs import DataConfig, InputError
from records.cutting import cut_case
from records.files import complete_file
from records.index import CaseEntry, Index, Shard, Split, shard_name
from records.record import encode_record
from records.sources import SPLITS, Case
from records.survey import Survey


@dataclasses.dataclass(frozen=True)
class ShardPlan:
    """One shard to be written: its split, its file's name and the cases whose tiles it will hold, in order."""

    split: str
    name: str
    cases: tuple[Case, ...]
    data: DataConfig


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """One shard that was written.

    Attributes:
      plan: what was asked for.
      shard: the file.
      tiles: number of tiles of each case that is in it.
      failures: for each case that could not be read, the line that says why.
    """

    plan: ShardPlan
    shard: Shard
    tiles: dict[str, int]
    failures: dict[str, str]


def plan_shards(cases: Iterable[Case], data: DataConfig) -> list[ShardPlan]:
    """Deals the cases of each split, in the order of their names, into shards of `data.photographs_per_shard`."""
    plans = []
    ordered = sorted(cases, key=lambda case: case.name)
    for split in SPLITS:
        members = [case for case in ordered if case.split == split]
        starts = range(0, len(members), data.photographs_per_shard)
        for number, start in enumerate(starts):
            dealt = tuple(members[start : start + data.photographs_per_shard])
            plans.append(ShardPlan(split, shard_name(split, number, len(starts)), dealt, data))
    return plans


def write_shard(plan: ShardPlan, folder: Path) -> ShardResult:
    """Writes one shard, whole or not at all; a case that cannot be read is left out and named in the result."""
    tiles: dict[str, int] = {}
    failures: dict[str, str] = {}
    with complete_file(folder / plan.name) as temporary:
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for case in plan.cases:
                try:
                    cut = cut_case(case, plan.data)
                except InputError as error:
                    failures[case.name] = str(error)
                    continue
                for tile in cut:
                    writer.write(encode_record(tile))
                tiles[case.name] = len(cut)
        content = temporary.read_bytes()
        shard = Shard(plan.name, sum(tiles.values()), len(content), hashlib.sha256(content).hexdigest())
    return ShardResult(plan, shard, tiles, failures)


def build_index(source: str, data: DataConfig, surveys: Mapping[str, Survey], results: Iterable[ShardResult]) -> Index:
    """Makes the index from what was written; cases that could not be read are not in it."""
    splits: dict[str, Split] = {}
    entries: dict[str, CaseEntry] = {}
    for result in results:
        split = splits.setdefault(result.plan.split, Split([], []))
        split.shards.append(result.shard)
        for case in result.plan.cases:
            if case.name in result.tiles:
                survey = surveys[case.name]
                split.cases.append(case.name)
                entries[case.name] = CaseEntry(
                    split=case.split,
                    patient=case.patient,
                    height=survey.height,
                    width=survey.width,
                    tiles=result.tiles[case.name],
                    nonempty_tiles=survey.nonempty_tiles,
                    lesion_pixels=survey.lesion_pixels,
                )
    return Index(source, data, splits, entries)
