"""How fast another camera is learnt: a model fine-tuned on ten of its photographs, against training from nothing."""

import dataclasses
from pathlib import Path

import numpy as np
from tqdm import tqdm

from configs import Config, DataConfig, InputError
from pipeline.evaluation import LoadedCase, load_case, read_result
from pipeline.inference import load_segmenter
from pipeline.planning import KEPT_APART, LEARNT_FROM, Stage, fine_tuning_config
from records import Case, make_folder, rescale_mask, rescale_photograph, write_png, write_text
from scripts.benchmarks.camera_shifts import find_field, shift_camera
from scripts.benchmarks.measuring import Result
from scripts.benchmarks.running import begin_benchmark, run_commands
from scripts.benchmarks.scoring import check_classes, mean_of_lesions, plan_scoring, pooled_aupr

# Another camera: cooler colours, less light at the rim, sharpening and noise, and a field of view of 1500 pixels.
SHIFTED_BY = ("cool", "vignette", "sharpened", "noise")
DIAMETER = 1500
LEARNT, VALIDATING = 10, 2  # photographs: of the ten, two choose the epoch and the thresholds
TIMES_AS_LONG = 10

TITLE = """\
AUPR of each class, pooled over the pixels of {scored} photographs of another camera ({shifts}; field of view of
{diameter} pixels), made of {source} (split {split}). {learnt} others of that camera are learnt from, {validating} of
which choose the epoch. Files: {workdir}"""


@dataclasses.dataclass(frozen=True)
class _Training:
    """A training that is compared: its row of the table, the name of its folder, and how it begins and ends."""

    title: str
    folder: str
    config: Config
    minutes: float


def measure(config: Config, model: Path, source: Path, *, split: str, minutes: float, workdir: Path) -> Result:
    """Makes the photographs of another camera, trains on ten of them in three ways, and scores all on the others.

    Everything is done by ordinary commands, and what is finished is not done again.

    Args:
      config: the config that the model was trained with; the training from nothing is that of this config.
      model: model folder.
      source: folder of photographs and masks; the trainings learn those classes of the model that it has.
      split: the cases to use, as the model lists them, or "all".
      minutes: length of the fine-tuning.
      workdir: folder for all files.

    Raises:
      InputError: the model or the photographs cannot be read, the classes differ, there are too few, the workdir is
        for something else, or a command failed.
    """
    segmenter = load_segmenter(model)
    spec = segmenter.spec
    check_classes(config.data, spec)
    plan = plan_scoring(segmenter, model, source, split=split)
    if len(plan.cases) <= LEARNT:
        raise InputError(
            f"--source={source}: has {len(plan.cases)} photographs of the split {split}; expected more than {LEARNT}, "
            "which are learnt from."
        )
    asked = {"source": str(source), "model": str(model), "split": split, "minutes": minutes}
    begin_benchmark(workdir, config, asked)
    known = tuple(name for name in spec.classes if any(name not in case.unknown for case in plan.cases))
    data = dataclasses.replace(plan.data, classes=known)
    for number, case in enumerate(tqdm(plan.cases, desc="photographs", disable=None)):
        _write_shifted(case, data, workdir / _part(number, len(plan.cases)))
    tuned = fine_tuning_config(config, spec, classes=known, validating=VALIDATING)
    trainings = _trainings(config, tuned, model, minutes=minutes)
    for training in trainings:
        write_text(workdir / f"{training.folder}.json", training.config.to_json())
    stages = [_shard(workdir, trainings[0]), _score(workdir, "as_it_is", model)]
    for training in trainings:
        stages += [_train(workdir, training), _score(workdir, training.folder, _model(workdir, training))]
    run_commands(workdir, stages)
    folders = {"the model as it is": "as_it_is", **{training.title: training.folder for training in trainings}}
    aupr = {
        title: pooled_aupr(read_result(workdir / "scores" / folder).photographs()) for title, folder in folders.items()
    }
    mean = {title: mean_of_lesions(values) for title, values in aupr.items()}
    return Result(
        title=TITLE.format(
            scored=len(plan.cases) - LEARNT,
            shifts=", ".join(SHIFTED_BY),
            diameter=DIAMETER,
            source=source,
            split=split,
            learnt=LEARNT,
            validating=VALIDATING,
            workdir=workdir,
        ),
        columns=["", *spec.classes, "mean of lesions"],
        rows=[
            [title, *(f"{values[one]:.3f}" if one in values else "–" for one in spec.classes), f"{mean[title]:.3f}"]
            for title, values in aupr.items()
        ],
        keys={"aupr": aupr, "mean_aupr": mean, "photographs": [case.name for case in plan.cases]},
    )


def _part(number: int, cases: int) -> Path:
    """Returns the folder of a photograph: those to learn from are spread evenly over all, as their names order them."""
    learnt = [round(place * cases / LEARNT) for place in range(LEARNT)]
    if number not in learnt:
        return Path(KEPT_APART)
    return Path(LEARNT_FROM) / ("validation" if learnt.index(number) % (LEARNT // VALIDATING) == 1 else "train")


def _write_shifted(case: Case, data: DataConfig, folder: Path) -> None:
    """Writes a photograph as the other camera might have taken it, with its masks, the photograph last."""
    photograph = folder / "images" / f"{case.name}.png"
    if photograph.exists():
        return
    loaded = load_case(case, data)
    shifted, factor = _as_other_camera(loaded)

    def write(name: str, mask: np.ndarray) -> None:
        path = folder / "masks" / name / f"{case.name}.png"
        make_folder(path.parent, flag="--workdir")
        write_png(path, 255 * rescale_mask(mask, factor).astype(np.uint8))

    for number, name in enumerate(data.classes):
        write(name, loaded.masks[..., number])
        if loaded.known is not None and not loaded.known[..., number].all():
            write(f"{name}_ignore", ~loaded.known[..., number])
    make_folder(photograph.parent, flag="--workdir")
    write_png(photograph, shifted)


def _as_other_camera(loaded: LoadedCase) -> tuple[np.ndarray, float]:
    """Returns the photograph of the other camera, and by how much it is smaller or larger."""
    photograph = loaded.photograph
    field = find_field(photograph)
    for name in SHIFTED_BY:
        photograph = shift_camera(photograph, name, case=loaded.case, field=field)
    factor = DIAMETER / field.diameter
    return rescale_photograph(photograph, factor), factor


def _trainings(config: Config, tuned: Config, model: Path, *, minutes: float) -> list[_Training]:
    def begun(initial_model: str, learning_rate: float) -> Config:
        train = dataclasses.replace(tuned.train, initial_model=initial_model, learning_rate=learning_rate)
        return dataclasses.replace(tuned, train=train)

    from_nothing = begun("", config.train.learning_rate)
    longer = minutes * TIMES_AS_LONG
    return [
        _Training(
            f"fine-tuned, {minutes:g} minutes", "fine_tuned", begun(str(model), tuned.train.learning_rate), minutes
        ),
        _Training(f"from nothing, {minutes:g} minutes", "from_nothing", from_nothing, minutes),
        _Training(f"from nothing, {longer:g} minutes", "from_nothing_longer", from_nothing, longer),
    ]


def _config(workdir: Path, training: _Training) -> str:
    return f"--config={workdir / training.folder}.json"


def _model(workdir: Path, training: _Training) -> Path:
    return workdir / training.folder / "model"


def _shard(workdir: Path, training: _Training) -> Stage:
    records = workdir / "records"
    return Stage(
        "shard",
        [_config(workdir, training), f"--source={workdir / LEARNT_FROM}", f"--records={records}"],
        records / "config.json",
    )


def _train(workdir: Path, training: _Training) -> Stage:
    return Stage(
        "train",
        [
            _config(workdir, training),
            f"--source={workdir / LEARNT_FROM}",
            f"--records={workdir / 'records'}",
            f"--workdir={workdir / training.folder}",
            f"--config.train.max_minutes={training.minutes:g}",
        ],
        _model(workdir, training) / "segmenter.json",
    )


def _score(workdir: Path, name: str, model: Path) -> Stage:
    output = workdir / "scores" / name
    arguments = [f"--model={model}", f"--source={workdir / KEPT_APART}", "--split=all", f"--output={output}"]
    return Stage("eval", arguments, output / "report.html")
