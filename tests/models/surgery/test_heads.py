"""Transfer of weights between networks of the same architecture, and the message for others."""

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
def test_another_architecture_is_refused_with_its_first_layer_and_not_changed(other, message):
    before = other.get_weights()
    with pytest.raises(InputError, match=message):
        transfer_weights(fast(8, 16), other, classes=(0,))
    assert all((one == two).all() for one, two in zip(before, other.get_weights(), strict=True))


def test_a_head_for_other_classes_is_refused():
    with pytest.raises(InputError, match=r"weights of layer logits must have the shapes"):
        transfer_weights(fast(8, 16, classes=2), fast(8, 16, classes=1), classes=(0, 1))
