"""Is a plan good? Its preset against a grid of others, and against a copied preset, at equal minutes."""

import dataclasses
import re
from pathlib import Path

from configs import Config, DataConfig, InputError
from configs.idrid_lesions import get_config as copied_preset
from pipeline.evaluation import read_result
from pipeline.planning import Stage
from records import find_cases, make_folder, write_text
from scripts.benchmarks.measuring import Result
from scripts.benchmarks.running import begin_benchmark, run_commands
from scripts.benchmarks.scoring import mean_of_lesions, pooled_aupr

SCALES = (0.7, 1.0, 1.4)  # times the planned field_diameter
CROPS = (256, 384)
BATCHES = (4, 8)
PLANNED, COPIED = "the plan", "a copied preset"
COPIED_FROM_MODEL, AS_IT_IS = "a copied preset that starts from the plan's model", "the plan's model as it is"
STEP = 32  # sides of pieces are multiples of it

TITLE = """\
AUPR of each class, pooled over the pixels of the test part of {source}, after {minutes:g} minutes of training
over_best: the plan's mean AUPR, divided by that of the best row of the grid
over_copied: the plan's mean AUPR, less the best of configs/idrid_lesions.py with the same classes
over_as_it_is: the plan's mean AUPR, less that of the model that it starts from, if it starts from one
Files: {workdir}"""


def measure(config: Config, source: Path, *, minutes: float, workdir: Path) -> Result:
    """Trains and scores the plan, every preset of the grid, and the copied one, each for the same time.

    Where the plan starts from a model, so does the grid, the copied preset is trained both ways, and the model is
    scored as it is. Everything is done by ordinary commands, and what is finished is not done again.

    Args:
      config: the plan, from `python -m scripts.plan --source=SOURCE --minutes=MINUTES`.
      source: folder of photographs and masks, with a test part.
      minutes: length of each training.
      workdir: folder for all files.

    Raises:
      InputError: the source has no test part, the plan no field_diameter, the workdir is for something else, or a
        command failed.
    """
    if config.data.field_diameter is None:
        raise InputError("--config: has no data.field_diameter; give a preset that python -m scripts.plan wrote.")
    cases = find_cases(source, config.data.classes, allow_missing_masks=True)[1]
    if not any(case.split == "test" for case in cases):
        raise InputError(f"--source={source}: has no test part to score; the benchmark needs one.")
    grid = _grid(config)
    planned = {PLANNED: config, **grid, **_copied(config)}
    presets = {name: _timed(preset, minutes) for name, preset in planned.items()}
    begin_benchmark(workdir, config, {"source": str(source), "minutes": minutes})
    stages: list[Stage] = []
    tilings: list[DataConfig] = []
    for name, preset in presets.items():
        if preset.data not in tilings:
            tilings.append(preset.data)  # presets of the same tiles share their records
        records = workdir / "records" / str(tilings.index(preset.data))
        stages += _stages(workdir / _folder(name), preset, source=source, records=records)
    rows = list(presets)
    if config.train.initial_model:
        rows.append(AS_IT_IS)
        stages.append(_score(workdir / _folder(AS_IT_IS), Path(config.train.initial_model), source))
    run_commands(workdir, stages)
    aupr = {name: _aupr(workdir / _folder(name), config.data.classes) for name in rows}
    mean = {name: mean_of_lesions(values) for name, values in aupr.items()}
    return Result(
        title=TITLE.format(source=source, minutes=minutes, workdir=workdir),
        columns=["", *config.data.classes, "mean of lesions"],
        rows=[
            [name, *(f"{aupr[name][one]:.3f}" if one in aupr[name] else "–" for one in config.data.classes)]
            + [f"{mean[name]:.3f}"]
            for name in rows
        ],
        keys={
            "aupr": aupr,
            "mean_aupr": mean,
            "over_best": mean[PLANNED] / max(mean[name] for name in grid),
            "over_copied": mean[PLANNED] - max(mean[name] for name in (COPIED, COPIED_FROM_MODEL) if name in mean),
            **({"over_as_it_is": mean[PLANNED] - mean[AS_IT_IS]} if AS_IT_IS in mean else {}),
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


def _copied(plan: Config) -> dict[str, Config]:
    """Returns the preset of IDRiD with the plan's classes, as a person copies it who does not plan, by its row.

    A second one starts from the plan's model, if there is one.
    """
    preset = copied_preset()
    data = dataclasses.replace(preset.data, classes=plan.data.classes)
    train = dataclasses.replace(preset.train, class_sampling=(), paste_classes=())
    copied = {COPIED: dataclasses.replace(preset, data=data, train=train)}
    if plan.train.initial_model:
        train = dataclasses.replace(train, initial_model=plan.train.initial_model)
        copied[COPIED_FROM_MODEL] = dataclasses.replace(preset, data=data, train=train)
    return copied


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
        _score(folder, model, source),
    ]


def _score(folder: Path, model: Path, source: Path) -> Stage:
    scores = folder / "scores"
    arguments = [f"--model={model}", f"--source={source}", "--split=test", f"--output={scores}"]
    return Stage("eval", arguments, scores / "report.html")


def _aupr(folder: Path, classes: tuple[str, ...]) -> dict[str, float]:
    """Returns the AUPR of each class of the plan; the model that a plan starts from may find more classes."""
    aupr = pooled_aupr(read_result(folder / "scores").photographs())
    return {name: aupr[name] for name in classes if name in aupr}


def _folder(name: str) -> str:
    return re.sub(r"[^\w]+", "_", name)
