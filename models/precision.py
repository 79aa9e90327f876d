"""The precision in which a network computes: Keras' policy, for the building of one network and no longer."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def precision_policy(policy: str) -> Iterator[None]:
    """Layers that are made within compute as `policy` says; they keep it, and the policy before comes back.

    Args:
      policy: "float32", "mixed_bfloat16" or "mixed_float16": maps in that precision, weights in float32.

    Example:
      >>> with precision_policy("mixed_bfloat16"):
      ...     layer = keras.layers.Conv2D(8, 3)
      >>> layer.compute_dtype, keras.mixed_precision.dtype_policy().name
      ('bfloat16', 'float32')
    """
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)
