"""The spread over members and orientations agrees with NumPy, and the mean is the ordinary map, bit for bit."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from configs import InputError
from models import Network, ensemble_network
from models.network import NO_PREPROCESSING, image_input, probability_head
from pipeline.inference import TiledSegmenter
from pipeline.inference.orientations import average_over
from pipeline.inference.spread import check_uncertainty, mean_and_spread, orientations_of

SIDE = 6
TURNS = [(lambda a, k=k: np.rot90(a, k, (1, 2)), lambda a, k=k: np.rot90(a, -k, (1, 2))) for k in range(4)]
MIRRORED = [(lambda a, to=to: to(a[:, ::-1]), lambda a, back=back: back(a)[:, ::-1]) for to, back in TURNS]
EIGHT = TURNS + MIRRORED
FOUR = [EIGHT[0], EIGHT[2], EIGHT[4], EIGHT[6]]  # no quarter turns
ORIENTATIONS = {1: EIGHT[:1], 4: FOUR, 8: EIGHT}


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (2, SIDE, SIDE, 3)).astype(np.float32)


def members_of(number: int):
    """Returns members that no flip leaves as they are: float32 `[B, T, T, 3]` → `[B, T, T, M, 2]`."""
    place = np.linspace(0, 1, SIDE * SIDE * number * 2, dtype=np.float32).reshape(SIDE, SIDE, number, 2)
    return lambda images: images[..., None, :2] * place * 0.9


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(("flips", "orientations"), [(1, 1), (1, 8), (4, 4), (8, 8)])
def test_the_spread_is_the_standard_deviation_over_members_and_orientations(images, number, flips, orientations):
    members = members_of(number)

    def predict(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = members(batch)
        return tf.reduce_mean(found, axis=3), found

    maps = mean_and_spread(predict, flips=flips, orientations=orientations)(tf.constant(images)).numpy()
    usual = average_over(flips, lambda batch: predict(batch)[0])(tf.constant(images)).numpy()
    assert np.array_equal(maps[..., :2], usual)
    each = [
        back(members(to(images))[..., member, :]) for to, back in ORIENTATIONS[orientations] for member in range(number)
    ]
    np.testing.assert_allclose(maps[..., 2:], np.std(np.array(each, np.float64), axis=0), atol=1e-6)


def test_over_what_the_spread_is_taken():
    assert [orientations_of("members", flips) for flips in (1, 4, 8)] == [1, 4, 8]
    for uncertainty in ("orientations", "both"):
        assert [orientations_of(uncertainty, flips) for flips in (1, 4, 8)] == [8, 4, 8]


def network_of(kernel: np.ndarray, shift: float = 0) -> Network:
    """Makes a network of one convolution, whose kernel `[3, 3, 3, 2]` is given."""
    image, x = image_input(NO_PREPROCESSING, stride=1)
    network = Network(image, probability_head(keras.layers.Conv2D(2, 3, padding="same", name="kernel")(x), 2))
    network.get_layer("kernel").set_weights([kernel, np.full(2, shift)])
    network.get_layer("logits").set_weights([np.eye(2)[None, None], np.zeros(2)])
    return network


GEOMETRY = {"classes": ("a", "b"), "scale": 0.5, "tile": 32, "overlap": 0.25, "window": "hann", "tile_batch": 2}
PHOTOGRAPH = np.random.default_rng(1).integers(0, 256, (90, 131, 3), np.uint8)
SCALE = tf.constant(0.5, tf.float64)


@pytest.fixture(scope="module")
def two_members() -> Network:
    rng = np.random.default_rng(2)
    return ensemble_network([network_of(rng.normal(0, 0.5, (3, 3, 3, 2))) for _ in range(2)], average="probabilities")


@pytest.mark.slow
@pytest.mark.parametrize("uncertainty", ["members", "both"])
def test_the_mean_has_the_bits_of_the_ordinary_map(spec, two_members, uncertainty):
    segmenter = TiledSegmenter(two_members, spec(**GEOMETRY), uncertainty=uncertainty)
    maps = segmenter.segment_scaled_with_spread(PHOTOGRAPH, SCALE).numpy()
    assert maps.shape == (45, 66, 4)
    assert np.array_equal(maps[..., :2], segmenter.segment_scaled(PHOTOGRAPH, SCALE))
    assert 0 <= maps[..., 2:].min() < 0.2 < maps[..., 2:].max() < 0.5001


@pytest.mark.parametrize(("shift", "expected"), [(0, 0), (20, 0.5)])
def test_identical_members_have_no_spread_and_members_far_apart_the_largest(spec, shift, expected):
    """Probabilities of 0 and 1 have a spread of a half everywhere, also where tiles overlap."""
    members = [network_of(np.zeros((3, 3, 3, 2)), one) for one in (shift, -shift)]
    network = ensemble_network(members, average="probabilities")
    segmenter = TiledSegmenter(network, spec(**GEOMETRY), uncertainty="members")
    maps = segmenter.segment_scaled_with_spread(PHOTOGRAPH, SCALE).numpy()
    np.testing.assert_allclose(maps[..., :2], 0.5, atol=1e-6)
    np.testing.assert_allclose(maps[..., 2:], expected, atol=1e-6)


def test_a_segmenter_gives_the_spread_at_the_photographs_size(spec):
    segmenter = TiledSegmenter(lambda images: images[..., :2] / 255, spec(**GEOMETRY), uncertainty="orientations")
    segmented = segmenter.segment_measured(segmenter.measure(PHOTOGRAPH))
    assert segmented.spread.whole().shape == segmented.probabilities.shape == (90, 131, 2)
    np.testing.assert_allclose(segmented.spread.scaled, 0, atol=1e-6)


def test_a_single_network_has_no_members():
    for uncertainty in ("members", "both"):
        with pytest.raises(InputError, match="single network.*--uncertainty=orientations"):
            check_uncertainty(uncertainty, 1)
        check_uncertainty(uncertainty, 2)
    check_uncertainty("orientations", 1)
    check_uncertainty(None, 1)


def test_a_segmenter_of_one_network_refuses_a_spread_over_members(spec):
    segmenter = TiledSegmenter(lambda images: images[..., :2] / 255, spec(**GEOMETRY))
    with pytest.raises(InputError, match="has no members"):
        segmenter.with_uncertainty("both")
    assert segmenter.with_uncertainty("orientations").uncertainty == "orientations"
