"""The whole graph in ONNX: from a photograph of any size to its probability map, masks and lesions."""

import warnings

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v18 as op
from spox import Var
from spox._exceptions import InferenceWarning
from spox._internal_op import unsafe_reshape

from pipeline.export.onnx_graph.background import tiles_in_field_of_view
from pipeline.export.onnx_graph.hoisting import hoist_invariants
from pipeline.export.onnx_graph.lesions import COLUMNS, find_lesions
from pipeline.export.onnx_graph.operators import arithmetic, length_of, to_int
from pipeline.export.onnx_graph.results import drop_copies
from pipeline.export.onnx_graph.scaling import resize_map, resize_photograph, scale_of, scaled_length
from pipeline.export.onnx_graph.stitching import average_over, stitch, tile_starts
from pipeline.inference import TiledSegmenter
from pipeline.operating_point import OperatingPoint


def whole_graph(
    segmenter: TiledSegmenter, network: onnx.ModelProto, operating_point: OperatingPoint
) -> onnx.ModelProto:
    """Builds the graph around a converted network.

    Inputs: `photograph`, uint8 RGB `[H, W, 3]`; and two that may be left out: `thresholds`, float32 `[C]`, those of the
    operating point by default, and `find_lesions`, a bool scalar, true by default. Outputs: `probabilities`, float32
    `[H, W, C]`; `masks`, the pixels of the detections, bool `[H, W, C]`, and `lesions`, their table, float32
    `[n, COLUMNS]`. Without lesions, both of these are empty.

    Args:
      segmenter: how photographs are scaled and cut.
      network: the segmenter's network, see `network_to_onnx`.
      operating_point: what counts as a detection.
    """
    classes = len(segmenter.spec.classes)
    with arithmetic(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Output type for variable", category=InferenceWarning)  # of loops
        inputs = {
            "photograph": spox.argument(spox.Tensor(np.uint8, ("height", "width", 3))),
            "thresholds": spox.argument(spox.Tensor(np.float32, (classes,))),
            "find_lesions": spox.argument(spox.Tensor(np.bool_, ())),
        }
        scale = scale_of(inputs["photograph"], segmenter.rule)
        probabilities = probability_map(inputs["photograph"], scale, segmenter, network=network)
        masks, table = op.if_(
            inputs["find_lesions"],
            then_branch=lambda: find_lesions(probabilities, inputs["thresholds"], _least_areas(operating_point, scale)),
            else_branch=lambda: [op.const(np.zeros((0, 0, classes), bool)), op.const(np.zeros((0, len(COLUMNS)), "f"))],
        )
        model = spox.build(
            inputs,
            {
                "probabilities": unsafe_reshape(probabilities, ("height", "width", classes)),
                "masks": unsafe_reshape(masks, ("mask_height", "mask_width", classes)),
                "lesions": unsafe_reshape(table, ("count", len(COLUMNS))),
            },
        )
    hoist_invariants(model.graph)
    drop_copies(model.graph)
    defaults = {"thresholds": np.array(operating_point.thresholds, np.float32), "find_lesions": np.array(True)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in defaults.items())
    return model


def probability_map(photograph: Var, scale: Var, segmenter: TiledSegmenter, *, network: onnx.ModelProto) -> Var:
    """Computes the same as `TiledSegmenter.segment`.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.
      scale: its factor, float64 scalar.
      segmenter: the segmenter.
      network: its network.

    Returns:
      Probabilities, float32 `[H, W, C]`.
    """
    spec, tiling = segmenter.spec, segmenter.tiling()
    full = length_of(photograph, 0), length_of(photograph, 1)
    size = scaled_length(full[0], scale), scaled_length(full[1], scale)
    resizes = segmenter.rule.scale != 1
    kept = None
    if spec.skip_background:
        starts = tile_starts(size[0], tiling), tile_starts(size[1], tiling)
        kept = tiles_in_field_of_view(photograph, size, starts, tile=tiling.tile)

    def predict(tiles: Var) -> Var:
        (maps,) = spox.inline(network)(tiles).values()
        return maps

    image = resize_photograph(photograph, *size) if resizes else photograph
    scaled = stitch(image, average_over(spec.flips, predict), tiling, kept=kept)
    return resize_map(scaled, *full) if resizes else scaled


def _least_areas(operating_point: OperatingPoint, scale: Var) -> Var:
    """Returns how many pixels a detection in a photograph has at least, as `of_photograph` does, int64 `[C]`."""
    if not operating_point.min_areas:
        return op.const(operating_point.least_areas, np.int64)
    areas = op.const(operating_point.min_areas, np.float64) / (scale * scale)
    return op.max([to_int(op.round(areas)), op.const(1)])
