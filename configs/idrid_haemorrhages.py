"""Haemorrhages at the scale that IDRiD has at a third of full resolution, with "fast", which two cores can train.

The baseline of docs/experiments.md. With 12,000 crops (epochs=15, steps_per_epoch=100 and the loss bce_batch_dice;
40 minutes of one core) it reaches an AUPR of 0.593, pooled over seven whole validation photographs; with 30,600 crops
(110 minutes) 0.710. A colour threshold reaches 0.016. What improved on it is in configs/idrid_lesions.py. The full 40
epochs have not been run.

python -m scripts.shard --config=configs/idrid_haemorrhages.py --source=IDRID --records=RECORDS
python -m scripts.train --config=configs/idrid_haemorrhages.py --records=RECORDS --source=IDRID --workdir=WORKDIR
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
    """Returns the preset's config."""
    return Config(
        # Six tiles cover a photograph; crops of 384 are cut anywhere in it, everywhere equally often.
        # The field of view of IDRiD (3409 pixels of 4288) at a third; other cameras are brought to the same size.
        data=DataConfig(classes=("HE",), field_diameter=1136.0, tile=768, stride=384, empty_per_nonempty=1.0),
        model=ModelConfig(network="fast"),
        augment=AugmentConfig(
            rotation=1.0,
            rotation_degrees=15.0,
            scale=1.0,
            scale_factor=4 / 3,
            brightness=1.0,
            brightness_fraction=0.2,
            color=1.0,
            color_fraction=0.1,
        ),
        # About 53,000 crops; three in five are around a lesion, half of these around a random lesion pixel.
        train=TrainConfig(
            epochs=40,
            steps_per_epoch=167,
            batch_size=8,
            precision="mixed_bfloat16",  # on a CPU or GPU without it, float32 is faster
            crop=384,
            balance="photograph",
            lesion_pixel_fraction=0.3,
            lesion_fraction=0.3,
            learning_rate=2e-3,
            warmup_fraction=0.03,
            global_clipnorm=1.0,
            ema_momentum=0.995,
            photographs_every=2,
        ),
        # A tile as large as IDRiD's scaled photographs covers each in one piece: without seams, and fastest.
        segment=SegmentConfig(tile=1440, trim=True, tile_batch=1, overlap=0.25, window="hann"),
        evaluate=EvaluateConfig(threshold=0.5),
    )
