"""The section `model`: which network, and the options of each."""

import dataclasses
from typing import Literal, get_args

from configs.checks import check, check_choice

Normalization = Literal["batch", "group", "none"]
ColorSpace = Literal["rgb", "hsv", "lab", "ycrcb", "gray", "green"]


@dataclasses.dataclass(frozen=True)
class UNetConfig:
    """The flexible U-Net (see `models.unet`).

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
        check(self.width >= 1, "model.unet.width", self.width, "at least 1")
        check(2 <= self.levels <= 10, "model.unet.levels", self.levels, "2 to 10")
        check(
            self.kernel >= 3 and self.kernel % 2 == 1, "model.unet.kernel", self.kernel, "an odd number of at least 3"
        )
        check(self.dilation >= 1, "model.unet.dilation", self.dilation, "at least 1")
        check(
            0 <= self.dropout * (self.levels - 1) < 1,
            "model.unet.dropout",
            self.dropout,
            f"at least 0, and below 1 on the deepest level (times {self.levels - 1})",
        )
        check_choice("model.unet.normalization", self.normalization, get_args(Normalization))
        check(
            self.normalization != "group" or self.width % 8 == 0,
            "model.unet.width",
            self.width,
            "a multiple of 8 for model.unet.normalization 'group'",
        )


@dataclasses.dataclass(frozen=True)
class PreprocessConfig:
    """What every network does to a photograph first, as its first layers (see `models.preprocessing`).

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
        check(0 < self.gamma <= 10, "model.preprocess.gamma", self.gamma, "above 0 and at most 10")
        check(0 <= self.sharpening <= 10, "model.preprocess.sharpening", self.sharpening, "0 to 10")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network, by its name in `models.registry`, and the options of each network.

    Attributes:
      network: name of the network; its options are the field of the same name.
      preprocess: the first layers, of every network.
      unet: options of the network "unet".
    """

    network: str = "unet"
    preprocess: PreprocessConfig = dataclasses.field(default_factory=PreprocessConfig)
    unet: UNetConfig = dataclasses.field(default_factory=UNetConfig)
