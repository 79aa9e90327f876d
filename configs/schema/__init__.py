"""The typed configuration: one frozen dataclass per section, which checks its own fields."""

from configs.schema.augment import AugmentConfig
from configs.schema.config import MAX_CLASSES, Config, DataConfig, EvaluateConfig, SegmentConfig, check_scaling
from configs.schema.encoder_networks import DeepLabV3PlusConfig, EfficientUNetConfig, LiteUNetConfig
from configs.schema.errors import InputError
from configs.schema.fields import FREE_FIELDS, differing_fields, field_names, from_dict, optional_fields
from configs.schema.model import ModelConfig, PreprocessConfig
from configs.schema.networks import (
    AttentionUNetConfig,
    FastConfig,
    MultiResUNetConfig,
    SwinUNetConfig,
    UNet3PlusConfig,
    UNetConfig,
)
from configs.schema.old_names import as_before, new_name
from configs.schema.train import Precision, TrainConfig

__all__ = [
    "FREE_FIELDS",
    "MAX_CLASSES",
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
    "as_before",
    "check_scaling",
    "differing_fields",
    "field_names",
    "from_dict",
    "new_name",
    "optional_fields",
]
