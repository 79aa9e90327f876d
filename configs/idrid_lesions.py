"""The four lesion classes of IDRiD and the optic disc: makes pretrained/idrid_lesions, in two trainings.

MODEL_CARD.md there reports its scores, docs/experiments.md the reasons for its settings. The first training learns from
labelled photographs, with an encoder that has weights of ImageNet from a file that tools/imagenet_weights makes.
Without them, or --config.train.initial_model, it starts at random and needs many more steps. The second
goes on with photographs that the first model labels, and with healthy eyes; its commands are in the card.

python -m scripts.shard --config=configs/idrid_lesions.py --source=IDRID --records=RECORDS
python -m scripts.train --config=configs/idrid_lesions.py --source=IDRID --records=RECORDS --workdir=WORKDIR \
  --config.model.lite_unet.weights=efficientnet_lite0.weights.h5
"""

import dataclasses

from configs import Config, LiteUNetConfig, ModelConfig
from configs.idrid_haemorrhages import get_config as get_haemorrhages


def get_config() -> Config:
    """Returns the preset's config."""
    base = get_haemorrhages()
    return dataclasses.replace(
        base,
        data=dataclasses.replace(base.data, classes=("MA", "HE", "EX", "SE", "OD")),
        # Lesions are so rare that a network whose initial probability is 0.5 spends epochs on learning it.
        model=ModelConfig(network="lite_unet", lite_unet=LiteUNetConfig(contrast=True, prior=0.01)),
        # What other cameras, compression and cataracts do to a photograph, each to some of the crops.
        augment=dataclasses.replace(
            base.augment,
            saturation=0.3,
            illumination=0.2,
            haze=0.1,
            vignette=0.1,
            noise=0.4,
            noise_sigma=8,
            gamma=0.3,
            gamma_exponent=1.6,
            sharpening=0.2,
            jpeg=0.3,
            jpeg_quality=30,
        ),
        train=dataclasses.replace(
            base.train,
            loss="bce_present_dice",  # with bce_batch_dice, soft exudates can end as "none" for good
            epochs=10,
            steps_per_epoch=200,
            batch_size=4,  # twice as many steps as with 8: in little time they matter more than smooth gradients
            decay_fraction=0.4,
            class_sampling=(2, 2, 1, 2, 1),  # small and rare lesions need more crops than exudates and the disc
            paste_fraction=0.3,
            paste_classes=("MA", "HE", "EX", "SE"),
            photographs_every=10,
            validation_steps=5,
        ),
    )
