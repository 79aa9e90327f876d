"""Writes a planned set of records into a folder, unless it is there already, with two figures beside it."""

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from configs import InputError
from records.cases import Survey
from records.files import make_folder, sweep_temporaries
from records.parallel import Workers
from records.shards.building import BUILDING, build_records
from records.shards.index import INDEX, Index, read_index
from records.shards.pictures import draw_samples, draw_statistics
from records.shards.planning import RecordsPlan
from records.shards.sharding import ShardPlan, ShardResult, plan_shards


@dataclasses.dataclass(frozen=True)
class WrittenRecords:
    """A set of records that is complete in its folder.

    Attributes:
      index: its index.
      failures: for each case that could not be read, by its name, a one-line reason.
      existed: whether exactly this set was there already.
    """

    index: Index
    failures: dict[str, str]
    existed: bool


def write_records(
    plan: RecordsPlan,
    folder: Path,
    *,
    workers: Workers,
    strict: bool = False,
    overwrite: bool = False,
    progress: Callable[[ShardPlan, ShardResult], None] = lambda plan, result: None,
) -> WrittenRecords:
    """Writes shards, index, `samples.png` and `statistics.png`.

    Args:
      plan: the plan.
      folder: folder of the set; made if absent.
      workers: number of photographs that are cut at once, or a cluster.
      strict: whether a case that cannot be read is an error; otherwise it is left out.
      overwrite: whether another set that is in the folder is replaced.
      progress: called after each shard.

    Raises:
      InputError: another set is in the folder, or what `build_records` raises.
    """
    shards = plan_shards(plan.cases, plan.data, plan.surveys)
    # With overwrite, the existing set is not read: its index may be damaged, or of another schema version.
    existing = "none" if overwrite else existing_set(shards, plan.surveys, folder)
    if existing == "different":
        raise InputError(f"--records={folder}: holds another set already; name another folder or add --overwrite.")
    failures: dict[str, str] = {}
    if existing == "same":
        remove_leftovers(folder)
        index = read_index(folder)
    else:
        make_folder(folder, flag="--records")
        index, failures = build_records(
            plan.layout,
            shards,
            plan.surveys,
            folder=folder,
            workers=workers,
            strict=strict,
            labelled_by=plan.labelled_by,
            progress=progress,
        )
    draw_samples(folder, index)
    draw_statistics(folder, index, plan.surveys)
    return WrittenRecords(index, failures, existing == "same")


def existing_set(
    shards: list[ShardPlan], surveys: Mapping[str, Survey], folder: Path
) -> Literal["none", "same", "partial", "different"]:
    """Compares the set in a folder with the planned one.

    Returns:
      "none": there is no set; "same": it is exactly the planned one; "partial": the planned one without cases that
      could not be read when it was written; "different": any other set.
    """
    if not (folder / INDEX).exists():
        return "none"
    index = read_index(folder)
    planned = {
        case.name: (
            case.split,
            surveys[case.name].digest,
            scale,
            surveys[case.name].unknown_pixels,
            case.absent.intersection(shard.data.classes),
        )
        for shard in shards
        for case, scale in zip(shard.cases, shard.scales, strict=True)
    }
    existing = {
        name: (entry.split, entry.digest, entry.scale, entry.unknown_pixels, set(entry.absent))
        for name, entry in index.cases.items()
    }
    if index.data != shards[0].data or not existing.items() <= planned.items():
        return "different"
    return "same" if existing == planned else "partial"


def remove_leftovers(folder: Path) -> None:
    """Removes what a run left that was killed after it had written the index."""
    sweep_temporaries(folder)
    shutil.rmtree(folder / BUILDING, ignore_errors=True)
