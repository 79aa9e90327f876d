"""Files with the weights of encoders: their weights by the name of the layer, and how layers get them."""

import collections
import io
import itertools
import pathlib
import zipfile

import h5py
import numpy as np
from keras import layers

from configs import InputError

PREFIX = "encoder_"  # before the names of an encoder's layers within a network


def read_weights(weights: str, *, field: str, allowed: str) -> dict[str, list[np.ndarray]]:
    """Reads the weights of each layer, by the name of the layer without `PREFIX`.

    Args:
      weights: path of a .weights.h5 or .keras file as written by Keras since 3.6, or of an .h5 file as written before.
      field: name of the option that names the file, for messages.
      allowed: the option's allowed values, which complete the sentence "FIELD must be …".

    Raises:
      InputError: there is no such file, or it has no weights of named layers.
    """
    path = pathlib.Path(weights)
    if not path.is_file():
        raise InputError(f"{field} must be {allowed}; there is no file {weights!r}.")
    try:
        source = io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5")) if path.suffix == ".keras" else path
        with h5py.File(source, "r") as file:
            saved = _legacy_weights(file) if _is_legacy(file) else _named_weights(file)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{field} {weights!r} is not a Keras weights file: {in_one_line(error)}.") from error
    if not saved:
        raise InputError(f"{field} {weights!r} does not contain the names of layers; save it with Keras 3.6 or newer.")
    return saved


def set_weights(encoder: list[layers.Layer], saved: dict[str, list[np.ndarray]], *, received: str) -> None:
    """Sets the weights of an encoder's layers.

    Args:
      encoder: the layers; those without weights are skipped.
      saved: the weights by the name of the layer without `PREFIX`; those of other layers are ignored.
      received: the option and its value, for messages.

    Raises:
      InputError: weights of a layer are missing or have other shapes; no layer is changed.
    """
    missing, mismatched = [], []
    for layer in encoder:
        name = layer.name.removeprefix(PREFIX)
        expected, actual = (
            [tuple(weight.shape) for weight in layer.weights],
            [array.shape for array in saved.get(name, [])],
        )
        if expected and not actual:
            missing.append(name)
        elif expected != actual:
            mismatched.append(f"{name} {actual} instead of {expected}")
    problems = [_first_of("no weights for", missing)] if missing else []
    problems += [_first_of("other shapes:", mismatched)] if mismatched else []
    if problems:
        raise InputError(f"{received} does not fit the encoder: {'; '.join(problems)}.")
    for layer in encoder:
        if layer.weights:
            layer.set_weights(saved[layer.name.removeprefix(PREFIX)])


def _first_of(what: str, names: list[str]) -> str:
    return f"{what} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _named_weights(file: h5py.File) -> dict[str, list[np.ndarray]]:
    """Reads files of Keras 3.6 or newer: the group "vars" of each layer has the layer's name as an attribute."""
    saved = {}

    def read(path, group):
        if path.endswith("vars") and "name" in group.attrs and "0" in group:
            numbers = itertools.takewhile(group.__contains__, map(str, itertools.count()))
            saved[group.attrs["name"].removeprefix(PREFIX)] = [group[number][()] for number in numbers]

    file.visititems(read)
    return saved


def _is_legacy(file: h5py.File) -> bool:
    return "model_weights" in file or "layer_names" in file.attrs


def _legacy_weights(file: h5py.File) -> dict[str, list[np.ndarray]]:
    """Reads files of Keras 2 and .h5: the group of each layer has the paths of its arrays as an attribute."""
    saved: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    for name, group in file.get("model_weights", file).items():
        for path in group.attrs.get("weight_names", ()):
            array = path.decode() if isinstance(path, bytes) else path
            *_, layer, _ = f"{name}/{array}".split("/")  # the path names layers of nested models, too
            saved[layer.removeprefix(PREFIX)].append(group[array][()])
    return dict(saved)


def in_one_line(error: Exception) -> str:
    """Returns the message of an error without line breaks and without the full stop at its end."""
    return " ".join(str(error).split()).rstrip(".")
