"""Encoders of few layers and filters, as building those of Keras takes seconds."""

from collections.abc import Iterator

import keras
import pytest
from keras.src.applications import efficientnet, efficientnet_v2, resnet

OWN = {
    "EfficientNetB0": efficientnet.EfficientNetB0,
    "EfficientNetB2": efficientnet.EfficientNetB2,
    "EfficientNetV2B0": efficientnet_v2.EfficientNetV2B0,
    "ResNet50": resnet.ResNet50,
}


def b0(**keywords: object) -> keras.Model:
    """EfficientNetB0 with 8 blocks instead of 16, one of them with a shortcut, and a quarter of the filters."""
    return efficientnet.EfficientNet(0.25, 0.3, 224, name="efficientnetb0", weights_name="b0", **keywords)


def b2(**keywords: object) -> keras.Model:
    """EfficientNetB2, which has more blocks than `b0`, and more filters in the last ones."""
    return efficientnet.EfficientNet(0.27, 0.6, 260, name="efficientnetb2", weights_name="b2", **keywords)


def v2b0(**keywords: object) -> keras.Model:
    """EfficientNetV2B0 with 9 blocks instead of 21, and a quarter of the filters."""
    name = "efficientnetv2-b0"
    return efficientnet_v2.EfficientNetV2(0.25, 0.3, 224, name=name, weights_name=name, **keywords)


def resnet50(**keywords: object) -> keras.Model:
    """ResNet50 with 5 blocks instead of 16, and a quarter of the filters in them."""

    def stacks(x: keras.KerasTensor) -> keras.KerasTensor:
        for stage, filters, blocks in ((2, 16, 1), (3, 32, 1), (4, 64, 2), (5, 128, 1)):
            stride = 1 if stage == 2 else 2
            x = resnet.stack_residual_blocks_v1(x, filters, blocks, stride1=stride, name=f"conv{stage}")
        return x

    return resnet.ResNet(stacks, False, True, name="resnet50", weights_name="resnet50", **keywords)


@pytest.fixture(scope="module")
def shallow_encoders() -> Iterator[None]:
    """Replaces encoders of Keras while a module's tests run."""
    with pytest.MonkeyPatch.context() as patch:
        for name, build in zip(OWN, (b0, b2, v2b0, resnet50), strict=True):
            patch.setattr(keras.applications, name, build)
        yield


@pytest.fixture
def deep_encoders(monkeypatch) -> None:
    """Gives a test of such a module Keras' own."""
    for name, build in OWN.items():
        monkeypatch.setattr(keras.applications, name, build)
