"""Folded networks: equal results, fewer layers, saved files, and normalisations that cannot be folded."""

import keras
import numpy as np
import pytest
from keras import layers

from configs import FastConfig, UNetConfig
from models.layers import DepthwiseConvolution, FusedBatchNormalization
from models.network import NO_PREPROCESSING, Network, image_input, probability_head
from models.networks.fast import build_fast
from models.networks.unet import build_unet
from models.surgery.folding import fold_normalization
from models.surgery.precision import precision_policy

ignore_keras_copy = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Returns images float32 `[2, 32, 32, 3]` with a dark square each."""
    images = np.random.default_rng(0).uniform(120, 220, (2, 32, 32, 3)).astype(np.float32)
    images[:, 4:12, 4:15] -= 90
    return images


def with_statistics(network: Network) -> Network:
    """Gives every normalisation factors, shifts, means and variances other than 0 and 1, as a training does."""
    random = np.random.default_rng(0)
    for name in normalizations(network):
        layer = network.get_layer(name)
        ranges = zip(layer.get_weights(), (1, 1, 1, 4), strict=True)  # factor, shift, mean, variance
        layer.set_weights([random.uniform(0.5, 1.5, weights.shape) * scale for weights, scale in ranges])
    return network


def normalizations(network: Network) -> list[str]:
    return [layer.name for layer in network.layers if isinstance(layer, layers.BatchNormalization)]


def one_pair(convolution: layers.Layer, *, between=(), norm=FusedBatchNormalization) -> Network:
    """Returns a network in which `convolution`, the layers `between` and a normalisation follow each other."""
    image, x = image_input(NO_PREPROCESSING, stride=2)
    x = convolution(layers.Rescaling(1 / 255)(x))
    for layer in between:
        x = layer(x)
    return Network(image, probability_head(norm(name="norm")(x), classes=1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.03)], ids=["float32", "bfloat16"]
)
def test_the_results_are_equal_without_any_normalisation(policy, tolerance, images):
    keras.utils.set_random_seed(0)
    with precision_policy(policy):
        network = with_statistics(build_fast(FastConfig(widths=(8, 16, 16)), classes=2))
    folded = fold_normalization(network)
    assert isinstance(folded, Network)
    assert folded.stride == network.stride
    assert normalizations(folded) == []
    assert len(folded.layers) == len(network.layers) - len(normalizations(network)) < len(network.layers)
    assert folded.get_layer("stem").compute_dtype == network.get_layer("stem").compute_dtype
    before, after = network(images, training=False).numpy(), folded(images, training=False).numpy()
    assert np.ptp(before) > 0.1  # otherwise equality would prove little
    np.testing.assert_allclose(after, before, atol=tolerance)
    assert np.mean(np.abs(after - before)) < tolerance / 5


@pytest.mark.slow
@pytest.mark.parametrize("norm", [FusedBatchNormalization, layers.BatchNormalization])
@pytest.mark.parametrize(
    "convolution",
    [
        layers.Conv2D(5, 3, padding="same"),
        layers.Conv2D(5, (1, 3), padding="same", use_bias=False, dilation_rate=2),
        layers.Conv2DTranspose(5, 2, padding="same"),
        layers.Conv2DTranspose(5, 3, padding="same", use_bias=False),
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        layers.DepthwiseConv2D(3, padding="same", use_bias=False),
        DepthwiseConvolution(3, padding="same"),
    ],
    ids=lambda layer: f"{type(layer).__name__}{'' if layer.use_bias else ' without bias'}",
)
def test_every_kind_of_convolution_is_folded(convolution, norm, images):
    keras.utils.set_random_seed(0)
    convolution = type(convolution).from_config(convolution.get_config())
    network = with_statistics(one_pair(convolution, norm=norm))
    folded = fold_normalization(network)
    assert normalizations(folded) == []
    np.testing.assert_allclose(folded(images), network(images, training=False), atol=1e-5)


def test_the_folded_kernel_is_that_of_the_formula():
    network = one_pair(layers.Conv2D(1, 1, name="convolution"))
    network.get_layer("convolution").set_weights([np.full((1, 1, 3, 1), 2.0), np.array([1.0])])
    # gamma 3, beta 5, mean 7, variance 4: y = 3 (2 Σ x + 1 - 7) / 2 + 5 = 3 Σ x - 4.
    network.get_layer("norm").epsilon = 0
    network.get_layer("norm").set_weights([np.array([value]) for value in (3.0, 5.0, 7.0, 4.0)])
    kernel, bias = fold_normalization(network).get_layer("convolution").get_weights()
    np.testing.assert_allclose(kernel.ravel(), [3, 3, 3])
    np.testing.assert_allclose(bias, [-4])


@pytest.mark.slow
def test_the_network_itself_is_not_changed_and_shares_no_weights(images):
    network = with_statistics(build_fast(FastConfig(widths=(8, 8)), classes=1))
    names, before = [layer.name for layer in network.layers], network(images, training=False).numpy()
    folded = fold_normalization(network)
    folded.set_weights([np.zeros_like(weights) for weights in folded.get_weights()])
    assert [layer.name for layer in network.layers] == names
    assert np.array_equal(network(images, training=False), before)


@pytest.mark.slow
@ignore_keras_copy
def test_a_folded_network_is_saved_and_loaded_unchanged(images, tmp_path):
    folded = fold_normalization(with_statistics(build_fast(FastConfig(widths=(8, 8)), classes=1)))
    folded.save(tmp_path / "folded.keras")
    loaded = keras.models.load_model(tmp_path / "folded.keras")
    assert isinstance(loaded, Network)
    assert np.array_equal(loaded(images), folded(images))


@pytest.mark.slow
@ignore_keras_copy
def test_a_loaded_network_folds_like_the_saved_one(images, tmp_path):
    network = with_statistics(build_fast(FastConfig(widths=(8, 8)), classes=1))
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras", compile=False)
    assert np.array_equal(fold_normalization(loaded)(images), fold_normalization(network)(images))


@pytest.mark.slow
def test_a_normalisation_after_an_activation_is_kept():
    """The U-Net has convolutions with activation, then normalisation."""
    network = with_statistics(build_unet(UNetConfig(width=4, levels=2), classes=1))
    assert fold_normalization(network) is network


@pytest.mark.parametrize(
    "between",
    [[layers.Activation("relu")], [layers.MaxPooling2D(1)], [layers.ZeroPadding2D(1)]],
    ids=lambda b: b[0].name,
)
def test_a_normalisation_that_does_not_directly_follow_is_kept(between):
    assert normalizations(fold_normalization(one_pair(layers.Conv2D(4, 3, padding="same"), between=between))) == [
        "norm"
    ]


def test_a_normalisation_is_kept_if_another_layer_uses_the_convolution():
    image, x = image_input(NO_PREPROCESSING, stride=1)
    x = layers.Conv2D(4, 3, padding="same")(layers.Rescaling(1 / 255)(x))
    network = Network(image, probability_head(layers.Add()([x, FusedBatchNormalization(name="norm")(x)]), classes=1))
    assert normalizations(fold_normalization(network)) == ["norm"]


@pytest.mark.slow
def test_a_normalisation_is_kept_if_the_convolution_is_used_twice():
    image, x = image_input(NO_PREPROCESSING, stride=1)
    convolution = layers.Conv2D(3, 3, padding="same")
    x = FusedBatchNormalization(name="norm")(convolution(layers.Rescaling(1 / 255)(x)))
    network = with_statistics(Network(image, probability_head(convolution(x), classes=1)))
    folded = fold_normalization(network)
    assert normalizations(folded) == ["norm"]


@pytest.mark.slow
def test_of_two_normalisations_only_the_one_after_a_convolution_is_folded(images):
    image, x = image_input(NO_PREPROCESSING, stride=1)
    x = layers.Conv2D(4, 3, padding="same")(layers.Rescaling(1 / 255)(x))
    x = layers.Activation("relu")(FusedBatchNormalization(name="goes")(x))
    network = with_statistics(Network(image, probability_head(FusedBatchNormalization(name="stays")(x), classes=1)))
    folded = fold_normalization(network)
    assert normalizations(folded) == ["stays"]
    np.testing.assert_allclose(folded(images), network(images, training=False), atol=1e-5)
