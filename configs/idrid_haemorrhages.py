"""Haemorrhages of IDRiD at a third of full resolution, with the network "fast", which two cores can train.

python -m scripts.shard --config=configs/idrid_haemorrhages.py --source=IDRID --records=RECORDS
python -m scripts.train --config=configs/idrid_haemorrhages.py --records=RECORDS --workdir=WORKDIR
"""

from configs import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluateConfig,
    ModelConfig,
    SegmentConfig,
    TrainConfig,
)


def get_config() -> Config:
    return Config(
        # Overlapping tiles let a lesion lie anywhere in a tile; empty ones show look-alikes without a lesion beside.
        data=DataConfig(classes=("HE",), scale=1 / 3, tile=512, stride=256, empty_per_nonempty=0.25),
        model=ModelConfig(network="fast"),
        augment=AugmentConfig(brightness=1.0, brightness_share=0.15, color=1.0, color_share=0.1),
        train=TrainConfig(epochs=40, batch_size=4, learning_rate=1e-3),
        segment=SegmentConfig(overlap=0.25, window="hann"),
        evaluate=EvaluateConfig(threshold=0.5),
    )
