"""The golden photograph of an export: a drawn one, and what the export made of it where it was written."""

import hashlib
import io
import json
import math
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from pipeline.inference import SegmenterSpec
from pipeline.training.environment import gpus, processor
from records import stride_of_overlap, write_jpeg
from records.synthetic import synthetic_photograph

PHOTOGRAPH_FILE, MAP_FILE, WORDS_FILE = "golden.jpg", "golden.npy", "golden.json"
SEED = 1
QUALITY = 85
SMALLEST = 400  # side of a drawn photograph, pixels
KEPT_VALUES = 2**16  # of the map, 256 KiB
# By how much probabilities may differ between machines: some steps of the coarsest numbers that the network's maps are
# in. With float32 these are TensorFloat-32, which NVIDIA's GPUs take for it in convolutions.
TOLERANCES = {"float32": 2.0**-8, "mixed_float16": 2.0**-7, "mixed_bfloat16": 2.0**-4}


def write_golden(folder: Path, spec: SegmenterSpec, precision: str) -> None:
    """Writes into the folder of a SavedModel what `export_verify` holds another machine against.

    `golden.jpg` is the photograph, `golden.json` has the digest of its whole map (sha256 of the float32 numbers), and
    `golden.npy` the map at every `step`-th pixel, for machines that round otherwise: float32 `[h, w, C]`.
    """
    write_jpeg(folder / PHOTOGRAPH_FILE, golden_photograph(spec), quality=QUALITY)
    served = tf.saved_model.load(str(folder))  # what lies in the files, and not what they were made from
    encoded = tf.constant((folder / PHOTOGRAPH_FILE).read_bytes())
    probabilities = served.signatures["serving_default"](encoded)["probabilities"].numpy()
    step = math.ceil(math.sqrt(probabilities.size / KEPT_VALUES))
    kept = io.BytesIO()
    np.save(kept, probabilities[::step, ::step])
    (folder / MAP_FILE).write_bytes(kept.getvalue())  # by itself, NumPy does not say that a disk is full
    words = {
        "shape": probabilities.shape,
        "sha256": hashlib.sha256(probabilities.tobytes()).hexdigest(),
        "step": step,
        "tolerance": TOLERANCES[precision],
        "precision": precision,
        "tensorflow": tf.__version__,
        "devices": [processor(), *gpus()],
    }
    (folder / WORDS_FILE).write_text(json.dumps(words, indent=2) + "\n")


def golden_photograph(spec: SegmenterSpec) -> np.ndarray:
    """Draws a fundus photograph that takes two rows and two columns of tiles: uint8 RGB `[H, H, 3]`."""
    scaled = spec.tile + max(stride_of_overlap(spec.tile, spec.overlap) // 2, 1)
    drawn_side = max(scaled, SMALLEST)
    drawn, _ = synthetic_photograph(np.random.default_rng(SEED), drawn_side, drawn_side)
    side = math.ceil(scaled / spec.scale)
    shrinks = side < drawn_side
    return cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
