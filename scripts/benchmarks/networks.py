"""What a network costs: multiplications, the memory that backpropagation keeps, and time, each for one tile."""

import dataclasses
import math
import statistics

import keras
import numpy as np
import tensorflow as tf

from configs import ModelConfig
from models import Network, TrainingModel, build_loss, build_network
from scripts.benchmarks.measuring import take_turns

REPEATS = 3
VIEWS = {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient"}  # the same memory under another shape


@dataclasses.dataclass(frozen=True)
class Cost:
    """One network's costs.

    Attributes:
      parameters: all weights, moving averages included.
      stride: height and width of a tile are multiples of this.
      tile: side of the tile, pixels.
      gmac: 10^9 multiplications with an addition each, in convolutions and matrix products of one forward pass.
      activation_mb: 10^6 bytes of float32 maps (and masks of dropout) that a training step keeps for its gradients.
      forward_seconds: median time of a forward pass; None: not measured.
      training_seconds: median time of a training step (forward, backward, AdamW) of one tile; None: not measured.
    """

    parameters: int
    stride: int
    tile: int
    gmac: float
    activation_mb: float
    forward_seconds: float | None
    training_seconds: float | None


def measure(model: ModelConfig, classes: int, tile: int, *, fast: bool) -> Cost:
    """Builds a network and measures it on random numbers.

    Args:
      model: network and options.
      classes: number of classes.
      tile: side of the tile; where the network's stride does not divide it, the next multiple is taken.
      fast: leaves the times out.

    Raises:
      InputError: a network that cannot be built.
    """
    keras.utils.set_random_seed(0)
    network = build_network(model, classes)
    tile = math.ceil(tile / network.stride) * network.stride
    forward = tf.function(lambda image: network(image, training=False), autograph=False)
    graph = forward.get_concrete_function(tf.TensorSpec((1, tile, tile, 3), tf.float32)).graph
    times = {} if fast else _times(network, forward, classes, tile=tile)
    return Cost(
        parameters=network.count_params(),
        stride=network.stride,
        tile=tile,
        gmac=multiply_adds(graph) / 1e9,
        activation_mb=kept_bytes(network, tile) / 1e6,
        forward_seconds=times.get("forward"),
        training_seconds=times.get("training"),
    )


def multiply_adds(graph: tf.Graph) -> int:
    """Counts the multiplications with an addition each of a graph whose shapes are known.

    Convolutions count their zeros beyond the border too, as is usual. Normalisations, activations, pooling and resizing
    are left out: they are few beside.
    """
    return sum(_multiply_adds_of(operation) for operation in graph.get_operations())


def kept_bytes(network: Network, tile: int) -> int:
    """Returns the bytes of what the forward pass of a training step computes from a tile and its gradients use.

    Read from the graph, before TensorFlow rearranges it; weights are left out. It grows in proportion to the batch.
    """
    model = TrainingModel(network)
    forward = 0  # how many of the operations, which are in the order of their making

    @tf.function(autograph=False)
    def gradients(image):
        nonlocal forward
        with tf.GradientTape() as tape:
            total = tf.add_n([tf.reduce_mean(output) for output in tf.nest.flatten(model(image, training=True))])
        forward = len(image.graph.get_operations())
        return tape.gradient(total, model.trainable_variables)

    graph = gradients.get_concrete_function(tf.TensorSpec((1, tile, tile, 3), tf.float32, name="tile")).graph
    operations = graph.get_operations()
    computed: set[str] = set()  # from the tile, or drawn for it
    for operation in operations[:forward]:
        of_tile = operation.name == "tile" or any(tensor.op.name in computed for tensor in operation.inputs)
        if of_tile or "Random" in operation.type:
            computed.add(operation.name)
    taken = {_memory(tensor).name: _memory(tensor) for operation in operations[forward:] for tensor in operation.inputs}
    # A fused normalisation's workspace has no known shape, and is empty on a CPU.
    return sum(
        (tensor.shape.num_elements() or 0) * tensor.dtype.size
        for tensor in taken.values()
        if tensor.op.name in computed
    )


def _multiply_adds_of(operation: tf.Operation) -> int:
    """An output's share, the numbers that are multiplied for it, times the outputs."""
    shapes = [tensor.shape for tensor in operation.inputs]
    match operation.type:
        case "Conv2D":
            height, width, channels, _ = shapes[1]  # of one group
            count = _result(operation).num_elements() * height * width * channels
        case "DepthwiseConv2dNative":
            height, width, _, _ = shapes[1]
            count = _result(operation).num_elements() * height * width
        case "Conv2DBackpropInput":  # a transposed convolution: here each input is multiplied for so many outputs
            height, width, channels, _ = shapes[1]
            count = shapes[2].num_elements() * height * width * channels
        case "MatMul":
            inner = shapes[0][0 if operation.get_attr("transpose_a") else 1]
            count = operation.outputs[0].shape.num_elements() * inner
        case "BatchMatMul" | "BatchMatMulV2" | "BatchMatMulV3":
            inner = shapes[0][-2 if operation.get_attr("adj_x") else -1]
            count = operation.outputs[0].shape.num_elements() * inner
        case "PartitionedCall" | "StatefulPartitionedCall":  # as Keras wraps convolutions of several groups
            count = multiply_adds(operation.graph._get_function(operation.get_attr("f").name).graph)
        case "Einsum":
            count = _multiply_adds_of_einsum(operation.get_attr("equation").decode(), shapes)
        case _:
            count = 0
    return count


def _result(convolution: tf.Operation) -> tf.TensorShape:
    """The shape of a convolution's output: a dilated one computes parts of the map, which are put together after."""
    (output,) = convolution.outputs
    after = output.consumers()
    return after[0].outputs[0].shape if [op.type for op in after] == ["BatchToSpaceND"] else output.shape


def _multiply_adds_of_einsum(equation: str, shapes: list[tf.TensorShape]) -> int:
    """The product of the sizes of all indices, those of an ellipsis included."""
    sizes: dict[str, int] = {}
    for labels, shape in zip(equation.split("->", maxsplit=1)[0].split(","), shapes, strict=True):
        before, ellipsis, after = labels.partition("...")
        hidden = len(shape) - len(before) - len(after)
        names = [*before, *(f"{ellipsis}{hidden - place}" for place in range(hidden)), *after]
        sizes |= {name: max(size, sizes.get(name, 1)) for name, size in zip(names, shape, strict=True)}
    return math.prod(sizes.values())


def _memory(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the tensor whose memory this one shows."""
    while tensor.op.type in VIEWS or tensor.op.type == "IdentityN":
        tensor = tensor.op.inputs[tensor.value_index if tensor.op.type == "IdentityN" else 0]
    return tensor


def _times(
    network: Network, forward: tf.types.experimental.GenericFunction, classes: int, *, tile: int
) -> dict[str, float]:
    image = tf.constant(np.random.default_rng(0).uniform(0, 255, (1, tile, tile, 3)), tf.float32)
    mask = tf.cast(tf.random.stateless_uniform((1, tile, tile, classes), seed=(0, 0)) < 0.01, tf.float32)
    model = TrainingModel(network)
    model.compile(keras.optimizers.AdamW(1e-4), build_loss("bce_dice"), jit_compile=False)

    def run_forward() -> None:
        forward(image).numpy()  # which waits for a GPU

    def train() -> None:
        model.train_on_batch(image, mask)

    seconds = take_turns({"forward": run_forward, "training": train}, repeats=REPEATS)
    return {name: statistics.median(times) for name, times in seconds.items()}
