"""Options of the networks with an encoder from `keras.applications`; each class is a field of the section `model`."""

import dataclasses
from typing import Literal, get_args

from configs.schema.checks import check, check_choice, check_rate
from configs.schema.networks import Normalization

EfficientNet = Literal[
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2S",
    "EfficientNetV2M",
    "EfficientNetV2L",
]
Encoder = Literal["ResNet50", EfficientNet]


@dataclasses.dataclass(frozen=True)
class EfficientUNetConfig:
    """The U-Net with an EfficientNet as its encoder (see `models.networks.efficient_unet`). The network's stride is 32.

    Attributes:
      encoder: name of the encoder in `keras.applications`.
      weights: initial weights of the encoder: "none" (random), "imagenet" (downloaded by Keras), or the path of a
        .weights.h5, .h5 or .keras file (see `models.networks.encoders.encode`).
      width: number of filters of the decoder's last level; doubles with each deeper level.
      dropout: dropout rate on the encoder's deepest features, 0 to below 1.
      normalization: normalisation after each convolution of the decoder: "batch", "group" or "none". The encoder keeps
        its batch normalisation.
      activation: name of the decoder's Keras activation.
    """

    encoder: EfficientNet = "EfficientNetB0"
    weights: str = "none"
    width: int = 16
    dropout: float = 0.0
    normalization: Normalization = "batch"
    activation: str = "relu"

    def __post_init__(self) -> None:
        check_choice("model.efficient_unet.encoder", self.encoder, get_args(EfficientNet))
        _check_weights("model.efficient_unet.weights", self.weights)
        check(self.width >= 1, "model.efficient_unet.width", self.width, allowed="at least 1")
        check_rate("model.efficient_unet.dropout", self.dropout)
        check_choice("model.efficient_unet.normalization", self.normalization, get_args(Normalization))


@dataclasses.dataclass(frozen=True)
class DeepLabV3PlusConfig:
    """The DeepLabV3+ (see `models.networks.deeplabv3plus`). The network's stride is 16.

    Attributes:
      encoder: name of the encoder in `keras.applications`.
      weights: initial weights of the encoder: "none" (random), "imagenet" (downloaded by Keras), or the path of a
        .weights.h5, .h5 or .keras file (see `models.networks.encoders.encode`).
      width: number of filters of the pyramid's branches and of the decoder.
      rates: dilation rates of the pyramid's 3x3 convolutions.
      dropout: dropout rate after the pyramid, 0 to below 1.
      normalization: normalisation after each convolution except the encoder's, which keeps its batch normalisation:
        "batch", "group" or "none".
    """

    encoder: Encoder = "ResNet50"
    weights: str = "none"
    width: int = 256
    rates: tuple[int, ...] = (6, 12, 18)
    dropout: float = 0.1
    normalization: Normalization = "batch"

    def __post_init__(self) -> None:
        check_choice("model.deeplabv3plus.encoder", self.encoder, get_args(Encoder))
        _check_weights("model.deeplabv3plus.weights", self.weights)
        check(self.width >= 1, "model.deeplabv3plus.width", self.width, allowed="at least 1")
        check(
            len(set(self.rates)) == len(self.rates) > 0 and min(self.rates) >= 1,
            "model.deeplabv3plus.rates",
            self.rates,
            allowed="different numbers of at least 1",
        )
        check_rate("model.deeplabv3plus.dropout", self.dropout)
        check_choice("model.deeplabv3plus.normalization", self.normalization, get_args(Normalization))


def _check_weights(field: str, weights: str) -> None:
    check(
        weights in {"none", "imagenet"} or weights.endswith((".h5", ".keras")),
        field,
        weights,
        allowed="none, imagenet or the path of a .weights.h5, .h5 or .keras file",
    )
