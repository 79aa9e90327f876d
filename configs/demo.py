"""The demo: a small U-Net on the synthetic photographs that `scripts/demo.sh` writes.

Expected: an AUPR of 0.85 to 0.9 on whole test photographs after two to three minutes of training on two cores.

    python -m scripts.train --config=configs/demo.py --records=RECORDS --source=SOURCE --workdir=WORKDIR
"""

from configs import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluateConfig,
    ModelConfig,
    SegmentConfig,
    TrainConfig,
    UNetConfig,
)


def get_config() -> Config:
    """Returns the demo's config."""
    return Config(
        data=DataConfig(classes=("HE",), scale=1.0, tile=256, stride=192, empty_per_nonempty=0.3),
        model=ModelConfig(network="unet", unet=UNetConfig(width=16, levels=4)),
        augment=AugmentConfig(brightness=1.0, brightness_fraction=0.1, color=1.0, color_fraction=0.05),
        train=TrainConfig(epochs=8, batch_size=8, learning_rate=3e-3),
        segment=SegmentConfig(overlap=0.25, window="hann"),
        evaluate=EvaluateConfig(threshold=0.5),
    )
