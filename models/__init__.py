"""Networks, losses and metrics in pure Keras 3 (`keras`, `keras.ops`): one network a file, found by its name.

A network takes float32 RGB 0..255 `[B, h, w, 3]` and gives probabilities float32 `[B, h, w, C]`; it normalises its
input itself, and its `stride` divides h and w.
"""

from models.losses.losses import build_loss
from models.metrics import METRICS, DiceCoefficient, build_metrics
from models.network import Network
from models.networks.encoders import encoder_layers
from models.registry import NETWORKS, build_network
from models.supervision import TrainingModel
from models.surgery.folding import fold_normalization
from models.surgery.half_precision import halve_kernels
from models.surgery.heads import calibrate_logits, of_classes, transfer_weights
from models.surgery.precision import in_precision, precision_of, precision_policy

__all__ = [
    "METRICS",
    "NETWORKS",
    "DiceCoefficient",
    "Network",
    "TrainingModel",
    "build_loss",
    "build_metrics",
    "build_network",
    "calibrate_logits",
    "encoder_layers",
    "fold_normalization",
    "halve_kernels",
    "in_precision",
    "of_classes",
    "precision_of",
    "precision_policy",
    "transfer_weights",
]
