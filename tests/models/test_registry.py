"""The table of networks: every network has its options, and wrong names get helpful messages."""

import dataclasses

import pytest

from configs import InputError, LiteUNetConfig, ModelConfig, UNetConfig
from models import NETWORKS, build_network, without_encoder_weights

OPTIONS = {field.name: getattr(ModelConfig(), field.name) for field in dataclasses.fields(ModelConfig)}
WITH_ACTIVATION = ["attention_unet", "efficient_unet", "multires_unet", "unet", "unet3plus"]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_field_for_its_options(name):
    assert name in OPTIONS


def test_the_options_reach_the_network():
    network = build_network(ModelConfig(unet=UNetConfig(width=4, levels=4)), classes=1)
    assert network.stride == 8
    assert network.get_layer("encoder0_conv0").filters == 4


def test_a_misspelled_network_gets_a_suggestion():
    expected = r"model\.network must be one of .*unet.*; received 'unett'\. Did you mean 'unet'\?"
    with pytest.raises(InputError, match=expected):
        build_network(ModelConfig(network="unett"), classes=1)


def test_a_name_unlike_any_network_gets_all_names_and_no_suggestion():
    with pytest.raises(InputError, match=r"must be one of .*unet.*; received 'zzz'\.$"):
        build_network(ModelConfig(network="zzz"), classes=1)


def test_the_networks_with_an_activation_are_known():
    assert sorted(name for name in NETWORKS if hasattr(OPTIONS[name], "activation")) == WITH_ACTIVATION


@pytest.mark.parametrize("name", WITH_ACTIVATION)
def test_an_unknown_activation_is_refused_with_its_field(name):
    options = dataclasses.replace(OPTIONS[name], activation="rellu")
    with pytest.raises(InputError, match=rf"^model\.{name}\.activation must be one that Keras knows .* 'rellu'"):
        build_network(ModelConfig(network=name, **{name: options}), classes=1)


def test_without_weights_of_an_encoder_the_network_is_the_same_and_needs_no_file():
    given = ModelConfig(network="lite_unet", lite_unet=LiteUNetConfig(weights="gone.weights.h5", widths=(8, 8)))
    with pytest.raises(InputError, match=r"gone\.weights\.h5"):
        build_network(given, 1)
    without = without_encoder_weights(given)
    assert without == dataclasses.replace(given, lite_unet=LiteUNetConfig(widths=(8, 8)))
    build_network(without, 1)
    assert without_encoder_weights(ModelConfig(network="unet")) == ModelConfig(network="unet")
