"""The precision in which a network computes: Keras' policy, for the building of one network and no longer."""

import contextlib
from collections.abc import Iterator

import keras

from models.network import Network


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


def precision_of(network: keras.Model) -> str:
    """Returns the policy that a network was built with; some of its layers are in float32 under any."""
    policies = (layer.dtype_policy.name for layer in network.layers)
    return next((name for name in policies if name != "float32"), "float32")


def in_precision(network: Network, policy: str) -> Network:
    """Returns a network of the same weights that computes as `policy` says.

    Which layers were kept in float32 on purpose is not to be seen in a network that is in float32 altogether. All that
    prepares the photograph, before the first layer with weights, and all that makes probabilities, from the last one
    on, then stays so.

    Args:
      network: of any precision; it stays as it is.
      policy: see `precision_policy`.

    Returns:
      A network with weights of its own, not compiled; where it computes as `policy` says already, the network itself.
    """
    if precision_of(network) == policy:
        return network
    weighted = [index for index, operation in enumerate(network.operations) if getattr(operation, "weights", ())]
    between = {operation.name for operation in network.operations[weighted[0] : weighted[-1]]}

    def clone(operation):
        config = operation.get_config()
        if "dtype" in config:
            config["dtype"] = policy if operation.name in between else "float32"
        return type(operation).from_config(config)

    changed = keras.models.clone_model(network, clone_function=clone)
    changed.set_weights(network.get_weights())
    return changed
