"""Planning: what the photographs and masks of a source are, and the preset that they ask for.

Re-exported here is what needs no TensorFlow, so that a command which refuses its input does so at once.
`pipeline.planning.writing`, which makes the plan and writes it, is imported by its own name.
"""

from pipeline.planning.fine_tuning import (
    AFTER,
    BEFORE,
    COMPARED,
    CONFIG,
    KEPT_APART,
    LEARNT_FROM,
    fine_tuning_config,
    fine_tuning_stages,
)
from pipeline.planning.fingerprint import Fingerprint, take_fingerprint
from pipeline.planning.networks import PLANNED
from pipeline.planning.problems import refuse_classes, refuse_few, refuse_without_lesions
from pipeline.planning.stages import (
    EVALUATION,
    FOLDS,
    PLAN,
    RUN,
    Stage,
    begin,
    keep_folds,
    plan_stages,
    planned_model,
    scored_split,
)

__all__ = [
    "AFTER",
    "BEFORE",
    "COMPARED",
    "CONFIG",
    "EVALUATION",
    "FOLDS",
    "KEPT_APART",
    "LEARNT_FROM",
    "PLAN",
    "PLANNED",
    "RUN",
    "Fingerprint",
    "Stage",
    "begin",
    "fine_tuning_config",
    "fine_tuning_stages",
    "keep_folds",
    "plan_stages",
    "planned_model",
    "refuse_classes",
    "refuse_few",
    "refuse_without_lesions",
    "scored_split",
    "take_fingerprint",
]
