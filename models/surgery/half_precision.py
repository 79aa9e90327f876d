"""Saved networks of half the size: kernels are stored in float16, which Keras loads into float32 weights."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np

from configs import InputError

WEIGHTS_FILE = "model.weights.h5"  # within a .keras file


def halve_kernels(file: Path) -> None:
    """Rewrites a `.keras` file with all weights of two or more axes in float16.

    Weights with one axis stay in float32: biases and statistics of normalisations are few, and variances may be too
    small for float16. Each element of a kernel changes by at most 0.05 %, or 3e-8.

    Raises:
      InputError: a weight exceeds 65504, the maximum of float16; the file is not changed.
    """
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(parts[WEIGHTS_FILE])
    with h5py.File(weights, "r") as old, h5py.File(halved := io.BytesIO(), "w") as new:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group):
                copied = new.require_group(name)
            else:
                copied = new.create_dataset(name, data=_halved(name, item[()]))
            copied.attrs.update(item.attrs)

        old.visititems(copy)
        new.attrs.update(old.attrs)
    parts[WEIGHTS_FILE] = halved.getvalue()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def _halved(name: str, values: np.ndarray) -> np.ndarray:
    if values.ndim < 2 or values.dtype != np.float32:
        return values
    if np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        raise InputError(f"{name} has a weight that is too large for float16; save the model without --half.")
    return values.astype(np.float16)
