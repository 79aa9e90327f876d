"""Networks, losses and metrics in pure Keras 3 (`keras`, `keras.ops`): one network a file, found by its name.

A network takes float32 RGB 0..255 `[B, h, w, 3]` and gives probabilities float32 `[B, h, w, C]`; it normalises its
input itself, and its `stride` divides h and w.
"""

from models.losses import build_loss
from models.metrics import DiceCoefficient
from models.network import Network
from models.registry import NETWORKS, build_network

__all__ = ["NETWORKS", "DiceCoefficient", "Network", "build_loss", "build_network"]
