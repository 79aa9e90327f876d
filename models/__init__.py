"""Networks, losses and metrics in pure Keras 3 (`keras`, `keras.ops`).

A network takes float32 RGB 0..255 `[B, h, w, 3]` and returns probabilities float32 `[B, h, w, C]`. It normalises its
input itself, and its `stride` divides h and w.
"""

import configs  # noqa: F401 (before Keras, whose settings it sets aside)
from models.distillation import Teacher
from models.layers import Enlarge, FusedBatchNormalization
from models.losses import LOSSES, TAKES_HARD_LABELS_ONLY, build_loss, check_soft_labels
from models.metrics import METRICS, build_metrics
from models.network import Network
from models.networks import encoder_layers
from models.registry import NETWORKS, build_network, without_encoder_weights
from models.standalone import standalone_code
from models.supervision import TrainingModel
from models.surgery import (
    AVERAGES,
    Average,
    calibrate_logits,
    ensemble_network,
    fold_normalization,
    halve_kernels,
    has_statistics,
    in_precision,
    mean_weights,
    member_maps,
    number_of_members,
    of_classes,
    precision_of,
    precision_policy,
    recompute_statistics,
    transfer_weights,
)

__all__ = [
    "AVERAGES",
    "LOSSES",
    "METRICS",
    "NETWORKS",
    "TAKES_HARD_LABELS_ONLY",
    "Average",
    "Enlarge",
    "FusedBatchNormalization",
    "Network",
    "Teacher",
    "TrainingModel",
    "build_loss",
    "build_metrics",
    "build_network",
    "calibrate_logits",
    "check_soft_labels",
    "encoder_layers",
    "ensemble_network",
    "fold_normalization",
    "halve_kernels",
    "has_statistics",
    "in_precision",
    "mean_weights",
    "member_maps",
    "number_of_members",
    "of_classes",
    "precision_of",
    "precision_policy",
    "recompute_statistics",
    "standalone_code",
    "transfer_weights",
    "without_encoder_weights",
]
