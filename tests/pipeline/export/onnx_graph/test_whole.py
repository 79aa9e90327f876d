"""The file computes the segmenter's maps, at every setting, for photographs of every size."""

import dataclasses

import keras
import numpy as np
import onnxruntime
import pytest

from configs import FastConfig, LiteUNetConfig, ModelConfig
from models import build_network
from pipeline.export.onnx_graph import network_to_onnx, whole_graph
from pipeline.inference import TiledSegmenter
from pipeline.operating_point import OperatingPoint
from tests.pipeline.export.onnx_graph.sessions import session_of


def session_with(segmenter, point=None, *, precision="float32", network=None) -> onnxruntime.InferenceSession:
    network = network or network_to_onnx(segmenter, precision=precision)
    return session_of(whole_graph(segmenter, network, point or segmenter.spec.operating_point))


@pytest.fixture(scope="module")
def converted(segmenter):
    """The segmenter's network, for tiles of any size."""
    trimmed = TiledSegmenter(segmenter.network, dataclasses.replace(segmenter.spec, trim=True))
    return network_to_onnx(trimmed)


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": 1.5, "window": "gaussian", "overlap": 0.5},
        {"scale": None, "field_diameter": 70.0, "flips": 8, "skip_background": True},
    ],
    ids=str,
)
def test_maps_are_those_of_the_segmenter(segmenter, converted, fundus, settings):
    changed = TiledSegmenter(segmenter.network, dataclasses.replace(segmenter.spec, **settings))
    session = session_with(changed, network=converted)
    for size in ((96, 121), (20, 50)):
        photograph = fundus(*size, seed=3).photograph
        probabilities, masks, _ = session.run(None, {"photograph": photograph})
        expected = changed.segment(photograph).numpy()
        np.testing.assert_allclose(probabilities, expected, atol=2e-3)
        np.testing.assert_array_equal(masks, segmenter.spec.operating_point.detect(probabilities))


def test_thresholds_and_lesions_are_choices_of_the_caller(segmenter, converted, fundus):
    point = OperatingPoint((0.5, 0.5), min_areas=(6.0, 0.0))
    session, photograph = session_with(segmenter, point, network=converted), fundus(96, 121, seed=3).photograph
    low = np.array([0.3, 0.4], np.float32)
    probabilities, masks, table = session.run(None, {"photograph": photograph, "thresholds": low})
    in_photograph = dataclasses.replace(point, thresholds=tuple(low.tolist())).of_photograph(0.8)
    np.testing.assert_array_equal(masks, in_photograph.detect(probabilities))
    assert masks.any() and (table[table[:, 0] == 0, 5] >= 9).all()
    _, masks, table = session.run(None, {"photograph": photograph, "find_lesions": np.array(False)})
    assert masks.size == 0 and len(table) == 0


@pytest.mark.parametrize(
    ("options", "precision", "allowed"),
    [
        (ModelConfig(network="fast", fast=FastConfig(widths=(16, 24), contrast_sigma=4.0)), "int8", 0.1),
        (ModelConfig(network="lite_unet", lite_unet=LiteUNetConfig(finest=2, widths=(16,))), "float32", 2e-4),
        (
            ModelConfig(network="lite_unet", lite_unet=LiteUNetConfig(widths=(16,), standardize=True, levels=True)),
            "float32",
            2e-4,
        ),
    ],
    ids=["fast", "lite_unet", "lite_unet, standardised"],
)
def test_the_networks_of_the_pretrained_models_are_converted(spec, fundus, options, precision, allowed):
    keras.utils.set_random_seed(0)
    network = build_network(options, classes=1)
    segmenter, photograph = TiledSegmenter(network, spec(tile=64)), fundus(64, 90, seed=1).photograph
    computed = session_with(segmenter, precision=precision).run(["probabilities"], {"photograph": photograph})[0]
    difference = np.abs(computed - segmenter.segment(photograph).numpy()).max()
    assert difference <= allowed
    assert precision == "float32" or difference > 0
