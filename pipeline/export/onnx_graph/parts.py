"""The whole graph in two parts around its network, which runs elsewhere: on the GPU of a browser.

onnxruntime-web computes on a GPU what is a network, and little else right (WebGPU, version 1.30); and the build that
can do so has no float64, which sizes of photographs need.
"""

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v18 as op
from spox import Var

from pipeline.export.onnx_graph.building import PHOTOGRAPH, build, choices_of, found_in
from pipeline.export.onnx_graph.operators import length_of, vector
from pipeline.export.onnx_graph.scaling import at_full_size, scale_of, scaled_length
from pipeline.export.onnx_graph.stitching import blend, cut_tiles, tile_starts
from pipeline.export.onnx_graph.whole import image_and_kept_tiles
from pipeline.inference import TiledSegmenter
from pipeline.operating_point import OperatingPoint


def tiles_graph(segmenter: TiledSegmenter) -> onnx.ModelProto:
    """Builds the part before the network.

    Input: `photograph`, uint8 RGB `[H, W, 3]`. Outputs: `tiles`, uint8 `[n, t, t', 3]`; `kept`, those that the network
    must see, bool `[n]`, as the maps of the others are zero; `scale`, the photograph's factor, a float64 scalar; and
    `size`, its height and width, int64 `[2]`.
    """

    def outputs(photograph: Var) -> dict[str, Var]:
        scale = scale_of(photograph, segmenter.rule)
        image, kept = image_and_kept_tiles(photograph, scale, segmenter)
        tiles, size = cut_tiles(image, segmenter.tiling()), vector(*(length_of(photograph, axis) for axis in (0, 1)))
        if kept is None:
            kept = op.expand(op.const(True), vector(length_of(tiles, 0)))
        return {"tiles": tiles, "kept": op.reshape(kept, op.const([-1])), "scale": scale, "size": size}

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
        return found_in(at_full_size(small, full, segmenter.rule), choices, operating_point, scale=scale)

    types, defaults = choices_of(operating_point)
    inputs = {
        "maps": spox.Tensor(np.float32, ("n", "tile_height", "tile_width", tiling.classes)),
        "scale": spox.Tensor(np.float64, ()),
        "size": spox.Tensor(np.int64, (2,)),
    }
    return build({**inputs, **types}, outputs, defaults)
