"""Summary: from the counts of photographs to all numbers of `scores.json`, and the tables beside it.

`scores.json` holds what the run says of itself, and the numbers. Where a number has no meaning it is null (blank in the
tables), never NaN.

| key | what it is |
| --- | --- |
| `schema_version` | of the folder, `pipeline.evaluation.results.SCHEMA_VERSION` |
| `model`, `predictions`, `source`, `layout`, `split`, `records` | what was scored, as given; null where not given |
| `photographs` | how many |
| `left_out` | list of `{"case", "why"}` |
| `classes`, `bins`, `thresholds` | names; of the histograms; `{class: threshold}` |
| `threshold_source` | `validation` (best there), `held out` (calibrated), `config`, `given` or `unknown` |
| `threshold_seen` | true where these photographs are the ones that the threshold was chosen on |
| `binary` | classes whose maps hold but 0 and 1: their curves have a single point |
| `versions`, `fingerprints` | `{package: version}`; `{"config", "records"}` of the model, or null |
| `seconds` | `{"segmenting", "scoring"}`, the latter beside the former |
| `bootstrap` | `{"resamples", "seed", "level"}`; null with one photograph, then all intervals are null |
| `scores` | `scores[region][class][score]`: pooled over photographs |
| `intervals` | `intervals[region][class][score]`: `[low, high]` or null |
| `over_classes` | `over_classes[region][score]`: `value`, `interval`, `classes` (of which it is the mean) |
| `per_photograph` | `per_photograph[region][class][score]`, over photographs where the score has a meaning: see below |
| `without_lesion` | `without_lesion[region][class]`, of the photographs without a lesion of the class: see below |
| `calibration` | `calibration[region][class]`: list of `RELIABILITY_BINS` ranges of probability, see below |
| `lesions` | `lesions[class]`: see below |

Over classes is over those that have lesion pixels. Regions are `frame` and `field_of_view`. Scores, each pooled over
pixels (`pipeline.evaluation.scores` has the definitions): `aupr`, `aupr_33`, `aupr_33_trapezoid`, `aupr_11_trapezoid`,
`roc_auc`, `dice`, `iou`, `sensitivity`, `ppv`, `specificity`, `ece`, then the counts `lesion_pixels`, `found_pixels`,
`false_positive_pixels`, `pixels`. They are the columns of `photographs.csv` after `case`, `class`, `region`, followed
by `lesions`, `lesions_found`, `findings`, `false_findings` (of the whole frame in both regions' rows).

- `per_photograph`: `photographs` (how many), `mean`, `median`, `mean_interval`, `median_interval`.
- `without_lesion`: `photographs`, `with_false_positives` (how many of them), `false_positive_pixels`, `pixels`,
  `false_positive_fraction` of the pixels, `false_findings` (of the whole frame).
- `calibration`: `least`, `below`, `pixels`, `mean_probability`, `lesion_fraction`.
- `lesions`: `lesions`, `found`, `sensitivity`, `sensitivity_interval`, `sensitivity_one_pixel`, `findings`,
  `false_positives`, `false_positives_per_photograph`, `false_positives_interval`, `ppv`; `froc`: `false_positives`
  (1/8 … 8 a photograph), `sensitivity` and `intervals` there, and `reaches`, the false positives a photograph at the
  curve's end, beyond which a sensitivity is that of the end; `by_size`: list of `least`, `below` (pixels), `lesions`,
  `found`, `sensitivity`. The curve itself: `pipeline.evaluation.lesion_matching.froc`.

`lesions.csv`: `case`, `class`, `kind` (`lesion` or `finding`), `number` (from 1 in its photograph, class and kind),
then the fields of `pipeline.evaluation.lesion_matching.LESION`.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation import bootstrap
from pipeline.evaluation.counting import REGIONS, Counts, PhotographCounts, pool
from pipeline.evaluation.lesion_matching import FALSE_POSITIVES, LESION, by_size, froc, sensitivity_at
from pipeline.evaluation.results import SCHEMA_VERSION, Result
from pipeline.evaluation.results import SCORES as SCORES_FILE
from pipeline.evaluation.scores import PIXELS, SCORES, reliability, score
from records import write_text

LESION_COLUMNS = ("lesions", "lesions_found", "findings", "false_findings")

ByRegion = dict[str, dict[str, Any]]
ValuesByCase = Mapping[tuple[str, str, str], Mapping[str, float]]  # by region, class and score: by case


def write_summary(folder: Path, result: Result, about: Mapping[str, Any]) -> dict[str, Any]:
    """Computes all numbers, writes `photographs.csv`, `lesions.csv` and, last, `scores.json`, and returns its content.

    Args:
      folder: for the files.
      result: the counts.
      about: what the run says of itself, in the order of the file.
    """
    write_tables(folder, result)
    content = {"schema_version": SCHEMA_VERSION, **about, **summarize(result)}
    write_text(folder / SCORES_FILE, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return content


def summarize(result: Result) -> dict[str, Any]:
    """Returns the numbers of `scores.json`, from `bootstrap` on."""
    several = len(result.cases) > 1
    draws = bootstrap.draw_photographs(len(result.cases)) if several else None
    pooled = pool(result.photographs())
    scores = {region: {name: score(counts) for name, counts in row.items()} for region, row in pooled.items()}
    samples = {name: _samples(result, name, draws) for name in result.classes}
    return {
        "bootstrap": {"resamples": bootstrap.RESAMPLES, "seed": bootstrap.SEED, "level": bootstrap.LEVEL}
        if several
        else None,
        "binary": [name for name in result.classes if _is_binary(pooled["frame"][name])],
        "scores": scores,
        "intervals": {
            region: {
                name: {key: bootstrap.interval(values) for key, values in samples[name][region].items()}
                for name in result.classes
            }
            for region in REGIONS
        },
        "over_classes": {region: _over_classes(scores[region], samples, region) for region in REGIONS},
        "per_photograph": _per_photograph(result),
        "without_lesion": _without_lesion(result),
        "calibration": {
            region: {name: _calibration(counts) for name, counts in row.items()} for region, row in pooled.items()
        },
        "lesions": {name: _lesions(result, name, draws) for name in result.classes},
    }


def values_by_case(result: Result) -> ValuesByCase:
    """Returns every score of every photograph that has it: `values[region, class, score][case]`."""
    values: dict[tuple[str, str, str], dict[str, float]] = {
        (region, name, key): {} for region in REGIONS for name in result.classes for key in SCORES
    }
    for photograph in result.photographs():
        for region in REGIONS:
            for name in result.classes:
                found = score(photograph.counts[region][name])
                for key in SCORES:
                    if (value := found[key]) is not None:
                        values[region, name, key][photograph.case] = value
    return values


def _is_binary(counts: Counts) -> bool:
    """Says whether all probabilities lie in the lowest and the highest bin, as those of a mask do."""
    return not (counts.lesion[1:-1].any() or counts.other[1:-1].any())


def _samples(result: Result, name: str, draws: np.ndarray | None) -> dict[str, dict[str, np.ndarray]]:
    if draws is None:
        return {region: dict.fromkeys(SCORES, np.zeros(0)) for region in REGIONS}
    return bootstrap.pooled_samples(result.photographs(), draws, name)


def _over_classes(scores: Mapping[str, Mapping[str, Any]], samples, region: str) -> dict[str, Any]:
    """Means over the classes that have lesion pixels; in each draw, over those of them that have some there."""
    classes = [name for name, values in scores.items() if values["lesion_pixels"]]
    answer = {}
    for key in SCORES:
        values = [scores[name][key] for name in classes]
        known = [value for value in values if value is not None]
        drawn = np.array([samples[name][region][key] for name in classes])
        answer[key] = {
            "value": sum(known) / len(known) if known else None,
            "interval": bootstrap.interval(_mean_of_known(drawn)) if classes else None,
            "classes": classes,
        }
    return answer


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    """Returns means over the first axis without the NaNs, NaN where there is nothing else."""
    known = ~np.isnan(values)
    number = known.sum(axis=0)
    return np.where(number > 0, np.where(known, values, 0).sum(axis=0) / np.maximum(number, 1), np.nan)


def _per_photograph(result: Result) -> ByRegion:
    values = values_by_case(result)
    return {
        region: {
            name: {
                key: {
                    "photographs": len(values[region, name, key]),
                    **bootstrap.mean_and_median(np.array(list(values[region, name, key].values()))),
                }
                for key in SCORES
            }
            for name in result.classes
        }
        for region in REGIONS
    }


def _without_lesion(result: Result) -> ByRegion:
    answer: ByRegion = {
        region: {
            name: {
                "photographs": 0,
                "with_false_positives": 0,
                "false_positive_pixels": 0,
                "pixels": 0,
                "false_findings": 0,
            }
            for name in result.classes
        }
        for region in REGIONS
    }
    for photograph in result.photographs():
        for region in REGIONS:
            for name in result.classes:
                if not len(photograph.lesions[name]):
                    counts, row = photograph.counts[region][name], answer[region][name]
                    row["photographs"] += 1
                    row["with_false_positives"] += counts.false_positive > 0
                    row["false_positive_pixels"] += counts.false_positive
                    row["pixels"] += int(counts.other.sum())
                    row["false_findings"] += len(photograph.findings[name])
    for by_class in answer.values():
        for row in by_class.values():
            pixels = row["pixels"]
            row["false_positive_fraction"] = row["false_positive_pixels"] / pixels if pixels else None
    return answer


def _calibration(counts: Counts) -> list[dict[str, float | int | None]]:
    columns = [values.tolist() for values in reliability(counts.lesion, counts.other)]
    return [
        {
            "least": number / len(columns[0]),
            "below": (number + 1) / len(columns[0]),
            "pixels": int(pixels),
            "mean_probability": probability if pixels else None,
            "lesion_fraction": share if pixels else None,
        }
        for number, (pixels, probability, share) in enumerate(zip(*columns, strict=True))
    ]


def _lesions(result: Result, name: str, draws: np.ndarray | None) -> dict[str, Any]:
    lesions, findings = [], []
    for photograph in result.photographs():
        lesions.append(photograph.lesions[name])
        findings.append(photograph.findings[name])
    true, found = (np.concatenate([np.zeros(0, LESION), *rows]) for rows in (lesions, findings))
    matched, false = int(true["matched"].sum()), int((~found["matched"]).sum())
    samples = bootstrap.lesion_samples(lesions, findings, draws) if draws is not None else None
    curve = froc(true, found, len(lesions)) if len(true) else None
    return {
        "lesions": len(true),
        "found": matched,
        "sensitivity": _share(matched, len(true)),
        "sensitivity_interval": bootstrap.interval(samples["sensitivity"]) if samples else None,
        "sensitivity_one_pixel": _share(int(np.count_nonzero(true["overlap"])), len(true)),
        "findings": len(found),
        "false_positives": false,
        "false_positives_per_photograph": false / len(lesions),
        "false_positives_interval": bootstrap.interval(samples["false_positives"]) if samples else None,
        "ppv": _share(len(found) - false, len(found)),
        "froc": {
            "false_positives": list(FALSE_POSITIVES),
            "sensitivity": sensitivity_at(*curve[1:]) if curve else [None] * len(FALSE_POSITIVES),
            "intervals": [bootstrap.interval(column) for column in samples["froc"].T]
            if samples
            else [None] * len(FALSE_POSITIVES),
            "reaches": float(curve[1][-1]) if curve else None,
        },
        "by_size": by_size(true),
    }


def write_tables(folder: Path, result: Result) -> None:
    """Writes `photographs.csv` and `lesions.csv`."""
    photographs, lesions = io.StringIO(), io.StringIO()
    writers = [csv.writer(text, lineterminator="\n") for text in (photographs, lesions)]
    writers[0].writerow(["case", "class", "region", *SCORES, *PIXELS, *LESION_COLUMNS])
    writers[1].writerow(["case", "class", "kind", "number", *(LESION.names or ())])
    for photograph in result.photographs():
        writers[0].writerows(_photograph_rows(photograph, result.classes))
        writers[1].writerows(_lesion_rows(photograph, result.classes))
    write_text(folder / "photographs.csv", photographs.getvalue())
    write_text(folder / "lesions.csv", lesions.getvalue())


def _photograph_rows(photograph: PhotographCounts, classes: tuple[str, ...]) -> Iterable[list[object]]:
    for region in REGIONS:
        for name in classes:
            lesions, findings = photograph.lesions[name]["matched"], photograph.findings[name]["matched"]
            of_lesions = (len(lesions), int(lesions.sum()), len(findings), int((~findings).sum()))
            values = score(photograph.counts[region][name])
            numbers = ("" if values[key] is None else values[key] for key in (*SCORES, *PIXELS))
            yield [photograph.case, name, region, *numbers, *of_lesions]


def _lesion_rows(photograph: PhotographCounts, classes: tuple[str, ...]) -> Iterable[list[object]]:
    for name in classes:
        for kind, rows in (("lesion", photograph.lesions[name]), ("finding", photograph.findings[name])):
            for number, row in enumerate(rows.tolist(), start=1):
                numbers = [round(value, 4) if isinstance(value, float) else int(value) for value in row]
                yield [photograph.case, name, kind, number, *numbers]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
