"""What can be done next with a cross-validation, as its command and its report say it."""

import glob
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

NEXT_TITLE = "one model of all folds, and then its calibration, thresholds and least areas"


def next_steps(workdir: Path) -> list[str]:
    """Returns the commands that make one model of the folds' models; none if fewer than two of these are there."""
    models = Path("fold_*") / "run" / "model"
    if len(list(workdir.glob(str(models / "segmenter.json")))) < 2:
        return []
    ensemble, calibrated = workdir / "ensemble", workdir / "calibrated"
    pattern = f"{glob.escape(str(workdir))}/{models}"
    return [
        f"python -m scripts.ensemble {quote(f'--models={pattern}')} {quote(f'--output={ensemble}')}",
        f"python -m scripts.calibrate {quote(f'--model={ensemble}')} {quote(f'--results={workdir}')} "
        f"{quote(f'--output={calibrated}')}",
    ]


def how_to_choose(operating_points: Mapping[str, Any]) -> str:
    """Returns what to do about folds that lack the counts from which operating points are chosen; "" if none does.

    Args:
      operating_points: what `pipeline.evaluation.earned_operating_points` returned.
    """
    if not operating_points["lacking"]:
        return ""
    folders = ", ".join(f"{name}/result" for name in operating_points["lacking"])
    return (
        f"To choose them, remove {folders} and run the same crossval command again: it keeps what is trained, and "
        "scores these folds again."
    )
