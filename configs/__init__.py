"""What to run: the typed configuration, its presets (one file each) and how a config file is read.

Other rooms import `Config`, its sections and `InputError` from here; this room imports the standard library only.
"""

from configs.augment import AugmentConfig
from configs.errors import InputError
from configs.networks import ModelConfig, PreprocessConfig, UNetConfig
from configs.schema import Config, DataConfig, EvaluateConfig, SegmentConfig, TrainConfig

__all__ = [
    "AugmentConfig",
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "InputError",
    "ModelConfig",
    "PreprocessConfig",
    "SegmentConfig",
    "TrainConfig",
    "UNetConfig",
]
