"""The demo: the network "fast", two levels smaller, on the synthetic photographs that `scripts/demo.sh` writes.

Expected: an AUPR of 0.94 on the whole test photographs after about a minute of training on two cores.

python -m scripts.train --config=configs/demo.py --records=RECORDS --source=SOURCE --workdir=WORKDIR
"""

from configs import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluateConfig,
    FastConfig,
    ModelConfig,
    SegmentConfig,
    TrainConfig,
)


def get_config() -> Config:
    """Returns the config of the demo."""
    return Config(
        data=DataConfig(classes=("HE",), scale=1.0, tile=256, stride=192, empty_per_nonempty=0.3),
        model=ModelConfig(network="fast", fast=FastConfig(widths=(32, 64, 128), prior=0.01)),
        augment=AugmentConfig(brightness=1.0, brightness_fraction=0.1, color=1.0, color_fraction=0.05),
        train=TrainConfig(
            epochs=4,
            steps_per_epoch=40,
            batch_size=8,
            loss="bce_batch_dice",
            crop=128,
            lesion_pixel_fraction=0.3,
            lesion_fraction=0.3,
            learning_rate=3e-3,
            warmup_fraction=0.05,
            photographs_every=2,
        ),
        segment=SegmentConfig(overlap=0.25, window="hann"),
        evaluate=EvaluateConfig(threshold=0.5),
    )
