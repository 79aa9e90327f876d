"""Options of the networks whose encoder can be pretrained; each class is a field of the section `model`."""

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
WEIGHTS_FILES = (".h5", ".keras")


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


@dataclasses.dataclass(frozen=True)
class LiteUNetConfig:
    """The network with an EfficientNet-Lite0 as its encoder (see `models.networks.lite_unet`).

    Attributes:
      weights: initial weights of the encoder: "none" (random), or the path of a file that tools/imagenet_weights has
        written, or of a saved network of this kind (see `models.networks.efficientnet_lite.load_lite`).
      finest: stride of the decoder's finest level, 2 or 4; the head predicts the pixels of each of its positions.
      widths: number of filters of each level of the decoder, the finest first; each level has half the resolution of
        the one before. They decide which of the encoder's stages is the coarsest, whose stride is the network's:
        finest * 2 ** len(widths), at most 32. Multiples of 32 are fastest on a CPU.
      standardize: whether it sees, in the place of RGB, each channel less its local mean and divided by its local
        standard deviation, which hardly depend on camera and light (see `models.layers.LocalStandardization`).
      standardize_sigma: standard deviation of the Gaussian that defines "local" there, 16 to 200 pixels of the scaled
        photograph.
      levels: whether with `standardize` it also sees each channel standardised over the whole tile, as three additional
        channels, which loaded weights ignore at first: without them the inside of a lesion that is wider than
        `standardize_sigma` looks like retina (see `models.layers.TileStandardization`).
      contrast: whether the network also sees local contrast, as three additional channels, which loaded weights ignore
        at first.
      contrast_sigma: standard deviation of the Gaussian that defines "local", 4 to 100 pixels of the scaled photograph.
      dropout: dropout rate on the coarsest stage's features, 0 to below 1.
      prior: initial probability of every pixel, between 0 and 1 (see `FastConfig`).
    """

    weights: str = "none"
    finest: int = 4
    widths: tuple[int, ...] = (64, 96, 128)
    standardize: bool = False
    standardize_sigma: float = 64.0
    levels: bool = False
    contrast: bool = False
    contrast_sigma: float = 10.0
    dropout: float = 0.0
    prior: float = 0.5

    def __post_init__(self) -> None:
        check(
            self.weights == "none" or self.weights.endswith(WEIGHTS_FILES),
            "model.lite_unet.weights",
            self.weights,
            allowed="none or the path of a .weights.h5, .h5 or .keras file",
        )
        check(self.finest in (2, 4), "model.lite_unet.finest", self.finest, allowed="2 or 4")
        levels = {2: 4, 4: 3}[self.finest]
        check(
            1 <= len(self.widths) <= levels and min(self.widths) >= 1,
            "model.lite_unet.widths",
            self.widths,
            allowed=f"1 to {levels} numbers of at least 1 for model.lite_unet.finest {self.finest}",
        )
        check(
            4 <= self.contrast_sigma <= 100, "model.lite_unet.contrast_sigma", self.contrast_sigma, allowed="4 to 100"
        )
        check(
            16 <= self.standardize_sigma <= 200,
            "model.lite_unet.standardize_sigma",
            self.standardize_sigma,
            allowed="16 to 200",
        )
        stride = self.finest * 2 ** len(self.widths)
        check(
            not self.standardize or stride >= 8, "model.lite_unet.standardize", True, allowed="False at a stride of 4"
        )
        check(
            not self.levels or self.standardize,
            "model.lite_unet.levels",
            self.levels,
            allowed="False without model.lite_unet.standardize, as the network then sees RGB",
        )
        check_rate("model.lite_unet.dropout", self.dropout)
        check(0 < self.prior < 1, "model.lite_unet.prior", self.prior, allowed="above 0 and below 1")


def _check_weights(field: str, weights: str) -> None:
    check(
        weights in {"none", "imagenet"} or weights.endswith(WEIGHTS_FILES),
        field,
        weights,
        allowed="none, imagenet or the path of a .weights.h5, .h5 or .keras file",
    )
