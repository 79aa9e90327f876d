"""The precision in which a network computes: Keras' dtype policy, set only while a network is built."""

import contextlib
from collections.abc import Iterator

import keras

from models.network import Network
from models.surgery.ensembles import member_prefixes


@contextlib.contextmanager
def precision_policy(policy: str) -> Iterator[None]:
    """Sets the dtype policy of layers that are created inside the context; afterwards, restores the previous policy.

    Args:
      policy: "float32", "mixed_bfloat16" or "mixed_float16": precision of the maps; weights are float32.

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
    """Returns the policy that a network was built with; under any policy some layers compute in float32."""
    policies = (layer.dtype_policy.name for layer in network.layers)
    return next((name for name in policies if name != "float32"), "float32")


def in_precision(network: Network, policy: str) -> Network:
    """Returns a network with the same weights and another precision.

    A network in float32 does not show which layers are in float32 on purpose. All layers before the first one with
    weights, which prepare the image, and from the last one with weights on, which compute probabilities, are therefore
    float32. In an ensemble this holds for each member; what joins them is float32.

    Args:
      network: the network, which is not changed.
      policy: see `precision_policy`.

    Returns:
      A network with weights of its own, not compiled; the network itself if it has that policy already.
    """
    if precision_of(network) == policy:
        return network
    between = set().union(*(_between_weights(network, prefix) for prefix in member_prefixes(network)))

    def clone(operation):
        config = operation.get_config()
        if "dtype" in config:
            config["dtype"] = policy if operation.name in between else "float32"
        return type(operation).from_config(config)

    changed = keras.models.clone_model(network, clone_function=clone)
    changed.set_weights(network.get_weights())
    return changed


def _between_weights(network: keras.Model, prefix: str) -> set[str]:
    """Returns the names of a member's layers, from the first one with weights to the one before the last of these."""
    operations = [operation for operation in network.operations if operation.name.startswith(prefix)]
    weighted = [index for index, operation in enumerate(operations) if getattr(operation, "weights", ())]
    return {operation.name for operation in operations[weighted[0] : weighted[-1]]}
