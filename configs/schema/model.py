"""The section `model` of the config: the network and the options of each network."""

import dataclasses
from typing import Literal, get_args

from configs.schema.checks import check, check_choice
from configs.schema.encoder_networks import DeepLabV3PlusConfig, EfficientUNetConfig, LiteUNetConfig
from configs.schema.networks import (
    AttentionUNetConfig,
    FastConfig,
    MultiResUNetConfig,
    SwinUNetConfig,
    UNet3PlusConfig,
    UNetConfig,
)

ColorSpace = Literal["rgb", "hsv", "lab", "ycrcb", "gray", "green"]


@dataclasses.dataclass(frozen=True)
class PreprocessConfig:
    """The first layers of every network (see `models.layers.preprocessing`).

    Attributes:
      color_space: colour space of the network's input: "rgb", "hsv", "lab", "ycrcb", "gray" or "green".
      gamma: exponent applied to the photograph scaled to 0..1, above 0 to 10. 1: unchanged.
      sharpening: k of a 3x3 kernel of -k around 1 + 8k, 0 to 10. 0: unchanged.
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
    """The network and the options of each network.

    Attributes:
      network: name of the network in `models.registry`; the field of the same name holds its options.
      preprocess: options of the first layers, which all networks have.
      unet: options of the network "unet".
      attention_unet: options of the network "attention_unet".
      multires_unet: options of the network "multires_unet".
      unet3plus: options of the network "unet3plus".
      fast: options of the network "fast".
      swin_unet: options of the network "swin_unet".
      efficient_unet: options of the network "efficient_unet".
      lite_unet: options of the network "lite_unet".
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
    lite_unet: LiteUNetConfig = dataclasses.field(default_factory=LiteUNetConfig)
    deeplabv3plus: DeepLabV3PlusConfig = dataclasses.field(default_factory=DeepLabV3PlusConfig)
