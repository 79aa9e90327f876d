"""Encoders of `keras.applications` for networks that decode their maps: EfficientNets and ResNet50, and their weights.

Their layers are layers of the network, with `PREFIX` before their names; `encoder_layers` finds them. One whose
`trainable` is False keeps its weights; batch normalisation, which is Keras' own here, then uses its moving statistics.
"""

import collections
import io
import itertools
import pathlib
import zipfile
from typing import Any

import h5py
import keras
import numpy as np
from keras import layers, ops

from configs import InputError
from models.saving import PACKAGE

PREFIX = "encoder_"

# Of the photographs of ImageNet, as shares of 255: red, green, blue.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)  # levels


def encode(
    x: keras.KerasTensor, encoder: str, weights: str, *, field: str, output_stride: int = 32
) -> dict[int, keras.KerasTensor]:
    """Appends an encoder, which first scales its input in the way its weights are used to.

    Args:
      x: RGB 0..255 `[B, h, w, 3]`.
      encoder: what `keras.applications` calls it, ResNet50 or an EfficientNet.
      weights: "none"; "imagenet", which Keras downloads once; or the path of a file that holds such an encoder's, with
        or without its classifier, alone or in a larger model (.weights.h5 and .keras as Keras has written them since
        3.6, .h5 as before and as the downloads are).
      field: the option `weights`, for messages.
      output_stride: of the last map, 32 or 16. For 16 the last step down is left out and what follows it dilated by 2,
        with the same weights (Chen et al. 2017, arXiv:1706.05587, section 3.1).

    Returns:
      The last map of each stride, {2: `[B, h/2, w/2, …]`, 4: …, up to `output_stride`}.

    Raises:
      InputError: the weights cannot be had, or are another encoder's.
    """
    application = getattr(keras.applications, encoder)
    saved = _saved_weights(application, weights, field)
    model = application(include_top=False, weights=None, input_shape=(None, None, 3))
    # Keras' own layers before the first step down scale the input, and not always rightly: see `scale_input`.
    scaled, *maps = _last_maps(model)
    last_step = maps.pop(-2) if output_stride == 16 else None
    tensors, copies = _copy(model, scaled, scale_input(x, encoder, saved), without_step_after=last_step)
    if weights != "none":
        _set_weights(copies, saved, f"{field} {weights!r}")
    return {2 ** (step + 1): tensors[id(feature)] for step, feature in enumerate(maps)}


def encoder_layers(network: keras.Model) -> list[layers.Layer]:
    """Returns the layers of the network's encoder.

    Example:
      >>> network = build_efficient_unet(EfficientUNetConfig(), classes=1)
      >>> for layer in encoder_layers(network):
      ...     layer.trainable = False
      >>> len(network.trainable_weights)  # the decoder's
      32
    """
    return [layer for layer in network.layers if layer.name.startswith(PREFIX)]


def scale_input(x: keras.KerasTensor, encoder: str, saved: dict[str, list[np.ndarray]]) -> keras.KerasTensor:
    """Brings RGB 0..255 to the values that an encoder was trained with, in float32 under any precision policy.

    In EfficientNetB0 to B7, `keras.applications` has a layer of statistics that only a weights file fills, so that
    without one the input is left at 0..1. ImageNet's files have deviations where that layer expects variances, which
    Keras corrects by a further layer for weights="imagenet" alone (tensorflow/tensorflow#49930), not for the same file
    given by its path. Here, it is (x - mean) / deviation in each case.

    Args:
      x: RGB 0..255 `[B, h, w, 3]`.
      encoder: what `keras.applications` calls it.
      saved: the encoder's weights by layer; what statistics of the input are among them take the place of ImageNet's.
    """
    if encoder.startswith("ResNet"):
        x = ReversedChannels(dtype="float32", name="encoder_channels")(x)
        return _rescale(x, np.ones(3), -np.array(CAFFE_MEAN_BGR))
    if encoder in {"EfficientNetV2S", "EfficientNetV2M", "EfficientNetV2L"}:
        return _rescale(x, np.full(3, 1 / 128), -np.ones(3))
    mean, deviation = np.array(IMAGENET_MEAN), np.array(IMAGENET_DEVIATION)
    for name, arrays in saved.items():
        if name.startswith("normalization") and not np.allclose(arrays[1], IMAGENET_DEVIATION):
            mean, deviation = arrays[0], np.sqrt(arrays[1])
    return _rescale(x, 1 / (255 * deviation), -mean / deviation)


@keras.saving.register_keras_serializable(PACKAGE)
class ReversedChannels(layers.Layer):
    """RGB `[B, h, w, 3]` → BGR."""

    def call(self, x):
        return ops.flip(x, axis=-1)


def _rescale(x: keras.KerasTensor, scale: np.ndarray, offset: np.ndarray) -> keras.KerasTensor:
    return layers.Rescaling(scale.tolist(), offset.tolist(), dtype="float32", name="encoder_scaling")(x)


def _last_maps(model: keras.Model) -> list[keras.KerasTensor]:
    """Returns the last map of each resolution: what the steps down (stride 2) read, and what the model gives."""
    padded = {id(layer.output): layer.input for layer in model.layers if isinstance(layer, layers.ZeroPadding2D)}
    maps: list[keras.KerasTensor] = []
    for layer in model.layers:
        if _steps_down(layer):
            source = padded.get(id(layer.input), layer.input)
            if all(source is not feature for feature in maps):  # ResNet's shortcuts step down beside their blocks
                maps.append(source)
    return [*maps, model.output]


def _steps_down(layer: layers.Layer) -> bool:
    return getattr(layer, "strides", None) == (2, 2)


def _copy(
    model: keras.Model, start: keras.KerasTensor, x: keras.KerasTensor, *, without_step_after: keras.KerasTensor | None
) -> tuple[dict[int, keras.KerasTensor], list[layers.Layer]]:
    """Appends copies of a model's layers to x, which takes the place of its tensor `start`.

    Returns:
      What now takes the place of each of the model's tensors, by the identity of that one, and the copies.
    """
    tensors, copies, dense = {id(start): x}, [], False
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer) or any(id(source) not in tensors for source in _inputs(layer)):
            continue
        config = _without_step(layer) if dense else layer.get_config()
        copies.append(type(layer).from_config({**config, "name": PREFIX + layer.name}))
        tensors[id(layer.output)] = copies[-1](
            keras.tree.map_structure(lambda source: tensors[id(source)], layer.input)
        )
        dense = dense or layer.output is without_step_after
    return tensors, copies


def _inputs(layer: layers.Layer) -> list[keras.KerasTensor]:
    return keras.tree.flatten(layer.input)


def _without_step(layer: layers.Layer) -> dict[str, Any]:
    """Returns the config of a layer with which it does the same, but for each place that a step down would leave out.

    The convolution that steps down does not; those after it are dilated by 2, so that their kernels still fall on the
    places that it would have kept.
    """
    config = layer.get_config()
    if _steps_down(layer):
        config["strides"] = (1, 1)
    elif isinstance(layer, layers.ZeroPadding2D):  # for the step: one short above and to the left
        config["padding"] = max(max(pair) for pair in layer.padding)
    elif getattr(layer, "kernel_size", (1, 1)) != (1, 1):
        config["dilation_rate"] = (2, 2)
    return config


def _set_weights(copies: list[layers.Layer], saved: dict[str, list[np.ndarray]], received: str) -> None:
    missing, others = [], []
    for layer in copies:
        name = layer.name.removeprefix(PREFIX)
        expected, found = [weight.shape for weight in layer.weights], [array.shape for array in saved.get(name, [])]
        if expected and not found:
            missing.append(name)
        elif expected != found:
            others.append(f"{name} {found} instead of {expected}")
    faults = [_first_of("no weights of", missing)] if missing else []
    faults += [_first_of("other shapes:", others)] if others else []
    if faults:
        raise InputError(f"{received} does not fit the encoder: {'; '.join(faults)}.")
    for layer in copies:
        if layer.weights:
            layer.set_weights(saved[layer.name.removeprefix(PREFIX)])


def _first_of(what: str, names: list[str]) -> str:
    return f"{what} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _saved_weights(application, weights: str, field: str) -> dict[str, list[np.ndarray]]:
    """Returns the arrays of each layer by its name."""
    if weights == "none":
        return {}
    if weights == "imagenet":
        return _imagenet_weights(application, field)
    path = pathlib.Path(weights)
    if not path.is_file():
        raise InputError(f"{field} must be none, imagenet or the path of a weights file; there is no file {weights!r}.")
    try:
        source = io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5")) if path.suffix == ".keras" else path
        with h5py.File(source, "r") as file:
            saved = _legacy_weights(file) if _is_legacy(file) else _named_weights(file)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{field} {weights!r} is not a weights file of Keras: {_in_one_line(error)}.") from error
    if not saved:
        raise InputError(f"{field} {weights!r} names no layers; Keras writes their names since its version 3.6.")
    return saved


def _imagenet_weights(application, field: str) -> dict[str, list[np.ndarray]]:
    try:
        model = application(include_top=False, weights="imagenet", input_shape=(None, None, 3))
    except Exception as error:  # Keras has no narrower one for a failed download
        raise InputError(
            f"{field} 'imagenet' could not be downloaded ({_in_one_line(error)}); give the path of a weights file, as "
            f"`keras.applications.{application.__name__}(include_top=False).save_weights('FILE.weights.h5')` writes it "
            "where there is a network, or none to start from random weights."
        ) from error
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def _named_weights(file: h5py.File) -> dict[str, list[np.ndarray]]:
    """Reads what Keras writes since 3.6: in each layer's group, one named "vars" with the layer's name as attribute."""
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
    """Reads what Keras wrote before 3, and writes to .h5: each layer's group has its arrays' paths as attribute."""
    saved: dict[str, list[np.ndarray]] = collections.defaultdict(list)
    for name, group in file.get("model_weights", file).items():
        for path in group.attrs.get("weight_names", ()):
            array = path.decode() if isinstance(path, bytes) else path
            *_, layer, _ = f"{name}/{array}".split("/")  # a layer of a model in the model has its name in the path
            saved[layer.removeprefix(PREFIX)].append(group[array][()])
    return dict(saved)


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
