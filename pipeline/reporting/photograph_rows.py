"""The rows of the table of photographs."""

from typing import Any

from pipeline.evaluation import PhotographCounts, Result, score
from pipeline.reporting.gallery import mean_dice


def photograph_rows(result: Result) -> list[dict[str, Any]]:
    """Returns a row per photograph and known class, the lowest Dice first; without a lesion, by false positives."""
    rows = []
    for photograph in result.photographs():
        order = mean_dice(photograph)
        rows += [_row(photograph, name, order) for name in result.classes if photograph.knows(name)]
    return sorted(
        rows, key=lambda row: (row["order"] is None, row["order"] or 0, -row["false_positive_fraction"], row["case"])
    )


def _row(photograph: PhotographCounts, name: str, order: float | None) -> dict[str, Any]:
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
