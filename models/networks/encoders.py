"""Encoders of `keras.applications`: EfficientNets and ResNet50.

Their layers become layers of the network, with `PREFIX` before their names; `encoder_layers` returns them. A layer
whose `trainable` is False keeps its weights; batch normalisation, here Keras' own, then uses its moving statistics.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from configs import InputError
from models.networks.encoder_weights import PREFIX, in_one_line, read_weights, set_weights
from models.saving import PACKAGE

# Red, green, blue of the images of ImageNet, as fractions of 255.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)  # levels


def encode(
    x: keras.KerasTensor, encoder: str, weights: str, *, field: str, output_stride: int = 32
) -> dict[int, keras.KerasTensor]:
    """Appends an encoder, which first scales its input to the range that its weights were trained with.

    Args:
      x: RGB 0..255 `[B, h, w, 3]`.
      encoder: its name in `keras.applications`: ResNet50 or an EfficientNet.
      weights: "none"; "imagenet", which Keras downloads once; or the path of a file with the weights of such an
        encoder, with or without its classifier, alone or within a larger model (.weights.h5 and .keras as written by
        Keras since 3.6, .h5 as written before and as downloaded).
      field: name of the option `weights`, for messages.
      output_stride: stride of the last map, 32 or 16. For 16 the last downsampling is left out and the layers after it
        are dilated by 2, with the same weights (Chen et al. 2017, arXiv:1706.05587, section 3.1).

    Returns:
      The last map of each stride, {2: `[B, h/2, w/2, …]`, 4: …, up to `output_stride`}.

    Raises:
      InputError: the weights cannot be loaded, or belong to another encoder.
    """
    application = getattr(keras.applications, encoder)
    saved = _saved_weights(application, weights, field)
    model = application(include_top=False, weights=None, input_shape=(None, None, 3))
    # Keras' own layers before the first downsampling scale the input, not always correctly: see `scale_input`.
    scaled, *maps = _last_maps(model)
    last_step = maps.pop(-2) if output_stride == 16 else None
    tensors, copies = _copy(model, scaled, scale_input(x, encoder, saved), without_step_after=last_step)
    if weights != "none":
        set_weights(copies, saved, received=f"{field} {weights!r}")
    return {2 ** (step + 1): tensors[id(feature)] for step, feature in enumerate(maps)}


def encoder_layers(network: keras.Model) -> list[layers.Layer]:
    """Returns the layers of the network that belong to its encoder.

    Example:
      >>> network = build_efficient_unet(EfficientUNetConfig(), classes=1)
      >>> for layer in encoder_layers(network):
      ...     layer.trainable = False
      >>> len(network.trainable_weights)  # the decoder's
      32
    """
    return [layer for layer in network.layers if layer.name.startswith(PREFIX)]


def scale_input(x: keras.KerasTensor, encoder: str, saved: dict[str, list[np.ndarray]]) -> keras.KerasTensor:
    """Scales RGB 0..255 to the range that an encoder was trained with, in float32 under any precision policy.

    In EfficientNetB0 to B7, `keras.applications` has a layer with input statistics that only a weights file sets;
    without one, the input stays in 0..1. The ImageNet files contain standard deviations where that layer expects
    variances. Keras corrects this with a further layer for weights="imagenet" only (tensorflow/tensorflow#49930), not
    for the same file given by its path. Here, the result is (x - mean) / deviation in every case.

    Args:
      x: RGB 0..255 `[B, h, w, 3]`.
      encoder: its name in `keras.applications`.
      saved: the encoder's weights by layer; input statistics among them replace those of ImageNet.
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
    """Converts RGB `[B, h, w, 3]` to BGR."""

    def call(self, x):
        """Returns the channels in reverse order."""
        return ops.flip(x, axis=-1)


def _rescale(x: keras.KerasTensor, scale: np.ndarray, offset: np.ndarray) -> keras.KerasTensor:
    return layers.Rescaling(scale.tolist(), offset.tolist(), dtype="float32", name="encoder_scaling")(x)


def _last_maps(model: keras.Model) -> list[keras.KerasTensor]:
    """Returns the last map of each resolution: the inputs of downsampling layers (stride 2) and the model's output."""
    padded = {id(layer.output): layer.input for layer in model.layers if isinstance(layer, layers.ZeroPadding2D)}
    maps: list[keras.KerasTensor] = []
    for layer in model.layers:
        if _steps_down(layer):
            source = padded.get(id(layer.input), layer.input)
            if all(source is not feature for feature in maps):  # ResNet's shortcuts downsample in parallel
                maps.append(source)
    return [*maps, model.output]


def _steps_down(layer: layers.Layer) -> bool:
    return getattr(layer, "strides", None) == (2, 2)


def _copy(
    model: keras.Model, start: keras.KerasTensor, x: keras.KerasTensor, *, without_step_after: keras.KerasTensor | None
) -> tuple[dict[int, keras.KerasTensor], list[layers.Layer]]:
    """Appends copies of a model's layers to x, which replaces its tensor `start`.

    Returns:
      The new tensors, by the `id` of the model's tensor that each replaces, and the copies.
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
    """Returns the config with which a layer computes the same without downsampling, at every position.

    The convolution of stride 2 gets stride 1; those after it are dilated by 2, so that their kernels read the positions
    that the downsampling would have kept.
    """
    config = layer.get_config()
    if _steps_down(layer):
        config["strides"] = (1, 1)
    elif isinstance(layer, layers.ZeroPadding2D):  # made for stride 2: one less at the top and left
        config["padding"] = max(max(pair) for pair in layer.padding)
    elif getattr(layer, "kernel_size", (1, 1)) != (1, 1):
        config["dilation_rate"] = (2, 2)
    return config


def _saved_weights(application, weights: str, field: str) -> dict[str, list[np.ndarray]]:
    """Returns the weights of each layer, by the name of the layer."""
    if weights == "none":
        return {}
    if weights == "imagenet":
        return _imagenet_weights(application, field)
    return read_weights(weights, field=field, allowed="none, imagenet or the path of a weights file")


def _imagenet_weights(application, field: str) -> dict[str, list[np.ndarray]]:
    try:
        model = application(include_top=False, weights="imagenet", input_shape=(None, None, 3))
    except Exception as error:  # Keras raises nothing more specific for a failed download
        raise InputError(
            f"{field} 'imagenet' could not be downloaded ({in_one_line(error)}); give the path of a weights file, as "
            f"`keras.applications.{application.__name__}(include_top=False).save_weights('FILE.weights.h5')` writes it "
            "on a computer with internet access, or none for random weights."
        ) from error
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
