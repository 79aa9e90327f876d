"""The preset of the tests: as small as it can be and still be the real thing, a narrow U-Net on overlapping tiles."""

import dataclasses

from configs import Config, ModelConfig, SegmentConfig, TrainConfig, UNetConfig
from configs.demo import get_config as get_demo


def get_config() -> Config:
    """Returns the demo's data and augmentation with a network of few weights."""
    return dataclasses.replace(
        get_demo(),
        model=ModelConfig(network="unet", unet=UNetConfig(width=8, levels=3)),
        train=TrainConfig(epochs=8, batch_size=8, learning_rate=1e-2),
        segment=SegmentConfig(overlap=0.25, window="hann"),
    )
