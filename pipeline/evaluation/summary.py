"""Summary: computes all scores of `scores.json` from the counts of photographs.

`scores.json` describes the run and holds its scores. A score that is undefined is null (blank in the tables), never
NaN.

| key | content |
| --- | --- |
| `schema_version` | version of the folder's files, `pipeline.evaluation.results.SCHEMA_VERSION` |
| `anonymous` | whether salted digests stand for names, and "anonymous" for folders; may be absent |
| `model`, `predictions`, `source`, `layout`, `split`, `records` | what was scored, as given; null if not given |
| `labelled`, `healthy`, `absent` | what the flags say is known of the photographs, as given |
| `levels` | what means 1 in external maps of 8 and 16 bits: `full` (255, 65,535) or `binary` (1); null without |
| `photographs` | number of photographs scored |
| `left_out` | list of `{"case", "why"}` |
| `warnings` | list of `{"case", "warnings"}`: what does not suit the model; absent in files of earlier versions |
| `mask_warnings` | `{kind: lines}`: what is not plausible about masks, see `records.cases.mask_checks`; may be absent |
| `classes`, `bins`, `thresholds` | class names; number of equal bins over 0..1; `{class: threshold}` |
| `threshold_source` | `validation` (best there), `held out`, `members` (means), `config`, `given` or `unknown` |
| `threshold_seen`, `threshold_seen_on` | whether the thresholds were chosen on any of these photographs; on which |
| `seen_by_name` | photographs of which only the name says that the model has seen them, as its folder has no more |
| `named_alike` | photographs that have a name that the model lists, but are other photographs |
| `min_area` | `{class: pixels}`: smaller detections were dropped; 1 if none; absent in files of earlier versions |
| `min_areas` | `{class: pixels}` at the network's scale: the model's, 0 if none; empty if `min_area` says it |
| `binary` | classes whose maps hold only 0 and 1: their curves consist of a single point |
| `versions`, `fingerprints` | `{package: version}`; `{"config", "records"}` of the model, or null |
| `seconds` | `{"segmenting", "scoring"}`; the two run side by side |
| `bootstrap` | `{"resamples", "seed", "level"}`; null with one photograph, and then so are all intervals |
| `known_photographs` | `{class: number}` of photographs where it is known; absent in files of earlier versions: all |
| `scores` | `scores[region][class][score]`: pooled over photographs |
| `intervals` | `intervals[region][class][score]`: `[low, high]` or null |
| `over_classes` | `over_classes[region][score]`: `value`, the mean over `classes`, and its `interval` |
| `per_photograph` | `per_photograph[region][class][score]`, over the photographs where it is defined: see below |
| `without_lesion` | `without_lesion[region][class]`, over the photographs without a lesion of the class: see below |
| `calibration` | `calibration[region][class]`: list of `RELIABILITY_BINS` ranges of probability, see below |
| `lesions` | `lesions[class]`: see below |
| `sparsification` | what correcting the first tiles removes: see below; null for results of earlier versions |

Of a photograph only those classes and pixels count of which is known whether they show a lesion. Means over classes
include those that have lesion pixels; of a class that is known nowhere all scores are null, and of one that is known in
one photograph all intervals. Regions are `frame` and `field_of_view`. The scores, pooled
over pixels, are `aupr`, `aupr_33`, `aupr_33_trapezoid`, `aupr_11_trapezoid`, `roc_auc`, `dice`, `iou`, `sensitivity`,
`ppv`, `specificity`, `ece` (definitions: `pipeline.evaluation.scores`), and the counts `lesion_pixels`, `found_pixels`
(positive ones), `false_positive_pixels`, `pixels`.

- `per_photograph`: `photographs` (their number), `mean`, `median`, `mean_interval`, `median_interval`.
- `without_lesion`: `photographs` (where the class is known), `with_false_positives` (number of those that have some),
  `false_positive_pixels`, `pixels`, `false_positive_share` of the pixels, `false_findings` (false detections in the
  whole frame).
- `calibration`: `least`, `below` (the range), `pixels`, `mean_probability`, `lesion_share` (fraction of lesion pixels).
- `lesions`: `lesions`, `found`, `sensitivity`, `sensitivity_interval`, `sensitivity_one_pixel`, `findings`
  (detections), `false_positives`, `false_positives_per_photograph` (where the class is known; null if it is nowhere),
  `false_positives_interval`, `ppv`; `froc`:
  `false_positives` (1/8 … 8 per photograph), the `sensitivity` at each and its `intervals`, and `reaches`, the false
  positives per photograph where the curve ends (beyond it, a sensitivity is that of the end); `by_size`: list of
  `least`, `below` (pixels), `lesions`, `found`, `sensitivity`. The curve itself:
  `pipeline.evaluation.lesion_matching.froc`. `calibration`, of the highest probability in each detection
  (`pipeline.evaluation.detection_calibration`): `brier`, its `interval`, `brier_of_ppv` (if all detections had the
  probability `ppv`), and `ranges`, a list of `RELIABILITY_BINS` ranges: `least`, `below`, `detections`,
  `mean_probability`, `matched_fraction` (of the detections, those that are no false positives).
- `sparsification` (`pipeline.evaluation.sparsification`): `tiles`, `wrong_pixels` (added up over classes),
  `expected_pixels`, `fraction` of the tiles that are corrected, and the fraction of the wrong pixels that this removes:
  `random` (expected), `removed` (in the order of `expected_per_minute` in `tiles.csv`), `best` (in that of `wrong`),
  `removed_interval` and `best_interval`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation import bootstrap
from pipeline.evaluation.counting import REGIONS, Counts, pool
from pipeline.evaluation.detection_calibration import detection_calibration
from pipeline.evaluation.lesion_matching import FALSE_POSITIVES, LESION, by_size, froc, sensitivity_at
from pipeline.evaluation.probability_bins import bins_of, lower_edges
from pipeline.evaluation.results import SCHEMA_VERSION, Result
from pipeline.evaluation.results import SCORES as SCORES_FILE
from pipeline.evaluation.scores import SCORES, reliability, score
from pipeline.evaluation.sparsification import summarize_tiles
from pipeline.evaluation.tables import write_tables
from records import write_text

ByRegion = dict[str, dict[str, Any]]
ValuesByCase = Mapping[tuple[str, str, str], Mapping[str, float]]  # by (region, class, score), then by case


def write_summary(folder: Path, result: Result, about: Mapping[str, Any]) -> dict[str, Any]:
    """Computes all scores, and writes `photographs.csv`, `lesions.csv`, `tiles.csv` and, last, `scores.json`.

    Args:
      folder: folder for the files.
      result: counts of all photographs.
      about: description of the run, in the order of the file.

    Returns:
      The content of `scores.json`.
    """
    write_tables(folder, result)
    content = {"schema_version": SCHEMA_VERSION, **about, **summarize(result)}
    write_text(folder / SCORES_FILE, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return content


def summarize(result: Result) -> dict[str, Any]:
    """Returns the entries of `scores.json` that follow from the counts, from `bootstrap` on."""
    several = len(result.cases) > 1
    draws = bootstrap.draw_photographs(len(result.cases)) if several else None
    pooled = pool(result.photographs())
    known = known_photographs(result)
    scores = {region: {name: score(counts) for name, counts in row.items()} for region, row in pooled.items()}
    samples = {name: _samples(result, name, draws) for name in result.classes}
    return {
        "bootstrap": {"resamples": bootstrap.RESAMPLES, "seed": bootstrap.SEED, "level": bootstrap.LEVEL}
        if several
        else None,
        "known_photographs": {name: int(of_class.sum()) for name, of_class in known.items()},
        "binary": [name for name in result.classes if _is_binary(pooled["frame"][name])],
        "scores": scores,
        "intervals": {
            region: {
                name: {
                    key: bootstrap.interval(values) if known[name].sum() > 1 else None
                    for key, values in samples[name][region].items()
                }
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
        "lesions": {name: _lesions(result, name, draws, known=known[name]) for name in result.classes},
        "sparsification": summarize_tiles([photograph.tiles for photograph in result.photographs()], draws),
    }


def known_photographs(result: Result) -> dict[str, np.ndarray]:
    """Returns for each class whether it is known in each photograph, bool `[photographs]`."""
    rows = [[photograph.knows(name) for name in result.classes] for photograph in result.photographs()]
    return dict(zip(result.classes, np.array(rows, bool).reshape(-1, len(result.classes)).T, strict=True))


def values_by_case(result: Result) -> ValuesByCase:
    """Returns every score of every photograph where it is defined: `values[region, class, score][case]`."""
    values: dict[tuple[str, str, str], dict[str, float]] = {
        (region, name, key): {} for region in REGIONS for name in result.classes for key in SCORES
    }
    for photograph in result.photographs():
        for region in REGIONS:
            for name in result.classes:
                scored = score(photograph.counts[region][name])
                for key in SCORES:
                    if (value := scored[key]) is not None:
                        values[region, name, key][photograph.case] = value
    return values


def _is_binary(counts: Counts) -> bool:
    """Returns whether there are probabilities, and all in the lowest and in one above all equal edges, as in a mask."""
    both = counts.lesion + counts.negatives
    bins = bins_of(both)
    filled = lower_edges(bins)[np.flatnonzero(both)]
    above = filled[filled > 0]
    # In a result of schema version 1, probabilities of 1 are in the first part of the last equal bin.
    return len(filled) > 0 and len(above) <= 1 and all(edge >= (bins - 1) / bins for edge in above)


def _samples(result: Result, name: str, draws: np.ndarray | None) -> dict[str, dict[str, np.ndarray]]:
    if draws is None:
        return {region: dict.fromkeys(SCORES, np.zeros(0)) for region in REGIONS}
    return bootstrap.pooled_samples(result.photographs(), draws, name)


def _over_classes(scores: Mapping[str, Mapping[str, Any]], samples, region: str) -> dict[str, Any]:
    """Returns means over the classes with lesion pixels; in a resample, over those with lesion pixels in it."""
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
    """Returns means over the first axis that ignore NaN; NaN where all values are."""
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
                if photograph.knows(name) and not len(photograph.lesions[name]):
                    counts, row = photograph.counts[region][name], answer[region][name]
                    row["photographs"] += 1
                    row["with_false_positives"] += counts.false_positive > 0
                    row["false_positive_pixels"] += counts.false_positive
                    row["pixels"] += int(counts.negatives.sum())
                    row["false_findings"] += len(photograph.detections[name])
    for by_class in answer.values():
        for row in by_class.values():
            pixels = row["pixels"]
            row["false_positive_share"] = row["false_positive_pixels"] / pixels if pixels else None
    return answer


def _calibration(counts: Counts) -> list[dict[str, float | int | None]]:
    columns = [values.tolist() for values in reliability(counts.lesion, counts.negatives)]
    return [
        {
            "least": number / len(columns[0]),
            "below": (number + 1) / len(columns[0]),
            "pixels": int(pixels),
            "mean_probability": probability if pixels else None,
            "lesion_share": fraction if pixels else None,
        }
        for number, (pixels, probability, fraction) in enumerate(zip(*columns, strict=True))
    ]


def _lesions(result: Result, name: str, draws: np.ndarray | None, *, known: np.ndarray) -> dict[str, Any]:
    lesions, detections = [], []
    for photograph in result.photographs():
        lesions.append(photograph.lesions[name])
        detections.append(photograph.detections[name])
    true, detected = (np.concatenate([np.zeros(0, LESION), *rows]) for rows in (lesions, detections))
    found, false = int(true["matched"].sum()), int((~detected["matched"]).sum())
    photographs = int(known.sum())
    samples = None
    if draws is not None and photographs > 1:
        samples = bootstrap.lesion_samples(lesions, detections, draws, known=known)
    curve = froc(true, detected, photographs) if len(true) else None
    return {
        "lesions": len(true),
        "found": found,
        "sensitivity": _ratio(found, len(true)),
        "sensitivity_interval": bootstrap.interval(samples["sensitivity"]) if samples else None,
        "sensitivity_one_pixel": _ratio(int(np.count_nonzero(true["overlap"])), len(true)),
        "findings": len(detected),
        "false_positives": false,
        "false_positives_per_photograph": _ratio(false, photographs),
        "false_positives_interval": bootstrap.interval(samples["false_positives"]) if samples else None,
        "ppv": _ratio(len(detected) - false, len(detected)),
        "froc": {
            "false_positives": list(FALSE_POSITIVES),
            "sensitivity": sensitivity_at(*curve[1:]) if curve else [None] * len(FALSE_POSITIVES),
            "intervals": [bootstrap.interval(column) for column in samples["froc"].T]
            if samples
            else [None] * len(FALSE_POSITIVES),
            "reaches": float(curve[1][-1]) if curve else None,
        },
        "by_size": by_size(true),
        "calibration": detection_calibration(detections, draws if photographs > 1 else None),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
