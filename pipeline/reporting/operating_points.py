"""Operating points that were earned, as reports and commands show them: their words, and bars of false detections."""

from collections.abc import Mapping
from typing import Any

from pipeline.reporting.bars import BarPlot, bar_plot

WAY_TITLES = {
    "before": "thresholds of the folds",
    "threshold": "one threshold",
    "area": "threshold, then least area",
    "both": "both at once",
}
SCORE_TITLES = {
    "dice": "Dice",
    "lesion_sensitivity": "lesions found",
    "lesion_precision": "right detections",
    "lesion_f1": "lesion F1",
}


def false_detection_bars(content: Mapping[str, Any]) -> dict[str, BarPlot]:
    """Plots the false detections per photograph at equal lesion sensitivity, before and after.

    Args:
      content: what `pipeline.evaluation.earned_operating_points` returned.

    Returns:
      A plot for each class where both are defined, on an axis of its own.
    """
    plots = {}
    for color, (name, of_class) in enumerate(content["classes"].items()):
        if of_class["why_not"]:
            continue
        taken = of_class["scores"][of_class["chosen"]["way"]]
        before, after = taken["without_areas"]["false_detections"], taken["false_detections"]
        if before["value"] is not None and after["value"] is not None:
            rows = {"one threshold, every region": before, "what is chosen": after}
            plots[name] = bar_plot(name, "false detections per photograph", rows, color=color)
    return plots
