"""Batch normalisation folded into the convolutions before it: after training it is but a factor and a shift."""

import collections

import keras
import numpy as np

from models.network import Network

# Which axes of a layer's kernel are its output channels, in their order.
OUTPUT_AXES = {
    keras.layers.Conv2D: (3,),  # [kh, kw, in, out]
    keras.layers.Conv2DTranspose: (2,),  # [kh, kw, out, in]
    keras.layers.DepthwiseConv2D: (2, 3),  # [kh, kw, in, multiplier]
}


def fold_normalization(network: Network) -> Network:
    """Returns a network of the same map, to rounding, without the batch normalisations that follow a convolution.

    gamma (W x + b - mean) / sqrt(variance + epsilon) + beta is a convolution again, with W and b of other values. It
    is folded where the convolution has no activation of its own and nothing else takes its output. A normalisation
    *before* a convolution stays, as in `models.networks.unet` (convolution, activation, normalisation): its shift,
    moved through the kernel, would also be added where the kernel meets the zeros beyond the border.

    Args:
      network: as trained; it stays as it is. Layers within nested models stay too.

    Returns:
      A network with weights of its own, not compiled, for inference: its normalisations can learn no more. Where there
      is nothing to fold, the network itself.

    Example:
      >>> network = build_fast(FastConfig(widths=(8, 16)), classes=1)
      >>> len(network.layers) - len(fold_normalization(network).layers)
      8
    """
    normalizations = _foldable(network)  # by the name of the convolution before it
    if not normalizations:
        return network
    folded_names = {normalization.name for normalization in normalizations.values()}

    def clone(operation):
        config = operation.get_config()
        return type(operation).from_config({**config, "use_bias": True} if operation.name in normalizations else config)

    def call(operation, *arguments, **keywords):
        return arguments[0] if operation.name in folded_names else operation(*arguments, **keywords)

    folded = keras.models.clone_model(network, clone_function=clone, call_function=call)
    for layer in folded.layers:
        original = network.get_layer(layer.name)
        if layer.name in normalizations:
            layer.set_weights(_folded_weights(original, normalizations[layer.name]))
        else:
            layer.set_weights(original.get_weights())
    return folded


def _foldable(network: Network) -> dict[str, keras.layers.BatchNormalization]:
    """Returns the normalisations that can be folded, each by the name of the convolution whose output it takes."""
    makers: dict[int, keras.Operation] = {}  # by the identity of the tensor that they give
    takers = collections.Counter(id(tensor) for tensor in network.outputs)
    for operation in network.operations:
        for call in operation._inbound_nodes:  # in public, Keras tells of an operation's first call alone
            takers.update(id(tensor) for tensor in call.input_tensors)
            makers.update((id(tensor), operation) for tensor in call.outputs)
    found = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and len(layer._inbound_nodes) == 1:
            convolution = makers[id(layer.input)]
            if (
                type(convolution) in OUTPUT_AXES
                and convolution.activation is keras.activations.linear
                and len(convolution._inbound_nodes) == 1
                and takers[id(layer.input)] == 1
            ):
                found[convolution.name] = layer
    return found


def _folded_weights(
    convolution: keras.layers.Layer, normalization: keras.layers.BatchNormalization
) -> list[np.ndarray]:
    """Returns kernel and bias of the convolution that does what both do."""
    kernel, *bias = (weights.astype(np.float64) for weights in convolution.get_weights())
    gamma = np.asarray(normalization.gamma, np.float64) if normalization.scale else 1.0
    beta = np.asarray(normalization.beta, np.float64) if normalization.center else 0.0
    mean = np.asarray(normalization.moving_mean, np.float64)
    factor = gamma / np.sqrt(np.asarray(normalization.moving_variance, np.float64) + normalization.epsilon)
    axes = OUTPUT_AXES[type(convolution)]
    shape = [size if axis in axes else 1 for axis, size in enumerate(kernel.shape)]
    return [kernel * factor.reshape(shape), beta + (sum(bias) - mean) * factor]
