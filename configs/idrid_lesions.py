"""The four lesion classes of IDRiD and the optic disc at the same scale: makes pretrained/idrid_lesions.

MODEL_CARD.md there reports its scores, docs/experiments.md the reasons for its settings. Training takes `max_minutes`,
and the learning rate follows the clock.

python -m scripts.shard --config=configs/idrid_lesions.py --source=IDRID --records=RECORDS
python -m scripts.train --config=configs/idrid_lesions.py --source=IDRID --records=RECORDS --workdir=WORKDIR
"""

import dataclasses

from configs import Config, FastConfig, ModelConfig
from configs.idrid_haemorrhages import get_config as get_haemorrhages


def get_config() -> Config:
    """Returns the preset's config."""
    base = get_haemorrhages()
    return dataclasses.replace(
        base,
        data=dataclasses.replace(base.data, classes=("MA", "HE", "EX", "SE", "OD")),
        # Without the level at half resolution a step takes two thirds of the time, and the same minutes give better
        # scores. Lesions are so rare that a network whose initial probability is 0.5 spends epochs on learning it.
        model=ModelConfig(network="fast", fast=FastConfig(stem=4, widths=(64, 128, 160, 256), prior=0.01)),
        train=dataclasses.replace(
            base.train,
            loss="bce_batch_dice",
            epochs=200,
            steps_per_epoch=200,
            max_minutes=100.0,
            batch_size=4,  # twice as many steps as with 8: in little time they matter more than smooth gradients
            decay_fraction=0.4,
            class_sampling=(2, 2, 1, 2, 1),  # small and rare lesions need more crops than exudates and the disc
            photographs_every=20,
            validation_steps=5,
        ),
    )
