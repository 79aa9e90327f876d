"""Builds a set of records, whole or not at all: finished shards survive a kill, and an old set stays until the end.

Shards are written into the folder `.building` inside the set's folder, each with a note of what it was made from. A
second start keeps the shards whose note still applies and writes the others. When all are complete they are moved into
place: the old index is removed first and the new one written last, so that a folder with an index is always a complete
set.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

from configs import InputError
from configs.schema import as_before
from records.cases import Case, LabelledBy, Survey, near_pairs, same_pixels
from records.disk_errors import DiskError, disk_error, one_line
from records.files import make_folder, sha256_of, sweep_temporaries, write_text
from records.locks import claimed, holder
from records.parallel import Cluster, LostPieceError, Workers
from records.shards.boxes import OwnedBox
from records.shards.case_entry import CaseEntry
from records.shards.index import DATASET, INDEX, Index, NearPair, Shard, Split, write_index
from records.shards.ownership import OwnedLesion, Place
from records.shards.sharding import Cuts, ShardPlan, ShardResult, cut_all, cut_each, cut_here, try_cut, write_shard

BUILDING = ".building"


def build_records(
    layout: str,
    plans: list[ShardPlan],
    surveys: Mapping[str, Survey],
    *,
    folder: Path,
    workers: Workers,
    strict: bool = False,
    labelled_by: LabelledBy | None = None,
    progress: Callable[[ShardPlan, ShardResult], None] = lambda plan, result: None,
) -> tuple[Index, dict[str, str]]:
    """Writes all shards that are not finished yet, then moves the whole set into place.

    Args:
      layout: layout of the source, as `find_cases` returns it.
      plans: all shards, at least one.
      surveys: survey of every case in them, by its name.
      folder: existing folder of the set; a set that is in it is replaced at the end.
      workers: number of photographs that are cut at once, or a cluster, each process of which writes whole shards.
      strict: whether a case that cannot be read is an error; otherwise it is left out.
      labelled_by: the models whose labels these are; None if people made them.
      progress: called after each shard.

    Returns:
      The index, and for each case that could not be read, by its name, a one-line reason.

    Raises:
      InputError: equal photographs are in two splits, no tile could be cut, writing failed, another run is writing to
        the folder, or, if strict, a case cannot be read. Finished shards are kept for the next start.
    """
    with _building_folder(folder) as building, _disk_errors(folder):
        results = _results(plans, surveys, folder, building=building, workers=workers, strict=strict, progress=progress)
        index = dataclasses.replace(_index(layout, plans, surveys, results=results), labelled_by=labelled_by)
        _refuse_equal_pixels(index, plans)
        _put_in_place(index, folder, building)
    failures = {name: line for result in results for name, line in result.failures.items()}
    return index, failures


def _results(
    plans: list[ShardPlan],
    surveys: Mapping[str, Survey],
    folder: Path,
    *,
    building: Path,
    workers: Workers,
    strict: bool,
    progress: Callable[[ShardPlan, ShardResult], None],
) -> list[ShardResult]:
    found = {plan.name: _finished(plan, surveys, folder, building=building) for plan in plans}
    results = {name: result for name, result in found.items() if result is not None}
    pieces = [_Piece(plan, _made_from(plan, surveys), strict) for plan in plans if plan.name not in results]
    for plan in plans:
        if plan.name in results:
            progress(plan, results[plan.name])
    write = _write_here(workers, pieces, building) if isinstance(workers, int) else _write_on(workers, pieces, building)
    with contextlib.closing(write) as written:
        for piece, result in written:
            results[piece.plan.name] = result
            progress(piece.plan, result)
    return [results[plan.name] for plan in plans]


@dataclasses.dataclass(frozen=True)
class _Piece:
    """What is needed to write one shard and its note.

    Attributes:
      plan: the shard.
      made_from: digest of what its bytes depend on.
      strict: whether a case that cannot be read is an error.
      left_out: for each case that no process can cut, by its name, a one-line reason.
    """

    plan: ShardPlan
    made_from: str
    strict: bool
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)


def _write_here(workers: int, pieces: Sequence[_Piece], building: Path) -> Generator[tuple[_Piece, ShardResult]]:
    """Writes shards in this process, one after the other, while the next photographs are cut."""
    cv2.setNumThreads(1)  # the pool uses all cores already
    with ThreadPoolExecutor(workers) as pool:
        cuts = cut_all([piece.plan for piece in pieces], pool, ahead=2 * workers)
        for piece in pieces:
            yield piece, _write_piece(piece, building, cuts)


def _write_on(cluster: Cluster, pieces: Sequence[_Piece], building: Path) -> Generator[tuple[_Piece, ShardResult]]:
    """Writes shards on a cluster; a photograph that ends every process that cuts it is left out of its shard."""
    write = functools.partial(_write_piece, building=building)
    lost: list[_Piece] = []
    for piece, result in zip(pieces, cluster.map(write, pieces, folder=building), strict=True):
        if isinstance(result, LostPieceError):
            lost.append(piece)
        elif isinstance(result, InputError):
            raise result
        else:
            yield piece, result
    if lost:
        yield from _write_on(cluster, [_without_lost_cases(cluster, piece) for piece in lost], building)


def _without_lost_cases(cluster: Cluster, piece: _Piece) -> _Piece:
    """Returns a shard without the cases that end the processes that cut them.

    Raises:
      LostPieceError: none does by itself.
    """
    tried = zip(piece.plan.cases, cluster.map(try_cut, list(cut_each(piece.plan))), strict=True)
    lost = {case.name: f"{case.photograph}: {one}" for case, one in tried if isinstance(one, LostPieceError)}
    if not lost.keys() - piece.left_out.keys():
        raise LostPieceError(f"{piece.plan.name}: the processes that wrote this shard ended; free memory on the nodes.")
    return dataclasses.replace(piece, left_out=lost)


def _write_piece(piece: _Piece, building: Path, cuts: Cuts | None = None) -> ShardResult:
    """Writes a shard, and then its note."""
    result = write_shard(piece.plan, building, cuts or cut_here(piece.plan, piece.left_out))
    if piece.strict and result.failures:
        raise InputError(next(iter(result.failures.values())))
    note = {"made_from": piece.made_from, "result": dataclasses.asdict(result)}
    write_text(_note(building, piece.plan), json.dumps(note))
    return result


def _finished(plan: ShardPlan, surveys: Mapping[str, Survey], folder: Path, *, building: Path) -> ShardResult | None:
    """Returns the result of a shard that an earlier start wrote, if the plan still asks for the same shard."""
    try:
        note = json.loads(_note(building, plan).read_text(encoding="utf-8"))
        result = ShardResult(**{**note["result"], "shard": Shard(**note["result"]["shard"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if note["made_from"] != _made_from(plan, surveys) or result.failures:
        return None  # a case that failed may have been repaired since
    for place in (building, folder):  # a start killed while moving shards leaves them in both
        path = place / plan.name
        if path.is_file() and path.stat().st_size == result.shard.bytes and sha256_of(path) == result.shard.sha256:
            return result
    return None


def _made_from(plan: ShardPlan, surveys: Mapping[str, Survey]) -> str:
    """Returns a digest of everything that a shard's bytes depend on: its cases' files and the data config."""
    content = [
        as_before("data", dataclasses.asdict(plan.data)),
        [(case.name, surveys[case.name].digest, *_known(case)) for case in plan.cases],
        *([plan.scales] if plan.data.field_diameter is not None else []),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _known(case: Case) -> list[list[str]]:
    """Returns what a case's files do not say of what is known; nothing if all is."""
    return [sorted(case.unknown), sorted(case.absent)] if case.unknown or case.absent else []


def _index(layout: str, plans: list[ShardPlan], surveys: Mapping[str, Survey], *, results: list[ShardResult]) -> Index:
    splits: dict[str, Split] = {}
    entries: dict[str, CaseEntry] = {}
    hashes: dict[str, str] = {}
    for plan, result in zip(plans, results, strict=True):
        split = splits.setdefault(plan.split, Split([], []))
        split.shards.append(result.shard)
        for case in plan.cases:
            if case.name in result.places:
                split.cases.append(case.name)
                entries[case.name] = _entry(case, surveys[case.name], result)
        hashes |= result.hashes
    if not any(split.records for split in splits.values()):
        raise InputError("no tile could be cut: no photograph with a lesion can be read.")
    near = [NearPair(one, other, bits) for one, other, bits in near_pairs(hashes)]
    return Index(layout, plans[0].data, splits, entries, near)


def _entry(case: Case, survey: Survey, result: ShardResult) -> CaseEntry:
    pixels = survey.height * survey.width
    return CaseEntry(
        split=case.split,
        patient=case.patient,
        height=survey.height,
        width=survey.width,
        tiles=len(result.places[case.name]),
        nonempty_tiles=survey.nonempty_tiles,
        lesion_pixels=survey.lesion_pixels,
        digest=survey.digest,
        photograph_digest=survey.photograph_digest,
        scale=survey.scale.factor,
        quality={name: round(value, 6) for name, value in result.quality[case.name].items()},
        perceptual_hash=result.hashes[case.name],
        places=[Place(*place) for place in result.places[case.name]],
        lesions=[OwnedLesion(*lesion) for lesion in result.lesions[case.name]],
        known=[name for name in survey.lesion_pixels if survey.unknown_pixels.get(name, 0) < pixels],
        unknown_pixels=survey.unknown_pixels,
        absent=[name for name in survey.lesion_pixels if name in case.absent],
        hard_negatives=[OwnedBox(*box) for box in result.hard_negatives[case.name]],
    )


def _refuse_equal_pixels(index: Index, plans: list[ShardPlan]) -> None:
    """Refuses photographs of different splits with equal pixels; those whose files are equal are refused earlier."""
    cases = {case.name: case for plan in plans for case in plan.cases}
    for pair in index.nearly_equal:
        one, other = cases[pair.one], cases[pair.other]
        if one.split == other.split or pair.bits:
            continue
        if same_pixels(one, other, max_pixels=index.data.max_pixels):
            raise InputError(
                f"{one.photograph} ({one.split}) and {other.photograph} ({other.split}) show the same pixels; "
                "remove one of them, because it would leak from one split into the other."
            )


def _put_in_place(index: Index, folder: Path, building: Path) -> None:
    (folder / INDEX).unlink(missing_ok=True)
    names = {shard.name for split in index.splits.values() for shard in split.shards}
    for old in folder.glob(f"{DATASET}-*.tfrecord-*"):
        if old.name not in names:
            old.unlink()
    for name in sorted(names):
        if (building / name).exists():
            os.replace(building / name, folder / name)
    write_index(folder, index)
    shutil.rmtree(building)


@contextlib.contextmanager
def _building_folder(folder: Path) -> Iterator[Path]:
    """Yields the folder `.building`, locked against other runs; it stays if the block raises."""
    building = make_folder(folder / BUILDING, flag="--records")
    with claimed(building / "lock") as lock:
        if lock is None:
            who = holder(building / "lock")
            raise InputError(f"--records={folder}: another run is writing there{who}; wait for it or stop it.")
        sweep_temporaries(building)
        sweep_temporaries(folder)
        yield building


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        free = shutil.disk_usage(folder).free / 1e6
        reason, remedy = disk_error(error) or DiskError(one_line(error), "start again")
        raise InputError(
            f"--records={folder}: writing failed: {reason}; {free:.0f} MB are free there. An earlier set is unchanged, "
            f"and finished shards are kept; {remedy}."
        ) from error


def _note(building: Path, plan: ShardPlan) -> Path:
    return building / f"{plan.name}.json"
