"""A baseline to compare networks with: a threshold on colour."""

from collections.abc import Iterable

import numpy as np

from configs import DataConfig, InputError
from pipeline.evaluation.counting import pool
from pipeline.evaluation.photographs import CaseMap, evaluate_photographs
from pipeline.evaluation.scores import score
from pipeline.operating_point import OperatingPoint
from records import Case, field_of_view

THRESHOLD = 0.5  # areas under curves do not depend on it


def baseline_aupr(cases: Iterable[Case], data: DataConfig, *, bins: int) -> dict[str, float | int | None]:
    """Scores the baseline on photographs.

    Args:
      cases: cases to score; those that cannot be read are skipped.
      data: classes, and the largest number of pixels allowed.
      bins: number of equal bins over 0..1.

    Returns:
      AUPR of each class in the whole frame, pooled over the photographs; None without lesion pixels.
    """
    outcomes = evaluate_photographs(
        lambda loaded: CaseMap(color_threshold_map(loaded.photograph, len(data.classes))),
        cases,
        data,
        operating_point=OperatingPoint((THRESHOLD,) * len(data.classes)),
        bins=bins,
    )
    pooled = pool(outcome for _, outcome in outcomes if not isinstance(outcome, InputError))
    return {name: score(counts)["aupr"] for name, counts in pooled["frame"].items()}


def color_threshold_map(photograph: np.ndarray, classes: int) -> np.ndarray:
    """Returns how dark each pixel is in the green channel, as if that were a probability.

    Haemorrhages, like vessels, are darkest in green, which haemoglobin absorbs.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.
      classes: number of classes C; all get the same map.

    Returns:
      float32 0..1 `[H, W, C]`, zero outside the field of view.
    """
    darkness = (1 - photograph[..., 1].astype(np.float32) / 255) * field_of_view(photograph)
    return np.repeat(darkness[..., None], classes, axis=-1)
