"""Networks, losses and metrics in pure Keras 3 (`keras`, `keras.ops`): one network a file, found by its name.

A network takes float32 RGB 0..255 `[B, h, w, 3]` and gives probabilities float32 `[B, h, w, C]`; it normalises its
input itself, and its `stride` divides h and w.
"""

from models.folding import fold_normalization
from models.losses import build_loss
from models.metrics import METRICS, DiceCoefficient, build_metrics
from models.network import Network
from models.precision import precision_policy
from models.registry import NETWORKS, build_network
from models.supervision import training_model

__all__ = [
    "METRICS",
    "NETWORKS",
    "DiceCoefficient",
    "Network",
    "build_loss",
    "build_metrics",
    "build_network",
    "fold_normalization",
    "precision_policy",
    "training_model",
]
