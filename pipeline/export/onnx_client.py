"""Finds the lesions of a photograph without TensorFlow: python client.py PHOTOGRAPH [OVERLAY.png]."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main(photograph: str, overlay: str = "overlay.png") -> None:
    """Prints the lesions as CSV, and draws their pixels in red."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of inputs that may be left out
    session = onnxruntime.InferenceSession(Path(__file__).with_name("segmenter.onnx"), options)
    facts = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
    pixels = np.asarray(ImageOps.exif_transpose(Image.open(photograph)).convert("RGB"))
    _, masks, lesions = session.run(None, {"photograph": pixels})
    print(",".join(facts["lesion_columns"]))
    for lesion in lesions:
        print(",".join([facts["classes"][int(lesion[0])], *(f"{value:g}" for value in lesion[1:])]))
    drawn = np.where(masks.any(axis=-1, keepdims=True), np.array([255, 0, 0], np.uint8), pixels)
    Image.fromarray(drawn).save(overlay)


if __name__ == "__main__":
    main(*sys.argv[1:])
