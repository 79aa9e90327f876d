"""The head of a network, which alone depends on the classes: other classes, a new start, calibrated logits.

Every network ends with a layer `logits`, whose channel k is of class k modulo their number, followed by nothing but
rearrangement, linear enlargement and a sigmoid (`unet3plus` also sets maps of absent classes to 0).
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from configs import InputError
from models.network import Network

LOGITS = "logits"


def transfer_weights(source: Network, target: Network, *, head: bool) -> None:
    """Copies the weights of one network into another of the same build, layer by layer in their order.

    Args:
      source: whose weights are taken.
      target: gets them.
      head: whether the layers that depend on the classes get them too; else they keep their own.

    Raises:
      InputError: the networks are built differently; it names the first layer that does not fit.
    """
    ours, theirs = _weighted(target, head=head), _weighted(source, head=head)
    for one, other in zip(ours, theirs, strict=False):
        shapes, expected = _shapes(other), _shapes(one)
        if shapes != expected:
            raise InputError(f"layer {one.name} has weights of the shapes {expected}, and there {shapes}.")
    if len(ours) != len(theirs):
        raise InputError(f"{len(ours)} layers have weights, and there {len(theirs)}.")
    for one, other in zip(ours, theirs, strict=True):
        one.set_weights(other.get_weights())


def calibrate_logits(network: Network, factors: Sequence[float], shifts: Sequence[float]) -> None:
    """Changes a network's weights so that the logits z of each class become factor z + shift.

    Example:
      >>> network = build_fast(FastConfig(widths=(8, 16)), classes=2)
      >>> calibrate_logits(network, factors=(0.8, 1.0), shifts=(0.0, -0.5))
    """
    layer = network.get_layer(LOGITS)
    kernel, bias = layer.get_weights()
    repeats = len(bias) // len(factors)
    layer.set_weights([kernel * np.tile(factors, repeats), bias * np.tile(factors, repeats) + np.tile(shifts, repeats)])


def of_classes(network: Network, channels: Sequence[int]) -> Network:
    """Returns the network with some of its classes alone, in the order given; the layers are the same objects."""
    return Network(network.input, ops.take(network.output, list(channels), axis=-1), name=network.name)


def _weighted(network: Network, *, head: bool) -> list[keras.layers.Layer]:
    return [layer for layer in network.layers if layer.weights and (head or LOGITS not in layer.name)]


def _shapes(layer: keras.layers.Layer) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]
