"""Mean weights: of which networks there are any, and normalisation statistics that equal NumPy's over all tiles."""

import keras
import numpy as np
import pytest
from keras import layers

from configs import FastConfig, InputError, ModelConfig
from models import Network, build_network, ensemble_network, has_statistics, mean_weights, recompute_statistics
from models.layers import FusedBatchNormalization
from models.network import NO_PREPROCESSING, image_input, probability_head


def fast(*widths: int, seed: int = 0, normalization: str = "batch") -> Network:
    keras.utils.set_random_seed(seed)
    options = FastConfig(widths=widths, normalization=normalization)
    return build_network(ModelConfig(network="fast", fast=options), 1)


def near(network: Network, seed: int) -> Network:
    """Returns a network that a few more steps of the same training could have led to."""
    random = np.random.default_rng(seed)
    other = network.from_config(network.get_config())
    other.set_weights([one + random.normal(0, 0.02, one.shape) for one in network.get_weights()])
    return other


def test_every_weight_is_the_mean_and_the_networks_stay_as_they_are():
    networks = [fast(8, 16), near(fast(8, 16), 1), near(fast(8, 16), 2)]
    before = [one.get_weights() for one in networks]
    mean = mean_weights(networks)
    for weights, *own in zip(mean.get_weights(), *before, strict=True):
        np.testing.assert_allclose(weights, sum(own) / 3, rtol=1e-5, atol=1e-7)
    mean.set_weights([weights * 0 for weights in mean.get_weights()])
    for network, weights in zip(networks, before, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(network.get_weights(), weights, strict=True))


def test_networks_of_other_trainings_and_builds_and_ensembles_are_refused():
    network = fast(8, 16)
    with pytest.raises(InputError, match=r"models 1 and 3 come from different trainings: the kernels of \S+ have a"):
        mean_weights([network, near(network, 1), fast(8, 16, seed=1)])
    with pytest.raises(InputError, match=r"models 1 and 2 are built differently, first in encoder1_\S+; only weights"):
        mean_weights([network, fast(8, 24)])
    with pytest.raises(InputError, match=r"models 1 and 2 are built differently"):
        mean_weights([network, fast(8, 16, 16)])
    with pytest.raises(InputError, match=r"model 2 is an ensemble, whose members have weights of their own"):
        mean_weights([network, ensemble_network([network, network], average="logits")])


def test_statistics_are_those_of_all_tiles_and_of_what_earlier_normalisations_make_of_each_batch():
    image, x = image_input(NO_PREPROCESSING, stride=1)
    x = FusedBatchNormalization(name="first")(layers.Conv2D(3, 1, name="one")(layers.Rescaling(1 / 255)(x)))
    x = layers.BatchNormalization(name="second")(layers.Conv2D(2, 1, name="two")(layers.ReLU()(x)))
    network = Network(image, probability_head(x, 1))
    random = np.random.default_rng(0)
    batches = [random.uniform(0, 255 / (k + 1), (2, 8, 8, 3)).astype(np.float32) for k in range(3)]
    kernels = [network.get_layer(name).get_weights()[0][0, 0] for name in ("one", "two")]
    momentum = network.get_layer("first").momentum
    assert recompute_statistics(network, batches) == 6
    first = [batch.astype(np.float64) / 255 @ kernels[0] for batch in batches]
    normal = [(x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + network.get_layer("first").epsilon) for x in first]
    second = [np.maximum(x, 0) @ kernels[1] for x in normal]
    for name, maps in (("first", np.concatenate(first)), ("second", np.concatenate(second))):
        layer = network.get_layer(name)
        np.testing.assert_allclose(layer.moving_mean, maps.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(layer.moving_variance, maps.var((0, 1, 2)), rtol=1e-4)
        assert layer.momentum == momentum or name == "second"


def test_a_network_without_statistics_needs_no_tiles():
    network = fast(8, 16, normalization="group")
    assert not has_statistics(network)
    assert recompute_statistics(network, iter([])) == 0
    assert has_statistics(fast(8, 16))
