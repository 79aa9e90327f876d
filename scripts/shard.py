"""Photographs and masks → TFRecord shards with an index.

python -m scripts.shard --config=configs/idrid_haemorrhages.py --source=IDRID --records=RECORDS
"""

import sys
from pathlib import Path

from absl import flags
from tqdm import tqdm

from configs import Config, InputError
from records import (
    SPLITS,
    Case,
    Survey,
    assign_validation,
    find_cases,
    make_folder,
    survey_case,
    write_index,
    write_text,
)
from records.index import INDEX
from scripts import command

_SOURCE = flags.DEFINE_string(
    "source", None, "Folder of photographs and masks (IDRiD's layout or paired).", required=True
)
_RECORDS = flags.DEFINE_string("records", None, "Folder for the shards and their index.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a set of records that is there already.")
_STRICT = flags.DEFINE_bool("strict", False, "Stop at the first bad case, instead of naming it and going on.")
command.define_config()


def main(_: list[str]) -> int:
    config = command.config()
    folder = Path(_RECORDS.value)
    if (folder / INDEX).exists() and not _OVERWRITE.value:
        raise InputError(f"--records={folder}: holds a set of records already; name another folder or add --overwrite.")
    layout, cases = find_cases(Path(_SOURCE.value), config.data.classes)
    print(f"{len(cases)} photographs in {_SOURCE.value} ({layout}); reading their masks.", flush=True)
    surveys, failures = _survey(cases, config)
    cases = assign_validation(
        [case for case in cases if case.name in surveys],
        {name: survey.lesion_share for name, survey in surveys.items()},
        fraction=config.data.validation_fraction,
        seed=config.data.seed,
    )
    _print_plan(cases, surveys, config, folder)
    make_folder(folder, flag="--records")
    failures |= _write(layout, cases, surveys, config, folder)
    for line in failures.values():
        print(f"left out: {line}", file=sys.stderr)
    print(f"records: {folder}    look: {folder / INDEX}")
    return command.SOME_FAILED if failures else command.DONE


def _survey(cases: list[Case], config: Config) -> tuple[dict[str, Survey], dict[str, str]]:
    surveys: dict[str, Survey] = {}
    failures: dict[str, str] = {}
    for case in tqdm(cases, desc="masks", unit="photograph", disable=None):
        try:
            surveys[case.name] = survey_case(case, config.data)
        except InputError as error:
            if _STRICT.value:
                raise
            failures[case.name] = str(error)
    if not surveys:
        first = next(iter(failures.values()))
        raise InputError(f"--source={_SOURCE.value}: none of the {len(cases)} cases can be read; the first: {first}")
    if not any(survey.nonempty_tiles for survey in surveys.values()):
        raise InputError(
            f"--source={_SOURCE.value}: no mask shows any of {', '.join(config.data.classes)}; nothing to shard."
        )
    return surveys, failures


def _print_plan(cases: list[Case], surveys: dict[str, Survey], config: Config, folder: Path) -> None:
    data = config.data
    for index, name in enumerate(data.classes):
        shown = sum(survey.lesion_pixels[name] > 0 for survey in surveys.values())
        print(f"class {index}, {name}: in {shown} of {len(surveys)} photographs")
    for split in SPLITS:
        members = [surveys[case.name] for case in cases if case.split == split]
        if members:
            tiles, nonempty = sum(s.tiles for s in members), sum(s.nonempty_tiles for s in members)
            print(f"{split}: {len(members)} photographs, {nonempty} of {tiles} tiles hold a lesion")
    total = sum(survey.nonempty_tiles for survey in surveys.values())
    print(
        f"in all {total} nonempty tiles of {data.tile} pixels at stride {data.stride}, scale {data.scale:.4g}, and "
        f"{data.empty_per_nonempty:g} empty ones for each of them → {folder}",
        flush=True,
    )


def _write(layout: str, cases: list[Case], surveys: dict[str, Survey], config: Config, folder: Path) -> dict[str, str]:
    """Writes shards and index; returns the failures."""
    with command.quiet_start():
        from records import sharding  # imports tensorflow, which takes seconds that a wrong flag need not cost

    results = []
    failures: dict[str, str] = {}
    with tqdm(total=len(cases), desc="shards", unit="photograph", disable=None) as progress:
        for plan in sharding.plan_shards(cases, config.data):
            result = sharding.write_shard(plan, folder)
            if result.failures and _STRICT.value:
                raise InputError(next(iter(result.failures.values())))
            results.append(result)
            failures |= result.failures
            progress.update(len(plan.cases))
    index = sharding.build_index(layout, config.data, surveys, results)
    write_text(folder / "config.json", config.to_json())
    write_index(folder, index)
    for name, split in index.splits.items():
        megabytes = sum(shard.bytes for shard in split.shards) / 1e6
        print(
            f"{name}: {split.records} tiles of {len(split.cases)} photographs, {len(split.shards)} shards, "
            f"{megabytes:.1f} MB"
        )
    return failures


if __name__ == "__main__":
    command.run(main)
