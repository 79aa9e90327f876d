"""The whole graph in ONNX: from a photograph of any size to its probability map, masks and lesions."""

import onnx
import spox
from spox import Var

from pipeline.export.onnx_graph.background import tiles_in_field_of_view
from pipeline.export.onnx_graph.building import PHOTOGRAPH, build, choices_of, found_in
from pipeline.export.onnx_graph.operators import length_of
from pipeline.export.onnx_graph.scaling import at_full_size, resize_photograph, scale_of, scaled_length
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
        return found_in(probabilities, choices, operating_point, scale=scale)

    types, defaults = choices_of(operating_point)
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

    def predict(tiles: Var) -> Var:
        (maps,) = spox.inline(network)(tiles).values()
        return maps

    image, kept = image_and_kept_tiles(photograph, scale, segmenter)
    scaled = stitch(image, average_over(segmenter.spec.flips, predict), segmenter.tiling(), kept=kept)
    return at_full_size(scaled, (length_of(photograph, 0), length_of(photograph, 1)), segmenter.rule)


def image_and_kept_tiles(photograph: Var, scale: Var, segmenter: TiledSegmenter) -> tuple[Var, Var | None]:
    """Returns the image that is cut into tiles, uint8 `[h, w, 3]`, and which of them the network must see.

    The second is bool `[rows, columns]`, or None for all. Arguments as those of `probability_map`.
    """
    size = (
        scaled_length(length_of(photograph, 0), scale),
        scaled_length(length_of(photograph, 1), scale),
    )
    image = photograph if segmenter.rule.scale == 1 else resize_photograph(photograph, *size)
    if not segmenter.spec.skip_background:
        return image, None
    tiling = segmenter.tiling()
    starts = tile_starts(size[0], tiling), tile_starts(size[1], tiling)
    return image, tiles_in_field_of_view(photograph, size, starts, tile=tiling.tile)
