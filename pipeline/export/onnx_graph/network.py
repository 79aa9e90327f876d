"""The bare network in ONNX, by tf2onnx, also with smaller weights, and as WebGPU computes it right."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import tensorflow as tf

from configs import InputError
from pipeline.export.onnx_graph.hoisting import set_nodes, subgraphs
from pipeline.export.onnx_graph.operators import OPSET
from pipeline.inference import TiledSegmenter

PRECISIONS = ("float32", "float16", "int8")
SMALLEST = 256  # numbers of a weight that is stored as float16
FEWEST_CHANNELS = 16  # in and out of a convolution that is computed with integers


def network_to_onnx(segmenter: TiledSegmenter, *, precision: str = "float32") -> onnx.ModelProto:
    """Converts a segmenter's network, float32: tiles `[1, t, t', 3]` → probabilities `[1, t, t', C]`.

    Args:
      segmenter: its network computes in float32.
      precision: "float32"; "float16": weights are stored as float16, in half the size, and computed with in float32;
        "int8": weights are stored as 8-bit integers, and convolutions computed with integers, for which each map is
        rounded to 256 levels (onnxruntime's dynamic quantization).

    Raises:
      InputError: tf2onnx cannot convert the network.
    """
    import tf2onnx

    side = None if segmenter.spec.trim else segmenter.spec.tile
    function = tf.function(
        segmenter.tiles,
        input_signature=[tf.TensorSpec([1, side, side, 3], tf.float32, name="tiles")],
        autograph=False,
    )
    try:
        model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    except Exception as error:  # of any kind: whatever its converters stumble over
        name = getattr(segmenter.network, "name", "this network")
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"--format=onnx: tf2onnx cannot convert {name}: {reason}; export a SavedModel.") from error
    _refuse_foreign(model)
    if precision == "float16":
        _store_as_half(model.graph)
    return _quantized(model) if precision == "int8" else model


def for_gpu(network: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a network that computes the same, and right in WebGPU.

    onnxruntime-web 1.30 computes convolutions of 6 or 9 channels wrongly there, without an error: they get channels of
    zeros, to a multiple of four.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(network)
    weights = {weight.name: weight for weight in network.graph.initializer}
    nodes, replaced = [], set()
    for node in changed.graph.node:
        weight = weights.get(node.input[1]) if node.op_type == "Conv" else None
        grouped = any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
        if weight is not None and weight.dims[1] > 4 and weight.dims[1] % 4 and not grouped:
            replaced.add(weight.name)
            nodes.append(_with_channels_of_zeros(changed.graph, node, onnx.numpy_helper.to_array(weight)))
        nodes.append(node)
    set_nodes(changed.graph, nodes)
    used = {name for node in changed.graph.node for name in node.input}
    for weight in weights.values():
        if weight.name in replaced - used:
            changed.graph.initializer.remove(weight)
    return changed


def _refuse_foreign(model: onnx.ModelProto) -> None:
    """Raises InputError if operations of TensorFlow were left, which tf2onnx only logs."""
    foreign = _foreign(model.graph)
    if foreign:
        raise InputError(
            "--format=onnx: the network has operations that tf2onnx cannot convert "
            f"({', '.join(sorted(foreign))}); export a SavedModel."
        )


def _foreign(graph: onnx.GraphProto) -> set[str]:
    """Returns the names of the operations that ONNX does not have."""
    names = {node.op_type for node in graph.node if not onnx.defs.has(node.op_type, node.domain)}
    return names.union(*(_foreign(inner) for node in graph.node for inner in subgraphs(node)))


def _store_as_half(graph: onnx.GraphProto) -> None:
    """Replaces weights by float16 ones and casts, which onnxruntime computes once, when it loads the file."""
    casts = []
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size >= SMALLEST:
            name = weight.name
            weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    set_nodes(graph, [*casts, *graph.node])


def _quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns the network with its wide convolutions in integers; the others lose too much, and have few weights."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    weights = {weight.name: weight.dims for weight in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    narrow = [node.name for node in convolutions if min(weights.get(node.input[1], [0])[:2]) < FEWEST_CHANNELS]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        # onnxruntime's convolution of integers takes only unsigned ones.
        options = {"op_types_to_quantize": ["Conv"], "nodes_to_exclude": narrow, "weight_type": QuantType.QUInt8}
        quantize_dynamic(model, file, **options)
        return onnx.load(file)


def _with_channels_of_zeros(graph: onnx.GraphProto, convolution: onnx.NodeProto, kernel: np.ndarray) -> onnx.NodeProto:
    """Gives a convolution further channels, of which its weights are zero; returns the node that makes them."""
    count = -kernel.shape[1] % 4
    image, wider, pads = (f"{convolution.output[0]}_{name}" for name in ("image_of_four", "kernel_of_four", "pads"))
    of_four = np.pad(kernel, ((0, 0), (0, count), (0, 0), (0, 0)))
    graph.initializer.append(onnx.numpy_helper.from_array(of_four, wider))
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([0, 0, 0, 0, 0, count, 0, 0]), pads))
    node = onnx.helper.make_node("Pad", [convolution.input[0], pads], [image])
    convolution.input[0], convolution.input[1] = image, wider
    return node
