"""The whole graph in two parts around its network, which runs elsewhere: on the GPU of a browser.

onnxruntime-web computes on a GPU what is a network, and little else right (WebGPU, version 1.30); and the build that
can do so has no float64, which sizes of photographs need.
"""

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v18 as op
from onnx import numpy_helper
from spox import Var

from pipeline.export.onnx_graph.background import tiles_in_field_of_view
from pipeline.export.onnx_graph.building import PHOTOGRAPH, build, results, with_choices
from pipeline.export.onnx_graph.hoisting import set_nodes
from pipeline.export.onnx_graph.operators import length_of, vector
from pipeline.export.onnx_graph.scaling import resize_map, resize_photograph, scale_of, scaled_length
from pipeline.export.onnx_graph.stitching import blend, cut_tiles, tile_starts
from pipeline.inference import TiledSegmenter
from pipeline.operating_point import OperatingPoint


def tiles_graph(segmenter: TiledSegmenter) -> onnx.ModelProto:
    """Builds the part before the network.

    Input: `photograph`, uint8 RGB `[H, W, 3]`. Outputs: `tiles`, uint8 `[n, t, t', 3]`; `kept`, those that the network
    must see, bool `[n]`, as the maps of the others are zero; `scale`, the photograph's factor, a float64 scalar; and
    `size`, its height and width, int64 `[2]`.
    """
    tiling = segmenter.tiling()

    def outputs(photograph: Var) -> dict[str, Var]:
        scale, size = scale_of(photograph, segmenter.rule), (length_of(photograph, 0), length_of(photograph, 1))
        scaled = scaled_length(size[0], scale), scaled_length(size[1], scale)
        tiles = cut_tiles(resize_photograph(photograph, *scaled), tiling)
        if segmenter.spec.skip_background:
            starts = tile_starts(scaled[0], tiling), tile_starts(scaled[1], tiling)
            kept = tiles_in_field_of_view(photograph, scaled, starts, tile=tiling.tile)
        else:
            kept = op.expand(op.const(True), vector(length_of(tiles, 0)))
        return {"tiles": tiles, "kept": op.reshape(kept, op.const([-1])), "scale": scale, "size": vector(*size)}

    return build({"photograph": PHOTOGRAPH}, outputs)


def map_graph(segmenter: TiledSegmenter, operating_point: OperatingPoint) -> onnx.ModelProto:
    """Builds the part after the network.

    Inputs: `maps`, what the network gives for each of the tiles, float32 `[n, t, t', C]`; `scale` and `size` as the
    first part gives them; and `thresholds` and `find_lesions`. Outputs: those of `whole_graph`.
    """
    tiling = segmenter.tiling()

    def outputs(maps: Var, scale: Var, size: Var, **choices: Var) -> dict[str, Var]:
        full = op.gather(size, op.const(0)), op.gather(size, op.const(1))
        scaled = scaled_length(full[0], scale), scaled_length(full[1], scale)
        columns = length_of(tile_starts(scaled[1], tiling), 0)
        small = blend(scaled, lambda row, column: op.gather(maps, row * columns + column), tiling)
        return results(resize_map(small, *full), choices, operating_point, scale=scale)

    types, defaults = with_choices(operating_point)
    inputs = {
        "maps": spox.Tensor(np.float32, ("n", "tile_height", "tile_width", tiling.classes)),
        "scale": spox.Tensor(np.float64, ()),
        "size": spox.Tensor(np.int64, (2,)),
    }
    return build({**inputs, **types}, outputs, defaults)


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
            nodes.append(_with_channels_of_zeros(changed.graph, node, numpy_helper.to_array(weight)))
        nodes.append(node)
    set_nodes(changed.graph, nodes)
    used = {name for node in changed.graph.node for name in node.input}
    for weight in weights.values():
        if weight.name in replaced - used:
            changed.graph.initializer.remove(weight)
    return changed


def _with_channels_of_zeros(graph: onnx.GraphProto, convolution: onnx.NodeProto, kernel: np.ndarray) -> onnx.NodeProto:
    """Gives a convolution further channels, of which its weights are zero; returns the node that makes them."""
    count = -kernel.shape[1] % 4
    image, wider, pads = (f"{convolution.output[0]}_{name}" for name in ("image_of_four", "kernel_of_four", "pads"))
    of_four = np.pad(kernel, ((0, 0), (0, count), (0, 0), (0, 0)))
    graph.initializer.append(numpy_helper.from_array(of_four, wider))
    graph.initializer.append(numpy_helper.from_array(np.array([0, 0, 0, 0, 0, count, 0, 0]), pads))
    node = onnx.helper.make_node("Pad", [convolution.input[0], pads], [image])
    convolution.input[0], convolution.input[1] = image, wider
    return node
