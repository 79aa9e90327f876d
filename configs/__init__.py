"""What to run: the typed configuration, its presets (one file each) and how a config file is read.

Other rooms import `Config`, its sections and `InputError` from here; this room imports the standard library only.
"""

from configs.schema import (
    AttentionUNetConfig,
    AugmentConfig,
    Config,
    DataConfig,
    DeepLabV3PlusConfig,
    EfficientUNetConfig,
    EvaluateConfig,
    FastConfig,
    InputError,
    ModelConfig,
    MultiResUNetConfig,
    PreprocessConfig,
    SegmentConfig,
    SwinUNetConfig,
    TrainConfig,
    UNet3PlusConfig,
    UNetConfig,
)

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
