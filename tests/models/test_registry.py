"""The table of networks: every network has its options, and wrong names get helpful messages."""

import dataclasses

import pytest

from configs import InputError, ModelConfig, UNetConfig
from models import NETWORKS, build_network

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
