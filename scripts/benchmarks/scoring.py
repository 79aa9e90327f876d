"""What benchmarks that score altered photographs share: their cases, the check of the classes, counts, and AUPR."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from configs import DataConfig, InputError
from pipeline.evaluation import PhotographCounts, count_photograph, pool, score
from pipeline.evaluation.plan import EvaluationPlan, EvaluationRequest, plan_evaluation
from pipeline.inference import SegmenterSpec, TiledSegmenter
from records import DISC, field_of_view


def check_classes(data: DataConfig, spec: SegmenterSpec) -> None:
    """Raises an InputError if a config has other classes than a model."""
    if data.classes != spec.classes:
        raise InputError(f"--config: has the classes {', '.join(data.classes)}, the model {', '.join(spec.classes)}.")


def plan_scoring(segmenter: TiledSegmenter, model: Path, source: Path, *, split: str) -> EvaluationPlan:
    """Finds the photographs that are altered and scored, as `eval` does.

    Args:
      segmenter: segmenter of the model.
      model: its folder.
      source: folder of photographs and masks.
      split: the cases, as the model lists them, or "all".

    Raises:
      InputError: the source cannot be read, has no case of the split, or a photograph lacks a mask.
    """
    plan = plan_evaluation(EvaluationRequest(source=str(source), split=split, model=str(model)), segmenter)
    if lacking := plan.without_needed_mask():
        first = next(case for case in plan.cases if case.name in lacking)
        raise InputError(
            f"--source={source}: {len(lacking)} of {len(plan.cases)} photographs lack a mask, the first is "
            f"{first.name} ({', '.join(first.missing_masks)}); add masks, all black where there is no "
            "lesion, or a labels.csv that says what was looked for."
        )
    return plan


def segment_and_count(
    segmenter: TiledSegmenter, case: str, photograph: np.ndarray, *, masks: np.ndarray, known: np.ndarray | None = None
) -> PhotographCounts:
    """Returns the counts of a photograph, uint8 RGB `[H, W, 3]`, at the model's operating point.

    Args:
      segmenter: makes the probability map.
      case: name of the photograph.
      photograph: the photograph.
      masks: bool `[H, W, C]`.
      known: bool `[H, W, C]`; None: known throughout.
    """
    spec = segmenter.spec
    segmented = segmenter.segment_measured(segmenter.measure(photograph))
    return count_photograph(
        case,
        segmented.probabilities,
        masks,
        field_of_view=field_of_view(photograph),
        classes=spec.classes,
        operating_point=spec.operating_point,
        bins=spec.bins,
        known=known,
        factor=segmented.scale.factor,
    )


def pooled_aupr(counts: Iterable[PhotographCounts]) -> dict[str, float]:
    """Returns the AUPR of each class that the photographs show, over all pixels of all of them."""
    scores = {name: score(pixels)["aupr"] for name, pixels in pool(counts)["frame"].items()}
    return {name: value for name, value in scores.items() if value is not None}


def mean_of_lesions(values: Mapping[str, float]) -> float:
    """Returns the mean over all classes but the optic disc, or of the disc if there is no other class."""
    return float(np.mean([value for name, value in values.items() if name != DISC] or list(values.values())))
