"""Whether XLA compiles a network: where it is faster, on batches of the one shape that inference has."""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence

import tensorflow as tf

RUNS = 3


def compiles(xla: str, predict: Callable[[tf.Tensor], tf.Tensor], shape: Sequence[int]) -> bool:
    """Decides what `segment.xla` leaves open.

    Args:
      xla: "on", "off", or "auto": not on a CPU, where TensorFlow's own kernels are about twice as fast; on a GPU where
        a trial of some seconds says so.
      predict: the network.
      shape: of the batches that it gets, float32.
    """
    if xla == "auto":
        return bool(tf.config.list_logical_devices("GPU")) and is_faster_compiled(predict, shape)
    return xla == "on"


def is_faster_compiled(predict: Callable[[tf.Tensor], tf.Tensor], shape: Sequence[int]) -> bool:
    """Times a batch with and without XLA; what XLA cannot compile is not faster."""
    images = tf.zeros(shape)
    try:
        usual, compiled = (
            _seconds(tf.function(predict, autograph=False, jit_compile=jit), images) for jit in (False, True)
        )
    except tf.errors.OpError:
        return False
    return compiled < usual


def _seconds(function: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> float:
    """Returns the median of some runs after a first one, which traces and compiles."""
    ends = []
    for _ in range(1 + RUNS):
        function(images).numpy()  # which waits for a GPU
        ends.append(time.perf_counter())
    return statistics.median(end - began for began, end in itertools.pairwise(ends))
