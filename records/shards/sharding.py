"""Sharding: cases become TFRecord shards, several photographs at a time.

`plan_shards` says which cases go into which file; `write_shard` turns one plan into one finished file and depends
on nothing else, so that anything may call it: a loop, a pool, or a distributed engine. `records.shards.building` makes
the whole set of them.
"""

import collections
import contextlib
import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError

from configs import DataConfig, InputError
from records.cases.sources import SPLITS, Case
from records.files import complete_file, sha256_of
from records.shards.cutting import Cut, Tile, cut_case
from records.shards.index import Shard, shard_name
from records.shards.ownership import OwnedLesion, Place
from records.shards.record import decode_record, encode_record


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
      shard: the file.
      places: of the tiles of each case that is in it, in order.
      lesions: of each case that is in it, see `CaseEntry`.
      hashes: perceptual hash of each case that is in it.
      failures: for each case that could not be read, the line that says why.
    """

    shard: Shard
    places: dict[str, list[Place]]
    lesions: dict[str, list[OwnedLesion]]
    hashes: dict[str, str]
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


def cut_all(plans: Iterable[ShardPlan], pool: Executor, *, ahead: int) -> Iterator[Cut | InputError]:
    """Cuts the cases of all plans in the pool and yields them in order; a case that cannot be read is its error.

    Args:
      plans: whose cases are cut, one plan after the other.
      pool: threads serve better than processes: decoding and encoding leave Python's lock alone, and the tiles need not
        be copied from one process to another.
      ahead: how many cases may be cut or wait to be written at once, which bounds the memory.
    """
    cases = ((case, plan.data) for plan in plans for case in plan.cases)
    waiting: collections.deque[Future[Cut | InputError]] = collections.deque()
    for case, data in itertools.islice(cases, ahead):
        waiting.append(pool.submit(_cut_or_error, case, data))
    while waiting:
        cut = waiting.popleft().result()
        for case, data in itertools.islice(cases, 1):
            waiting.append(pool.submit(_cut_or_error, case, data))
        yield cut


def write_shard(plan: ShardPlan, folder: Path, cuts: Iterator[Cut | InputError] | None = None) -> ShardResult:
    """Writes one shard, whole or not at all; a case that cannot be read is left out and named in the result.

    Args:
      plan: the shard.
      folder: where it is written.
      cuts: the plan's cases, cut (as many are taken as it has cases); None: they are cut here, one after the other.

    Raises:
      OSError: the disk is full or fails.
    """
    places: dict[str, list[Place]] = {}
    lesions: dict[str, list[OwnedLesion]] = {}
    hashes: dict[str, str] = {}
    failures: dict[str, str] = {}
    if cuts is None:
        cuts = (_cut_or_error(case, plan.data) for case in plan.cases)
    with complete_file(folder / plan.name) as temporary:
        with _disk_errors(), tf.io.TFRecordWriter(str(temporary)) as writer:
            for case, cut in zip(plan.cases, cuts, strict=False):
                if isinstance(cut, InputError):
                    failures[case.name] = str(cut)
                    continue
                for tile in cut.tiles:
                    writer.write(encode_record(tile))
                places[case.name] = cut.places
                lesions[case.name] = cut.lesions
                hashes[case.name] = cut.perceptual_hash
        shard = Shard(plan.name, sum(map(len, places.values())), temporary.stat().st_size, sha256_of(temporary))
    return ShardResult(shard, places, lesions, hashes, failures)


def read_shard(path: Path) -> Iterator[Tile]:
    """Yields the tiles of a shard, checking the checksum of every record.

    A cut within the first 12 bytes of a record looks like the end of the file: only the shard's size gives it away.

    Raises:
      InputError: the shard is cut short or a checksum does not fit.
    """
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield decode_record(record)
    except (tf.errors.DataLossError, tf.errors.NotFoundError, DecodeError, IndexError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}); shard the photographs again.") from error


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(error.message) from error


def _cut_or_error(case: Case, data: DataConfig) -> Cut | InputError:
    try:
        return cut_case(case, data)
    except InputError as error:
        return error
