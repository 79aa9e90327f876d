"""Holds the maps of a SavedModel against those that predict wrote. Imports tensorflow and nothing of this workspace.

python -I scripts/compare_export.py EXPORT/VERSION PHOTOGRAPHS PROBABILITIES
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

# predict keeps its maps as float16, whose numbers just below 1 lie this far apart.
TOLERANCE = 2.0**-11


def main(export: Path, photographs: Path, probabilities: Path) -> int:
    served = tf.saved_model.load(str(export))  # kept: its functions do not hold the variables
    segment = served.signatures["serving_default"]
    print("classes:", [name.decode() for name in served.metadata()["classes"].numpy()])
    largest = 0.0
    files = sorted(photographs.glob("*.jpg"))
    for file in files:
        served_map = segment(tf.constant(file.read_bytes()))["probabilities"].numpy()
        predicted_map = np.load(probabilities / f"{file.stem}.npz")["probabilities"]
        largest = max(largest, float(np.abs(served_map - predicted_map).max()))
    same = bool(files) and largest <= TOLERANCE
    print(f"{len(files)} maps {'agree' if same else 'DO NOT agree'}: largest difference {largest:.1e}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(*(Path(argument) for argument in sys.argv[1:])))
