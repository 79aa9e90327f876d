"""Verifies that this machine computes the probability map that the exporting one did, and times the whole graph.

python verify_onnx.py        needs onnxruntime (1.18 or later), numpy and pillow; exit code 1 if the map differs
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

FOLDER = Path(__file__).resolve().parent
TURNS = 5


def main() -> int:
    """Verifies and times the export in this folder; returns the exit code."""
    try:
        segmenter, network = (load(name) for name in ("segmenter.onnx", "network.onnx"))
    except Exception as error:  # noqa: BLE001  # onnxruntime has a class for each of its codes, with no common base
        reason = str(error).strip().splitlines()[0]
        print(f"onnxruntime {onnxruntime.__version__} cannot load the export: {reason}; it needs 1.18 or later.")
        return 1
    facts = json.loads((FOLDER / "golden.json").read_text(encoding="utf-8"))
    inputs = {"photograph": np.asarray(Image.open(FOLDER / "golden.jpg")), "find_lesions": np.array(False)}
    same = verify_map(segmenter.run(["probabilities"], inputs)[0], facts)
    tile = np.random.default_rng(0).uniform(0, 255, (1, *facts["tile_sides"], 3)).astype(np.float32)
    name = network.get_inputs()[0].name

    def run_network() -> None:
        for _ in range(facts["tiles"]):
            network.run(None, {name: tile})

    pairs = [(seconds_of(lambda: segmenter.run(None, inputs)), seconds_of(run_network)) for _ in range(1 + TURNS)][1:]
    graph, bare = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"graph {graph:.3f} s, bare network {bare:.3f} s for {facts['tiles']} tiles: the graph costs "
        f"{graph / bare:.2f} times its bare network"
    )
    return 0 if same else 1


def load(name: str) -> onnxruntime.InferenceSession:
    """Loads a file of the export."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of inputs that may be left out
    return onnxruntime.InferenceSession(str(FOLDER / name), options, providers=["CPUExecutionProvider"])


def verify_map(computed: np.ndarray, facts: dict) -> bool:
    """Compares a probability map of the golden photograph, float32 `[H, W, C]`, with the exported one."""
    kept, step, allowed = np.load(FOLDER / "golden.npy"), facts["step"], facts["tolerance"]
    if list(computed.shape) != facts["shape"]:
        print(f"ANOTHER MAP: shape {list(computed.shape)}, expected {facts['shape']}")
        return False
    largest = float(np.abs(computed[::step, ::step] - kept).max())
    same = largest <= allowed  # False for NaN
    print(
        f"{'same map within rounding' if same else 'ANOTHER MAP'}: largest difference {largest:.1e} at {kept.size} "
        f"values, {allowed:.1e} allowed in {facts['precision']}; from TensorFlow's it was "
        f"{facts['difference_from_tensorflow']:.1e} where this was exported"
    )
    return same


def seconds_of(run) -> float:
    """Returns the seconds that a function takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
