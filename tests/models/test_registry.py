"""Networks by name: each listed one has its options, and a wrong name is answered with the right ones."""

import dataclasses

import pytest

from configs import InputError, ModelConfig, UNetConfig
from models import NETWORKS, build_network


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_field_of_options_of_its_name(name):
    assert name in {field.name for field in dataclasses.fields(ModelConfig)}


def test_the_options_reach_the_network():
    network = build_network(ModelConfig(unet=UNetConfig(width=4, levels=4)), classes=1)
    assert network.stride == 8
    assert network.get_layer("encoder0_conv0").filters == 4


def test_a_misspelt_network_is_answered_with_the_nearest():
    expected = r"model\.network must be one of .*unet.*; received 'unett'\. Did you mean 'unet'\?"
    with pytest.raises(InputError, match=expected):
        build_network(ModelConfig(network="unett"), classes=1)


def test_a_name_near_to_none_is_answered_with_all_and_no_guess():
    with pytest.raises(InputError, match=r"must be one of .*unet.*; received 'zzz'\.$"):
        build_network(ModelConfig(network="zzz"), classes=1)
