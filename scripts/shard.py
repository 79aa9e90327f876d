"""Photographs and masks → TFRecord shards with an index.

    python -m scripts.shard --config=configs/idrid_haemorrhages.py --source=IDRID --records=RECORDS
    python -m scripts.shard --check --config=configs/idrid_haemorrhages.py --source=IDRID --records=RECORDS
    python -m scripts.shard --verify --records=RECORDS

A run that was stopped, for whatever reason, resumes when the same command is run again.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from configs import Config, DataConfig, InputError
from pipeline.machine import usable_cores
from records import (
    CHECK,
    INDEX,
    Case,
    Index,
    RecordsPlan,
    Workers,
    check_source,
    find_cases,
    plan_records,
    read_index,
    read_labelled_by,
    read_patients,
    read_splits,
    write_check,
    write_text,
)
from scripts.support import camera, cluster, command, source
from scripts.support.photographs import with_bar
from scripts.support.warnings import print_warnings

_SOURCE = flags.DEFINE_string("source", None, "Folder of photographs and masks (IDRiD's layout or paired folders).")
_RECORDS = flags.DEFINE_string("records", None, "Folder for the shards and their index.", required=True)
_CHECK = flags.DEFINE_bool("check", False, "Only check the source: print the plan and write RECORDS/check.json.")
_VERIFY = flags.DEFINE_bool("verify", False, "Only compare every file of the set in --records with its index.")
_PATIENTS = flags.DEFINE_string("patients", None, "CSV with the columns case,patient; a patient stays in one split.")
_SPLITS = flags.DEFINE_string(
    "splits", None, "CSV with the columns case,split; only the cases in it take part, in these splits."
)
_WORKERS = flags.DEFINE_integer("workers", None, "Photographs at once; default: one per core.", lower_bound=1)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an existing set of records.")
_STRICT = flags.DEFINE_bool("strict", False, "Stop at the first case that cannot be read, instead of leaving it out.")
source.define_flags()
camera.define_flags()
cluster.define_flags()
command.define_config(required=False)


def main(_: list[str]) -> int:
    """Runs the command and returns its exit code."""
    folder = Path(_RECORDS.value)
    if _VERIFY.value:
        return _verify(folder)
    if flags.FLAGS.config is None:
        raise InputError("--config is required; see --help.")
    source.folder(_SOURCE.value)
    config = command.config()
    layout, cases = _find_cases(config.data)
    print(f"{len(cases)} photographs in {source.title(_SOURCE.value)} ({layout}); reading their masks.", flush=True)
    with cluster.workers(_WORKERS.value or usable_cores(), reads=[_SOURCE.value, flags.FLAGS.healthy]) as workers:
        failures = _shard(layout, cases, config, workers=workers)
    for line in failures.values():
        print(f"left out: {line}", file=sys.stderr)
    look = CHECK if _CHECK.value else f"{{samples.png,statistics.png,{INDEX}}}"
    print(f"records: {folder}    see: {folder}/{look}")
    return command.SOME_FAILED if failures else command.DONE


def _shard(layout: str, cases: list[Case], config: Config, *, workers: Workers) -> dict[str, str]:
    """Writes the records, or with --check a report of what was found; returns what could not be read."""
    folder = Path(_RECORDS.value)
    labelled_by = _SOURCE.value and read_labelled_by(Path(_SOURCE.value), soft=config.data.soft_labels)
    plan = plan_records(
        layout,
        cases,
        config.data,
        source=source.title(_SOURCE.value),
        keep_splits=bool(_SPLITS.value),
        workers=workers,
        strict=_STRICT.value,
        rule=camera.rule(config.data),
        labelled_by=labelled_by or None,
        progress=with_bar,
    )
    print_warnings(plan.scale_warnings())
    for lines in plan.mask_warnings().values():
        print_warnings(lines)
    print_warnings(plan.class_warnings())
    print(f"{plan} → {folder}", flush=True)
    if _CHECK.value:
        failures = _check(plan, folder, workers=workers)
    else:
        failures = _write(plan, folder, workers=workers)
        write_text(folder / "config.json", config.to_json())
    return {**plan.failures, **failures}


def _find_cases(data: DataConfig) -> tuple[str, list[Case]]:
    layout, found = find_cases(source.folder(_SOURCE.value), data.classes, colored=bool(data.colors), **source.given())
    cases = read_splits(Path(_SPLITS.value), found) if _SPLITS.value else found
    if _PATIENTS.value:
        cases = read_patients(Path(_PATIENTS.value), cases, left_out=[case.name for case in found])
    return layout, cases


def _check(plan: RecordsPlan, folder: Path, *, workers: Workers) -> dict[str, str]:
    """Checks the source; returns the photographs that cannot be decoded."""
    check = check_source(plan, workers=workers, progress=with_bar)
    print(check)
    print_warnings(
        f"{pair.one} ({pair.one_split}) and {pair.other} ({pair.other_split}) look the same, {pair.bits} of 256 bits "
        "differ"
        for pair in check.look_alikes
    )
    write_check(check, folder)
    return check.damaged


def _write(plan: RecordsPlan, folder: Path, *, workers: Workers) -> dict[str, str]:
    """Writes the records; returns the photographs that could not be read."""
    print_warnings(f"{one} and {other} are the same file and count twice" for one, other in plan.equal_pairs())
    from records.shards.writing import write_records  # imports tensorflow, which takes seconds

    # A delayed bar first appears when a shard is written.
    with tqdm(total=len(plan.cases), desc="shards", unit=" photographs", disable=None, delay=1e-3) as bar:
        tiles = 0

        def progress(shard: Any, result: Any) -> None:
            nonlocal tiles
            tiles += result.shard.records
            seconds = bar.format_dict["elapsed"]
            bar.set_postfix_str(f"{tiles / seconds:.1f} tiles/s" if seconds else "")
            bar.update(len(shard.cases))

        written = write_records(
            plan,
            folder,
            workers=workers,
            strict=_STRICT.value,
            overwrite=_OVERWRITE.value,
            progress=progress,
        )
    if written.existed:
        print(f"{folder} holds exactly this set already.")
    _print_index(written.index)
    return written.failures


def _print_index(index: Index) -> None:
    for name, split in index.splits.items():
        megabytes = sum(shard.bytes for shard in split.shards) / 1e6
        print(
            f"{name}: {split.records} tiles of {len(split.cases)} photographs, {len(split.shards)} shards, "
            f"{megabytes:.1f} MB"
        )
    print_warnings(
        f"{pair.one} and {pair.other} look the same ({pair.bits} of 256 bits differ), in "
        + " and ".join(sorted({index.cases[name].split for name in (pair.one, pair.other)}))
        for pair in index.nearly_equal
    )


def _verify(folder: Path) -> int:
    index = read_index(folder)
    from records.shards.verifying import verify_records  # imports tensorflow

    shards = sum(len(split.shards) for split in index.splits.values())
    print(
        f"verifying {shards} shards of {len(index.cases)} cases in {folder}: bytes, sha256, checksums and counts",
        flush=True,
    )
    with tqdm(total=shards, desc="shards", disable=None) as bar:
        differences = verify_records(folder, index, lambda name: bar.update())
    for line in differences:
        print(f"differs: {line}", file=sys.stderr)
    print(f"{len(differences)} differences    see: {folder / INDEX}")
    return command.SOME_FAILED if differences else command.DONE


if __name__ == "__main__":
    command.run(main, writes=("records",))
