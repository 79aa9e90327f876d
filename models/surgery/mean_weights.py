"""One network of the mean weights of several states of one training, and its normalisation statistics."""

import itertools
from collections.abc import Iterable, Sequence

import keras
import numpy as np

from configs import InputError
from models.network import Network
from models.surgery.ensembles import number_of_members

ENOUGH = 1000  # weights of a kernel whose direction says where it comes from
LEAST_COSINE = 0.5  # between states of one training; two of one seed that saw other photographs end at 0.1 to 0.3


def mean_weights(networks: Sequence[Network]) -> Network:
    """Returns a network whose weights are the means of those of several networks of one architecture.

    It is as good as an ensemble, at the cost of one network, if its members are near each other, as states of one
    training are (Izmailov et al. 2018, arXiv:1803.05407). Between networks of different trainings lie weights that are
    good for nothing. The statistics of its normalisations are means, too, and wrong until `recompute_statistics`.

    Args:
      networks: two or more networks, which are not changed.

    Raises:
      InputError: one of them is an ensemble, the architectures differ, or two networks are not near each other.
    """
    for number, network in enumerate(networks, 1):
        if number_of_members(network) > 1:
            raise InputError(
                f"model {number} is an ensemble, whose members have weights of their own; name its members."
            )
        if (theirs := _shapes(network)) != (ours := _shapes(networks[0])):
            layer = next(one or other for one, other in itertools.zip_longest(theirs, ours) if one != other)
            raise InputError(
                f"models 1 and {number} are built differently, first in {layer[0]}; only weights of one architecture "
                "have a mean. Average probabilities instead."
            )
    for (one, first), (other, second) in itertools.combinations(enumerate(networks, 1), 2):
        name, cosine = _least_similar(first, second)
        if cosine < LEAST_COSINE:
            raise InputError(
                f"models {one} and {other} come from different trainings: the kernels of {name} have a cosine of "
                f"{cosine:.2f}, expected {LEAST_COSINE} or more; their mean would be good for nothing. Average "
                "probabilities instead."
            )
    mean = networks[0].from_config(networks[0].get_config())
    mean.set_weights([np.mean(same, axis=0) for same in zip(*(one.get_weights() for one in networks), strict=True)])
    return mean


def recompute_statistics(network: Network, batches: Iterable[np.ndarray]) -> int:
    """Sets the statistics of all batch normalisations to the exact mean and variance over some batches.

    The network computes as in training, so that each normalisation sees what the ones before it make of the batch
    (section 3.2 of the paper of `mean_weights`).

    Args:
      network: the network, which is changed.
      batches: RGB 0..255 `[B, h, w, 3]`, all of the same size.

    Returns:
      The number of images; 0 if the network has no batch normalisation, then none is computed.

    Raises:
      InputError: there is no batch.
    """
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not layers:
        return 0
    momenta = [layer.momentum for layer in layers]
    sums = [np.zeros((2, *layer.moving_mean.shape)) for layer in layers]  # of means and of mean squares
    sizes = []
    try:
        for layer in layers:
            layer.momentum = 0.0  # the moving averages are then those of the last batch
        for batch in batches:
            network(batch, training=True)
            sizes.append(len(batch))
            for place, layer in enumerate(layers):
                mean, variance = (np.asarray(value, np.float64) for value in (layer.moving_mean, layer.moving_variance))
                sums[place] += mean, variance + mean**2
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    if not sizes:
        raise InputError("there are no tiles to compute the statistics of batch normalisations on.")
    for layer, (mean, square) in zip(layers, (total / len(sizes) for total in sums), strict=True):
        layer.moving_mean.assign(mean)
        layer.moving_variance.assign(np.maximum(square - mean**2, 0))
    return sum(sizes)


def has_statistics(network: Network) -> bool:
    """Returns whether a network has batch normalisations, whose statistics depend on its weights."""
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)


def _shapes(network: Network) -> list[tuple[str, tuple[int, ...]]]:
    return [
        (f"{layer.name}/{weight.name}", tuple(weight.shape)) for layer in network.layers for weight in layer.weights
    ]


def _least_similar(one: Network, other: Network) -> tuple[str, float]:
    """Returns the name of the layer whose kernels differ most in direction, and their cosine."""
    similar = {"": 1.0}
    for layer, same in zip(one.layers, other.layers, strict=True):
        for kernel, theirs in zip(layer.get_weights(), same.get_weights(), strict=True):
            if kernel.ndim > 1 and kernel.size >= ENOUGH:
                norms = np.linalg.norm(kernel) * np.linalg.norm(theirs)
                cosine = float(np.vdot(kernel, theirs) / norms) if norms else 1.0
                similar[layer.name] = min(cosine, similar.get(layer.name, 1.0))
    name = min(similar, key=similar.__getitem__)
    return name, similar[name]
