"""The plots of a result: its curves, with the points that it was scored at."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.evaluation import LESION, Result, pool
from pipeline.reporting.plots import (
    Plot,
    calibration_plot,
    detection_calibration_plot,
    froc_plot,
    precision_recall_plot,
    sparsification_plot,
)
from pipeline.reporting.rendering import number


def result_plots(result: Result, scores: Mapping[str, Any]) -> list[Plot]:
    """Returns the plots of a result.

    Args:
      result: counts of all photographs.
      scores: the entries of a summary, see `pipeline.evaluation.summary`.
    """
    pooled = pool(result.photographs())["frame"]
    histograms = [(pooled[name].lesion, pooled[name].negatives) for name in result.classes]
    lesions, detections = _regions_of_all(result)
    points = []
    for name in result.classes:
        values = scores["scores"]["frame"][name]
        recall, precision = values["sensitivity"], values["ppv"]
        label = f"{name}, operating point: recall {number(recall)}, precision {number(precision)}"
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
