"""UNet 3+: the paper's number of parameters, full-scale skips, side outputs, and maps of absent classes."""

import cv2
import keras
import numpy as np
import pytest

from configs import InputError, UNet3PlusConfig
from models.networks.unet3plus import PresenceGate, build_unet3plus
from models.supervision import TrainingModel

TINY = UNet3PlusConfig(width=4, levels=3, classification=True)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 3)).astype(np.float32)


def convolution(inputs: int, filters: int) -> int:
    """Counts trainable weights: a 3x3 convolution with bias, and factor and shift of a normalisation."""
    return 9 * inputs * filters + filters + 2 * filters


def trainable_by_hand(width: int, levels: int, classes: int) -> int:
    decoder, total, channels = width * levels, 0, 3
    for level in range(levels):
        filters = width * 2**level
        total += convolution(channels, filters) + convolution(filters, filters)
        channels = filters
    for level in range(levels - 1):
        finer = sum(convolution(width * 2**other, width) for other in range(level + 1))
        coarser = (levels - 2 - level) * convolution(decoder, width) + convolution(width * 2 ** (levels - 1), width)
        total += finer + coarser + convolution(decoder, decoder)
    return total + 9 * decoder * classes + classes


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.slow
def test_the_default_has_the_papers_26_97_million_parameters():
    network = build_unet3plus(UNet3PlusConfig(), classes=1)
    assert trainable(network) == trainable_by_hand(64, 5, 1) == 26_971_777
    # Three levels of 320 channels and the bridge of 1024, each through a 3x3 convolution to one class.
    assert trainable(TrainingModel(network)) - trainable(network) == 3 * (9 * 320 + 1) + 9 * 1024 + 1 == 17_860


@pytest.mark.parametrize(("width", "levels", "classes"), [(8, 5, 2), (4, 3, 1), (4, 2, 3)])
def test_other_options_have_the_parameters_counted_by_hand(width, levels, classes):
    network = build_unet3plus(UNet3PlusConfig(width=width, levels=levels), classes)
    assert trainable(network) == trainable_by_hand(width, levels, classes)


def test_every_level_of_the_decoder_sees_every_level(images):
    network = build_unet3plus(UNet3PlusConfig(width=4, levels=4), classes=1)
    for level in range(3):
        views = network.get_layer(f"views{level}").input
        assert len(views) == 4
        sizes = {tuple(keras.Model(network.input, view)(images).shape) for view in views}
        assert sizes == {(2, 16 // 2**level, 24 // 2**level, 4)}
        sources = (
            ["encoder"] * (level + 1) + ["decoder"] * (2 - level) + ["encoder"]
        )  # the bridge belongs to the encoder
        for other, source in enumerate(sources):
            name = f"from{other}_to{level}"
            resized = {True: "_down", False: "_up"}[other < level] if other != level else ""
            first = network.get_layer(name + resized)
            expected = f"{source}{other}{'_conv1' if source == 'encoder' else ''}_activation"
            assert first.input is network.get_layer(expected).output


def test_every_other_level_has_a_side_output_of_full_size(images):
    keras.utils.set_random_seed(0)
    network = build_unet3plus(UNet3PlusConfig(width=4, levels=3), classes=2)
    assert len(network.side_outputs) == 2
    assert network.presence is None
    bridge, coarse, side = keras.Model(
        network.input,
        [network.get_layer("encoder2_conv1_activation").output, network.side_outputs[1], network.side_outputs[0]],
    )(images)
    # That of the bridge, [2, 4, 6, 16], through its convolution, enlarged by OpenCV.
    side_layers = TrainingModel(network)
    logits = side_layers.get_layer("logits2")(bridge).numpy()
    enlarged = np.stack([cv2.resize(one, (24, 16), interpolation=cv2.INTER_LINEAR) for one in logits])
    np.testing.assert_allclose(coarse, 1 / (1 + np.exp(-enlarged)), atol=1e-5)
    assert side.shape == coarse.shape == (2, 16, 24, 2)


def test_without_deep_supervision_there_are_no_side_outputs():
    network = build_unet3plus(UNet3PlusConfig(width=4, levels=3, deep_supervision=False), classes=2)
    assert network.side_outputs == []


def test_a_network_does_not_contain_the_heads_of_training():
    names = {layer.name for layer in build_unet3plus(TINY, classes=2).layers}
    assert {"logits", "presence_logits"} <= names
    assert not {"logits1", "logits2"} & names


def test_the_map_of_an_absent_class_is_empty_except_in_training(images):
    network = build_unet3plus(UNet3PlusConfig(width=4, levels=3, classification=True, normalization="none"), classes=3)
    network.get_layer("presence_dropout").rate = 0
    layer = network.get_layer("presence_logits")
    layer.set_weights([np.zeros_like(layer.get_weights()[0]), np.float32([-0.1, 0.1, 0])])
    ungated = keras.Model(network.input, network.get_layer("probabilities0").output)(images).numpy()
    assert ungated.min() > 0
    np.testing.assert_array_equal(network(images, training=False), ungated * [0, 1, 1])
    np.testing.assert_array_equal(network(images), ungated * [0, 1, 1])
    np.testing.assert_allclose(network(images, training=True), ungated, atol=1e-6)
    presence = keras.Model(network.input, network.presence)(images)
    np.testing.assert_allclose(presence, np.tile(1 / (1 + np.exp([0.1, -0.1, 0])), (2, 1)), atol=1e-6)


def test_the_presence_is_that_of_the_strongest_position():
    network = build_unet3plus(UNet3PlusConfig(width=4, levels=2, classification=True), classes=1)
    deepest = np.random.default_rng(0).normal(size=(1, 4, 5, 8)).astype(np.float32)
    kernel, bias = network.get_layer("presence_logits").get_weights()
    expected = 1 / (1 + np.exp(-np.max(deepest @ kernel[0, 0] + bias)))
    x = deepest
    for name in ("presence_logits", "presence_pool", "presence"):
        x = network.get_layer(name)(x)
    np.testing.assert_allclose(x, [[expected]], atol=1e-6)


def test_each_tile_of_a_batch_is_decided_on_its_own():
    maps, presence = np.full((2, 3, 4, 2), 0.7, np.float32), np.float32([[0.9, 0.1], [0.49, 0.5]])
    gated = PresenceGate()(maps, presence).numpy()
    assert (
        (gated > 0).all(axis=(1, 2)).tolist() == (gated > 0).any(axis=(1, 2)).tolist() == [[True, False], [False, True]]
    )


def test_dropout_grows_with_depth():
    network = build_unet3plus(UNet3PlusConfig(width=4, levels=3, dropout=0.2), classes=1)
    rates = {layer.name: layer.rate for layer in network.layers if isinstance(layer, keras.layers.Dropout)}
    assert rates == pytest.approx({"encoder1_dropout": 0.2, "encoder2_dropout": 0.4})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, r"model\.unet3plus\.width must be at least 1; received 0"),
        ({"levels": 9}, r"model\.unet3plus\.levels must be 2 to 8; received 9"),
        ({"dropout": -0.1}, r"model\.unet3plus\.dropout must be at least 0, and below 1 on the deepest level"),
        ({"normalization": "x"}, r"model\.unet3plus\.normalization must be one of batch, group, none; received 'x'"),
    ],
)
def test_invalid_options_are_refused_with_the_allowed_values(options, message):
    with pytest.raises(InputError, match=message):
        UNet3PlusConfig(**options)
