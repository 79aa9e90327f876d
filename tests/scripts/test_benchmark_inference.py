"""The inference benchmark: its variants compute the same probability map, and it leaves the keys that are read."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from configs import Config, DataConfig, FastConfig, ModelConfig, SegmentConfig
from models import build_network
from pipeline.inference import SegmenterSpec, TiledSegmenter
from records.synthetic import synthetic_photograph
from scripts.benchmarks import inference as benchmark
from scripts.benchmarks import segmenting
from scripts.benchmarks.segmenting_memory import peak_maps

CONFIG = Config(
    data=DataConfig(scale=0.5, tile=64, stride=64),
    model=ModelConfig(network="fast", fast=FastConfig(widths=(8, 8))),
    segment=SegmentConfig(tile=320, trim=True, tile_batch=1, overlap=0.25),
)


@pytest.fixture
def small(monkeypatch):
    """A photograph of an eighth of the height and width of those of IDRiD, in as many tiles; few variants."""
    monkeypatch.setattr(benchmark, "HEIGHT", 356)
    monkeypatch.setattr(benchmark, "WIDTH", 536)
    monkeypatch.setattr(benchmark, "FULL_TILE", 64)
    monkeypatch.setattr(benchmark, "REPEATS", 1)
    monkeypatch.setattr(benchmark, "CHOICES", [(64, 0.0), (320, 0.0)])
    monkeypatch.setattr(benchmark, "TOGETHER", [(2, 1), (2, 4)])


@pytest.mark.slow
def test_a_small_run_leaves_the_keys_that_other_programs_read(small, monkeypatch):
    monkeypatch.setattr(benchmark, "peak_maps", lambda *_: 2.5)
    monkeypatch.setattr(benchmark, "more_batch_megabytes", lambda *_: 30.0)
    result = benchmark.measure(CONFIG)
    assert set(result.keys["graph_over_floor"]) == {"54", "176", "preset"}
    assert all(ratio > 0 for ratio in result.keys["graph_over_floor"].values())
    assert result.keys["graph_over_floor_on_cores"].keys() == result.keys["graph_over_floor"].keys()
    assert result.keys["usual_over_graph"] > 0
    assert result.keys["scale_over_floor"] > 0
    assert result.keys["peak_maps"] == result.keys["peak_maps_of_members"] == 2.5
    assert result.keys["more_batch_mb"] == 30
    assert {"members 2, flips 1", "members 2, flips 4"} <= set(result.keys["together_over_sum"])
    assert all(0 < ratio < 20 for ratio in result.keys["together_over_sum"].values())
    assert all(0 < share < 1 for key, share in result.keys["background_share"].items() if key != "preset")
    tiles = {row[0]: row[result.columns.index("tiles")] for row in result.rows}
    assert (tiles["segment, 54"], tiles["segment, 176"], tiles["segment, preset"]) == ("54", "176", "1")
    assert (tiles["tile 64, 0"], tiles["tile 320, 0"]) == ("15", "1")
    assert all(len(row) <= len(result.columns) for row in result.rows)


@pytest.mark.slow
def test_peak_memory_is_that_of_a_process_of_its_own():
    photograph = synthetic_photograph(np.random.default_rng(0), 2000, 3000)[0]
    spec = dataclasses.replace(SegmenterSpec.from_config(CONFIG, {}), scale=1.0, tile=256, trim=False, overlap=0.0)
    assert 0.9 < peak_maps(functools.partial(build_network, CONFIG.model, 1), spec, photograph) < 6


@pytest.mark.slow
def test_the_variants_give_the_same_probability_map(small):
    """NumPy around `predict`, tile by tile and all at once, and the photograph in one piece."""
    keras.utils.set_random_seed(0)
    network = build_network(CONFIG.model, classes=1)
    photograph = synthetic_photograph(np.random.default_rng(0), benchmark.HEIGHT, benchmark.WIDTH)[0]
    preset = SegmenterSpec.from_config(CONFIG, {})
    spec = benchmark.full_spec(preset, 0.5)
    segmenter = TiledSegmenter(network, spec)
    expected = segmenter.segment(photograph)
    for at_once in (False, True):
        found = segmenting.predicted_map(network, photograph, spec, at_once=at_once)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    wholes = segmenting.whole_maps(network, [photograph], preset)
    assert max(segmenting.seam(TiledSegmenter(network, preset), [photograph], wholes)) < 1e-5
    cut = TiledSegmenter(network, dataclasses.replace(preset, tile=64))
    most, mean = segmenting.seam(cut, [photograph], wholes)
    assert most > mean > 1e-5


def test_the_bare_network_runs_on_full_batches(small):
    shapes = []

    def network(images: tf.Tensor, training: bool) -> tf.Tensor:
        shapes.append(tuple(images.shape))
        return images[..., :1]

    photograph = np.full((benchmark.HEIGHT, benchmark.WIDTH, 3), 90, np.uint8)
    spec = benchmark.full_spec(SegmenterSpec.from_config(CONFIG, {}), 0.0)
    tf.config.run_functions_eagerly(True)
    try:
        segmenting.bare_network(network, photograph, spec)()
    finally:
        tf.config.run_functions_eagerly(False)
    assert shapes == [(4, 64, 64, 3)] * 14  # 54 tiles
