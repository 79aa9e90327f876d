"""Comparison: paired differences between two results of the same photographs.

Photographs differ more from each other than models do on the same one. Differences are therefore taken on each
photograph, and the bootstrap resamples photographs, the same for both results.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError
from pipeline.evaluation import bootstrap
from pipeline.evaluation.counting import REGIONS, pool
from pipeline.evaluation.results import Result
from pipeline.evaluation.scores import SCORES, score
from pipeline.evaluation.summary import ValuesByCase, known_photographs, values_by_case
from records import write_table, write_text

LESS_IS_BETTER = ("ece",)
NAMED = 3  # photographs listed in an error message


def write_comparison(folder: Path, one: Result, other: Result) -> dict[str, Any]:
    """Compares two results, and writes `compare.json` and `compare.csv`.

    `compare.csv` has one row per photograph, class, region and score. Differences are the other minus the first.

    Args:
      folder: folder for the files.
      one: first result.
      other: result to compare with it.

    Returns:
      The content of `compare.json`: `folders`, `photographs`, `known_photographs` (`{class: number}` of those where it
      is known), `classes`, `thresholds`, `min_area` and `min_areas` (of both);
      `pooled[region][class][score]`: `one`, `other`, `difference`, `interval`; `per_photograph[region][class][score]`:
      `photographs` (where the score is defined in both), `mean`, `median`, `mean_interval`, `median_interval` of the
      differences, and `better`, the fraction of photographs where the other is better. Intervals are null with one
      photograph.

    Raises:
      InputError: the results have different classes, bins, splits or photographs, or differ in what is known of them;
        or one is of schema version 1, whose areas under curves are lower.
    """
    _check_alike(one, other)
    _check_known_alike(one, other)
    known = {name: int(of_class.sum()) for name, of_class in known_photographs(one).items()}
    first, second = values_by_case(one), values_by_case(other)
    content = {
        "folders": [str(result.folders[0]) for result in (one, other)],
        "photographs": len(one.cases),
        "known_photographs": known,
        "classes": list(one.classes),
        "thresholds": [result.about.get("thresholds") for result in (one, other)],
        "min_area": [result.about.get("min_area") for result in (one, other)],
        "min_areas": [result.about.get("min_areas") for result in (one, other)],
        "pooled": _pooled(one, other, known),
        "per_photograph": _per_photograph(one, first, second),
    }
    rows: list[list[object]] = [["case", "class", "region", "score", "one", "other", "difference"]]
    for case in one.cases:
        for (region, name, key), values in first.items():
            if case in values and case in second[region, name, key]:
                before, now = values[case], second[region, name, key][case]
                rows.append([case, name, region, key, before, now, now - before])
    write_table(folder / "compare.csv", rows)
    write_text(folder / "compare.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    return content


def _check_alike(one: Result, other: Result) -> None:
    folders = one.folders[0], other.folders[0]
    for what, pair in {
        "classes": (one.classes, other.classes),
        "bins": (one.bins, other.bins),
        "split": (one.about.get("split"), other.about.get("split")),
    }.items():
        if pair[0] != pair[1]:
            raise InputError(
                f"{folders[0]} has {what} {pair[0]} and {folders[1]} has {pair[1]}; results can only be compared if "
                "both are equal."
            )
    if one.schema_version != other.schema_version:
        older = folders[one.schema_version > other.schema_version]
        raise InputError(
            f"{older} is of an earlier version, whose bins do not order probabilities near 0 or 1, so that its AUPR "
            "is lower; run python -m scripts.eval again to compare it."
        )
    for (here, there), (folder, elsewhere) in zip(((one, other), (other, one)), (folders, folders[::-1]), strict=True):
        alone = sorted(set(here.cases) - set(there.cases))
        if alone:
            more = ", …" if len(alone) > NAMED else ""
            raise InputError(
                f"{len(alone)} photographs of {folder} are not in {elsewhere} ({', '.join(alone[:NAMED])}{more}); "
                "results can only be compared on the same photographs."
            )


def _check_known_alike(one: Result, other: Result) -> None:
    """Refuses results of which one knows a class where the other does not: their pixels are not the same."""
    pixels = [
        {
            (photograph.case, name): photograph.counts["frame"][name].pixels
            for photograph in result.photographs()
            for name in one.classes
        }
        for result in (one, other)
    ]
    differing = [key for key, number in pixels[0].items() if pixels[1][key] != number]
    if differing:
        case, name = differing[0]
        raise InputError(
            f"{name} is known of {pixels[0][case, name]:,} pixels of photograph {case} in {one.folders[0]}, but of "
            f"{pixels[1][case, name]:,} in {other.folders[0]} ({len(differing)} such differences in all); results can "
            "only be compared if both were scored with the same labels."
        )


def _pooled(one: Result, other: Result, known: Mapping[str, int]) -> dict[str, Any]:
    several = len(one.cases) > 1
    place = {case: number for number, case in enumerate(one.cases)}
    orders = [[place[case] for case in result.cases] for result in (one, other)]
    draws = bootstrap.draw_photographs(len(one.cases)) if several else None
    totals = [pool(result.photographs()) for result in (one, other)]
    answer: dict[str, Any] = {region: {} for region in REGIONS}
    for name in one.classes:
        samples = [
            bootstrap.pooled_samples(result.photographs(), draws[:, order], name)
            if draws is not None and known[name] > 1
            else None
            for result, order in zip((one, other), orders, strict=True)
        ]
        for region in REGIONS:
            values = [score(total[region][name]) for total in totals]
            answer[region][name] = {
                key: {
                    "one": values[0][key],
                    "other": values[1][key],
                    "difference": _difference(values[0][key], values[1][key]),
                    "interval": bootstrap.interval(samples[1][region][key] - samples[0][region][key])
                    if samples[0] is not None and samples[1] is not None
                    else None,
                }
                for key in SCORES
            }
    return answer


def _per_photograph(result: Result, first: ValuesByCase, second: ValuesByCase) -> dict[str, Any]:
    answer: dict[str, Any] = {region: {name: {} for name in result.classes} for region in REGIONS}
    for (region, name, key), values in first.items():
        others = second[region, name, key]
        differences = np.array([others[case] - value for case, value in values.items() if case in others])
        better = differences < 0 if key in LESS_IS_BETTER else differences > 0
        answer[region][name][key] = {
            "photographs": len(differences),
            **bootstrap.mean_and_median(differences),
            "better": float(better.mean()) if len(differences) else None,
        }
    return answer


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else other - one
