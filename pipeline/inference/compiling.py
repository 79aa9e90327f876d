"""Decides whether XLA compiles a network for inference, where all batches have one shape."""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence

import tensorflow as tf

RUNS = 3


def compiles(xla: str, predict: Callable[[tf.Tensor], tf.Tensor], shape: Sequence[int]) -> bool:
    """Returns whether XLA compiles the network.

    Args:
      xla: "on", "off" or "auto". "auto" means never on a CPU, where TensorFlow's own kernels are about twice as fast,
        and on a GPU only if XLA is faster in a trial of some seconds.
      predict: the network, float32 → float32.
      shape: shape of its batches.
    """
    if xla == "auto":
        return bool(tf.config.list_logical_devices("GPU")) and is_faster_compiled(predict, shape)
    return xla == "on"


def is_faster_compiled(predict: Callable[[tf.Tensor], tf.Tensor], shape: Sequence[int]) -> bool:
    """Returns whether a batch takes less time with XLA; False if XLA cannot compile the network."""
    images = tf.zeros(shape)
    try:
        plain, compiled = (
            _seconds(tf.function(predict, autograph=False, jit_compile=jit), images) for jit in (False, True)
        )
    except tf.errors.OpError:
        return False
    return compiled < plain


def _seconds(function: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> float:
    """Returns the median time of some runs after a first one, which traces and compiles."""
    ends = []
    for _ in range(1 + RUNS):
        function(images).numpy()  # waits for a GPU
        ends.append(time.perf_counter())
    return statistics.median(end - began for began, end in itertools.pairwise(ends))
