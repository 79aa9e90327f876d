"""The whole graph in ONNX: from a photograph of any size to its probability map, masks and lesions."""

import onnx
import spox
from spox import Var

from pipeline.export.onnx_graph.background import tiles_in_field_of_view
from pipeline.export.onnx_graph.building import PHOTOGRAPH, build, results, with_choices
from pipeline.export.onnx_graph.operators import length_of
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

    def outputs(photograph: Var, **choices: Var) -> dict[str, Var]:
        scale = scale_of(photograph, segmenter.rule)
        probabilities = probability_map(photograph, scale, segmenter, network=network)
        return results(probabilities, choices, operating_point, scale=scale)

    types, defaults = with_choices(operating_point)
    return build({"photograph": PHOTOGRAPH, **types}, outputs, defaults)


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
