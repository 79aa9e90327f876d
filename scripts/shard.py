"""Photographs and masks → TFRecord shards with an index.

    python -m scripts.shard --config=configs/idrid_haemorrhages.py --source=IDRID --records=RECORDS
    python -m scripts.shard --check --config=configs/idrid_haemorrhages.py --source=IDRID --records=RECORDS
    python -m scripts.shard --verify --records=RECORDS

A run that was stopped, whatever stopped it, goes on where it was when it is started again.
"""

import sys

if not __package__:  # started by its path: the root is searched, not scripts/, whose inspect.py hides Python's own
    sys.path[0] = __file__.rpartition("/scripts/")[0]

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
from absl import flags
from tqdm import tqdm

from configs import DataConfig, InputError
from records import (
    SPLITS,
    Case,
    Index,
    Survey,
    assign_validation,
    estimate_bytes,
    find_cases,
    hash_case,
    make_folder,
    mask_values,
    near_pairs,
    read_index,
    read_patients,
    read_splits,
    refuse_equal_files,
    survey_case,
    write_text,
)
from records.shards.index import INDEX
from scripts.support import command

WARNINGS = 10  # of one kind that are printed

_SOURCE = flags.DEFINE_string("source", None, "Folder of photographs and masks (IDRiD's layout or paired).")
_RECORDS = flags.DEFINE_string("records", None, "Folder for the shards and their index.", required=True)
_CHECK = flags.DEFINE_bool("check", False, "Look only: print what would be sharded and write RECORDS/check.json.")
_VERIFY = flags.DEFINE_bool("verify", False, "Hold every file of the set in --records against its index.")
_PATIENTS = flags.DEFINE_string("patients", None, "CSV with the columns case,patient: patients stay in one split.")
_SPLITS = flags.DEFINE_string(
    "splits", None, "CSV with the columns case,split: takes the cases it names, and no other, into these splits."
)
_ALLOW_MISSING = flags.DEFINE_bool(
    "allow_missing_masks", False, "In paired folders, a photograph without a mask shows no lesion."
)
_WORKERS = flags.DEFINE_integer("workers", None, "Photographs at once; default: one a core.", lower_bound=1)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a set of records that is there already.")
_STRICT = flags.DEFINE_bool("strict", False, "Stop at the first bad case, instead of naming it and going on.")
command.define_config(required=False)


def main(_: list[str]) -> int:
    folder = Path(_RECORDS.value)
    if _VERIFY.value:
        return _verify(folder)
    for name, value in (("config", flags.FLAGS.config), ("source", _SOURCE.value)):
        if value is None:
            raise InputError(f"--{name} is required; see --help.")
    config = command.config()
    layout, cases = find_cases(
        Path(_SOURCE.value),
        config.data.classes,
        colored=bool(config.data.colors),
        allow_missing_masks=_ALLOW_MISSING.value,
    )
    if _SPLITS.value:
        cases = read_splits(Path(_SPLITS.value), cases)
    if _PATIENTS.value:
        cases = read_patients(Path(_PATIENTS.value), cases)
    print(f"{len(cases)} photographs in {_SOURCE.value} ({layout}); reading their masks.", flush=True)
    surveys, failures = _survey(cases, config.data)
    cases = [case for case in cases if case.name in surveys]
    if not _SPLITS.value:
        cases = assign_validation(
            cases,
            {name: survey.lesion_fraction for name, survey in surveys.items()},
            fraction=config.data.validation_fraction,
            seed=config.data.seed,
        )
    _print_plan(cases, surveys, config.data, folder=folder)
    if _CHECK.value:
        failures |= _write_check(cases, surveys, failures, data=config.data, folder=folder)
    else:
        equal = refuse_equal_files(cases, {name: survey.photograph_digest for name, survey in surveys.items()})
        _warn(f"{one} and {other} are the same file and count twice" for one, other in equal)
        failures |= _write(layout, cases, surveys, data=config.data, folder=folder)
        write_text(folder / "config.json", config.to_json())
    for line in failures.values():
        print(f"left out: {line}", file=sys.stderr)
    look = "check.json" if _CHECK.value else "{samples.png,statistics.png,index.json}"
    print(f"records: {folder}    look: {folder}/{look}")
    return command.SOME_FAILED if failures else command.DONE


def _survey(cases: list[Case], data: DataConfig) -> tuple[dict[str, Survey], dict[str, str]]:
    surveys: dict[str, Survey] = {}
    failures: dict[str, str] = {}
    for case, result in zip(cases, _in_threads(lambda case: survey_case(case, data), cases, "masks"), strict=True):
        if isinstance(result, Survey):
            surveys[case.name] = result
        elif _STRICT.value:
            raise result
        else:
            failures[case.name] = str(result)
    if not surveys:
        first = next(iter(failures.values()))
        raise InputError(f"--source={_SOURCE.value}: none of the {len(cases)} cases can be read; the first: {first}")
    if not any(survey.nonempty_tiles for survey in surveys.values()):
        raise InputError(f"--source={_SOURCE.value}: no mask shows any of {', '.join(data.classes)}; nothing to shard.")
    return surveys, failures


def _in_threads(function: Callable[[Case], Any], cases: list[Case], what: str) -> Iterable[Any]:
    """Calls a function for all cases on all cores; yields results, or the InputError, in order."""

    def result_or_error(case: Case) -> Any:
        try:
            return function(case)
        except InputError as error:
            return error

    cv2.setNumThreads(1)  # the pool takes all cores already
    with ThreadPoolExecutor(_workers()) as pool:
        yield from tqdm(
            pool.map(result_or_error, cases), total=len(cases), desc=what, unit=" photographs", disable=None
        )


def _print_plan(cases: list[Case], surveys: Mapping[str, Survey], data: DataConfig, *, folder: Path) -> None:
    for index, name in enumerate(data.classes):
        shown = [survey for survey in surveys.values() if survey.lesion_pixels[name]]
        lesions = sum(sum(survey.lesion_sizes[name]) for survey in shown)
        share = sum(s.lesion_pixels[name] for s in shown) / sum(s.height * s.width for s in surveys.values())
        print(
            f"class {index}, {name}: {lesions} lesions in {len(shown)} of {len(surveys)} photographs, "
            f"{share:.3%} of all pixels"
        )
        if not shown:
            _warn([f"no photograph shows any {name}; are its masks, or its colour, the right ones?"])
    for split in SPLITS:
        members = [surveys[case.name] for case in cases if case.split == split]
        if members:
            tiles, nonempty = sum(s.tiles for s in members), sum(s.nonempty_tiles for s in members)
            print(f"{split}: {len(members)} photographs, {nonempty} of {tiles} tiles hold a lesion")
    total = sum(survey.nonempty_tiles for survey in surveys.values())
    print(
        f"in all {total} nonempty tiles of {data.tile} pixels at stride {data.stride}, scale {data.scale:.4g}, and "
        f"up to {data.empty_per_nonempty:g} empty ones for each of them → {folder}",
        flush=True,
    )


def _write(
    layout: str, cases: list[Case], surveys: dict[str, Survey], *, data: DataConfig, folder: Path
) -> dict[str, str]:
    """Writes shards, index and pictures, and returns the failures; a set that is there as wanted is left alone."""
    with command.quiet_start():
        from records.shards import (
            building,  # tensorflow takes seconds that a wrong flag need not cost
            pictures,  # tensorflow takes seconds that a wrong flag need not cost
            sharding,  # tensorflow takes seconds that a wrong flag need not cost
        )

    plans = sharding.plan_shards(cases, data)
    failures: dict[str, str] = {}
    # What is to be replaced is not looked at: its index may be damaged, or of another schema version.
    there = "nothing" if _OVERWRITE.value else building.holds(plans, surveys, folder)
    if there == "all":
        print(f"{folder} holds exactly this set already.")
        building.remove_leftovers(folder)
        index = read_index(folder)
    elif there == "other":
        raise InputError(f"--records={folder}: holds another set already; name another folder or add --overwrite.")
    else:
        index, failures = _build(layout, plans, surveys, folder=folder)
    pictures.draw_samples(folder, index)
    pictures.draw_statistics(folder, index, surveys)
    _print_index(index)
    return failures


def _build(layout: str, plans: list[Any], surveys: dict[str, Survey], *, folder: Path) -> tuple[Index, dict[str, str]]:
    from records.shards import building

    make_folder(folder, flag="--records")
    with tqdm(total=len(surveys), desc="shards", unit=" photographs", disable=None) as bar:
        tiles = 0

        def progress(plan: Any, result: Any) -> None:
            nonlocal tiles
            tiles += result.shard.records
            seconds = bar.format_dict["elapsed"]
            bar.set_postfix_str(f"{tiles / seconds:.1f} tiles/s" if seconds else "")
            bar.update(len(plan.cases))

        return building.build_records(
            layout, plans, surveys, folder=folder, workers=_workers(), strict=_STRICT.value, progress=progress
        )


def _print_index(index: Index) -> None:
    for name, split in index.splits.items():
        megabytes = sum(shard.bytes for shard in split.shards) / 1e6
        print(
            f"{name}: {split.records} tiles of {len(split.cases)} photographs, {len(split.shards)} shards, "
            f"{megabytes:.1f} MB"
        )
    _warn(
        f"{pair.one} and {pair.other} look the same ({pair.bits} of 256 bits differ), in "
        + " and ".join(sorted({index.cases[name].split for name in (pair.one, pair.other)}))
        for pair in index.nearly_equal
    )


def _warn(lines: Iterable[str]) -> None:
    lines = list(lines)
    for line in lines[:WARNINGS]:
        print(f"warning: {line}", file=sys.stderr)
    if len(lines) > WARNINGS:
        print(f"warning: and {len(lines) - WARNINGS} more of this kind.", file=sys.stderr)


def _write_check(
    cases: list[Case], surveys: dict[str, Survey], failures: dict[str, str], *, data: DataConfig, folder: Path
) -> dict[str, str]:
    """Decodes every photograph, prints and writes what was found; returns those that cannot be decoded."""
    hashes: dict[str, str] = {}
    damaged: dict[str, str] = {}
    hashed = _in_threads(lambda case: hash_case(case, data), cases, "photographs")
    for case, result in zip(cases, hashed, strict=True):
        if isinstance(result, InputError):
            damaged[case.name] = str(result)
        else:
            hashes[case.name] = result
    good = [case for case in cases if case.name in hashes]
    values: dict[str, int] = {}
    for found in _in_threads(lambda case: mask_values(case, data), good, "mask values"):
        for line in found:
            values[line] = values.get(line, 0) + 1
    sizes: dict[str, int] = {}
    for survey in surveys.values():
        sizes[f"{survey.width}x{survey.height}"] = sizes.get(f"{survey.width}x{survey.height}", 0) + 1
    missing = {name: [case.name for case in cases if case.masks[name] is None] for name in data.classes}
    split_of = {case.name: case.split for case in cases}
    alike = [(one, split_of[one], other, split_of[other], bits) for one, other, bits in near_pairs(hashes)]
    size = estimate_bytes(good, surveys, data)
    print("sizes: " + ", ".join(f"{pixels} ({count})" for pixels, count in sizes.items()))
    print("masks: " + "; ".join(f"{line} ({count})" for line, count in values.items()))
    for name, without in missing.items():
        print(f"without a mask of {name}: {', '.join(without) or 'none'}")
    print(f"the shards will take about {size / 1e6:.0f} MB")
    _warn(
        f"{one} ({split}) and {other} ({other_split}) look the same, {bits} of 256 bits differ"
        for one, split, other, other_split, bits in alike
    )
    content = {
        "photographs": len(cases) + len(failures),
        "sizes": sizes,
        "classes": list(data.classes),
        "mask_values": values,
        "without_mask": missing,
        "cannot_be_read": failures | damaged,
        "look_the_same": alike,
        "estimated_bytes": size,
        "cases": {case.name: {"split": case.split, **dataclasses.asdict(surveys[case.name])} for case in cases},
    }
    make_folder(folder, flag="--records")
    write_text(folder / "check.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return damaged


def _verify(folder: Path) -> int:
    index = read_index(folder)
    with command.quiet_start():
        from records.shards.verifying import verify_records

    shards = sum(len(split.shards) for split in index.splits.values())
    print(
        f"{shards} shards of {len(index.cases)} cases → bytes, sha256, checksums and counts of {folder}",
        flush=True,
    )
    with tqdm(total=shards, desc="shards", disable=None) as bar:
        differences = verify_records(folder, index, lambda name: bar.update())
    for line in differences:
        print(f"differs: {line}", file=sys.stderr)
    print(f"{len(differences)} differences    look: {folder / INDEX}")
    return command.SOME_FAILED if differences else command.DONE


def _workers() -> int:
    return _WORKERS.value or os.cpu_count() or 1


if __name__ == "__main__":
    command.run(main)
