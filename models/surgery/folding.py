"""Folding of batch normalisation into the preceding convolutions: in inference it is a constant factor and shift."""

import collections

import keras
import numpy as np

from models.layers import DepthwiseConvolution
from models.network import Network

# The axes of each layer's kernel that are output channels, in their order.
OUTPUT_AXES = {
    keras.layers.Conv2D: (3,),  # [kh, kw, in, out]
    keras.layers.Conv2DTranspose: (2,),  # [kh, kw, out, in]
    keras.layers.DepthwiseConv2D: (2, 3),  # [kh, kw, in, multiplier]
    DepthwiseConvolution: (2, 3),
}


def fold_normalization(network: Network) -> Network:
    """Returns a network with equal results (to rounding) without the batch normalisations that follow a convolution.

    gamma (W x + b - mean) / sqrt(variance + epsilon) + beta is a convolution with other values of W and b. A
    normalisation is folded if the convolution has no activation and no other layer uses its output. A normalisation
    *before* a convolution is kept, as in `models.networks.unet` (convolution, activation, normalisation): its shift,
    moved through the kernel, would also be added where the kernel reads the zero padding.

    Args:
      network: the trained network, which is not changed. Layers within nested models are not folded.

    Returns:
      A network with weights of its own, not compiled, for inference only. If there is nothing to fold, the network
      itself.

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
    """Returns the normalisations that can be folded, by the name of the convolution whose output each normalises."""
    producers: dict[int, keras.Operation] = {}  # by the id of the output tensor
    consumers = collections.Counter(id(tensor) for tensor in network.outputs)
    for operation in network.operations:
        for call in operation._inbound_nodes:  # Keras' public API knows the first call of an operation only
            consumers.update(id(tensor) for tensor in call.input_tensors)
            producers.update((id(tensor), operation) for tensor in call.outputs)
    foldable = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and len(layer._inbound_nodes) == 1:
            convolution = producers[id(layer.input)]
            if (
                type(convolution) in OUTPUT_AXES
                and convolution.activation is keras.activations.linear
                and len(convolution._inbound_nodes) == 1
                and consumers[id(layer.input)] == 1
            ):
                foldable[convolution.name] = layer
    return foldable


def _folded_weights(
    convolution: keras.layers.Layer, normalization: keras.layers.BatchNormalization
) -> list[np.ndarray]:
    """Returns the kernel and bias of the convolution that is equivalent to both."""
    kernel, *bias = (weights.astype(np.float64) for weights in convolution.get_weights())
    gamma = np.asarray(normalization.gamma, np.float64) if normalization.scale else 1.0
    beta = np.asarray(normalization.beta, np.float64) if normalization.center else 0.0
    mean = np.asarray(normalization.moving_mean, np.float64)
    factor = gamma / np.sqrt(np.asarray(normalization.moving_variance, np.float64) + normalization.epsilon)
    axes = OUTPUT_AXES[type(convolution)]
    shape = [size if axis in axes else 1 for axis, size in enumerate(kernel.shape)]
    return [kernel * factor.reshape(shape), beta + (sum(bias) - mean) * factor]
