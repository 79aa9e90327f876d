"""Whether this machine gives the map that the export gave where it was made, and what its graph costs here.

python verify.py        needs tensorflow alone; exit code 1 where the map differs
"""

import hashlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

FOLDER = Path(__file__).resolve().parent
TURNS = 5


def main() -> int:
    model = tf.saved_model.load(str(FOLDER))
    encoded = tf.constant((FOLDER / "golden.jpg").read_bytes())
    same = verify_map(model.signatures["serving_default"](encoded)["probabilities"].numpy())
    time_graph(model, tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"))
    return 0 if same else 1


def verify_map(found: np.ndarray) -> bool:
    """Holds the map of the golden photograph, float32 `[H, W, C]`, against what was kept of it."""
    words = json.loads((FOLDER / "golden.json").read_text())
    if hashlib.sha256(found.tobytes()).hexdigest() == words["sha256"]:
        print("same map: equal to the last bit")
        return True
    kept, step = np.load(FOLDER / "golden.npy"), words["step"]
    if list(found.shape) != words["shape"]:
        print(f"ANOTHER MAP: shape {list(found.shape)}, expected {words['shape']}")
        return False
    largest = float(np.abs(found[::step, ::step] - kept).max())
    same = largest <= words["tolerance"]  # which no NaN is
    print(
        f"{'same map within rounding' if same else 'ANOTHER MAP'}: largest difference {largest:.1e} at {kept.size} "
        f"values, {words['tolerance']:.1e} allowed in {words['precision']}"
    )
    return same


def time_graph(model: tf.Module, photograph: tf.Tensor) -> None:
    """Times the whole graph against the bare network on as many batches of tiles, taking turns."""
    segment, network = model.signatures["segment"], model.signatures["tiles"]
    batches, tile_batch = int(model.batches(photograph)), int(model.metadata()["tile_batch"])
    tile_shape = network.structured_input_signature[1]["tiles"].shape[1:]
    tiles = tf.random.uniform([tile_batch, *tile_shape], maxval=255.0)

    def run_graph() -> tf.Tensor:
        return segment(photograph=photograph)["probabilities"]

    def run_network() -> tf.Tensor:
        return [network(tiles=tiles)["probabilities"] for _ in range(batches)][-1]

    pairs = [(seconds_of(run_graph), seconds_of(run_network)) for _ in range(1 + TURNS)][1:]
    graph, bare = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"graph {graph:.3f} s, bare network {bare:.3f} s for {batches} batches of {tile_batch} tiles: "
        f"the graph costs {graph / bare:.2f} times its bare network"
    )


def seconds_of(run: Callable[[], tf.Tensor]) -> float:
    began = time.perf_counter()
    run()[0, 0].numpy()  # which waits for a GPU
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
