"""DeepLabV3+: the parameters of the paper, counted by hand, and the results of its own layers."""

import keras
import numpy as np
import pytest

from configs import DeepLabV3PlusConfig, InputError
from models.networks.deeplabv3plus import Spread, build_deeplabv3plus
from models.networks.encoders import encoder_layers

pytestmark = pytest.mark.slow

RESNET50 = 23_587_712  # without its classifier, according to Keras


@pytest.fixture(scope="module")
def default():
    return build_deeplabv3plus(DeepLabV3PlusConfig(), classes=1)


@pytest.fixture(scope="module")
def narrow():
    return build_deeplabv3plus(DeepLabV3PlusConfig(width=8, rates=(2, 3), dropout=0.0, normalization="none"), classes=2)


def convolution(channels: int, filters: int, kernel: int) -> int:
    return kernel * kernel * channels * filters + 4 * filters  # a normalisation instead of a bias


def test_the_number_of_parameters_is_that_of_the_paper(default):
    pyramid = convolution(2048, 256, 1) + 3 * convolution(2048, 256, 3) + convolution(2048, 256, 1)
    decoder = convolution(256, 48, 1) + convolution(256 + 48, 256, 3) + convolution(256, 256, 3)
    expected = RESNET50 + pyramid + convolution(5 * 256, 256, 1) + decoder + 256 + 1
    assert sum(layer.count_params() for layer in encoder_layers(default)) == RESNET50
    assert default.count_params() == expected == 40_430_913
    assert default.stride == 16


def test_the_network_of_the_earlier_system_has_a_shorter_resnet():
    model = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(None, None, 3))
    short = [model.get_layer("conv4_block6_2_relu").output, model.get_layer("conv2_block3_2_relu").output]
    pyramid = convolution(256, 256, 1) + 3 * convolution(256, 256, 3) + convolution(256, 256, 1) + 256  # one has a bias
    decoder = convolution(64, 48, 1) + convolution(256 + 48, 256, 3) + convolution(256, 256, 3)
    whole = keras.Model(model.input, short).count_params() + pyramid + convolution(5 * 256, 256, 1) + decoder + 257
    assert whole == 11_852_353


def test_the_encoders_last_stage_is_dilated_and_not_strided(default):
    for layer in encoder_layers(default):
        if isinstance(layer, keras.layers.Conv2D) and layer.name.startswith("encoder_conv5"):
            assert layer.strides == (1, 1)
            assert layer.dilation_rate == ((2, 2) if layer.kernel_size == (3, 3) else (1, 1))
    strided = [layer.name for layer in encoder_layers(default) if getattr(layer, "strides", None) == (2, 2)]
    assert [name.split("_")[1] for name in strided] == ["conv1", "pool1", "conv3", "conv3", "conv4", "conv4"]


def test_the_pyramid_has_a_point_three_dilated_and_a_global_branch(default):
    source = default.get_layer("encoder_conv5_block3_out").output
    for name, kernel, rate in [("point", 1, 1), ("rate6", 3, 6), ("rate12", 3, 12), ("rate18", 3, 18)]:
        layer = default.get_layer(f"aspp_{name}_conv")
        assert layer.input is source
        assert (layer.kernel_size, layer.dilation_rate, layer.filters) == ((kernel, kernel), (rate, rate), 256)
    assert default.get_layer("aspp_mean").input is source
    assert len(default.get_layer("aspp").input) == 5
    assert default.get_layer("dropout").rate == 0.1


def test_the_decoder_concatenates_the_enlarged_pyramid_and_48_channels_of_stride_4(default):
    enlarged, low = default.get_layer("skip").input
    assert enlarged is default.get_layer("up").output
    assert default.get_layer("up").factor == 4
    assert low is default.get_layer("low_relu").output
    assert low.shape[-1] == 48
    assert default.get_layer("low_conv").input is default.get_layer("encoder_conv2_block3_out").output


def test_values_are_broadcast_to_a_map_of_unknown_size():
    values = np.arange(6, dtype=np.float32).reshape(2, 1, 1, 3)
    inputs = keras.Input((1, 1, 3)), keras.Input((None, None, 5))
    model = keras.Model(inputs, Spread()(*inputs))
    assert model.output_shape == (None, None, None, 3)
    for height, width in [(2, 3), (4, 1)]:
        spread = model([values, np.zeros((2, height, width, 5), np.float32)])
        assert np.array_equal(spread, np.broadcast_to(values, (2, height, width, 3)))


def test_the_global_branch_is_the_mean_over_the_map(narrow):
    tiles = np.random.default_rng(0).uniform(0, 255, (2, 32, 48, 3)).astype(np.float32)
    names = ["encoder_conv5_block3_out", "aspp_spread"]
    features, spread = keras.Model(narrow.input, [narrow.get_layer(name).output for name in names])(tiles)
    kernel, bias = narrow.get_layer("aspp_image_conv").get_weights()
    expected = np.maximum(np.mean(features, axis=(1, 2), keepdims=True) @ kernel[0, 0] + bias, 0)
    np.testing.assert_allclose(spread, np.broadcast_to(expected, spread.shape), rtol=1e-4, atol=1e-4)


def test_enlarging_the_logits_equals_enlarging_the_map_before_them(narrow):
    tiles = np.random.default_rng(0).uniform(0, 255, (1, 32, 48, 3)).astype(np.float32)
    names = ["decoder1_relu", "pixels"]
    features, logits = keras.Model(narrow.input, [narrow.get_layer(name).output for name in names])(tiles)
    kernel, bias = narrow.get_layer("logits").get_weights()
    expected = keras.ops.image.resize(features, (32, 48), "bilinear") @ kernel[0, 0] + bias
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.max(np.abs(expected)))


def test_an_efficientnet_can_be_the_encoder():
    network = build_deeplabv3plus(DeepLabV3PlusConfig("EfficientNetB0", width=8), classes=1)
    tile = np.random.default_rng(0).uniform(0, 255, (1, 48, 64, 3)).astype(np.float32)
    assert network(tile, training=False).shape == (1, 48, 64, 1)
    assert network.get_layer("aspp_mean").input is network.get_layer("encoder_top_activation").output
    assert network.get_layer("low_conv").input is network.get_layer("encoder_block3a_expand_activation").output


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"encoder": "resnet50"}, r"encoder must be one of ResNet50, EfficientNetB0, .*; received 'resnet50'"),
        (
            {"weights": "none.pt"},
            r"weights must be none, imagenet or the path of a .*\.keras file; received 'none\.pt'",
        ),
        ({"width": 0}, "width must be at least 1; received 0"),
        ({"rates": ()}, r"rates must be different numbers of at least 1; received \(\)"),
        ({"rates": (6, 6)}, r"rates must be different numbers of at least 1; received \(6, 6\)"),
        ({"rates": (0, 6)}, r"rates must be different numbers of at least 1; received \(0, 6\)"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1; received 1.0"),
        ({"normalization": "layer"}, "normalization must be one of batch, group, none; received 'layer'"),
    ],
)
def test_invalid_options_are_refused_with_the_allowed_values(options, expected):
    with pytest.raises(InputError, match=rf"^model\.deeplabv3plus\.{expected}"):
        DeepLabV3PlusConfig(**options)
