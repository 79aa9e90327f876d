"""Averages over flipped and transposed tiles agree with NumPy."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from pipeline.inference import TiledSegmenter
from pipeline.inference.orientations import average_over

SIDE = 6
# What is done to a tile before the network, and undone with its map: NumPy arrays `[B, T, T, C]`.
STEPS = [(s, t) for s in (1, -1) for t in (1, -1)]
FOUR = [(lambda a, s=s, t=t: a[:, ::s, ::t],) * 2 for s, t in STEPS]
TURNS = [(lambda a, k=k: np.rot90(a, k, (1, 2)), lambda a, k=k: np.rot90(a, -k, (1, 2))) for k in range(4)]
MIRRORED = [(lambda a, to=to: to(a[:, ::-1]), lambda a, back=back: back(a)[:, ::-1]) for to, back in TURNS]
ORIENTATIONS = {1: FOUR[:1], 4: FOUR, 8: TURNS + MIRRORED}


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 3)).astype(np.float32)


@pytest.fixture
def lopsided():
    """A network that no flip leaves as it is: its map depends on the place and on the neighbour to the right."""
    place = np.arange(SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE, 1) ** 2 / 500
    return lambda images: images[..., :2] * place + images[:, :, [*range(1, SIDE), 0], 1:]


@pytest.mark.parametrize("flips", [1, 4, 8])
@pytest.mark.parametrize("traced", [False, True])
def test_the_average_is_that_of_all_orientations(images, lopsided, flips, traced):
    def network(batch: tf.Tensor) -> tf.Tensor:
        place = tf.constant(np.arange(SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE, 1) ** 2 / 500)
        return batch[..., :2] * place + tf.roll(batch, -1, axis=2)[..., 1:]

    average = average_over(flips, network)
    found = (tf.function(average) if traced else average)(tf.constant(images))
    expected = np.mean([back(lopsided(to(images))) for to, back in ORIENTATIONS[flips]], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("flips", [1, 4, 8])
def test_the_network_sees_each_orientation_once(images, flips):
    seen = []

    def network(batch: tf.Tensor) -> tf.Tensor:
        seen.append(batch.numpy())
        return batch

    np.testing.assert_allclose(average_over(flips, network)(tf.constant(images)), images, rtol=1e-6)
    expected = {to(images).tobytes() for to, _ in ORIENTATIONS[flips]}
    assert {batch.tobytes() for batch in seen} == expected
    assert len(seen) == len(expected) == flips


def test_orientations_wait_for_each_other():
    """Else TensorFlow runs several at once, each with its activations."""

    @tf.function(autograph=False)
    def network(batch: tf.Tensor) -> tf.Tensor:
        return batch + 1

    def average(batch: tf.Tensor) -> tf.Tensor:
        return average_over(8, network)(batch)

    graph = tf.function(average).get_concrete_function(tf.TensorSpec([1, SIDE, SIDE, 3])).graph
    calls = [op for op in graph.get_operations() if "PartitionedCall" in op.type]
    assert len(calls) == 8

    def ancestors(operation: tf.Operation) -> set[str]:
        found: set[str] = set()
        waiting = [operation]
        while waiting:
            one = waiting.pop()
            for earlier in [*(tensor.op for tensor in one.inputs), *one.control_inputs]:
                if earlier.name not in found:
                    found.add(earlier.name)
                    waiting.append(earlier)
        return found

    for earlier, later in itertools.pairwise(calls):
        assert earlier.name in ancestors(later)


@pytest.mark.parametrize("flips", [4, 8])
def test_a_segmenter_of_a_pixelwise_network_gives_the_same_map_with_flips(spec, flips):
    photograph = np.random.default_rng(1).integers(0, 256, (37, 50, 3), np.uint8)
    options = {"classes": ("R", "G", "B"), "overlap": 0.5, "window": "hann"}
    usual, averaged = (TiledSegmenter(lambda images: images / 255, spec(flips=n, **options)) for n in (1, flips))
    np.testing.assert_allclose(averaged.segment(photograph), usual.segment(photograph), atol=1e-6)


@pytest.mark.parametrize("flips", [4, 8])
def test_trimmed_tiles_that_are_no_squares_come_back_as_they_lay(spec, flips):
    photograph = np.random.default_rng(2).integers(0, 256, (13, 50, 3), np.uint8)
    options = {"classes": ("R", "G", "B"), "tile": 32, "overlap": 0.25, "window": "hann", "trim": True}
    segmenter = TiledSegmenter(lambda images: images / 255, spec(flips=flips, **options))
    np.testing.assert_allclose(segmenter.segment(photograph), photograph / 255, atol=1e-6)
