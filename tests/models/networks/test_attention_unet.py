"""The Attention U-Net: its parameters and gates."""

import itertools

import cv2
import keras
import numpy as np
import pytest

from configs import AttentionUNetConfig, InputError
from models.networks.attention_unet import build_attention_unet

TINY = AttentionUNetConfig(width=4, levels=4)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 3)).astype(np.float32)


def parameters_by_hand(width: int, levels: int, classes: int) -> int:
    """Counts the layers of the paper; a normalisation has four numbers per channel."""
    bridge, total = levels - 1, width * classes + classes
    for level in range(levels):
        filters, comes_in = width * 2**level, 3 if level == 0 else width * 2 ** (level - 1)
        total += 9 * comes_in * filters + filters + 9 * filters * filters + filters + 2 * 4 * filters
        if level < bridge:
            below = 2 * filters
            total += 4 * below * filters + filters  # transposed convolution
            total += 9 * 2 * filters * filters + filters + 9 * filters * filters + filters + 2 * 4 * filters
        if 0 < level < bridge:
            total += 4 * filters * filters  # W_x of 2x2, without a bias
            total += below * filters + filters  # W_g and b_g
            total += filters + 1  # psi
    return total


def values(network, name: str, images: np.ndarray) -> np.ndarray:
    return keras.Model(network.input, network.get_layer(name).output)(images).numpy()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "levels", "classes"), [(16, 5, 1), (64, 5, 1), (8, 3, 4)])
def test_the_number_of_parameters_is_that_of_the_papers_layers(width, levels, classes):
    network = build_attention_unet(AttentionUNetConfig(width=width, levels=levels), classes)
    assert network.count_params() == parameters_by_hand(width, levels, classes)


def test_every_skip_but_the_first_has_a_gate():
    network = build_attention_unet(AttentionUNetConfig(width=4, levels=5), classes=1)
    gates = [layer.name for layer in network.layers if layer.name.startswith("attention")]
    assert sorted(gates) == ["attention1", "attention2", "attention3"]
    for level in (1, 2, 3):
        assert network.get_layer(f"skip{level}").input[1] is network.get_layer(f"gated{level}").output
    assert network.get_layer("skip0").input[1] is network.get_layer("encoder0_activation1").output


@pytest.mark.parametrize("level", [1, 2])
def test_attention_lies_in_0_to_1_at_the_size_of_the_skip(level, images):
    keras.utils.set_random_seed(0)
    attention = values(build_attention_unet(TINY, classes=1), f"attention{level}", images)
    assert attention.shape == (2, 32 // 2**level, 48 // 2**level, 1)
    assert attention.min() >= 0
    assert attention.max() <= 1
    assert np.ptp(attention) > 0.01


def test_a_gate_is_the_papers_equation(images):
    keras.utils.set_random_seed(0)
    network = build_attention_unet(TINY, classes=1)
    skip = values(network, "encoder1_activation1", images).astype(np.float64)  # [2, 16, 24, 8]
    signal = values(network, "decoder2_activation1", images).astype(np.float64)  # [2, 8, 12, 16]
    w_x, w_g, psi = (network.get_layer(f"gate1_{name}").get_weights() for name in ("skip", "signal", "psi"))
    patches = skip.reshape(2, 8, 2, 12, 2, 8).transpose(0, 1, 3, 2, 4, 5)  # [2, 8, 12, 2, 2, 8]
    both = np.tensordot(patches, w_x[0], axes=3) + signal @ w_g[0][0, 0] + w_g[1]
    coarse = 1 / (1 + np.exp(-(np.maximum(both, 0) @ psi[0][0, 0] + psi[1])))  # [2, 8, 12, 1]
    attention = np.stack([cv2.resize(one, (24, 16), interpolation=cv2.INTER_LINEAR) for one in coarse])[..., None]
    np.testing.assert_allclose(values(network, "attention1", images), attention, atol=1e-5)
    np.testing.assert_allclose(values(network, "gated1", images), skip * attention, atol=1e-4)


@pytest.mark.parametrize(("bias", "attention"), [(-50, 0), (50, 1)])
def test_a_gate_can_close_and_open(bias, attention, images):
    network = build_attention_unet(TINY, classes=1)
    layer = network.get_layer("gate1_psi")
    layer.set_weights([np.zeros_like(layer.get_weights()[0]), np.float32([bias])])
    skip = values(network, "encoder1_activation1", images)
    np.testing.assert_allclose(values(network, "gated1", images), attention * skip, atol=1e-6)


def test_a_block_is_twice_convolution_normalisation_activation():
    network = build_attention_unet(AttentionUNetConfig(width=8, levels=3, normalization="group", dropout=0.1), 1)
    names = ["conv0", "norm0", "activation0", "dropout", "conv1", "norm1", "activation1"]
    for block in ("encoder1", "bridge", "decoder1"):
        chain = [network.get_layer(f"{block}_{name}") for name in names]
        for before, after in itertools.pairwise(chain):
            assert after.input is before.output, f"{after.name} does not follow {before.name}"
    assert network.get_layer("bridge_dropout").rate == pytest.approx(0.2)
    assert isinstance(network.get_layer("bridge_norm0"), keras.layers.GroupNormalization)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, r"model\.attention_unet\.width must be at least 1; received 0"),
        ({"levels": 2}, r"model\.attention_unet\.levels must be 3 to 10; received 2"),
        ({"levels": 11}, r"model\.attention_unet\.levels must be 3 to 10; received 11"),
        ({"dropout": 0.25}, r"model\.attention_unet\.dropout must be at least 0, and below 1 on the deepest level"),
        (
            {"normalization": "layer"},
            r"model\.attention_unet\.normalization must be one of batch, group, none; received 'layer'",
        ),
    ],
)
def test_invalid_options_are_refused_with_the_allowed_values(options, message):
    with pytest.raises(InputError, match=message):
        AttentionUNetConfig(**options)
