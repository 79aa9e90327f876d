"""Losses: functions of masks and probabilities that return one value per sample, and the table of their names."""

from models.losses.distillation import build_distillation
from models.losses.functions import recover_logits
from models.losses.losses import LOSSES, TAKES_HARD_LABELS_ONLY, SampleLoss, build_loss, check_soft_labels

__all__ = [
    "LOSSES",
    "TAKES_HARD_LABELS_ONLY",
    "SampleLoss",
    "build_distillation",
    "build_loss",
    "check_soft_labels",
    "recover_logits",
]
