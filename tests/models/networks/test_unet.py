"""The flexible U-Net: every number of the earlier system's network, and the effect of its options."""

import itertools

import keras
import numpy as np
import pytest

from configs import InputError, UNetConfig
from configs.seed_haemorrhages import get_config
from models import Network
from models.networks.unet import build_unet

# level: filters, kernel, dilation, dropout, parameters of the encoder's block, of the up-convolution, of the decoder's
# block, from the code of the earlier system. The last level is the bridge.
EARLIER_SYSTEM = [
    (16, 9, 3, 0.00, 24_656, 2_064, 62_240),
    (32, 7, 2, 0.05, 75_328, 8_224, 150_592),
    (64, 5, 1, 0.10, 153_728, 32_832, 307_328),
    (128, 3, 1, 0.15, 221_440, 131_200, 442_624),
    (256, 3, 1, 0.20, 885_248, 524_544, 1_769_984),
    (512, 3, 1, 0.25, 3_539_968, 2_097_664, 7_078_912),
    (1024, 3, 1, 0.30, 14_157_824, 8_389_632, 28_313_600),
    (2048, 3, 1, 0.35, 56_627_200, None, None),
]
BRIDGE = len(EARLIER_SYSTEM) - 1


@pytest.fixture(scope="module")
def earlier_network():
    """Builds the network of the preset `seed_haemorrhages`, with half a gigabyte of weights."""
    return build_unet(get_config().model.unet, classes=1)


def block_layers(network: Network, level: int, side: str) -> list[keras.layers.Conv2D]:
    name = "bridge" if level == BRIDGE else f"{side}{level}"
    return [network.get_layer(f"{name}_conv0"), network.get_layer(f"{name}_conv1")]


@pytest.mark.slow
def test_the_seed_preset_builds_the_earlier_systems_network(earlier_network):
    assert earlier_network.count_params() == 124_996_849
    assert earlier_network.stride == 128
    assert sum(isinstance(layer, keras.layers.Conv2DTranspose) for layer in earlier_network.layers) == BRIDGE
    assert sum(isinstance(layer, keras.layers.MaxPooling2D) for layer in earlier_network.layers) == BRIDGE


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        (UNetConfig(width=16, levels=5, kernel=3, dilation=1, normalization="none"), 1_941_105),
        (UNetConfig(), 1_946_993),  # the number in the docstring of models.networks.unet
    ],
)
def test_other_options_have_a_known_number_of_parameters(options, parameters):
    assert build_unet(options, classes=1).count_params() == parameters


def test_a_batch_normalisation_adds_four_numbers_per_channel():
    options = [UNetConfig(width=4, levels=3, kernel=9, dilation=3, normalization=kind) for kind in ("none", "batch")]
    without, with_batch = (build_unet(one, classes=1).count_params() for one in options)
    assert with_batch - without == 4 * (2 * (4 + 8 + 16) + 2 * (4 + 8))  # encoder with bridge, decoder


@pytest.mark.parametrize("level", range(len(EARLIER_SYSTEM)))
def test_every_level_of_the_seed_network_is_that_of_the_earlier_system(earlier_network, level):
    filters, kernel, dilation, dropout, encoder, up, decoder = EARLIER_SYSTEM[level]
    sides = {"encoder": encoder} if level == BRIDGE else {"encoder": encoder, "decoder": decoder}
    for side, parameters in sides.items():
        convolutions = block_layers(earlier_network, level, side)
        assert sum(layer.count_params() for layer in convolutions) == parameters
        for layer in convolutions:
            assert layer.filters == filters
            assert layer.kernel_size == (kernel, kernel)
            assert layer.dilation_rate == (dilation, dilation)
            assert layer.strides == (1, 1)
            assert layer.padding == "same"
            assert layer.activation is keras.activations.relu
            assert isinstance(layer.kernel_initializer, keras.initializers.HeNormal)
            assert isinstance(layer.bias_initializer, keras.initializers.Zeros)
        block = convolutions[0].name.removesuffix("_conv0")
        rates = [layer.rate for layer in earlier_network.layers if layer.name == f"{block}_dropout"]
        assert rates == ([] if dropout == 0 else pytest.approx([dropout]))
    if level != BRIDGE:
        layer = earlier_network.get_layer(f"up{level}")
        assert (layer.filters, layer.kernel_size, layer.strides) == (filters, (2, 2), (2, 2))
        assert layer.count_params() == up
        assert layer.activation is keras.activations.linear
        assert isinstance(layer.kernel_initializer, keras.initializers.GlorotUniform)


def test_the_seed_network_ends_in_a_1x1_convolution_of_17_parameters_and_a_sigmoid(earlier_network):
    logits, probabilities = earlier_network.layers[-2:]
    assert (logits.kernel_size, logits.count_params()) == ((1, 1), 17)
    assert logits.activation is keras.activations.linear
    assert isinstance(logits.kernel_initializer, keras.initializers.GlorotUniform)
    assert probabilities.activation is keras.activations.sigmoid


def test_a_block_is_convolution_normalisation_dropout_convolution_normalisation():
    network = build_unet(UNetConfig(width=4, levels=3, dropout=0.1), classes=1)
    names = ["conv0", "norm0", "dropout", "conv1", "norm1"]
    for block in ("encoder1", "bridge", "decoder1"):
        layers = [network.get_layer(f"{block}_{name}") for name in names]
        for before, after in itertools.pairwise(layers):
            assert after.input is before.output, f"{after.name} does not follow {before.name}"


def test_skips_concatenate_the_upsampled_map_and_that_of_the_encoder_in_this_order():
    network = build_unet(UNetConfig(width=4, levels=3, normalization="none"), classes=1)
    for level in (0, 1):
        upsampled, skip = network.get_layer(f"skip{level}").input
        assert upsampled is network.get_layer(f"up{level}").output
        assert skip is network.get_layer(f"encoder{level}_conv1").output


@pytest.mark.parametrize(
    ("normalization", "layer_type"),
    [("batch", keras.layers.BatchNormalization), ("group", keras.layers.GroupNormalization), ("none", type(None))],
)
def test_every_convolution_of_a_block_has_the_chosen_normalisation(normalization, layer_type):
    network = build_unet(UNetConfig(width=8, levels=2, normalization=normalization), classes=1)
    kinds = (keras.layers.BatchNormalization, keras.layers.GroupNormalization)
    found = [layer for layer in network.layers if isinstance(layer, kinds)]
    assert len(found) == (0 if normalization == "none" else 6)
    assert all(isinstance(layer, layer_type) for layer in found)
    if normalization == "group":
        assert [layer.groups for layer in found] == [1, 1, 2, 2, 1, 1]  # of 8 channels each


def test_dropout_acts_only_in_training():
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    network = build_unet(UNetConfig(width=4, levels=3, dropout=0.4, normalization="none"), classes=1)
    assert np.array_equal(network(images, training=False), network(images, training=False))
    assert not np.array_equal(network(images, training=True), network(images, training=True))


def test_an_unknown_normalisation_is_refused_with_the_allowed_ones():
    expected = r"model\.unet\.normalization must be one of batch, group, none; received 'layer'"
    with pytest.raises(InputError, match=expected):
        UNetConfig(normalization="layer")
