"""Is a plan good? Its preset against a grid of others, and against a copied preset, at equal minutes."""

import dataclasses
from pathlib import Path

from configs import Config, DataConfig, InputError
from configs.idrid_lesions import get_config as copied_preset
from pipeline.evaluation import read_result
from pipeline.planning import Stage
from records import find_cases, make_folder, write_text
from scripts.benchmarks.measuring import Result
from scripts.benchmarks.running import run_commands
from scripts.benchmarks.scoring import mean_of_lesions, pooled_aupr

SCALES = (0.7, 1.0, 1.4)  # times the planned field_diameter
CROPS = (256, 384)
BATCHES = (4, 8)
PLANNED, COPIED = "the plan", "a copied preset"
STEP = 32  # sides of pieces are multiples of it

TITLE = """\
AUPR of each class, pooled over the pixels of the test part of {source}, after {minutes:g} minutes of training
over_best: the plan's mean AUPR, divided by that of the best row of the grid
over_copied: the plan's mean AUPR, less that of configs/idrid_lesions.py with the same classes
Files: {workdir}"""


def measure(config: Config, source: Path, *, minutes: float, workdir: Path) -> Result:
    """Trains and scores the plan, every preset of the grid, and the copied one, each for the same time.

    Everything is done by ordinary commands, and what is finished is not done again.

    Args:
      config: the plan, from `python -m scripts.plan --source=SOURCE --minutes=MINUTES`.
      source: folder of photographs and masks, with a test part.
      minutes: length of each training.
      workdir: folder for all files.

    Raises:
      InputError: the source has no test part, the plan no field_diameter, or a command failed.
    """
    if config.data.field_diameter is None:
        raise InputError("--config: has no data.field_diameter; give a preset that python -m scripts.plan wrote.")
    cases = find_cases(source, config.data.classes, allow_missing_masks=True)[1]
    if not any(case.split == "test" for case in cases):
        raise InputError(f"--source={source}: has no test part to score; the benchmark needs one.")
    planned = {PLANNED: config, **_grid(config), COPIED: _copied(config)}
    presets = {name: _timed(preset, minutes) for name, preset in planned.items()}
    make_folder(workdir, flag="--workdir")
    stages: list[Stage] = []
    tilings: list[DataConfig] = []
    for name, preset in presets.items():
        if preset.data not in tilings:
            tilings.append(preset.data)  # presets of the same tiles share their records
        records = workdir / "records" / str(tilings.index(preset.data))
        stages += _stages(workdir / _folder(name), preset, source=source, records=records)
    run_commands(workdir, stages)
    aupr = {name: pooled_aupr(read_result(workdir / _folder(name) / "scores").photographs()) for name in presets}
    mean = {name: mean_of_lesions(values) for name, values in aupr.items()}
    best = max(value for name, value in mean.items() if name not in (PLANNED, COPIED))
    return Result(
        title=TITLE.format(source=source, minutes=minutes, workdir=workdir),
        columns=["", *config.data.classes, "mean of lesions"],
        rows=[
            [name, *(f"{aupr[name][one]:.3f}" if one in aupr[name] else "–" for one in config.data.classes)]
            + [f"{mean[name]:.3f}"]
            for name in presets
        ],
        keys={
            "aupr": aupr,
            "mean_aupr": mean,
            "over_best": mean[PLANNED] / best,
            "over_copied": mean[PLANNED] - mean[COPIED],
        },
    )


def _grid(plan: Config) -> dict[str, Config]:
    """Returns the presets that differ from the plan in scale, crop and batch, by what the table calls them."""
    assert plan.data.field_diameter is not None
    presets = {}
    for scale in SCALES:
        diameter = round(plan.data.field_diameter * scale / 8) * 8
        piece = round((plan.segment.tile or plan.data.tile) * scale / STEP) * STEP
        for crop in CROPS:
            data = dataclasses.replace(plan.data, field_diameter=float(diameter), tile=2 * crop, stride=crop)
            segment = dataclasses.replace(plan.segment, tile=max(piece, crop))
            for batch in BATCHES:
                train = dataclasses.replace(plan.train, crop=crop, batch_size=batch)
                name = f"field {diameter}, crop {crop}, batch {batch}"
                presets[name] = dataclasses.replace(plan, data=data, segment=segment, train=train)
    return presets


def _copied(plan: Config) -> Config:
    """Returns the preset of IDRiD with the plan's classes, as a person copies it who does not plan."""
    preset = copied_preset()
    return dataclasses.replace(
        preset,
        data=dataclasses.replace(preset.data, classes=plan.data.classes),
        train=dataclasses.replace(preset.train, class_sampling=(), paste_classes=()),
    )


def _timed(preset: Config, minutes: float) -> Config:
    """Returns a preset that ends by the clock, and whose whole photographs are scored at the end alone."""
    epochs = 1000
    train = dataclasses.replace(
        preset.train, max_minutes=minutes, epochs=epochs, photographs_every=epochs, steps_per_epoch=50, previews=0
    )
    return dataclasses.replace(preset, train=train)


def _stages(folder: Path, preset: Config, *, source: Path, records: Path) -> list[Stage]:
    make_folder(folder, flag="--workdir")
    write_text(folder / "config.json", preset.to_json())
    config, given = f"--config={folder / 'config.json'}", f"--source={source}"
    model = folder / "run" / "model"
    return [
        Stage("shard", [config, given, f"--records={records}"], records / "config.json"),
        Stage(
            "train",
            [config, given, f"--records={records}", f"--workdir={folder / 'run'}"],
            model / "segmenter.json",
        ),
        Stage(
            "eval",
            [f"--model={model}", given, "--split=test", f"--output={folder / 'scores'}"],
            folder / "scores" / "report.html",
        ),
    ]


def _folder(name: str) -> str:
    return name.replace(",", "").replace(" ", "_")
