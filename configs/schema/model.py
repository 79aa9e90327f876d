"""The section `model`: which network, and the options of each."""

import dataclasses
from typing import Literal, get_args

from configs.schema.checks import check, check_choice

Normalization = Literal["batch", "group", "none"]
ColorSpace = Literal["rgb", "hsv", "lab", "ycrcb", "gray", "green"]
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
class UNetConfig:
    """The flexible U-Net (see `models.networks.unet`).

    Attributes:
      width: filters of the first level; each further level has twice as many.
      levels: resolutions, the bridge included; the network's stride is 2 ** (levels - 1).
      kernel: side of the first level's kernels; each further level's is 2 smaller, down to 3.
      dilation: of the first level's convolutions; each further level's is 1 smaller, down to 1.
      dropout: rate of level i is `dropout * i`.
      normalization: after each convolution: "batch", "group" (groups of 8 channels) or "none".
      activation: any activation that Keras knows by name.
    """

    width: int = 16
    levels: int = 5
    kernel: int = 3
    dilation: int = 1
    dropout: float = 0.0
    normalization: Normalization = "batch"
    activation: str = "relu"

    def __post_init__(self) -> None:
        check(self.width >= 1, "model.unet.width", self.width, allowed="at least 1")
        check(2 <= self.levels <= 10, "model.unet.levels", self.levels, allowed="2 to 10")
        check(
            self.kernel >= 3 and self.kernel % 2 == 1,
            "model.unet.kernel",
            self.kernel,
            allowed="an odd number of at least 3",
        )
        check(self.dilation >= 1, "model.unet.dilation", self.dilation, allowed="at least 1")
        _check_dropout("model.unet.dropout", self.dropout, self.levels)
        _check_normalization("model.unet.normalization", self.normalization)
        check(
            self.normalization != "group" or self.width % 8 == 0,
            "model.unet.width",
            self.width,
            allowed="a multiple of 8 for model.unet.normalization 'group'",
        )


@dataclasses.dataclass(frozen=True)
class AttentionUNetConfig:
    """The Attention U-Net (see `models.networks.attention_unet`).

    Attributes:
      width: filters of the first level; each further level has twice as many.
      levels: resolutions, the bridge included; the network's stride is 2 ** (levels - 1).
      normalization: after each convolution of a block: "batch", "group" (groups of 8 channels, or of 4, 2 or 1 where 8
        do not divide) or "none".
      dropout: rate of level i is `dropout * i`.
      activation: any activation that Keras knows by name.
    """

    width: int = 16
    levels: int = 5
    normalization: Normalization = "batch"
    dropout: float = 0.0
    activation: str = "relu"

    def __post_init__(self) -> None:
        check(self.width >= 1, "model.attention_unet.width", self.width, allowed="at least 1")
        # The first skip has no gate: with two levels there would be none.
        check(3 <= self.levels <= 10, "model.attention_unet.levels", self.levels, allowed="3 to 10")
        _check_normalization("model.attention_unet.normalization", self.normalization)
        _check_dropout("model.attention_unet.dropout", self.dropout, self.levels)


@dataclasses.dataclass(frozen=True)
class MultiResUNetConfig:
    """MultiResUNet (see `models.networks.multires_unet`).

    Attributes:
      width: filters U of the first level of the U-Net that it is to resemble; each further level has twice as many.
      levels: resolutions, the bridge included; the network's stride is 2 ** (levels - 1).
      alpha: a level's blocks have alpha * U filters.
      normalization: after each convolution and each sum: "batch", "group" (groups of 8 channels, or of 4, 2 or 1 where
        8 do not divide) or "none".
      dropout: rate after the block of level i is `dropout * i`.
      activation: any activation that Keras knows by name.
    """

    width: int = 32
    levels: int = 5
    alpha: float = 1.67
    normalization: Normalization = "batch"
    dropout: float = 0.0
    activation: str = "relu"

    def __post_init__(self) -> None:
        check(0 < self.alpha <= 10, "model.multires_unet.alpha", self.alpha, allowed="above 0 and at most 10")
        check(
            self.width * self.alpha >= 6,
            "model.multires_unet.width",
            self.width,
            allowed=f"at least 6 filters when multiplied by model.multires_unet.alpha, {self.alpha}",
        )
        check(2 <= self.levels <= 10, "model.multires_unet.levels", self.levels, allowed="2 to 10")
        _check_normalization("model.multires_unet.normalization", self.normalization)
        _check_dropout("model.multires_unet.dropout", self.dropout, self.levels)


@dataclasses.dataclass(frozen=True)
class UNet3PlusConfig:
    """UNet 3+ (see `models.networks.unet3plus`).

    Attributes:
      width: filters of the encoder's first level, twice as many on each further one; and channels that each level gives
        to each level of the decoder.
      levels: resolutions, the bridge included; the network's stride is 2 ** (levels - 1).
      deep_supervision: whether every level of the decoder learns to segment, by a head of its own in training.
      classification: whether the network also learns which classes a tile holds, and leaves the others' maps empty.
      normalization: after each convolution: "batch", "group" (groups of 8 channels, or of 4, 2 or 1 where 8 do not
        divide) or "none".
      dropout: rate of the encoder's level i is `dropout * i`.
      activation: any activation that Keras knows by name.
    """

    width: int = 64
    levels: int = 5
    deep_supervision: bool = True
    classification: bool = False
    normalization: Normalization = "batch"
    dropout: float = 0.0
    activation: str = "relu"

    def __post_init__(self) -> None:
        check(self.width >= 1, "model.unet3plus.width", self.width, allowed="at least 1")
        check(2 <= self.levels <= 8, "model.unet3plus.levels", self.levels, allowed="2 to 8")
        _check_normalization("model.unet3plus.normalization", self.normalization)
        _check_dropout("model.unet3plus.dropout", self.dropout, self.levels)


@dataclasses.dataclass(frozen=True)
class SwinUNetConfig:
    """Swin-UNet (see `models.networks.swin_unet`). The network's stride is 4 * 2 ** (levels - 1) * window.

    Attributes:
      width: channels of the first level's tokens (the paper's embedding); each further level has twice as many.
      depths: transformer blocks of each level, the bridge last; the decoder's levels have as many as the encoder's.
      heads: of each level's attention, each of width * 2**level / heads channels.
      window: side of the attention's windows in tokens.
      mlp_ratio: hidden width of the blocks' perceptrons, as a multiple of the level's.
      dropout: rate after attention and in the perceptrons.
      drop_path: share of the samples for which a block is left out in training: 0 at the first block, this at the last.
    """

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 2, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 8
    mlp_ratio: int = 4
    dropout: float = 0.0
    drop_path: float = 0.1

    def __post_init__(self) -> None:
        check(self.width >= 1, "model.swin_unet.width", self.width, allowed="at least 1")
        check(
            2 <= len(self.depths) <= 6 and min(self.depths) >= 1,
            "model.swin_unet.depths",
            self.depths,
            allowed="2 to 6 numbers of at least 1",
        )
        levels = len(self.depths)
        check(
            len(self.heads) == levels and all(n > 0 and self.width * 2**i % n == 0 for i, n in enumerate(self.heads)),
            "model.swin_unet.heads",
            self.heads,
            allowed=f"{levels} numbers, one a level, each a divisor of its width "
            f"{[self.width * 2**i for i in range(levels)]}",
        )
        check(2 <= self.window <= 32, "model.swin_unet.window", self.window, allowed="2 to 32")
        check(self.mlp_ratio >= 1, "model.swin_unet.mlp_ratio", self.mlp_ratio, allowed="at least 1")
        _check_rate("model.swin_unet.dropout", self.dropout)
        _check_rate("model.swin_unet.drop_path", self.drop_path)


@dataclasses.dataclass(frozen=True)
class FastConfig:
    """The project's own network for a CPU or a small GPU (see `models.networks.fast`).

    Attributes:
      stem: stride of the first convolution, 2 or 4: the first level works at that fraction of the resolution. With 4 a
        crop takes about two thirds of the time.
      widths: filters of each level, each at half the resolution of the one before; the network's stride is
        stem * 2 ** (len(widths) - 1). Multiples of 32 are fastest on a CPU.
      contrast: whether the network also sees local contrast, in three further channels.
      contrast_sigma: of the Gaussian that local contrast compares with, pixels of the scaled photograph.
      dropout: rate on the deepest level's map.
      drop_path: share of the samples for which a block is left out in training: 0 at the first level, this at the last.
      normalization: after each convolution of a block: "batch" or "group" (groups of 8 channels; for batches of a few
        tiles).
      prior: probability near which all pixels begin. With one as rare as lesions, such as 0.01, training need not learn
        first that most pixels show none (Lin et al. 2017, arXiv:1708.02002, section 3.3).
    """

    stem: int = 2
    widths: tuple[int, ...] = (32, 64, 128, 160, 256)
    contrast: bool = True
    contrast_sigma: float = 10.0
    dropout: float = 0.0
    drop_path: float = 0.0
    normalization: Literal["batch", "group"] = "batch"
    prior: float = 0.5

    def __post_init__(self) -> None:
        check(self.stem in (2, 4), "model.fast.stem", self.stem, allowed="2 or 4")
        group = self.normalization == "group"
        check(
            2 <= len(self.widths) <= 7 and all(width >= 1 and (width % 8 == 0 or not group) for width in self.widths),
            "model.fast.widths",
            self.widths,
            allowed="2 to 7 numbers of at least 1, multiples of 8 for model.fast.normalization 'group'",
        )
        check(4 <= self.contrast_sigma <= 100, "model.fast.contrast_sigma", self.contrast_sigma, allowed="4 to 100")
        _check_rate("model.fast.dropout", self.dropout)
        _check_rate("model.fast.drop_path", self.drop_path)
        check_choice("model.fast.normalization", self.normalization, ("batch", "group"))
        check(0 < self.prior < 1, "model.fast.prior", self.prior, allowed="above 0 and below 1")


@dataclasses.dataclass(frozen=True)
class EfficientUNetConfig:
    """A U-Net with an EfficientNet as its encoder (see `models.networks.efficient_unet`). The network's stride is 32.

    Attributes:
      encoder: its name in `keras.applications`.
      weights: of the encoder: "none" (random), "imagenet" (downloaded by Keras), or the path of a .weights.h5, .h5 or
        .keras file (see `models.networks.encoders.encode`).
      width: filters of the decoder's last level; each deeper level has twice as many.
      dropout: rate on the encoder's deepest map.
      normalization: after each of the decoder's convolutions; the encoder keeps its batch normalisation.
      activation: of the decoder, any that Keras knows by name.
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
        _check_rate("model.efficient_unet.dropout", self.dropout)
        _check_normalization("model.efficient_unet.normalization", self.normalization)


@dataclasses.dataclass(frozen=True)
class DeepLabV3PlusConfig:
    """DeepLabV3+ (see `models.networks.deeplabv3plus`). The network's stride is 16.

    Attributes:
      encoder: its name in `keras.applications`.
      weights: of the encoder: "none" (random), "imagenet" (downloaded by Keras), or the path of a .weights.h5, .h5 or
        .keras file (see `models.networks.encoders.encode`).
      width: filters of the pyramid's branches and of the decoder.
      rates: dilations of the pyramid's 3x3 convolutions.
      dropout: rate after the pyramid.
      normalization: after each convolution but the encoder's, which keeps its batch normalisation.
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
        _check_rate("model.deeplabv3plus.dropout", self.dropout)
        _check_normalization("model.deeplabv3plus.normalization", self.normalization)


@dataclasses.dataclass(frozen=True)
class PreprocessConfig:
    """What every network does to a photograph first, as its first layers (see `models.layers.preprocessing`).

    Attributes:
      color_space: in which the network sees the photograph.
      gamma: exponent of the photograph as shares of 255; 1: as it is.
      sharpening: k of the 3x3 kernel of -k around 1 + 8k; 0: as it is.
    """

    color_space: ColorSpace = "rgb"
    gamma: float = 1.0
    sharpening: float = 0.0

    def __post_init__(self) -> None:
        check_choice("model.preprocess.color_space", self.color_space, get_args(ColorSpace))
        check(0 < self.gamma <= 10, "model.preprocess.gamma", self.gamma, allowed="above 0 and at most 10")
        check(0 <= self.sharpening <= 10, "model.preprocess.sharpening", self.sharpening, allowed="0 to 10")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network, by its name in `models.registry`, and the options of each network.

    Attributes:
      network: name of the network; its options are the field of the same name.
      preprocess: the first layers, of every network.
      unet: options of the network "unet".
      attention_unet: options of the network "attention_unet".
      multires_unet: options of the network "multires_unet".
      unet3plus: options of the network "unet3plus".
      fast: options of the network "fast".
      swin_unet: options of the network "swin_unet".
      efficient_unet: options of the network "efficient_unet".
      deeplabv3plus: options of the network "deeplabv3plus".
    """

    network: str = "unet"
    preprocess: PreprocessConfig = dataclasses.field(default_factory=PreprocessConfig)
    unet: UNetConfig = dataclasses.field(default_factory=UNetConfig)
    attention_unet: AttentionUNetConfig = dataclasses.field(default_factory=AttentionUNetConfig)
    multires_unet: MultiResUNetConfig = dataclasses.field(default_factory=MultiResUNetConfig)
    unet3plus: UNet3PlusConfig = dataclasses.field(default_factory=UNet3PlusConfig)
    fast: FastConfig = dataclasses.field(default_factory=FastConfig)
    swin_unet: SwinUNetConfig = dataclasses.field(default_factory=SwinUNetConfig)
    efficient_unet: EfficientUNetConfig = dataclasses.field(default_factory=EfficientUNetConfig)
    deeplabv3plus: DeepLabV3PlusConfig = dataclasses.field(default_factory=DeepLabV3PlusConfig)


def _check_weights(field: str, weights: str) -> None:
    check(
        weights in {"none", "imagenet"} or weights.endswith((".h5", ".keras")),
        field,
        weights,
        allowed="none, imagenet or the path of a .weights.h5, .h5 or .keras file",
    )


def _check_normalization(field: str, normalization: str) -> None:
    check_choice(field, normalization, get_args(Normalization))


def _check_rate(field: str, rate: float) -> None:
    check(0 <= rate < 1, field, rate, allowed="at least 0 and below 1")


def _check_dropout(field: str, dropout: float, levels: int) -> None:
    check(
        0 <= dropout * (levels - 1) < 1,
        field,
        dropout,
        allowed=f"at least 0, and below 1 on the deepest level (times {levels - 1})",
    )
