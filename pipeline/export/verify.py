"""Verifies that this machine computes the probability map that the export's own machine did, and times the graph.

python verify.py        needs only tensorflow; exit code 1 if the map differs
python verify.py --log  the same with all of TensorFlow's log lines
"""

import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# TensorFlow logs routine lines before it reads any log level. So a second process does the work, and this one passes on
# everything else that it writes to standard error.
ROUTINE = re.compile(
    rb"WARNING: All log messages before absl|[IW]\d{4} .*\.(cc|h):\d+\]"
    rb"|E\d{4} .*\.(cc|h):\d+\] (oneDNN supports DT_|Unable to register cu)"
)
if __name__ == "__main__" and sys.argv[1:] != ["--log"]:
    command = [sys.executable, *sys.orig_argv[1:], "--log"]
    worker = subprocess.Popen(  # noqa: S603
        command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}, stderr=subprocess.PIPE
    )
    for line in worker.stderr or ():
        if not ROUTINE.match(line):
            sys.stderr.buffer.write(line)
            sys.stderr.flush()
    sys.exit(worker.wait())

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

FOLDER = Path(__file__).resolve().parent
TURNS = 5


def main() -> int:
    """Verifies and times the export in this folder; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # for terminals of any encoding
    model = tf.saved_model.load(str(FOLDER))
    encoded = tf.constant((FOLDER / "golden.jpg").read_bytes())
    same = verify_map(model.signatures["serving_default"](encoded)["probabilities"].numpy())
    time_graph(model, tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"))
    return 0 if same else 1


def verify_map(computed: np.ndarray) -> bool:
    """Compares a probability map of the golden photograph, float32 `[H, W, C]`, with the exported one."""
    expected = json.loads((FOLDER / "golden.json").read_text(encoding="utf-8"))
    if hashlib.sha256(computed.tobytes()).hexdigest() == expected["sha256"]:
        print("same map: equal to the last bit")
        return True
    kept, step = np.load(FOLDER / "golden.npy"), expected["step"]
    if list(computed.shape) != expected["shape"]:
        print(f"ANOTHER MAP: shape {list(computed.shape)}, expected {expected['shape']}")
        return False
    largest = float(np.abs(computed[::step, ::step] - kept).max())
    same = largest <= expected["tolerance"]  # False for NaN
    print(
        f"{'same map within rounding' if same else 'ANOTHER MAP'}: largest difference {largest:.1e} at {kept.size} "
        f"values, {expected['tolerance']:.1e} allowed in {expected['precision']}"
    )
    return same


def time_graph(model: tf.Module, photograph: tf.Tensor) -> None:
    """Times the whole graph and, alternating with it, the bare network on the same number of batches of tiles."""
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
    """Returns the seconds that a function takes until its result is on the CPU."""
    began = time.perf_counter()
    run()[0, 0].numpy()  # waits for a GPU
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
