"""How sure a model is: the spread of its probabilities over its members and over the orientations of a tile."""

from collections.abc import Callable
from typing import Literal

import tensorflow as tf

from configs import InputError
from pipeline.inference.orientations import REFLECTIONS

Uncertainty = Literal["members", "orientations", "both"]
ORIENTATIONS = 8  # over which a model's spread is taken, if it does not average over several of them anyway
LARGEST_SPREAD = 0.5  # the standard deviation of numbers from 0 to 1, half of which are 0 and half 1

# float32 RGB `[B, T, T, 3]` → the network's probabilities, float32 `[B, T, T, C]`, and its members', `[B, T, T, M, C]`
PredictMembers = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def check_uncertainty(uncertainty: Uncertainty | None, members: int) -> None:
    """Raises InputError if a spread over members is asked for, but the model is only one network.

    Args:
      uncertainty: what is asked for; None: nothing.
      members: number of the model's members.
    """
    if uncertainty in ("members", "both") and members == 1:
        raise InputError(
            f"--uncertainty={uncertainty}: the model is a single network, which has no members; give "
            "--uncertainty=orientations, or several models (--model=A --model=B)."
        )


def orientations_of(uncertainty: Uncertainty, flips: int) -> int:
    """Returns over how many orientations the spread is taken: those that are averaged, or `ORIENTATIONS`."""
    return flips if uncertainty == "members" or flips > 1 else ORIENTATIONS


def mean_and_spread(predict: PredictMembers, *, flips: int, orientations: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that computes a network's probabilities and their spread over members and orientations.

    Mean and variance are updated from one orientation to the next (Chan et al. 1983,
    doi:10.1080/00031305.1983.10483115, for groups of equal size), so that they are exact where all probabilities are
    equal, and only one orientation is in memory.

    Args:
      predict: the network and its members.
      flips: number of orientations that the probabilities are averaged over, see `average_over`.
      orientations: number of orientations that the spread is taken over: `flips`, or more if `flips` is 1.

    Returns:
      float32 `[B, T, T, 3]` → float32 `[B, T, T, 2 C]`: the probabilities, with the same bits as those of
      `average_over`, and then their spread, the standard deviation of M probabilities in each orientation.
    """

    def compute(images: tf.Tensor) -> tf.Tensor:
        first = total = mean = variance = tf.constant(0.0)
        for number, reflect in enumerate(REFLECTIONS[orientations] or [tf.identity]):
            probabilities, members = predict(images)
            first = probabilities if number == 0 else first
            total += probabilities
            difference = tf.reduce_mean(members, axis=3) - mean
            mean += difference / (number + 1)
            variance += tf.math.reduce_variance(members, axis=3) + difference**2 * number / (number + 1)
            with tf.control_dependencies([total, variance]):  # keeps only one orientation in memory
                images = reflect(images)
            total, mean, variance = (reflect(maps) for maps in (total, mean, variance))
        return tf.concat([first if flips == 1 else total / flips, tf.sqrt(variance / orientations)], axis=-1)

    return compute
