"""The golden photograph of an export: a synthetic one, with the probability map computed where it was exported."""

import hashlib
import io
import json
import math
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from pipeline.inference import SegmenterSpec
from pipeline.machine import gpus, processor
from records import ScaleRule, stride_of_overlap, write_jpeg
from records.synthetic import synthetic_photograph

PHOTOGRAPH_FILE, MAP_FILE, FACTS_FILE = "golden.jpg", "golden.npy", "golden.json"
SEED = 1
QUALITY = 85
SMALLEST = 400  # minimum side of a synthetic photograph, pixels
KEPT_VALUES = 2**16  # values of the probability map that are stored, 256 KiB
# Allowed differences of probabilities between machines: a few steps of the coarsest numbers in the network. For float32
# these are TensorFloat-32 numbers, which NVIDIA's GPUs use in convolutions.
TOLERANCES = {"float32": 2.0**-8, "mixed_float16": 2.0**-7, "mixed_bfloat16": 2.0**-4}


def write_golden(folder: Path, spec: SegmenterSpec, rule: ScaleRule, *, precision: str) -> None:
    """Writes the files to a SavedModel's folder that `verify.py` compares another machine with.

    `golden.jpg` is the photograph, `golden.json` contains the SHA-256 of its whole probability map (float32), and
    `golden.npy` the map at every `step`-th pixel, float32 `[h, w, C]`, for machines that round differently.

    Args:
      folder: folder of the SavedModel.
      spec: the segmenter's spec.
      rule: how it scales photographs.
      precision: precision of the exported network, a key of `TOLERANCES`.
    """
    write_jpeg(folder / PHOTOGRAPH_FILE, golden_photograph(spec, rule), quality=QUALITY)
    served = tf.saved_model.load(str(folder))  # checks the files, not the model they were saved from
    encoded = tf.constant((folder / PHOTOGRAPH_FILE).read_bytes())
    probabilities = served.signatures["serving_default"](encoded)["probabilities"].numpy()
    step = math.ceil(math.sqrt(probabilities.size / KEPT_VALUES))
    kept = io.BytesIO()
    np.save(kept, probabilities[::step, ::step])
    (folder / MAP_FILE).write_bytes(kept.getvalue())  # np.save does not report a full disk
    facts = {
        "shape": probabilities.shape,
        "sha256": hashlib.sha256(probabilities.tobytes()).hexdigest(),
        "step": step,
        "tolerance": TOLERANCES[precision],
        "precision": precision,
        "tensorflow": tf.__version__,
        "devices": [processor(), *gpus()],
    }
    (folder / FACTS_FILE).write_text(json.dumps(facts, indent=2) + "\n")


def golden_photograph(spec: SegmenterSpec, rule: ScaleRule) -> np.ndarray:
    """Draws a fundus photograph of two rows and two columns of tiles, uint8 RGB `[H, H, 3]`.

    If photographs are scaled by their field of view, its dark surround is as wide as that takes.
    """
    scaled = spec.tile + max(stride_of_overlap(spec.tile, spec.overlap) // 2, 1)
    drawn_side = max(scaled, SMALLEST)
    drawn = synthetic_photograph(np.random.default_rng(SEED), drawn_side, drawn_side).photograph
    if rule.field_diameter is None:
        side = math.ceil(scaled / rule.fixed().factor)
        shrinks = side < drawn_side
        return cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    missing = max(math.ceil(scaled / rule.measure(drawn).factor) - drawn_side, 0)
    return np.pad(drawn, [(0, missing), (0, missing), (0, 0)])
