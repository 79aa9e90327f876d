"""Tiles that are skipped lie outside `records.images.field_of_view`, and nothing changes within it."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inference import TiledSegmenter
from pipeline.inference.background import possible_field_of_view
from records import field_of_view, tile_starts

TILE = 32


@pytest.fixture(scope="module")
def positional():
    """A network whose probabilities depend on the pixel and its position."""
    place = tf.constant(np.linspace(0.1, 0.9, TILE)[:, None] * np.linspace(0.2, 1, TILE), tf.float32)
    return lambda images: images[..., 1:2] / 512 + place[..., None] / 2


@pytest.fixture(scope="module")
def pair(spec, positional):
    """Makes two segmenters of one geometry: one computes all tiles, one only those in the field of view."""

    def make(**fields) -> tuple[TiledSegmenter, TiledSegmenter]:
        geometry = {"tile": TILE, "overlap": 0.25, "window": "hann", "tile_batch": 3, **fields}
        return tuple(TiledSegmenter(positional, spec(skip_background=skip, **geometry)) for skip in (False, True))

    return make


def disc(height: int, width: int, *, radius: float, y: float, x: float, surround: int = 4) -> np.ndarray:
    ys, xs = np.mgrid[:height, :width]
    photograph = np.full((height, width, 3), surround, np.uint8)
    photograph[np.hypot(ys - y, xs - x) <= radius] = (180, 90, 40)
    return photograph


def blots(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Draws rings, discs, lines and dots of random brightness and position on a random background."""
    photograph = np.full((height, width, 3), rng.integers(0, 24), np.uint8)
    for _ in range(rng.integers(1, 12)):
        center = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        color = tuple(int(level) for level in rng.integers(0, rng.choice([18, 40, 256]), 3))
        thickness = int(rng.choice([-1, 1, 3, 9]))
        if rng.random() < 0.7:
            cv2.circle(photograph, center, int(rng.integers(1, max(height, width) // 2 + 2)), color, thickness)
        else:
            end = (int(rng.integers(0, width)), int(rng.integers(0, height)))
            cv2.line(photograph, center, end, color, abs(thickness))
    dots = rng.random((height, width)) < rng.choice([0, 0.02, 0.2])
    photograph[dots] = 255
    return photograph


def tiles_touching(retina: np.ndarray, overlap_px: int) -> np.ndarray:
    """Returns which tiles contain a pixel of the field of view, bool `[rows, columns]`."""
    starts = [tile_starts(length, TILE, TILE - overlap_px) for length in retina.shape]
    return np.array([[retina[y : y + TILE, x : x + TILE].any() for x in starts[1]] for y in starts[0]])


@pytest.mark.slow
@given(st.integers(0, 10**6), st.integers(1, 300), st.integers(1, 300))
@settings(max_examples=120, deadline=None, derandomize=True)
def test_possible_field_of_view_contains_the_field_of_view(seed, height, width):
    photograph = blots(np.random.default_rng(seed), height, width)
    assert np.all(possible_field_of_view(tf.constant(photograph)).numpy() >= field_of_view(photograph))


@pytest.mark.parametrize("seed", range(6))
def test_possible_field_of_view_contains_the_field_of_view_of_large_photographs(seed):
    rng = np.random.default_rng(seed)
    photograph = blots(rng, 700 + 31 * seed, 1100)
    possible = possible_field_of_view(tf.constant(photograph)).numpy()
    assert max(possible.shape) == 512
    full = cv2.resize(possible.astype(np.uint8), photograph.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    assert np.all(full.astype(bool) >= field_of_view(photograph))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 0.37, 1.9])
def test_nothing_changes_in_the_field_of_view(pair, scale):
    every, few = pair(scale=scale)

    @given(st.integers(0, 10**6), st.integers(1, 260), st.integers(1, 260))
    @settings(max_examples=30, deadline=None, derandomize=True)
    def holds(seed, height, width):
        photograph = blots(np.random.default_rng(seed), height, width)
        retina = field_of_view(photograph)
        assert np.array_equal(few.segment(photograph).numpy()[retina], every.segment(photograph).numpy()[retina])

    holds()
    assert few.segment.experimental_get_tracing_count() == 1


@pytest.mark.slow
def test_tiles_outside_the_field_of_view_are_skipped_and_zero(pair):
    every, few = pair()
    photograph = disc(320, 480, radius=100, y=160, x=250)
    kept = few.kept_tiles(photograph).numpy()
    touching = tiles_touching(field_of_view(photograph), overlap_px=8)
    assert np.all(kept >= touching)
    assert kept.size > 1.5 * kept.sum()  # a disc in the middle; most of the frame is surround
    assert kept.sum() < 1.4 * touching.sum()
    assert np.all(every.kept_tiles(photograph) == kept)  # both segmenters answer the same
    computed = few.segment(photograph).numpy() > 0
    assert not computed[:20].any()
    assert not computed[-20:].any()
    assert computed[field_of_view(photograph)].all()


def test_a_black_photograph_has_a_zero_map_and_no_tile_is_computed(spec):
    calls = tf.Variable(0)

    def counting(images: tf.Tensor) -> tf.Tensor:
        calls.assign_add(1)
        return images[..., :1] / 255 + 0.5

    segmenter = TiledSegmenter(counting, spec(tile=TILE, skip_background=True, scale=0.6))
    for photograph in (np.zeros((70, 90, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)):
        probabilities = segmenter.segment(photograph).numpy()
        assert probabilities.shape == (*photograph.shape[:2], 1)
        assert not probabilities.any()
    assert int(calls) == 0
    assert segmenter.segment(disc(70, 90, radius=20, y=35, x=45)).numpy().any()
    assert int(calls) > 0


def test_a_photograph_without_a_surround_is_computed_as_a_whole(pair):
    _, few = pair()
    assert few.kept_tiles(np.full((100, 130, 3), 90, np.uint8)).numpy().all()


def test_stray_light_outside_the_field_of_view_keeps_tiles(pair):
    _, few = pair()
    assert few.kept_tiles(disc(320, 480, radius=100, y=160, x=250, surround=25)).numpy().all()
