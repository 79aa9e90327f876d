"""The graph: one trace for all sizes, run as in inference, tiles trimmed to the photograph."""

import numpy as np
import pytest

from pipeline.inference import TiledSegmenter, load_segmenter


@pytest.mark.slow
def test_a_loaded_segmenter_gives_the_same_map(model_folder, network, fundus):
    photograph = fundus(90, 131, seed=5).photograph
    loaded = load_segmenter(model_folder)
    in_memory = TiledSegmenter(network, loaded.spec)
    probabilities = loaded.segment(photograph).numpy()
    assert probabilities.shape == (90, 131, 2)
    assert np.ptp(probabilities) > 0.01
    assert np.array_equal(probabilities, in_memory.segment(photograph))


@pytest.mark.slow
def test_probabilities_are_within_0_and_1_and_have_the_photographs_size(model_folder):
    segmenter = load_segmenter(model_folder)
    for height, width in ((1, 1), (20, 150), (32, 40), (101, 67)):
        photograph = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        probabilities = segmenter.segment(photograph).numpy()
        assert probabilities.shape == (height, width, 2)
        assert probabilities.dtype == np.float32
        assert probabilities.min() >= 0
        assert probabilities.max() <= 1
    assert segmenter.segment.experimental_get_tracing_count() == 1


def test_tiles_are_run_as_in_inference_not_as_in_training(model_folder):
    segmenter = load_segmenter(model_folder)
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    assert np.array_equal(segmenter.tiles(images), segmenter.network(images, training=False))
    assert not np.allclose(segmenter.tiles(images), segmenter.network(images, training=True), atol=1e-4)


@pytest.mark.slow
def test_a_large_trimmed_tile_takes_a_photograph_in_one_piece(network, spec, fundus):
    """The network of stride 4 sees the photograph itself, padded to multiples of 4, with one trace."""
    trimmed = TiledSegmenter(network, spec(classes=("a", "b"), tile=160, trim=True, tile_batch=1))
    for height, width in ((90, 131), (61, 40), (1, 160)):
        photograph = fundus(height, width, seed=5).photograph
        filled = np.zeros((1, -(-height // 4) * 4, -(-width // 4) * 4, 3), np.float32)
        filled[0, :height, :width] = photograph
        expected = network(filled, training=False)[0, :height, :width]
        np.testing.assert_allclose(trimmed.segment(photograph), expected, atol=1e-6)
    assert trimmed.segment.experimental_get_tracing_count() == 1
