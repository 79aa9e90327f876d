"""Weights given from one network to another: only between networks of one build, and it says where they differ."""

import pytest

from configs import FastConfig, InputError, ModelConfig
from models import build_network, transfer_weights


def fast(*widths: int, classes: int = 1, normalization: str = "batch"):
    options = FastConfig(widths=widths, normalization=normalization)
    return build_network(ModelConfig(network="fast", fast=options), classes)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (fast(8, 24), r"weights of layer encoder1_conv0 must have the shapes .*24.*; received .*16"),
        (fast(8, 16, 16), r"weights of layer \S+ must have the shapes"),
        (fast(8, 16, normalization="group"), r"weights of layer stem_norm must have the shapes"),
    ],
)
def test_a_network_of_another_build_is_refused_by_its_first_layer_and_left_as_it_is(other, message):
    before = other.get_weights()
    with pytest.raises(InputError, match=message):
        transfer_weights(fast(8, 16), other, head=True)
    assert all((one == two).all() for one, two in zip(before, other.get_weights(), strict=True))


def test_with_the_head_other_classes_do_not_fit():
    with pytest.raises(InputError, match=r"weights of layer logits must have the shapes"):
        transfer_weights(fast(8, 16, classes=2), fast(8, 16, classes=1), head=True)
