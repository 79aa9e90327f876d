"""The functions at the end of a model folder's `load.py`, into which `models.standalone` copies them."""

import json
from pathlib import Path

import keras
import numpy as np

from models.network import Network


def load_network(file: str | Path | None = None) -> Network:
    """Loads a network on whichever backend Keras runs.

    Args:
      file: a `network.keras`; None: the one beside this module.

    Returns:
      A `keras.Model` from float32 RGB 0..255 `[B, h, w, 3]` to probabilities float32 0..1 `[B, h, w, C]`. Its `stride`
      divides h and w.
    """
    return keras.models.load_model(file or Path(__file__).with_name("network.keras"), compile=False)


def main() -> None:
    """Loads the network, computes one tile and prints what goes in and what comes out."""
    network = load_network()
    segmenter = json.loads(Path(__file__).with_name("segmenter.json").read_text(encoding="utf-8"))
    tile = np.full((1, segmenter["tile"], segmenter["tile"], 3), 128, np.float32)
    probabilities = network.predict(tile, verbose=0)
    print(
        f"Keras {keras.__version__} on {keras.backend.backend()}, {network.count_params():,} parameters: "
        f"RGB 0..255 {list(tile.shape)}, sides multiples of {network.stride} → probabilities of "
        f"{', '.join(segmenter['classes'])} {list(probabilities.shape)}, here up to {probabilities.max():.4f}"
    )
