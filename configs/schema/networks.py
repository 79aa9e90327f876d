"""Options of the networks without a pretrained encoder; each class is a field of the section `model`."""

import dataclasses
from typing import Literal, get_args

from configs.schema.checks import check, check_choice, check_rate

Normalization = Literal["batch", "group", "none"]


@dataclasses.dataclass(frozen=True)
class UNetConfig:
    """The flexible U-Net (see `models.networks.unet`).

    Attributes:
      width: number of filters of the first level; doubles with each level.
      levels: number of resolutions, bottleneck included, 2 to 10. The network's stride is 2 ** (levels - 1).
      kernel: side of the first level's kernels, an odd number of at least 3; decreases by 2 per level, down to 3.
      dilation: dilation of the first level's convolutions, at least 1; decreases by 1 per level, down to 1.
      dropout: dropout rate per level: level i has `dropout * i`, which must stay below 1.
      normalization: normalisation after each convolution: "batch", "group" (groups of 8 channels; `width` must be a
        multiple of 8) or "none".
      activation: name of a Keras activation.
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
        check_choice("model.unet.normalization", self.normalization, get_args(Normalization))
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
      width: number of filters of the first level; doubles with each level.
      levels: number of resolutions, bottleneck included, 3 to 10. The network's stride is 2 ** (levels - 1).
      normalization: normalisation after each convolution of a block: "batch", "group" (groups of 8 channels, or of 4, 2
        or 1 if the channels are not a multiple of 8) or "none".
      dropout: dropout rate per level: level i has `dropout * i`, which must stay below 1.
      activation: name of a Keras activation.
    """

    width: int = 16
    levels: int = 5
    normalization: Normalization = "batch"
    dropout: float = 0.0
    activation: str = "relu"

    def __post_init__(self) -> None:
        check(self.width >= 1, "model.attention_unet.width", self.width, allowed="at least 1")
        # The first skip has no gate: with two levels the network would have none at all.
        check(3 <= self.levels <= 10, "model.attention_unet.levels", self.levels, allowed="3 to 10")
        check_choice("model.attention_unet.normalization", self.normalization, get_args(Normalization))
        _check_dropout("model.attention_unet.dropout", self.dropout, self.levels)


@dataclasses.dataclass(frozen=True)
class MultiResUNetConfig:
    """MultiResUNet (see `models.networks.multires_unet`).

    Attributes:
      width: filters U of the first level of a U-Net of similar size; doubles with each level.
      levels: number of resolutions, bottleneck included, 2 to 10. The network's stride is 2 ** (levels - 1).
      alpha: factor of the filters: a level's blocks have alpha * U of them; above 0 to 10.
      normalization: normalisation after each convolution and each sum: "batch", "group" (groups of 8 channels, or of 4,
        2 or 1 if the channels are not a multiple of 8) or "none".
      dropout: dropout rate per level: after the block of level i it is `dropout * i`, which must stay below 1.
      activation: name of a Keras activation.
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
        check_choice("model.multires_unet.normalization", self.normalization, get_args(Normalization))
        _check_dropout("model.multires_unet.dropout", self.dropout, self.levels)


@dataclasses.dataclass(frozen=True)
class UNet3PlusConfig:
    """UNet 3+ (see `models.networks.unet3plus`).

    Attributes:
      width: number of filters of the encoder's first level, which doubles with each level; also the number of channels
        that each level contributes to each level of the decoder.
      levels: number of resolutions, bottleneck included, 2 to 8. The network's stride is 2 ** (levels - 1).
      deep_supervision: whether every level of the decoder has a head of its own, and a loss, in training.
      classification: whether the network also predicts which classes a tile shows, and suppresses the other classes.
      normalization: normalisation after each convolution: "batch", "group" (groups of 8 channels, or of 4, 2 or 1 if
        the channels are not a multiple of 8) or "none".
      dropout: dropout rate per level: the encoder's level i has `dropout * i`, which must stay below 1.
      activation: name of a Keras activation.
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
        check_choice("model.unet3plus.normalization", self.normalization, get_args(Normalization))
        _check_dropout("model.unet3plus.dropout", self.dropout, self.levels)


@dataclasses.dataclass(frozen=True)
class SwinUNetConfig:
    """The Swin-UNet (see `models.networks.swin_unet`). The network's stride is 4 * 2 ** (levels - 1) * window.

    Attributes:
      width: channels of the first level's tokens (the paper's embedding); doubles with each level.
      depths: number of transformer blocks of each level, 2 to 6 levels, the bottleneck last; encoder and decoder have
        the same.
      heads: number of attention heads of each level; each divides the level's width, width * 2**level.
      window: side of the attention windows, 2 to 32 tokens.
      mlp_ratio: hidden width of the blocks' perceptrons, as a multiple of the level's width.
      dropout: dropout rate after attention and in the perceptrons, 0 to below 1.
      drop_path: fraction of the samples for which a block is skipped in training (stochastic depth), 0 to below 1.
        Rises from 0 at the first block to this value at the encoder's last, and falls again in the decoder.
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
            allowed=f"{levels} numbers, one per level, each a divisor of the level's width "
            f"{[self.width * 2**i for i in range(levels)]}",
        )
        check(2 <= self.window <= 32, "model.swin_unet.window", self.window, allowed="2 to 32")
        check(self.mlp_ratio >= 1, "model.swin_unet.mlp_ratio", self.mlp_ratio, allowed="at least 1")
        check_rate("model.swin_unet.dropout", self.dropout)
        check_rate("model.swin_unet.drop_path", self.drop_path)


@dataclasses.dataclass(frozen=True)
class FastConfig:
    """The project's own network for a CPU or a small GPU (see `models.networks.fast`).

    Attributes:
      stem: stride of the first convolution, 2 or 4: the first level has 1/2 or 1/4 of the resolution. With 4, a crop
        takes about two thirds of the time.
      widths: number of filters of each level, 2 to 7 levels; each level has half the resolution of the one before. The
        network's stride is stem * 2 ** (len(widths) - 1). Multiples of 32 are fastest on a CPU.
      contrast: whether the network also sees local contrast, as three additional channels.
      contrast_sigma: standard deviation of the Gaussian that defines "local", 4 to 100 pixels of the scaled photograph.
      dropout: dropout rate on the deepest level's features, 0 to below 1.
      drop_path: fraction of the samples for which a block is skipped in training (stochastic depth), 0 to below 1.
        Rises from 0 at the first level to this value at the last.
      normalization: normalisation after each convolution of a block: "batch" or "group" (groups of 8 channels; for
        batches of few tiles).
      prior: initial probability of every pixel, between 0 and 1. With a low value such as 0.01, training need
        not first learn that most pixels show no lesion (Lin et al. 2017, arXiv:1708.02002, section 3.3).
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
        check_rate("model.fast.dropout", self.dropout)
        check_rate("model.fast.drop_path", self.drop_path)
        check_choice("model.fast.normalization", self.normalization, ("batch", "group"))
        check(0 < self.prior < 1, "model.fast.prior", self.prior, allowed="above 0 and below 1")


def _check_dropout(field: str, dropout: float, levels: int) -> None:
    check(
        0 <= dropout * (levels - 1) < 1,
        field,
        dropout,
        allowed=f"at least 0, and below 1 on the deepest level (times {levels - 1})",
    )
