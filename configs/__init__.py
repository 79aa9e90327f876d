"""What to run: the typed configuration, its presets (one file each) and how a config file is read.

Other rooms import `Config`, its sections and `InputError` from here; this room imports the standard library only.
"""

from configs.errors import InputError
from configs.schema import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluateConfig,
    ModelConfig,
    SegmentConfig,
    TrainConfig,
    UNetConfig,
)

__all__ = [
    "AugmentConfig",
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "InputError",
    "ModelConfig",
    "SegmentConfig",
    "TrainConfig",
    "UNetConfig",
]
