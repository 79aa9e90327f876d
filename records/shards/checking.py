"""The check of a source: decodes every photograph and describes what was found, without writing shards."""

import collections
import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

from configs import InputError
from records.cases import hash_case, mask_values, near_pairs
from records.files import make_folder, write_text
from records.parallel import Progress, Workers, map_cases, no_progress
from records.shards.cutting import estimate_bytes
from records.shards.planning import RecordsPlan

CHECK = "check.json"


class LookAlike(NamedTuple):
    """Two cases whose photographs look the same, with their splits and the number of bits in which they differ."""

    one: str
    one_split: str
    other: str
    other_split: str
    bits: int


@dataclasses.dataclass(frozen=True)
class SourceCheck:
    """What a check found; `str(check)` is a summary of several lines.

    Attributes:
      plan: the plan that was checked.
      sizes: number of photographs of each size, "WIDTHxHEIGHT".
      mask_values: number of mask files of each description, as `mask_values` returns them.
      without_mask: for every class the names of the cases without a mask file, unless it is unknown or absent there.
      damaged: for each photograph of the plan that cannot be decoded, by its case's name, a one-line reason.
      look_alikes: photographs that look the same.
      estimated_bytes: estimated size of all shards.
    """

    plan: RecordsPlan
    sizes: dict[str, int]
    mask_values: dict[str, int]
    without_mask: dict[str, list[str]]
    damaged: dict[str, str]
    look_alikes: list[LookAlike]
    estimated_bytes: int

    def __str__(self) -> str:
        sizes = ", ".join(f"{pixels} ({count})" for pixels, count in self.sizes.items())
        masks = "; ".join(f"{values} ({count})" for values, count in self.mask_values.items())
        missing = [f"without a mask of {name}: {', '.join(c) or 'none'}" for name, c in self.without_mask.items()]
        size = f"the shards will take about {self.estimated_bytes / 1e6:.0f} MB"
        return "\n".join([f"sizes: {sizes}", f"masks: {masks}", *missing, size])


def check_source(plan: RecordsPlan, *, workers: Workers, progress: Progress = no_progress) -> SourceCheck:
    """Decodes all photographs and masks of a plan.

    Args:
      plan: the plan.
      workers: number of cases that are decoded at once, or a cluster.
      progress: shows how many photographs and masks have been decoded.

    Raises:
      InputError: one of the few cases that are cut to estimate the size cannot be read.
    """
    cases, data = list(plan.cases), plan.data
    hashes: dict[str, str] = {}
    damaged: dict[str, str] = {}
    decoded = map_cases(lambda case: hash_case(case, data), cases, workers=workers)
    for case, result in zip(cases, progress(decoded, len(cases), "photographs"), strict=True):
        if isinstance(result, InputError):
            damaged[case.name] = str(result)
        else:
            hashes[case.name] = result
    good = [case for case in cases if case.name in hashes]
    values: collections.Counter[str] = collections.Counter()
    found = map_cases(lambda case: mask_values(case, data), good, workers=workers)
    for descriptions in progress(found, len(good), "mask values"):
        if isinstance(descriptions, InputError):
            raise descriptions
        values.update(descriptions)
    split_of = {case.name: case.split for case in cases}
    return SourceCheck(
        plan=plan,
        sizes=dict(collections.Counter(f"{survey.width}x{survey.height}" for survey in plan.surveys.values())),
        mask_values=dict(values),
        without_mask={name: [case.name for case in cases if name in case.missing_masks] for name in data.classes},
        damaged=damaged,
        look_alikes=[LookAlike(a, split_of[a], b, split_of[b], bits) for a, b, bits in near_pairs(hashes)],
        estimated_bytes=estimate_bytes(good, plan.surveys, data),
    )


def write_check(check: SourceCheck, folder: Path) -> None:
    """Writes `check.json`: all that was found, and each case's split and survey."""
    plan = check.plan
    cases: dict[str, dict[str, Any]] = {}
    for case in plan.cases:
        said = {"split": case.split, "unknown": sorted(case.unknown), "absent": sorted(case.absent)}
        cases[case.name] = said | dataclasses.asdict(plan.surveys[case.name])
        del cases[case.name]["mask_warnings"]  # listed by kind
    content: dict[str, Any] = {
        "photographs": len(plan.cases) + len(plan.failures),
        "sizes": check.sizes,
        "classes": list(plan.data.classes),
        "known": plan.known_photographs(),
        "mask_values": check.mask_values,
        "mask_warnings": plan.mask_warnings(),
        "without_mask": check.without_mask,
        "cannot_be_read": {**plan.failures, **check.damaged},
        "look_the_same": check.look_alikes,
        "estimated_bytes": check.estimated_bytes,
        "cases": cases,
    }
    make_folder(folder, flag="--records")
    write_text(folder / CHECK, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
