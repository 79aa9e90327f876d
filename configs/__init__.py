"""The typed configuration, its presets (one file each) and the reading of config files.

Other packages import `Config`, its sections and `InputError` from here. This package imports the standard library only.
"""

from configs.keras_settings import ignore_keras_settings
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
    LiteUNetConfig,
    ModelConfig,
    MultiResUNetConfig,
    Precision,
    PreprocessConfig,
    SegmentConfig,
    SwinUNetConfig,
    TrainConfig,
    UNet3PlusConfig,
    UNetConfig,
)

ignore_keras_settings()  # here, as all packages that import Keras import this one first

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
    "LiteUNetConfig",
    "ModelConfig",
    "MultiResUNetConfig",
    "Precision",
    "PreprocessConfig",
    "SegmentConfig",
    "SwinUNetConfig",
    "TrainConfig",
    "UNet3PlusConfig",
    "UNetConfig",
]
