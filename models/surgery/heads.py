"""Changes to the head of a network, the only part that depends on the classes.

Every network ends with a layer `logits`, whose channel k belongs to class k modulo the number of classes, followed only
by rearrangement, linear enlargement and a sigmoid (`unet3plus` also sets the maps of absent classes to 0).
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from configs import InputError
from models.network import Network

LOGITS = "logits"


def transfer_weights(source: Network, target: Network, *, classes: Sequence[int | None]) -> None:
    """Copies the weights of one network into another of the same architecture, layer by layer in order.

    Args:
      source: the network with the weights.
      target: the network that receives them.
      classes: for each class of the target, its number in the source; None: the heads of this class keep their weights.

    Raises:
      InputError: the architectures differ; the message names the first layer that does not fit.
    """
    known = source.output.shape[-1]
    targets, sources = ([layer for layer in network.layers if layer.weights] for network in (target, source))
    for ours, theirs in zip(targets, sources, strict=False):
        shapes, expected = _shapes(theirs), _shapes(ours)
        head = _is_head(ours)  # whose last axis depends on the classes
        if (_per_class(shapes, known) != _per_class(expected, len(classes))) if head else (shapes != expected):
            raise InputError(f"the weights of layer {ours.name} must have the shapes {expected}; received {shapes}.")
    if len(targets) != len(sources):
        raise InputError(f"{len(targets)} layers must have weights; received {len(sources)}.")
    for ours, theirs in zip(targets, sources, strict=True):
        given = theirs.get_weights()
        if _is_head(ours):
            pairs = zip(ours.get_weights(), given, strict=True)
            given = [_with_classes_of(own, other, classes=classes, known=known) for own, other in pairs]
        ours.set_weights(given)


def calibrate_logits(network: Network, factors: Sequence[float], shifts: Sequence[float]) -> None:
    """Changes the weights of a network so that the logits z of each class become factor z + shift.

    Args:
      network: the network, which is changed.
      factors: one per class.
      shifts: one per class.

    Example:
      >>> network = build_fast(FastConfig(widths=(8, 16)), classes=2)
      >>> calibrate_logits(network, factors=(0.8, 1.0), shifts=(0.0, -0.5))
    """
    layer = network.get_layer(LOGITS)
    kernel, bias = layer.get_weights()
    repeats = len(bias) // len(factors)
    layer.set_weights([kernel * np.tile(factors, repeats), bias * np.tile(factors, repeats) + np.tile(shifts, repeats)])


def of_classes(network: Network, channels: Sequence[int]) -> Network:
    """Returns a network of the same layers that has only the given classes, in the given order."""
    return Network(network.input, ops.take(network.output, list(channels), axis=-1), name=network.name)


def _is_head(layer: keras.layers.Layer) -> bool:
    return LOGITS in layer.name


def _per_class(shapes: list[tuple[int, ...]], classes: int) -> list[tuple[float, ...]]:
    return [(*shape[:-1], shape[-1] / classes) for shape in shapes]


def _with_classes_of(own: np.ndarray, other: np.ndarray, *, classes: Sequence[int | None], known: int) -> np.ndarray:
    """Returns a head's weights with the channels of another head's classes, `known` of them; see `transfer_weights`."""
    mixed = own.copy()
    for number, origin in enumerate(classes):
        if origin is not None:
            mixed[..., number :: len(classes)] = other[..., origin::known]
    return mixed


def _shapes(layer: keras.layers.Layer) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]
