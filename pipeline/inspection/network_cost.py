"""The cost of a network for one tile: multiply-adds, the memory that backpropagation keeps, and time."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from configs import ModelConfig
from models import Network, TrainingModel, build_loss, build_network

REPEATS = 3
VIEWS = {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient"}  # operations that share their input's memory


@dataclasses.dataclass(frozen=True)
class NetworkCost:
    """What a network costs for one tile.

    Attributes:
      parameters: number of all weights, including moving averages.
      stride: height and width of a tile are multiples of it.
      tile: side of the tile, pixels.
      gmac: 10^9 multiply-adds in the convolutions and matrix products of one forward pass.
      activation_mb: 10^6 bytes of float32 activations (and dropout masks) that a training step keeps for its gradients.
      forward_seconds: median time of a forward pass; None: not measured.
      training_seconds: median time of a training step (forward, backward, AdamW); None: not measured.
    """

    parameters: int
    stride: int
    tile: int
    gmac: float
    activation_mb: float
    forward_seconds: float | None
    training_seconds: float | None


def network_cost(model: ModelConfig, classes: int, tile: int, *, timed: bool = True) -> NetworkCost:
    """Builds a network and measures it on a random tile.

    Args:
      model: network and options.
      classes: number of classes.
      tile: side of the tile; rounded up to a multiple of the network's stride.
      timed: whether to measure times, which takes a few training steps.

    Raises:
      InputError: the network cannot be built with these options.
    """
    keras.utils.set_random_seed(0)
    network = build_network(model, classes)
    tile = math.ceil(tile / network.stride) * network.stride
    forward = tf.function(lambda image: network(image, training=False), autograph=False)
    graph = forward.get_concrete_function(tf.TensorSpec((1, tile, tile, 3), tf.float32)).graph
    forward_seconds, training_seconds = _times(network, forward, classes, tile=tile) if timed else (None, None)
    return NetworkCost(
        parameters=network.count_params(),
        stride=network.stride,
        tile=tile,
        gmac=multiply_adds(graph) / 1e9,
        activation_mb=kept_bytes(network, tile) / 1e6,
        forward_seconds=forward_seconds,
        training_seconds=training_seconds,
    )


def multiply_adds(graph: tf.Graph) -> int:
    """Counts the multiply-adds of the convolutions and matrix products of a graph whose shapes are known.

    As is usual, products with the zeros beyond the border count too. Normalization, activations, pooling and resizing
    are left out; they are comparatively few.
    """
    return sum(_multiply_adds_of(operation) for operation in graph.get_operations())


def kept_bytes(network: Network, tile: int) -> int:
    """Counts the bytes that a training step keeps from the forward pass of one tile because its gradients use them.

    They are read from the graph, before TensorFlow optimizes it; weights are left out. The number grows in proportion
    to the batch.
    """
    model = TrainingModel(network)
    forward_operations = 0  # operations are listed in the order in which they were made

    @tf.function(autograph=False)
    def gradients(image):
        nonlocal forward_operations
        with tf.GradientTape() as tape:
            total = tf.add_n([tf.reduce_mean(output) for output in tf.nest.flatten(model(image, training=True))])
        forward_operations = len(image.graph.get_operations())
        return tape.gradient(total, model.trainable_variables)

    graph = gradients.get_concrete_function(tf.TensorSpec((1, tile, tile, 3), tf.float32, name="tile")).graph
    operations = graph.get_operations()
    forward, backward = operations[:forward_operations], operations[forward_operations:]
    computed: set[str] = set()  # operations whose results depend on the tile, or are drawn for it
    for operation in forward:
        of_tile = operation.name == "tile" or any(tensor.op.name in computed for tensor in operation.inputs)
        if of_tile or "Random" in operation.type:
            computed.add(operation.name)
    used = {_memory(tensor).name: _memory(tensor) for operation in backward for tensor in operation.inputs}
    # The workspace of a fused normalization has no known shape, and is empty on a CPU.
    return sum(
        (tensor.shape.num_elements() or 0) * tensor.dtype.size for tensor in used.values() if tensor.op.name in computed
    )


def _multiply_adds_of(operation: tf.Operation) -> int:
    """Counts the multiply-adds of one operation: those of one output value, times the number of output values."""
    shapes = [tensor.shape for tensor in operation.inputs]
    match operation.type:
        case "Conv2D":
            height, width, channels, _ = shapes[1]  # of one group
            count = _output_shape(operation).num_elements() * height * width * channels
        case "DepthwiseConv2dNative":
            height, width, _, _ = shapes[1]
            count = _output_shape(operation).num_elements() * height * width
        case "Conv2DBackpropInput":  # a transposed convolution: counted per input value
            height, width, channels, _ = shapes[1]
            count = shapes[2].num_elements() * height * width * channels
        case "MatMul":
            inner = shapes[0][0 if operation.get_attr("transpose_a") else 1]
            count = operation.outputs[0].shape.num_elements() * inner
        case "BatchMatMul" | "BatchMatMulV2" | "BatchMatMulV3":
            inner = shapes[0][-2 if operation.get_attr("adj_x") else -1]
            count = operation.outputs[0].shape.num_elements() * inner
        case "PartitionedCall" | "StatefulPartitionedCall":  # Keras wraps grouped convolutions in a function
            count = multiply_adds(operation.graph._get_function(operation.get_attr("f").name).graph)
        case "Einsum":
            count = _multiply_adds_of_einsum(operation.get_attr("equation").decode(), shapes)
        case _:
            count = 0
    return count


def _output_shape(convolution: tf.Operation) -> tf.TensorShape:
    """Returns the shape of a convolution's output; for a dilated one, that of its parts put together."""
    (output,) = convolution.outputs
    after = output.consumers()
    return after[0].outputs[0].shape if [op.type for op in after] == ["BatchToSpaceND"] else output.shape


def _multiply_adds_of_einsum(equation: str, shapes: list[tf.TensorShape]) -> int:
    """Returns the product of the sizes of all indices, including those of an ellipsis."""
    sizes: dict[str, int] = {}
    for labels, shape in zip(equation.split("->", maxsplit=1)[0].split(","), shapes, strict=True):
        before, ellipsis, after = labels.partition("...")
        hidden = len(shape) - len(before) - len(after)
        names = [*before, *(f"{ellipsis}{hidden - place}" for place in range(hidden)), *after]
        sizes |= {name: max(size, sizes.get(name, 1)) for name, size in zip(names, shape, strict=True)}
    return math.prod(sizes.values())


def _memory(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the tensor whose memory this one shares."""
    while tensor.op.type in VIEWS or tensor.op.type == "IdentityN":
        tensor = tensor.op.inputs[tensor.value_index if tensor.op.type == "IdentityN" else 0]
    return tensor


def _times(
    network: Network, forward: tf.types.experimental.GenericFunction, classes: int, *, tile: int
) -> tuple[float, float]:
    """Returns the median seconds of a forward pass and of a training step, which take turns after one warm-up each."""
    image = tf.constant(np.random.default_rng(0).uniform(0, 255, (1, tile, tile, 3)), tf.float32)
    mask = tf.cast(tf.random.stateless_uniform((1, tile, tile, classes), seed=(0, 0)) < 0.01, tf.float32)
    model = TrainingModel(network)
    model.compile(keras.optimizers.AdamW(1e-4), build_loss("bce_dice"), jit_compile=False)

    def run_forward() -> None:
        forward(image).numpy()  # waits for a GPU

    def run_training() -> None:
        model.train_on_batch(image, mask)

    turns = [(_seconds(run_forward), _seconds(run_training)) for _ in range(1 + REPEATS)]
    forward_seconds, training_seconds = zip(*turns[1:], strict=True)
    return statistics.median(forward_seconds), statistics.median(training_seconds)


def _seconds(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
