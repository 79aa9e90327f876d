"""The earlier system's network and settings: a U-Net of 125 million parameters on 512 tiles at full resolution.

Its published training took 82 epochs of 4,570 steps, about 43 minutes each, so use a GPU. It differs from the earlier
system where that was wrong: splits are by photograph, targets are the unchanged masks, photograph and mask stay
aligned, and RGB is scaled inside the network.

    python -m scripts.shard --config=configs/seed_haemorrhages.py --source=IDRID --records=RECORDS
    python -m scripts.train --config=configs/seed_haemorrhages.py --records=RECORDS --source=IDRID --workdir=WORKDIR
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
    """Returns the preset's config."""
    return Config(
        data=DataConfig(classes=("HE",), scale=1.0, tile=512, stride=512, validation_fraction=0.2),
        model=ModelConfig(
            network="unet",
            unet=UNetConfig(
                width=16, levels=8, kernel=9, dilation=3, dropout=0.05, normalization="none", activation="relu"
            ),
        ),
        # About as often as among the 22 variants that the earlier system made of each tile, but in any combination; its
        # distances, amounts and factors are the largest ones drawn here. Sharpening and brightening were off.
        augment=AugmentConfig(
            horizontal_flip=0.5,
            vertical_flip=0.5,
            quarter_turn=0.75,
            scale=0.05,
            scale_factor=1.25,
            shear=0.2,
            shear_slope=0.1,
            elastic=0.05,
            elastic_alpha=1300.0,
            elastic_sigma=8.0,
            distortion=0.05,
            distortion_fraction=0.02,
            distortion_sigma=40.0,
            barrel=0.2,
            barrel_amount=0.3,
            barrel_radius=0.3,
            barrel_offset=0.2,
            pincushion=0.2,
            pincushion_amount=0.3,
            pincushion_radius=0.3,
            pincushion_offset=0.2,
        ),
        train=TrainConfig(
            epochs=100,
            steps_per_epoch=400,
            validation_steps=80,
            batch_size=2,
            loss="bce_dice",
            optimizer="adam",
            learning_rate=1e-4,
            schedule="constant",
            clipvalue=0.5,
            early_stopping_patience=10,
            reduce_lr_patience=4,
            reduce_lr_factor=0.4,
            seed=137,
        ),
        segment=SegmentConfig(overlap=0.25, window="hann", tile_batch=2),
        evaluate=EvaluateConfig(threshold=0.5),
    )
