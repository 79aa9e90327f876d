"""Photographs are scaled in ONNX as in TensorFlow's graph, bit for bit, at sizes of every kind."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from pipeline.export.onnx_graph import scaling
from pipeline.export.onnx_graph.field_circle import field_diameter
from pipeline.inference import field_circle as in_tensorflow
from pipeline.inference.scaling import resize_maps
from pipeline.inference.scaling import resize_photograph as resize_in_tensorflow
from records import Camera, ScaleRule, read_photograph, scaled_size

IDRID = os.environ.get("FUNDUS_TILES_IDRID")
PHOTOGRAPH = np.zeros((1, 1, 3), np.uint8)


@pytest.fixture(scope="module")
def resize(compiled):
    return compiled(
        lambda photograph, height, width: [scaling.resize_photograph(photograph, height, width)],
        PHOTOGRAPH,
        np.array(1),
        np.array(1),
        ranks=(3,),
    )


@pytest.mark.parametrize(
    ("full", "size"),
    [
        ((1, 1), (1, 1)),
        ((7, 5), (1, 1)),
        ((40, 61), (13, 20)),
        ((64, 96), (16, 24)),  # in four parts, by whole pixels
        ((104, 131), (36, 45)),  # in four parts, by fractions
        ((104, 131), (35, 45)),
        ((33, 47), (33, 47)),
        ((33, 47), (32, 46)),
        ((150, 90), (17, 11)),
    ],
)
def test_shrunk_photographs_are_those_of_tensorflow_to_the_bit(resize, full, size):
    photograph = np.random.default_rng(full).integers(0, 256, (*full, 3), np.uint8)
    (shrunk,) = resize(photograph, np.array(size[0]), np.array(size[1]))
    np.testing.assert_array_equal(shrunk, resize_in_tensorflow(tf.constant(photograph), tf.constant(size)).numpy())


def test_enlarged_photographs_are_those_of_tensorflow_to_a_level(resize):
    photograph = np.random.default_rng(0).integers(0, 256, (23, 31, 3), np.uint8)
    (enlarged,) = resize(photograph, np.array(40), np.array(57))
    expected = resize_in_tensorflow(tf.constant(photograph), tf.constant([40, 57])).numpy()
    assert np.abs(enlarged.astype(int) - expected).max() <= 1
    assert (enlarged != expected).mean() < 0.01  # where the average is nearly a half


def test_maps_are_enlarged_as_in_tensorflow(compiled):
    maps = np.random.default_rng(0).random((19, 26, 2), np.float32)
    enlarge = compiled(lambda *given: [scaling.resize_map(*given)], maps, np.array(1), np.array(1), ranks=(3,))
    (enlarged,) = enlarge(maps, np.array(57), np.array(61))
    np.testing.assert_allclose(enlarged, resize_maps(maps, tf.constant([57, 61])).numpy(), atol=1e-4)


def test_scaled_lengths_are_those_of_the_records_at_a_grid_of_sizes(compiled):
    scaled = compiled(
        lambda length, scale: [scaling.scaled_length(length, scale)], np.array(1), np.array(1.0), ranks=(0,)
    )
    for length, scale in itertools.product((1, 2, 5, 15, 333, 2848, 4288), (0.1, 1 / 3, 0.5, 0.7, 1.0, 2.0)):
        assert scaled(np.array(length), np.array(scale))[0] == scaled_size(length, 1, scale)[0]


def disc(height: int, width: int, radius: float, *, notch: bool = False) -> np.ndarray:
    ys, xs = np.mgrid[:height, :width]
    retina = np.hypot(ys - height / 2, xs - width / 2) < radius
    if notch:
        retina[: height // 8] = False
    noise = np.random.default_rng(0).normal(0, 3, (height, width, 3))
    return np.clip(np.where(retina[..., None], (180, 90, 40), 2) + noise, 0, 255).astype(np.uint8)


PHOTOGRAPHS = {
    "a disc": disc(600, 700, 280),
    "a disc that the frame cuts": disc(210, 400, 150, notch=True),
    "white paper": np.full((120, 90, 3), 255, np.uint8),
    "noise": np.random.default_rng(1).integers(0, 256, (300, 333, 3), np.uint8),
    "one pixel": np.zeros((1, 1, 3), np.uint8),
    "one row": np.zeros((1, 700, 3), np.uint8),
}


@pytest.fixture(scope="module")
def diameter(compiled):
    return compiled(lambda photograph: [field_diameter(photograph)], PHOTOGRAPH, ranks=(0,))


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_diameters_are_those_of_tensorflow(diameter, name):
    photograph = PHOTOGRAPHS[name]
    expected = in_tensorflow.field_diameter(tf.constant(photograph)).numpy()
    assert diameter(photograph)[0] == pytest.approx(expected, rel=1e-5)
    assert (expected > 0) == ("disc" in name)


@pytest.mark.parametrize("camera", [Camera(), Camera(scale=0.4)])
def test_factors_are_those_of_the_rule(compiled, camera):
    rule = ScaleRule(None, 150.0, 50.0, camera)
    factor = compiled(lambda photograph: [scaling.scale_of(photograph, rule)], PHOTOGRAPH, ranks=(0,))
    for photograph in (disc(900, 1000, 420), disc(300, 400, 140), PHOTOGRAPHS["white paper"]):
        assert factor(photograph)[0] == pytest.approx(rule.measure(photograph).factor, rel=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(IDRID is None, reason="FUNDUS_TILES_IDRID is not set")
def test_a_photograph_of_idrid_is_measured_and_shrunk_as_in_tensorflow(resize, diameter):
    photograph = read_photograph(next(Path(IDRID or "").rglob("IDRiD_08.jpg")), max_pixels=10**8)
    expected = in_tensorflow.field_diameter(tf.constant(photograph)).numpy()
    assert diameter(photograph)[0] == pytest.approx(expected, rel=1e-5)
    (shrunk,) = resize(photograph, np.array(948), np.array(1427))
    np.testing.assert_array_equal(
        shrunk, resize_in_tensorflow(tf.constant(photograph), tf.constant([948, 1427])).numpy()
    )
