"""MultiResUNet: the authors' number of parameters, receptive fields of blocks, lengths of ResPaths."""

import keras
import numpy as np
import pytest

from configs import InputError, MultiResUNetConfig
from models.networks.multires_unet import build_multires_unet


def convolution(inputs: int, filters: int, side: int) -> int:
    """Counts the weights of a convolution without bias and of a normalisation without factor."""
    return side**2 * inputs * filters + 3 * filters


def block(inputs: int, u: int, alpha: float) -> tuple[int, int]:
    """Returns the number of parameters and output channels of a MultiRes block of the authors' code."""
    third, half = int(alpha * u * 0.333), int(alpha * u * 0.5)
    sixth = int(alpha * u * 0.167)
    filters = sixth + third + half
    parameters = convolution(inputs, filters, 1) + convolution(inputs, sixth, 3)
    parameters += convolution(sixth, third, 3) + convolution(third, half, 3)
    return parameters + 2 * 4 * filters, filters


def path(inputs: int, u: int, length: int) -> int:
    """Returns the number of parameters of a ResPath."""
    return sum(convolution(n, u, 1) + convolution(n, u, 3) + 4 * u for n in [inputs, *[u] * (length - 1)])


def parameters_by_hand(width: int, levels: int, alpha: float, head: int) -> int:
    """Counts the authors' network; `head` is the number of parameters after the last kernel."""
    bridge, total, channels = levels - 1, 0, 3
    for level in range(levels):
        parameters, channels = block(channels, width * 2**level, alpha)
        total += parameters + path(channels, width * 2**level, bridge - level) * (level < bridge)
    for level in reversed(range(bridge)):
        u = width * 2**level
        total += 4 * channels * u + u  # transposed convolution
        parameters, channels = block(2 * u, u, alpha)
        total += parameters
    return total + channels + head


@pytest.fixture(scope="module")
def default():
    return build_multires_unet(MultiResUNetConfig(), classes=1)


@pytest.mark.slow
def test_the_default_is_the_authors_network_except_for_the_head(default):
    assert parameters_by_hand(32, 5, 1.67, head=3) == 7_262_750  # with the normalised logits of the authors
    assert default.count_params() == parameters_by_hand(32, 5, 1.67, head=1) == 7_262_748


@pytest.mark.slow
@pytest.mark.parametrize(("width", "levels", "alpha"), [(16, 4, 1.67), (8, 3, 1.0), (4, 2, 3.0)])
def test_other_options_have_the_parameters_counted_by_hand(width, levels, alpha):
    network = build_multires_unet(MultiResUNetConfig(width=width, levels=levels, alpha=alpha), classes=1)
    assert network.count_params() == parameters_by_hand(width, levels, alpha, head=1)


@pytest.mark.parametrize("level", range(5))
def test_a_block_splits_w_into_a_sixth_a_third_and_a_half(default, level):
    name = "bridge" if level == 4 else f"encoder{level}"
    filters = [default.get_layer(f"{name}_conv{number}").filters for number in range(3)]
    w = 1.67 * 32 * 2**level
    np.testing.assert_allclose(filters, [w / 6, w / 3, w / 2], atol=1.02)
    assert default.get_layer(f"{name}_shortcut").filters == sum(filters)


def test_a_blocks_convolutions_see_3x3_5x5_and_7x7_pixels():
    keras.utils.set_random_seed(0)
    network = build_multires_unet(MultiResUNetConfig(width=8, levels=2, activation="linear"), classes=1)
    maps = keras.Model(network.input, [network.get_layer(f"encoder0_conv{number}").output for number in range(3)])
    flat = np.full((1, 16, 16, 3), 100, np.float32)
    dotted = flat.copy()
    dotted[0, 8, 8] = 200
    for number, changed in enumerate(
        np.abs(one - two).max(axis=(0, 3)) for one, two in zip(maps(flat), maps(dotted), strict=True)
    ):
        ys, xs = np.nonzero(changed > 1e-6)
        side = 3 + 2 * number
        assert (np.ptp(ys) + 1, np.ptp(xs) + 1, len(ys)) == (side, side, side**2)


@pytest.mark.slow
def test_res_paths_have_4_3_2_and_1_steps():
    network = build_multires_unet(MultiResUNetConfig(width=4, levels=5), classes=1)
    names = {layer.name for layer in network.layers}
    lengths = [sum(f"path{level}_step{step}_conv" in names for step in range(9)) for level in range(5)]
    assert lengths == [4, 3, 2, 1, 0]
    for level in range(4):
        assert network.get_layer(f"path{level}_step0_conv").filters == 4 * 2**level


def test_a_sum_is_activated_and_then_normalised():
    network = build_multires_unet(MultiResUNetConfig(width=4, levels=3), classes=1)
    for name in ("encoder0_add", "bridge_add", "decoder1_add", "path0_step1_add"):
        add, activation, norm = (network.get_layer(name + suffix) for suffix in ("", "_activation", "_norm"))
        assert activation.input is add.output
        assert norm.input is activation.output
        assert norm.scale


@pytest.mark.parametrize("normalization", ["batch", "group", "none"])
def test_a_convolution_has_a_bias_only_without_normalisation(normalization):
    network = build_multires_unet(MultiResUNetConfig(width=8, levels=2, normalization=normalization), classes=1)
    assert network.get_layer("encoder0_conv0").use_bias == (normalization == "none")
    kinds = (keras.layers.BatchNormalization, keras.layers.GroupNormalization)
    normalised = [layer for layer in network.layers if isinstance(layer, kinds)]
    assert len(normalised) == (0 if normalization == "none" else 3 * 6 + 3)  # 3 blocks, a path of one step


def test_dropout_acts_only_in_training_and_grows_with_depth():
    keras.utils.set_random_seed(0)
    network = build_multires_unet(MultiResUNetConfig(width=4, levels=3, dropout=0.2, normalization="none"), classes=1)
    images = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3)).astype(np.float32)
    assert np.array_equal(network(images, training=False), network(images, training=False))
    assert not np.array_equal(network(images, training=True), network(images, training=True))
    rates = {layer.name: layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)}
    assert rates == pytest.approx({"encoder1_dropout": 0.2, "bridge_dropout": 0.4, "decoder1_dropout": 0.2})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"width": 3},
            r"model\.multires_unet\.width must be at least 6 filters when multiplied by model\.multires_unet\.alpha, "
            r"1\.67; received 3",
        ),
        ({"alpha": 0.0}, r"model\.multires_unet\.alpha must be above 0 and at most 10; received 0\.0"),
        ({"levels": 1}, r"model\.multires_unet\.levels must be 2 to 10; received 1"),
        ({"dropout": 0.25}, r"model\.multires_unet\.dropout must be at least 0, and below 1 on the deepest level"),
        (
            {"normalization": "layer"},
            r"model\.multires_unet\.normalization must be one of batch, group, none; received 'layer'",
        ),
    ],
)
def test_invalid_options_are_refused_with_the_allowed_values(options, message):
    with pytest.raises(InputError, match=message):
        MultiResUNetConfig(**options)


def test_the_narrowest_blocks_have_at_least_one_filter_of_each_kind():
    network = build_multires_unet(MultiResUNetConfig(width=4, alpha=1.5, levels=2), classes=1)
    assert [network.get_layer(f"encoder0_conv{number}").filters for number in range(3)] == [1, 1, 3]
