"""Stitching, with plain functions as networks: the identity returns the image at every size."""

import dataclasses
import functools
import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from configs import DataConfig
from pipeline.inference import SegmenterSpec, TiledSegmenter
from pipeline.inference.tiling import Tiling, stitch, tile_starts
from records import rescale_photograph, scaled_size, stride_of_overlap, tile_origins, window
from records import tile_starts as starts_of_records
from records.shards.sharding import read_shard

TILE = 16
# One pixel, a strip each way, smaller than a tile, exactly one, just more, primes, several tiles flush with the border.
SIZES = [(1, 1), (1, 397), (297, 3), (5, 11), (16, 16), (17, 16), (37, 53), (48, 32)]
GEOMETRIES = [(name, overlap) for name in ("uniform", "hann", "gaussian") for overlap in (0.0, 0.25, 0.5, 0.7)]


def photograph_of(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, height, width)).integers(0, 256, (height, width, 3), np.uint8)


def smooth_photograph_of(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def batches_seen(geometry: SegmenterSpec, photograph: np.ndarray) -> list[np.ndarray]:
    """Runs the segmenter without a graph and returns the batches that its network got."""
    batches: list[np.ndarray] = []

    def network(images: tf.Tensor) -> tf.Tensor:
        batches.append(images.numpy())
        return images / 255

    segmenter = TiledSegmenter(network, geometry)
    tf.config.run_functions_eagerly(True)
    try:
        segmenter.segment(photograph)
    finally:
        tf.config.run_functions_eagerly(False)
    return batches


def stitched_by_hand(
    image: np.ndarray, predict, *, classes: int, stride: int, window_name: str, counts=lambda origin: True
) -> np.ndarray:
    """Stitches in float64 with a loop over tiles: sum of weight times map, divided by the sum of weights.

    The maps of tiles whose origin does not count are zero.
    """
    height, width = image.shape[:2]
    padded = np.zeros((max(height, TILE), max(width, TILE), 3), np.float32)
    padded[:height, :width] = image
    along = window(window_name, TILE).astype(np.float64)
    weight = np.outer(along, along)[..., None]
    total, weights = np.zeros((*padded.shape[:2], classes)), np.zeros((*padded.shape[:2], 1))
    for y, x in tile_origins(height, width, TILE, stride=stride):
        place = np.s_[y : y + TILE, x : x + TILE]
        total[place] += predict(padded[place][None])[0] * weight * counts((y, x))
        weights[place] += weight
    return (total / weights)[:height, :width]


@pytest.fixture(scope="module")
def positional():
    """A network of two classes whose map depends on the place inside the tile, so that misplaced tiles show.

    Works on NumPy arrays and tensors alike.
    """
    ys, xs = np.mgrid[:TILE, :TILE].astype(np.float32)
    ramps = np.stack([(ys + 1) / 40 + (xs + 1) / 700, (xs + 2) ** 2 / 600], axis=-1)
    return lambda images: images[..., :2] / 900 + ramps


@pytest.fixture(scope="module")
def segmenters(spec, positional) -> Callable[..., TiledSegmenter]:
    """Makes one segmenter for each geometry: tracing it takes longer than its maps.

    These have six classes: the three of an identity network, one of ones, and the two of `positional`.
    """

    def network(images: tf.Tensor) -> tf.Tensor:
        return tf.concat([images / 255, tf.ones_like(images[..., :1]), positional(images)], axis=-1)

    @functools.cache
    def make(window_name: str, overlap: float, tile_batch: int = 3) -> TiledSegmenter:
        geometry = spec(classes=tuple("RGB1ab"), window=window_name, overlap=overlap, tile_batch=tile_batch)
        return TiledSegmenter(network, geometry)

    return make


@pytest.mark.slow
@given(st.integers(1, 400), st.integers(1, 64), st.data())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_tiles_start_where_the_records_start_them(length, tile, data):
    stride = data.draw(st.integers(1, tile))
    assert tile_starts(tf.constant(length), tile, stride).numpy().tolist() == starts_of_records(length, tile, stride)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("window_name", "overlap", "tile_batch"),
    [*((*one, 3) for one in GEOMETRIES), ("hann", 0.5, 1), ("gaussian", 0.7, 50)],
)
def test_an_identity_network_gives_the_photograph_back_in_one_trace(segmenters, window_name, overlap, tile_batch):
    segmenter = segmenters(window_name, overlap, tile_batch)
    for height, width in SIZES:
        photograph = photograph_of(height, width)
        probabilities = segmenter.segment(photograph)
        assert probabilities.dtype == tf.float32
        np.testing.assert_allclose(probabilities[..., :3], photograph / 255, atol=2e-6, err_msg=f"{height}x{width}")
    assert segmenter.segment.experimental_get_tracing_count() == 1


def test_an_affine_network_gives_the_affine_photograph_back(spec):
    geometry = spec(window="gaussian", overlap=0.5, tile_batch=3)
    segmenter = TiledSegmenter(lambda images: 0.9 - images[..., 1:2] / 300, geometry)
    for height, width in SIZES:
        photograph = photograph_of(height, width)
        np.testing.assert_allclose(segmenter.segment(photograph), 0.9 - photograph[..., 1:2] / 300, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("window_name", "overlap"), [*GEOMETRIES, ("hann", 0.9), ("gaussian", 0.95)])
def test_weights_sum_to_one_at_every_pixel(segmenters, window_name, overlap):
    segmenter = segmenters(window_name, overlap)
    for height, width in SIZES:
        ones = segmenter.segment(photograph_of(height, width))[..., 3]
        np.testing.assert_allclose(ones, 1, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("window_name", "overlap"), [*GEOMETRIES, ("hann", 0.9), ("uniform", 0.95)])
def test_stitching_equals_a_loop_in_numpy(segmenters, positional, window_name, overlap):
    segmenter = segmenters(window_name, overlap)
    stride = stride_of_overlap(TILE, overlap)

    @given(st.integers(1, 70), st.integers(1, 70))
    @settings(max_examples=8, deadline=None, derandomize=True)
    def holds(height, width):
        photograph = photograph_of(height, width)
        expected = stitched_by_hand(photograph, positional, classes=2, stride=stride, window_name=window_name)
        np.testing.assert_allclose(segmenter.segment(photograph)[..., 4:], expected, atol=2e-6)

    holds()


@pytest.mark.slow
def test_the_batch_size_changes_no_map(spec, positional):
    maps = []
    for tile_batch in (1, 2, 7, 64):
        geometry = spec(classes=("a", "b"), window="hann", overlap=0.3, tile_batch=tile_batch)
        segmenter = TiledSegmenter(positional, geometry)
        maps.append(segmenter.segment(photograph_of(75, 58)).numpy())
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], atol=1e-6)


def test_a_network_always_gets_whole_batches_of_float32(spec):
    batches = batches_seen(spec(classes=("R", "G", "B"), tile_batch=4), photograph_of(40, 33))  # 3 x 3 tiles
    assert [batch.shape for batch in batches] == [(4, TILE, TILE, 3)] * 3
    assert all(batch.dtype == np.float32 for batch in batches)
    assert all(np.array_equal(tile, batches[2][0]) for tile in batches[2])  # filled up with the last tile


def test_inference_cuts_the_tiles_that_the_records_hold(tmp_path, spec, fundus, write_case, shard):
    """Scaled alike, cut at the same places, in the same order; the shrunk pixels may differ by a level."""
    picture = fundus(140, 181, seed=3)
    full = picture._replace(masks=np.ones_like(picture.masks))  # every tile holds a lesion, so that all are kept
    case = write_case(tmp_path / "source", "full", full, "train")
    data = DataConfig(classes=("HE", "MA"), scale=0.7, tile=32, stride=24)
    index = shard(tmp_path / "records", [case], data)
    stored = list(read_shard(tmp_path / "records" / index.splits["train"].shards[0].name))

    geometry = spec(classes=("R", "G", "B"), scale=0.7, tile=32, overlap=0.25, tile_batch=1)
    batches = batches_seen(geometry, picture.photograph)
    assert len(stored) == len(batches) == len(tile_origins(*scaled_size(140, 181, 0.7), 32, stride=24))
    for tile, batch in zip(stored, batches, strict=True):
        image = cv2.imdecode(np.frombuffer(tile.image, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_allclose(batch[0], image, atol=1)


@pytest.mark.slow
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1 / 3, 0.5, 0.7, 0.99]))
@example(45, 85, 0.7)  # 31.5 and 59.5 in float64, not in float32
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_graph_shrinks_a_photograph_as_the_records_do(spec, height, width, scale):
    photograph = photograph_of(height, width)
    shrunk = rescale_photograph(photograph, scale)
    seen = batches_seen(spec(classes=("R", "G", "B"), scale=scale, tile=96, tile_batch=1), photograph)[0][0]
    assert shrunk.shape[:2] == scaled_size(height, width, scale)
    np.testing.assert_allclose(seen[: shrunk.shape[0], : shrunk.shape[1]], shrunk, atol=1)
    assert not seen[shrunk.shape[0] :].any()
    assert not seen[:, shrunk.shape[1] :].any()


@pytest.mark.parametrize("scale", [1 / 3, 0.5, 0.8])
def test_a_scaled_map_comes_back_bilinearly_at_the_photographs_own_size(spec, scale):
    segmenter = TiledSegmenter(
        lambda images: images / 255, spec(classes=("R", "G", "B"), scale=scale, window="hann", overlap=0.5)
    )
    for height, width in SIZES:
        photograph = smooth_photograph_of(height, width)
        shrunk = rescale_photograph(photograph, scale).astype(np.float32) / 255
        expected = cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)
        probabilities = segmenter.segment(photograph)
        assert probabilities.shape == (height, width, 3)
        np.testing.assert_allclose(probabilities, expected.reshape(height, width, 3), atol=1.01 / 255)
    assert segmenter.segment.experimental_get_tracing_count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1 / 3, 0.77])
def test_a_constant_map_stays_constant_at_every_scale(spec, scale):
    values = np.float32([0, 0.37, 1])
    geometry = spec(classes=("a", "b", "c"), scale=scale, window="gaussian", overlap=0.25)
    segmenter = TiledSegmenter(lambda images: tf.zeros_like(images) + values, geometry)
    for height, width in SIZES:
        probabilities = segmenter.segment(photograph_of(height, width)).numpy()
        assert probabilities.shape == (height, width, 3)
        np.testing.assert_allclose(probabilities, np.broadcast_to(values, probabilities.shape), atol=2e-6)


def test_stitch_works_eagerly_on_an_image_of_any_dtype():
    image = photograph_of(21, 34).astype(np.float64)
    tiling = Tiling(classes=3, tile=TILE, stride=9, window="hann", tile_batch=2)
    np.testing.assert_allclose(stitch(tf.constant(image), lambda tiles: tiles, tiling), image, rtol=1e-5, atol=1e-4)


def test_only_kept_tiles_are_computed_and_the_others_count_as_zero(positional):
    calls = 0

    def predict(images: tf.Tensor) -> tf.Tensor:
        nonlocal calls
        calls += 1
        return positional(images)

    @given(st.integers(1, 60), st.integers(1, 60), st.integers(7, TILE), st.integers(1, 5), st.randoms())
    @settings(max_examples=25, deadline=None, derandomize=True)
    def holds(height, width, stride, tile_batch, random):
        nonlocal calls
        calls = 0
        image = photograph_of(height, width)
        origins = tile_origins(height, width, TILE, stride=stride)
        kept = np.array([random.random() < 0.4 for _ in origins])
        rows = len(starts_of_records(height, TILE, stride))
        tiling = Tiling(classes=2, tile=TILE, stride=stride, window="hann", tile_batch=tile_batch)
        found = stitch(tf.constant(image), predict, tiling, kept=tf.constant(kept.reshape(rows, -1)))
        wanted = {origin for origin, keep in zip(origins, kept, strict=True) if keep}
        expected = stitched_by_hand(
            image, positional, classes=2, stride=stride, window_name="hann", counts=wanted.__contains__
        )
        np.testing.assert_allclose(found, expected, atol=2e-6)
        assert calls == math.ceil(len(wanted) / tile_batch)

    holds()


@pytest.mark.slow
@given(st.integers(1, 60), st.integers(1, 60), st.integers(9, TILE), st.sampled_from([1, 4, 16]))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_trimmed_tiles_are_no_larger_than_the_image_needs(height, width, stride, multiple):
    sides = [min(TILE, math.ceil(length / multiple) * multiple) for length in (height, width)]
    shapes = set()

    def predict(images: tf.Tensor) -> tf.Tensor:
        shapes.add(tuple(images.shape))
        place = tf.range(images.shape[1], dtype=tf.float32)[:, None] + tf.range(images.shape[2], dtype=tf.float32) / 32
        return images / 255 + place[..., None]  # which shows where in its tile a pixel was

    image = photograph_of(height, width)
    tiling = Tiling(classes=3, tile=TILE, stride=stride, window="hann", tile_batch=2, trim_to=multiple)
    found = stitch(tf.constant(image), predict, tiling).numpy()
    assert shapes == {(2, *sides, 3)}
    full = stitch(tf.constant(image), predict, dataclasses.replace(tiling, trim_to=None))
    np.testing.assert_allclose(found, full, atol=2e-5)  # a map that depends on the start of its tile alone


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5])
def test_every_call_begins_with_an_empty_map(spec, positional, overlap):
    """Tiles are added to it in place, which would show in the next call if it were anything that lasts."""
    segmenter = TiledSegmenter(positional, spec(classes=("a", "b"), overlap=overlap, window="hann"))
    photograph = photograph_of(40, 70)
    first = segmenter.segment(photograph).numpy()
    assert np.array_equal(segmenter.segment(photograph), first)
    fixed = tf.function(lambda: segmenter.segment(tf.constant(photograph)))  # where TensorFlow knows the sizes
    for _ in range(3):
        assert np.array_equal(fixed(), first)


@pytest.mark.slow
@pytest.mark.parametrize("window_name", ["hann", "gaussian"])
@pytest.mark.parametrize("tile", [32, 64])
def test_blended_tiles_have_no_seams(spec, window_name, tile):
    """The network gives each pixel its distance to the border of the tile, the most that borders can do."""
    within = np.minimum(np.arange(tile), np.arange(tile)[::-1]) / (tile / 2 - 1)  # 0 at both ends, 1 in the middle
    distance = tf.constant(np.minimum(within[:, None], within)[..., None], tf.float32)
    steps = {}
    for name in ("uniform", window_name):
        geometry = spec(tile=tile, overlap=0.5, window=name, tile_batch=3)
        segmenter = TiledSegmenter(lambda images: tf.zeros_like(images[..., :1]) + distance, geometry)
        for height, width in ((4 * tile, 5 * tile), (3 * tile + 5, 4 * tile - 9)):  # the last tiles on and off the grid
            blended = segmenter.segment(photograph_of(height, width)).numpy()[..., 0]
            borders = [
                sorted({edge for start in starts_of_records(length, tile, tile // 2) for edge in (start, start + tile)})
                for length in (height, width)
            ]
            for axis in (0, 1):
                jumps = np.abs(np.diff(blended, axis=axis)).max(axis=1 - axis)
                at_borders = np.isin(np.arange(1, blended.shape[axis]), borders[axis])
                steps.setdefault(name, []).append((jumps[at_borders].max(), jumps[~at_borders].max()))
    assert all(at_borders <= inside for at_borders, inside in steps[window_name])
    assert any(at_borders > inside for at_borders, inside in steps["uniform"])  # so that seams would be seen


def test_the_number_of_tiles_at_full_size_is_the_documented_one():
    assert math.prod(len(tile_starts(tf.constant(side), 512, 512)) for side in (2848, 4288)) == 54
    assert math.prod(len(tile_starts(tf.constant(side), 512, 256)) for side in (2848, 4288)) == 176
