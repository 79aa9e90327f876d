"""Fine-tuning on few photographs that a person has corrected: its config, and its stages from photographs to scores."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from configs import Config
from pipeline.planning.stages import RECORDS, RUN, Stage

if TYPE_CHECKING:
    from pipeline.inference import SegmenterSpec

CONFIG, LEARNT_FROM, KEPT_APART = "config.json", "learnt_from", "kept_apart"
BEFORE, AFTER, COMPARED = "before", "after", "compared"
# Far below what a training from random weights takes: the model shall change where it was corrected, and forget little.
SLOWER = 0.1
STEPS = 50  # of an epoch: on two cores some twenty seconds, so that the curve grows before a person's eyes
EPOCHS = 1000  # which nobody waits for: minutes end a fine-tuning


def fine_tuning_config(
    config: Config, spec: "SegmenterSpec", *, validating: int, classes: tuple[str, ...] | None = None
) -> Config:
    """Returns the config of a fine-tuning.

    Args:
      config: the config that the model was trained with.
      spec: the spec of the model; photographs are scaled as it wants them.
      validating: number of photographs that choose the epoch and the thresholds, at least 1.
      classes: those of the model that are learnt, where somebody looked for them; None: all.
    """
    train, again = config.train, bool(config.train.initial_model)
    learnt = classes or spec.classes
    return dataclasses.replace(
        config,
        data=dataclasses.replace(
            config.data,
            classes=learnt,
            colors=(),
            scale=spec.scale,
            field_diameter=spec.field_diameter,
            field_degrees=spec.field_degrees,
            validation_fraction=0.0,  # the photographs that validate are in a folder of their own
            soft_labels=False,
            max_pixels=spec.max_pixels,
        ),
        train=dataclasses.replace(
            train,
            # Of few photographs, few show a rare class, and not every one is complete in every class.
            loss="bce_present_dice",
            learning_rate=train.learning_rate if again else train.learning_rate * SLOWER,
            epochs=EPOCHS,
            steps_per_epoch=STEPS,
            validation_steps=None,
            # Whole photographs take a few seconds each, so many of them are not scored after every epoch.
            photographs_every=max(validating // 2, 1),
            class_sampling=train.class_sampling if config.data.classes == learnt else (),
            paste_classes=tuple(name for name in train.paste_classes if name in learnt),
            schedule="cosine",
            decay_fraction=1.0,
            frozen_encoder_epochs=0,
            early_stopping_patience=0,
            reduce_lr_patience=0,
            monitor="auto",
            teacher="",
            healthy_fraction=None,
            hard_negative_fraction=0.0,
            records_weights=(),
            previews=0,
            preview_cases=(),
        ),
    )


def fine_tuning_stages(workdir: Path, model: Path, *, minutes: float) -> list[Stage]:
    """Returns the stages in order: the model before and after is scored on the photographs that are kept apart.

    Args:
      workdir: folder for everything that they write, with CONFIG and the sources LEARNT_FROM and KEPT_APART.
      model: the model folder that the training starts from.
      minutes: how long it trains.
    """
    config, records, run = f"--config={workdir / CONFIG}", workdir / RECORDS, workdir / RUN
    source, trained = f"--source={workdir / LEARNT_FROM}", run / "model"
    return [
        Stage("shard", [config, source, f"--records={records}"], records / "config.json"),
        _scoring(workdir, model, BEFORE),
        Stage(
            "train",
            [
                config,
                source,
                f"--records={records}",
                f"--workdir={run}",
                f"--config.train.initial_model={model}",
                f"--config.train.max_minutes={minutes:g}",
            ],
            trained / "segmenter.json",
        ),
        _scoring(workdir, trained, AFTER),
        Stage(
            "compare",
            [f"--output={workdir / COMPARED}", workdir / BEFORE, workdir / AFTER],
            workdir / COMPARED / "compare.json",
        ),
    ]


def _scoring(workdir: Path, model: Path, name: str) -> Stage:
    flags = [f"--model={model}", f"--source={workdir / KEPT_APART}", "--split=all", f"--output={workdir / name}"]
    return Stage("eval", flags, workdir / name / "report.html")
