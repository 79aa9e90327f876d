"""What to run: the typed configuration, its presets (one file each) and how a config file is read.

Other rooms import `Config`, its sections and `InputError` from here; this room imports the standard library only.
"""

from configs.augment import AugmentConfig
from configs.errors import InputError
from configs.networks import (
    AttentionUNetConfig,
    DeepLabV3PlusConfig,
    EfficientUNetConfig,
    FastConfig,
    ModelConfig,
    MultiResUNetConfig,
    PreprocessConfig,
    SwinUNetConfig,
    UNet3PlusConfig,
    UNetConfig,
)
from configs.schema import Config, DataConfig, EvaluateConfig, SegmentConfig
from configs.train import TrainConfig

__all__ = [
    "AttentionUNetConfig",
    "AugmentConfig",
    "Config",
    "DataConfig",
    "DeepLabV3PlusConfig",
    "EfficientUNetConfig",
    "EvaluateConfig",
    "FastConfig",
    "InputError",
    "ModelConfig",
    "MultiResUNetConfig",
    "PreprocessConfig",
    "SegmentConfig",
    "SwinUNetConfig",
    "TrainConfig",
    "UNet3PlusConfig",
    "UNetConfig",
]
