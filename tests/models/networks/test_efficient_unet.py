"""EfficientUNet: Keras' EfficientNets unchanged, and a decoder whose parameters are counted by hand."""

import keras
import numpy as np
import pytest

from configs import EfficientUNetConfig, InputError
from models.networks.efficient_unet import build_efficient_unet
from models.networks.encoders import encoder_layers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shallow_encoders")]

# Parameters of EfficientNetB0 without classifier; 4,049,571 in Keras, of which 7 are statistics of the input.
B0 = 4_049_564


def decoder_parameters(width: int, skips: dict[int, int], bottom: int, normalization: str) -> int:
    """Counts the decoder and the head for one class; `skips` are the channels of the encoder's map of each stride."""
    total, below = 0, bottom
    for stride in (16, 8, 4, 2, 1):
        filters = width * stride
        total += 9 * (below + skips.get(stride, 0)) * filters + 9 * filters * filters
        total += (
            2 * {"none": 1, "group": 2, "batch": 4}[normalization] * filters
        )  # biases, or parameters of normalisations
        below = filters
    return total + below + 1


@pytest.mark.parametrize("normalization", ["batch", "group", "none"])
def test_the_number_of_parameters_of_the_decoder_is_that_of_its_normalisation(normalization):
    network = build_efficient_unet(EfficientUNetConfig(width=8, normalization=normalization), classes=1)
    encoder = sum(layer.count_params() for layer in encoder_layers(network))
    skips = {stride: network.get_layer(f"skip{stride}").input[1].shape[-1] for stride in (16, 8, 4, 2)}
    bottom = network.get_layer("up16").input.shape[-1]
    assert network.count_params() == encoder + decoder_parameters(8, skips, bottom, normalization)


@pytest.mark.usefixtures("deep_encoders")
def test_the_number_of_parameters_is_that_of_encoder_and_decoder():
    network = build_efficient_unet(EfficientUNetConfig(width=8), classes=1)
    skips = {16: 672, 8: 240, 4: 144, 2: 96}
    assert sum(layer.count_params() for layer in encoder_layers(network)) == B0
    assert network.count_params() == B0 + decoder_parameters(8, skips, 1280, "batch")
    # The default network is built in test_every_network.
    assert B0 + decoder_parameters(16, skips, 1280, "batch") == 10_115_373


@pytest.mark.usefixtures("deep_encoders")
def test_a_network_of_the_second_generation_has_other_maps():
    network = build_efficient_unet(EfficientUNetConfig("EfficientNetV2B0", width=4), classes=1)
    assert network.stride == 32
    decoder = decoder_parameters(4, {16: 672, 8: 192, 4: 32, 2: 16}, 1280, "batch")
    assert network.count_params() == sum(layer.count_params() for layer in encoder_layers(network)) + decoder
    tile = np.random.default_rng(0).uniform(0, 255, (1, 32, 64, 3)).astype(np.float32)
    assert network(tile, training=False).shape == (1, 32, 64, 1)


def test_skips_concatenate_the_enlarged_map_and_that_of_the_encoder_in_this_order():
    network = build_efficient_unet(EfficientUNetConfig(width=4), classes=1)
    names = {16: "block6a_expand_activation", 8: "block4a_expand_activation", 4: "block3a_expand_activation"}
    for stride, name in {**names, 2: "block2a_expand_activation"}.items():
        enlarged, skip = network.get_layer(f"skip{stride}").input
        assert enlarged is network.get_layer(f"up{stride}").output
        assert skip is network.get_layer(f"encoder_{name}").output
    assert network.get_layer("up16").input is network.get_layer("encoder_top_activation").output
    assert network.get_layer("decoder1_conv0").input is network.get_layer("up1").output


def test_the_encoder_keeps_keras_normalisation_and_the_decoder_has_its_own():
    network = build_efficient_unet(EfficientUNetConfig(width=8, normalization="group"), classes=1)
    batch = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert batch
    assert all(layer in encoder_layers(network) and layer.momentum == 0.99 for layer in batch)
    assert sum(isinstance(layer, keras.layers.GroupNormalization) for layer in network.layers) == 10


def test_dropout_and_activation_follow_the_options():
    network = build_efficient_unet(EfficientUNetConfig(width=4, dropout=0.3, activation="gelu"), classes=1)
    dropout = network.get_layer("dropout")
    assert dropout.rate == 0.3
    assert dropout.input is network.get_layer("encoder_top_activation").output
    assert all(
        network.get_layer(f"decoder{s}_activation1").activation is keras.activations.gelu for s in (16, 8, 4, 2, 1)
    )


def test_a_missing_file_of_weights_is_named_with_its_field():
    with pytest.raises(InputError, match=r"model\.efficient_unet\.weights must be .*; there is no file 'no\.h5'"):
        build_efficient_unet(EfficientUNetConfig(weights="no.h5"), classes=1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"encoder": "B0"}, r"encoder must be one of EfficientNetB0, .*, EfficientNetV2L; received 'B0'"),
        (
            {"weights": "Imagenet"},
            r"weights must be none, imagenet or the path of a .*\.keras file; received 'Imagenet'",
        ),
        ({"width": 0}, "width must be at least 1; received 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1; received 1.0"),
        ({"normalization": "layer"}, "normalization must be one of batch, group, none; received 'layer'"),
    ],
)
def test_invalid_options_are_refused_with_the_allowed_values(options, expected):
    with pytest.raises(InputError, match=rf"^model\.efficient_unet\.{expected}"):
        EfficientUNetConfig(**options)
