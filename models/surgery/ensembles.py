"""Several networks as one: a network whose probabilities are the mean of its members'.

The members lie side by side in one flat graph, so that everything that works on a network works on an ensemble, too:

    image ─ stride_check ┬─ member_0_… ─┐
                         ├─ member_1_… ─┼─ logits ─ probabilities
                         └─ …          ─┘

Each member waits for the one before it, so that only one of them has its maps in memory.
"""

import functools
import math
import operator
from collections.abc import Sequence
from typing import Literal, get_args

import keras
from keras import layers, ops

from configs import InputError
from models.losses import recover_logits
from models.network import Network, StrideCheck
from models.saving import PACKAGE
from models.surgery.heads import LOGITS

Average = Literal["logits", "probabilities"]
AVERAGES = get_args(Average)
LEAST = 1e-37  # sums of probabilities below it count as this, so that their logarithms are finite


def ensemble_network(networks: Sequence[Network], *, average: Average) -> Network:
    """Returns one network whose probabilities are the mean of those of several networks.

    The mean of probabilities is the usual choice (Lakshminarayanan et al. 2017, arXiv:1612.01474, section 2.4). That
    of logits, a geometric mean of the odds, lets a sure member outvote others that are not.

    Args:
      networks: the members, at least two, of the same classes in the same order; they may differ in everything else,
        and are not changed.
      average: what is averaged, "logits" or "probabilities".

    Returns:
      A network with weights of its own, whose stride is the least common multiple of the members' strides.

    Raises:
      InputError: there are fewer than two networks, or they have different numbers of classes.

    Example:
      >>> members = [build_fast(FastConfig(widths=(8, 16)), classes=2) for _ in range(3)]
      >>> network = ensemble_network(members, average="probabilities")
      >>> number_of_members(network), network.stride
      (3, 4)
    """
    classes = [network.output_shape[-1] for network in networks]
    if len(networks) < 2 or len(set(classes)) > 1:
        raise InputError(f"an ensemble has two or more members of the same classes; received members of {classes}.")
    stride = math.lcm(*(network.stride for network in networks))
    image = keras.Input((None, None, 3), name="image")
    checked = StrideCheck(stride, dtype="float32", name="stride_check")(image)
    logits: list[keras.KerasTensor] = []
    for number, network in enumerate(networks):
        prefix, turn = f"member_{number}_", checked
        if logits:
            turn = After(dtype="float32", name=f"{prefix}after")(checked, logits[-1])
        logits.append(_append_member(network, image, turn, prefix=prefix))
    return Network(image, MemberMean(average, dtype="float32", name=LOGITS)(logits), name="ensemble")


def number_of_members(network: keras.Model) -> int:
    """Returns how many networks an ensemble consists of; 1 for any other network."""
    return len(_member_logits(network)) or 1


def member_maps(network: Network) -> keras.Model:
    """Returns a model of the probabilities of each member.

    Whatever was done to the ensemble is done to each member: calibration, a choice of classes, another precision.

    Args:
      network: a network; one that is no ensemble is its only member.

    Returns:
      float32 RGB 0..255 `[B, h, w, 3]` → float32 `[B, h, w, M, C]`. It shares the layers of the network, so that
      `keras.Model(network.input, [network.output, member_maps(network).output])` computes each member once.
    """
    logits = _member_logits(network)
    if not logits:
        return keras.Model(network.input, ops.expand_dims(network.output, 3))
    mean = network.get_layer(LOGITS)
    maps = [mean([one]) for one in logits]
    if network.output is not mean.output:  # classes are taken
        maps = list(map(keras.Model(mean.output, network.output), maps))
    return keras.Model(network.input, ops.stack(maps, axis=3))


def member_prefixes(network: Network) -> list[str]:
    """Returns what the names of the layers of each member begin with; of a network that is no ensemble, nothing."""
    return [f"member_{number}_" for number in range(len(_member_logits(network)))] or [""]


def _member_logits(network: keras.Model) -> list[keras.KerasTensor]:
    """Returns the logits of the members of an ensemble, each `[B, h, w, C]`; an empty list for any other network."""
    means = [layer for layer in network.layers if layer.name == LOGITS and isinstance(layer, MemberMean)]
    return list(means[0].input) if means else []


@keras.saving.register_keras_serializable(PACKAGE)
class MemberMean(layers.Layer):
    """Computes from the logits of members, each `[B, h, w, C]`, the probabilities of their mean, `[B, h, w, C]`.

    The logits of the mean are multiplied by a factor per class, and a shift is added, by which `calibrate_logits`
    calibrates an ensemble: they are this layer's weights, 1 and 0 at first. A convolution of 1x1 would round the map on
    a GPU, to the three digits of TF32, and its kernel in a file of half size.
    """

    def __init__(self, average: Average, **kwargs):
        super().__init__(**kwargs)
        if average not in AVERAGES:
            raise ValueError(f"average must be one of {', '.join(AVERAGES)}; received {average!r}.")
        self.average = average

    def build(self, input_shape):
        """Creates the factors and shifts, each `[C]`."""
        self.factor = self.add_weight(shape=input_shape[0][-1:], initializer="ones", name="factor")
        self.shift = self.add_weight(shape=input_shape[0][-1:], initializer="zeros", name="shift")

    def call(self, members):
        """Returns the probabilities of the mean."""
        if self.average == "logits":
            return ops.sigmoid(_sum(members) / len(members) * self.factor + self.shift)
        # As long as nothing is calibrated, no logits are needed, which would cost as much as a twentieth of a network.
        calibrated = ops.any(self.factor != 1) | ops.any(self.shift != 0)
        return ops.cond(calibrated, lambda: self._calibrated_mean(members), lambda: _mean_probability(members))

    def compute_output_shape(self, input_shape):
        """Returns the shape of the logits of one member."""
        return input_shape[0]

    def get_config(self):
        """Returns the arguments of the layer."""
        return {**super().get_config(), "average": self.average}

    def _calibrated_mean(self, members):
        # log Σ p - log Σ (1 - p) is the logit of the mean. 1 - p is computed as sigmoid(-z): where p rounds to 1, its
        # difference from 1 would be 0. Sums grow member by member, so that the maps of two are in memory, not of all.
        yes, no = (_sum([ops.sigmoid(z) for z in some]) for some in (members, [-z for z in members]))
        return ops.sigmoid(
            (ops.log(ops.maximum(yes, LEAST)) - ops.log(ops.maximum(no, LEAST))) * self.factor + self.shift
        )


@keras.saving.register_keras_serializable(PACKAGE)
class After(layers.Layer):
    """Returns an image `[B, h, w, 3]` as it is, but not before another map `[B, h, w, C]` was computed.

    Otherwise a graph's executor computes as many members at once as it has threads, with the maps of all in memory.
    """

    def call(self, image, earlier):
        """Returns the image."""
        return image + ops.minimum(ops.abs(earlier[:, :1, :1, :1]), 0)  # a 0 that no compiler knows to be one

    def compute_output_shape(self, image_shape, earlier_shape):
        """Returns the shape of the image."""
        return image_shape


@keras.saving.register_keras_serializable(PACKAGE)
class RecoverLogits(layers.Layer):
    """Computes finite logits of probabilities, `[B, h, w, C]`, for networks that do not end with a sigmoid."""

    def call(self, probabilities):
        """Returns the logits."""
        return recover_logits(probabilities)

    def compute_output_shape(self, input_shape):
        """Returns the shape of the probabilities."""
        return input_shape


def _append_member(
    network: Network, image: keras.KerasTensor, checked: keras.KerasTensor, *, prefix: str
) -> keras.KerasTensor:
    """Appends a copy of a network's layers to an input, and returns the copy's logits, `[B, h, w, C]`.

    Args:
      network: the member, which is not changed.
      image: the input of all members.
      checked: the input after the check of its size, which takes the place of the member's own check.
      prefix: what the names of the layers begin with.
    """

    def clone(operation):
        return type(operation).from_config({**operation.get_config(), "name": prefix + operation.name})

    def call(operation, *arguments, **keywords):
        return checked if isinstance(operation, StrideCheck) else operation(*arguments, **keywords)

    copy = keras.models.clone_model(network, input_tensors=image, clone_function=clone, call_function=call)
    for layer in network.layers:
        if layer.weights:
            copy.get_layer(prefix + layer.name).set_weights(layer.get_weights())
    last = copy.layers[-1]
    if last.output is copy.output and getattr(last, "activation", None) is keras.activations.sigmoid:
        return last.input
    return RecoverLogits(dtype="float32", name=f"{prefix}recovered")(copy.output)


def _mean_probability(members: Sequence):
    return _sum([ops.sigmoid(z) for z in members]) / len(members)


def _sum(maps: Sequence):
    return functools.reduce(operator.add, maps)  # the built-in one would add a 0
