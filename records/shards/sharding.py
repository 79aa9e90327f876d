"""Writes cases as TFRecord shards, several photographs at a time.

`plan_shards` decides which cases go into which file. `write_shard` turns one plan into one finished file and depends on
nothing else, so that a loop, a pool or a distributed engine may call it. `records.shards.building` builds whole sets.
"""

import collections
import contextlib
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError

from configs import DataConfig, InputError
from records.cases import SPLITS, Case, Survey
from records.disk_errors import as_os_error
from records.files import complete_file, sha256_of
from records.shards.boxes import OwnedBox
from records.shards.cutting import Cut, Tile, cut_case
from records.shards.index import Shard, shard_name
from records.shards.ownership import OwnedLesion, Place
from records.shards.record import decode_record, encode_record

Cuts = Iterator[Cut | InputError]


@dataclasses.dataclass(frozen=True)
class ShardPlan:
    """The plan of one shard.

    Attributes:
      split: split of its cases.
      name: name of its file.
      cases: cases whose tiles it will hold, in order.
      data: the data config.
      scales: factor of each case's photograph.
    """

    split: str
    name: str
    cases: tuple[Case, ...]
    data: DataConfig
    scales: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class ShardResult:
    """The result of writing one shard.

    Attributes:
      shard: the file.
      places: places of the tiles, in order, of each of its cases.
      lesions: owned lesions of each of its cases, see `CaseEntry`.
      hard_negatives: owned boxes around mistakes of each of its cases, see `CaseEntry`.
      hashes: perceptual hash of each of its cases.
      quality: measures of each case's photograph, see `records.shards.cutting.Cut`.
      failures: for each case that could not be read, by its name, a one-line reason.
    """

    shard: Shard
    places: dict[str, list[Place]]
    lesions: dict[str, list[OwnedLesion]]
    hard_negatives: dict[str, list[OwnedBox]]
    hashes: dict[str, str]
    quality: dict[str, dict[str, float]]
    failures: dict[str, str]


def plan_shards(cases: Iterable[Case], data: DataConfig, surveys: Mapping[str, Survey]) -> list[ShardPlan]:
    """Divides the cases of each split, ordered by name, into shards of `data.photographs_per_shard` photographs."""
    plans = []
    ordered = sorted(cases, key=lambda case: case.name)
    for split in SPLITS:
        members = [case for case in ordered if case.split == split]
        starts = range(0, len(members), data.photographs_per_shard)
        for number, start in enumerate(starts):
            dealt = tuple(members[start : start + data.photographs_per_shard])
            scales = tuple(surveys[case.name].scale.factor for case in dealt)
            plans.append(ShardPlan(split, shard_name(split, number, len(starts)), dealt, data, scales))
    return plans


def cut_all(plans: Iterable[ShardPlan], pool: Executor, *, ahead: int) -> Cuts:
    """Cuts the cases of all plans in a pool; yields them in order, or the InputError of a case that cannot be read.

    Args:
      plans: plans whose cases are cut, one plan after the other.
      pool: pool of threads, preferably: decoding and encoding release Python's global lock, and tiles need not be
        copied between processes.
      ahead: number of cases that may be in work or waiting to be written, which bounds the memory.
    """
    cases = (arguments for plan in plans for arguments in cut_each(plan))
    waiting: collections.deque[Future[Cut | InputError]] = collections.deque()
    for arguments in itertools.islice(cases, ahead):
        waiting.append(pool.submit(_cut_or_error, *arguments))
    while waiting:
        cut = waiting.popleft().result()
        for arguments in itertools.islice(cases, 1):
            waiting.append(pool.submit(_cut_or_error, *arguments))
        yield cut


def write_shard(plan: ShardPlan, folder: Path, cuts: Cuts | None = None) -> ShardResult:
    """Writes one shard, whole or not at all; a case that cannot be read is left out and listed in the result.

    Args:
      plan: the shard.
      folder: folder to write to.
      cuts: iterator that yields the plan's cut cases next. None: they are cut here, one after another.

    Raises:
      OSError: the disk is full or fails.
    """
    places: dict[str, list[Place]] = {}
    lesions: dict[str, list[OwnedLesion]] = {}
    hard_negatives: dict[str, list[OwnedBox]] = {}
    hashes: dict[str, str] = {}
    quality: dict[str, dict[str, float]] = {}
    failures: dict[str, str] = {}
    if cuts is None:
        cuts = cut_here(plan, {})
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
                hard_negatives[case.name] = cut.hard_negatives
                hashes[case.name] = cut.perceptual_hash
                quality[case.name] = cut.quality
        shard = Shard(plan.name, sum(map(len, places.values())), temporary.stat().st_size, sha256_of(temporary))
    return ShardResult(
        shard,
        places,
        lesions,
        hard_negatives=hard_negatives,
        hashes=hashes,
        quality=quality,
        failures=failures,
    )


def cut_each(plan: ShardPlan) -> Iterator[tuple[Case, DataConfig, float]]:
    """Yields the arguments of `cut_case` for each case of a plan."""
    return ((case, plan.data, scale) for case, scale in zip(plan.cases, plan.scales, strict=True))


def cut_here(plan: ShardPlan, left_out: Mapping[str, str]) -> Cuts:
    """Cuts the cases of a plan one after another, but for those that are left out, by their names, for a reason."""
    for case, data, scale in cut_each(plan):
        reason = left_out.get(case.name)
        yield _cut_or_error(case, data, scale) if reason is None else InputError(reason)


def try_cut(arguments: tuple[Case, DataConfig, float]) -> None:
    """Cuts a case and forgets it, to see whether a process survives it."""
    _cut_or_error(*arguments)


def read_shard(path: Path) -> Iterator[Tile]:
    """Yields the tiles of a shard and verifies the checksums of every record.

    A file cut within the first 12 bytes of a record looks complete here; only its size reveals the damage.

    Raises:
      InputError: the shard is missing, is cut short, or has a wrong checksum.
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
        raise as_os_error(error) from error


def _cut_or_error(case: Case, data: DataConfig, scale: float) -> Cut | InputError:
    try:
        return cut_case(case, data, scale)
    except InputError as error:
        return error
