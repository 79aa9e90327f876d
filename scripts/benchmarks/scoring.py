"""What benchmarks that score altered photographs share: the check of the classes, and the counts of one photograph."""

import numpy as np

from configs import DataConfig, InputError
from pipeline.evaluation import PhotographCounts, count_photograph
from pipeline.inference import SegmenterSpec, TiledSegmenter
from records import field_of_view


def check_classes(data: DataConfig, spec: SegmenterSpec) -> None:
    """Raises an InputError if a config has other classes than a model."""
    if data.classes != spec.classes:
        raise InputError(f"--config: has the classes {', '.join(data.classes)}, the model {', '.join(spec.classes)}.")


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
