"""Tiles lie where those of the records do, and their maps are blended as in TensorFlow's graph."""

import numpy as np
import pytest
import spox.opset.ai.onnx.v18 as op
import tensorflow as tf

from pipeline.export.onnx_graph.background import tiles_in_field_of_view
from pipeline.export.onnx_graph.stitching import average_over, stitch, tile_starts
from pipeline.inference import Tiling, orientations
from pipeline.inference.background import tiles_in_field_of_view as in_tensorflow
from pipeline.inference.tiling import stitch as stitch_in_tensorflow
from records import tile_starts as reference


def tiling(**fields) -> Tiling:
    return Tiling(**{"classes": 2, "tile": 32, "stride": 20, "window": "hann", "tile_batch": 1} | fields)


@pytest.mark.parametrize(("tile", "stride"), [(1, 1), (16, 5), (32, 32), (48, 31)])
def test_starts_are_those_of_the_records_at_every_length(compiled, tile, stride):
    starts = compiled(lambda length: [tile_starts(length, tiling(tile=tile, stride=stride))], np.array(1), ranks=(1,))
    for length in range(1, 150):
        assert starts(np.array(length))[0].tolist() == reference(length, tile, stride)


def first_two(tiles):
    """A network of two classes, whose result depends on the place within a tile."""
    return tiles[..., :2] / 255 * tf.range(32, dtype=tf.float32)[None, :, None, None]


def first_two_in_onnx(tiles):
    rows = op.const(np.arange(32, dtype=np.float32)[None, :, None, None])
    return op.slice(tiles, op.const([0]), op.const([2]), op.const([3])) / 255 * rows


@pytest.mark.parametrize(("window", "stride"), [("uniform", 32), ("gaussian", 20), ("hann", 9)])
def test_maps_are_blended_as_in_tensorflow(compiled, window, stride):
    chosen = tiling(window=window, stride=stride)
    run = compiled(lambda image: [stitch(image, first_two_in_onnx, chosen)], np.zeros((1, 1, 3), np.uint8), ranks=(3,))
    for size in ((32, 32), (33, 70), (90, 64), (5, 50)):
        image = np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)
        expected = stitch_in_tensorflow(tf.constant(image), first_two, chosen).numpy()
        np.testing.assert_allclose(run(image)[0], expected, atol=2e-5)


def test_trimmed_tiles_are_as_large_as_in_tensorflow(compiled):
    chosen = tiling(tile=64, stride=48, trim_to=8)
    run = compiled(
        lambda image: [
            stitch(image, lambda tiles: op.slice(tiles, op.const([0]), op.const([2]), op.const([3])), chosen)
        ],
        np.zeros((1, 1, 3), np.uint8),
        ranks=(3,),
    )
    for size in ((9, 100), (64, 17), (30, 30)):
        image = np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)
        expected = stitch_in_tensorflow(tf.constant(image), lambda tiles: tiles[..., :2], chosen).numpy()
        np.testing.assert_allclose(run(image)[0], expected, rtol=1e-5)


@pytest.mark.parametrize("flips", [4, 8])
def test_orientations_are_averaged_as_in_tensorflow(compiled, flips):
    tiles = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    run = compiled(lambda tiles: [average_over(flips, first_two_in_onnx)(tiles)], tiles, ranks=(4,))
    expected = orientations.average_over(flips, first_two)(tf.constant(tiles)).numpy()
    np.testing.assert_allclose(run(tiles)[0], expected, rtol=1e-5)


def test_the_same_tiles_are_kept_as_in_tensorflow(compiled):
    photograph = np.zeros((200, 300, 3), np.uint8)
    photograph[60:120, 100:180] = 150
    starts = [np.array(reference(length, 32, 20)) for length in (100, 150)]
    run = compiled(
        lambda photograph, rows, columns: [
            tiles_in_field_of_view(photograph, (op.const(100), op.const(150)), (rows, columns), tile=32)
        ],
        photograph,
        *starts,
        ranks=(2,),
    )
    rows, columns = (tf.constant(start, tf.int32) for start in starts)
    expected = in_tensorflow(tf.constant(photograph), tf.constant([100, 150]), rows, columns=columns, tile=32).numpy()
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(run(photograph, *starts)[0], expected)
