"""The parts around the network give what the whole graph gives, and the network for a GPU is the same function."""

import dataclasses

import numpy as np
import onnx
import pytest

from configs import LiteUNetConfig, ModelConfig
from models import build_network
from pipeline.export.onnx_graph import for_gpu, map_graph, network_to_onnx, tiles_graph, whole_graph
from pipeline.inference import TiledSegmenter
from tests.pipeline.export.onnx_graph.sessions import session_of


@pytest.mark.parametrize(
    "settings",
    [{"skip_background": True, "window": "gaussian"}, {"scale": None, "field_diameter": 70.0, "trim": True}],
    ids=str,
)
def test_the_parts_give_what_the_whole_graph_gives(segmenter, fundus, settings):
    changed = TiledSegmenter(segmenter.network, dataclasses.replace(segmenter.spec, **settings))
    network, point = network_to_onnx(changed), changed.spec.operating_point
    whole, between = session_of(whole_graph(changed, network, point)), session_of(network)
    before, after = session_of(tiles_graph(changed)), session_of(map_graph(changed, point))
    skipped = 0
    for size in ((96, 121), (20, 50)):
        photograph = np.pad(fundus(*size, seed=3).photograph, ((0, 0), (0, 150), (0, 0)))  # tiles of nothing
        tiles, kept, scale, scaled = before.run(None, {"photograph": photograph})
        maps = [between.run(None, {"tiles": tile[None].astype(np.float32)})[0][0] for tile in tiles]
        maps = np.where(kept[:, None, None, None], maps, np.float32(0))
        found = after.run(None, {"maps": maps, "scale": scale, "size": scaled})
        for part, expected in zip(found, whole.run(None, {"photograph": photograph}), strict=True):
            np.testing.assert_allclose(part, expected, atol=1e-5)
        skipped += (~kept).sum()
    assert (skipped > 0) == changed.spec.skip_background


def test_the_network_for_a_gpu_has_no_convolution_of_six_channels_and_gives_the_same(segmenter):
    options = LiteUNetConfig(widths=(16,), contrast=True)  # a stem of six channels
    network = build_network(ModelConfig(network="lite_unet", lite_unet=options), classes=2)
    bare = network_to_onnx(TiledSegmenter(network, segmenter.spec))
    changed = for_gpu(bare)
    assert 6 in channels_of(bare) and not {6, 9} & channels_of(changed)
    assert {weight.name for weight in changed.graph.initializer} <= {
        name for node in changed.graph.node for name in node.input
    }
    side = segmenter.spec.tile
    tiles = np.random.default_rng(0).uniform(0, 255, (1, side, side, 3)).astype(np.float32)
    (expected,), (computed,) = (session_of(model).run(None, {"tiles": tiles}) for model in (bare, changed))
    np.testing.assert_allclose(computed, expected, atol=1e-5)


def channels_of(model: onnx.ModelProto) -> set[int]:
    """Returns how many channels the convolutions with one group have."""
    weights = {weight.name: weight.dims[1] for weight in model.graph.initializer if len(weight.dims) == 4}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    return {
        weights[node.input[1]]
        for node in convolutions
        if not any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
    }
