"""The report of an evaluation: one self-contained HTML file that needs neither a server nor a network.

Scores come from `scores.json` and `counts.npz`, photographs from the gallery, leaks from the audit. The layout and all
text are in `templates/report.html`.
"""

import base64
import functools
import itertools
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from pipeline.evaluation import LESION, Audit, PhotographCounts, Result, pool, score
from pipeline.reporting.gallery import Gallery, mean_dice
from pipeline.reporting.outlined_photographs import OutlinedPhotograph
from pipeline.reporting.plots import (
    Plot,
    calibration_plot,
    detection_calibration_plot,
    froc_plot,
    precision_recall_plot,
    sparsification_plot,
)
from pipeline.reporting.record_lookup import record_at
from records import CLASS_COLORS, Index, write_text

REPORT = "report.html"
HEADLINES = {
    "aupr": "AUPR",
    "dice": "Dice",
    "iou": "IoU",
    "sensitivity": "Sensitivity",
    "ppv": "PPV",
    "specificity": "Specificity",
    "roc_auc": "ROC-AUC",
    "ece": "ECE",
}
AUPR_DEFINITIONS = {  # how each is computed, and what it may be compared with
    "aupr": (
        "average precision, exact",
        "scikit-learn's average_precision_score, and papers that compute it over all pixels and thresholds",
    ),
    "aupr_33": (
        "steps at 33 thresholds",
        "the IDRiD challenge (Porwal et al. 2020, doi:10.1016/j.media.2019.101561) and papers that follow its rules",
    ),
    "aupr_33_trapezoid": (
        "trapezoids at the same 33 thresholds",
        "the same; the challenge does not specify steps or trapezoids, and the difference shows how much it matters",
    ),
    "aupr_11_trapezoid": (
        "trapezoids between 11 thresholds",
        "M2MRF (Liu et al. 2023, doi:10.1016/j.compbiomed.2022.106482), HRDecoder (Ding et al. 2024) and others that "
        "use its code; it is not average precision and can be higher",
    ),
}


def write_report(
    folder: Path,
    result: Result,
    scores: Mapping[str, Any],
    *,
    gallery: Gallery | None = None,
    audit: Audit | None = None,
    index: Index | None = None,
    tiles: Mapping[str, float] | None = None,
) -> Path:
    """Writes `report.html`.

    Args:
      folder: folder for the file.
      result: counts of all photographs.
      scores: content of `scores.json`, see `pipeline.evaluation.summary`.
      gallery: gallery that was shown every photograph; without one the report has no photographs, and says so.
      audit: leak audit; without one the report says that none was made.
      index: index of the records that `scores` names; missed lesions are looked up in it.
      tiles: name → value of `evaluation.csv`, if tiles were scored.

    Returns:
      The path of the file.
    """
    groups = _groups(gallery)
    numbers = {shown.case: number for number, shown in enumerate(itertools.chain(*groups.values()), start=1)}
    text = (
        _environment()
        .get_template("report.html")
        .render(
            scores=scores,
            classes=result.classes,
            class_colors=CLASS_COLORS,
            headlines=HEADLINES,
            aupr_definitions=AUPR_DEFINITIONS,
            plots=_plots(result, scores),
            photographs=_photograph_rows(result),
            groups=groups,
            numbers=numbers,
            record_of=functools.partial(record_at, index) if index else None,
            audit=audit,
            tiles=tiles,
        )
    )
    path = folder / REPORT
    write_text(path, text)
    return path


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number,
        "interval": _interval,
        "percent": _percent,
        "jpeg": _data_uri,
        "quote": shlex.quote,
    }
    return environment


def _groups(gallery: Gallery | None) -> dict[str, list[OutlinedPhotograph]]:
    if gallery is None:
        return {}
    groups = {
        "Worst": gallery.worst,
        "Best": gallery.best,
        "False alarms in photographs without lesions": gallery.false_alarms,
    }
    return {title: photographs for title, photographs in groups.items() if photographs}


def _plots(result: Result, scores: Mapping[str, Any]) -> list[Plot]:
    pooled = pool(result.photographs())["frame"]
    histograms = [(pooled[name].lesion, pooled[name].negatives) for name in result.classes]
    lesions, detections = _regions_of_all(result)
    points = []
    for name in result.classes:
        values = scores["scores"]["frame"][name]
        recall, precision = values["sensitivity"], values["ppv"]
        label = f"{name}, operating point: recall {_number(recall)}, precision {_number(precision)}"
        points.append(None if recall is None or precision is None else (recall, precision, label))
    return [
        precision_recall_plot(result.classes, histograms, points),
        froc_plot(
            result.classes,
            lesions,
            detections,
            photographs=[scores["known_photographs"][name] for name in result.classes],
            intervals=[scores["lesions"][name]["froc"]["intervals"] for name in result.classes],
        ),
        calibration_plot(result.classes, [scores["calibration"]["frame"][name] for name in result.classes]),
        detection_calibration_plot(
            result.classes, [scores["lesions"][name]["calibration"]["ranges"] for name in result.classes]
        ),
        *_tile_plots(result, scores["sparsification"]),
    ]


def _tile_plots(result: Result, sparsification: Mapping[str, Any] | None) -> list[Plot]:
    """Returns the plot of what correcting tiles removes, if it is known and anything is wrong."""
    if sparsification is None or not sparsification["wrong_pixels"]:
        return []
    tables = [photograph.tiles for photograph in result.photographs() if photograph.tiles is not None]
    return [sparsification_plot(np.concatenate(tables))]


def _regions_of_all(result: Result) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns the lesions and the detections of each class in all photographs."""
    lesions: dict[str, list[np.ndarray]] = {name: [np.zeros(0, LESION)] for name in result.classes}
    detections: dict[str, list[np.ndarray]] = {name: [np.zeros(0, LESION)] for name in result.classes}
    for photograph in result.photographs():
        for name in result.classes:
            lesions[name].append(photograph.lesions[name])
            detections[name].append(photograph.detections[name])
    return [np.concatenate(rows) for rows in lesions.values()], [np.concatenate(rows) for rows in detections.values()]


def _photograph_rows(result: Result) -> list[dict[str, Any]]:
    """Returns a row per photograph and known class, the lowest Dice first; without a lesion, by false positives."""
    rows = []
    for photograph in result.photographs():
        order = mean_dice(photograph)
        rows += [_photograph_row(photograph, name, order) for name in result.classes if photograph.knows(name)]
    return sorted(
        rows, key=lambda row: (row["order"] is None, row["order"] or 0, -row["false_positive_fraction"], row["case"])
    )


def _photograph_row(photograph: PhotographCounts, name: str, order: float | None) -> dict[str, Any]:
    values = score(photograph.counts["frame"][name])
    lesions, detections = photograph.lesions[name], photograph.detections[name]
    pixels = photograph.height * photograph.width
    return {
        "case": photograph.case,
        "class": name,
        "order": order,
        **{key: values[key] for key in ("dice", "aupr", "sensitivity", "ppv")},
        "lesions": len(lesions),
        "found": int(lesions["matched"].sum()),
        "false_detections": int((~detections["matched"]).sum()),
        "lesion_fraction": photograph.counts["frame"][name].lesion.sum() / pixels,
        "false_positive_fraction": photograph.counts["frame"][name].false_positive / pixels,
    }


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(pair: Sequence[float] | None, digits: int = 3) -> str:
    return "" if pair is None else f"{pair[0]:.{digits}f} – {pair[1]:.{digits}f}"


def _percent(value: float | None) -> str:
    """Returns a fraction of the pixels in percent, with three digits because most are small."""
    return "–" if value is None else f"{100 * value:.3g} %" if value else "0"


def _data_uri(content: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")
