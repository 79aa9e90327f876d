"""The plan of a training: a config with the reason of each value, from a fingerprint and from measured steps."""

import dataclasses
from collections.abc import Callable, Sequence

from configs import Config
from configs.schema import field_names, from_dict
from pipeline.planning.choice import Choice, Choices
from pipeline.planning.clock_rules import choose_folds, choose_steps, refuse_too_short, with_enough_steps
from pipeline.planning.fingerprint import Fingerprint
from pipeline.planning.network_rules import choose_network, choose_start
from pipeline.planning.problems import find_problems
from pipeline.planning.scale_rules import (
    choose_crop,
    choose_degrees,
    choose_diameter,
    choose_tiles,
    count_tiles,
    keep_diameter,
    shorten_for_time,
)
from pipeline.planning.step_trial import StepTrial
from pipeline.planning.training_rules import (
    choose_class_sampling,
    choose_held_out,
    choose_loss,
    choose_recipe,
    choose_shown,
    count_healthy,
)
from records import Camera

Trials = tuple[StepTrial, list[StepTrial]]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A planned training.

    Attributes:
      config: the config.
      choices: value and reason of each field that was chosen; all others have their defaults.
      chosen: the trial whose settings were taken.
      trials: all trials.
      problems: what looks wrong in the source, one line each.
      training: number of photographs that are trained on.
      tiles: number of training tiles, about.
      folds: number of trainings that the time is for; above 1, those of a cross-validation.
    """

    config: Config
    choices: Choices
    chosen: StepTrial
    trials: Sequence[StepTrial]
    problems: Sequence[str]
    training: int
    tiles: int
    folds: int = 1


def make_plan(
    fingerprint: Fingerprint,
    *,
    minutes: float,
    network: str,
    degrees: float | None,
    measure: Callable[[Config, int], Trials],
    folds: int | None = 1,
) -> Plan:
    """Decides every field by its rule.

    Args:
      fingerprint: the photographs, of which at least one shows a lesion.
      minutes: time of training, of all folds together.
      network: a name of `networks.PLANNED`.
      degrees: the camera's angle of view, if the user says it.
      measure: tries training steps of a config with a number of photographs, as `measuring.try_steps` does.
      folds: number of folds of a cross-validation, 1 for none; None: by the time.

    Raises:
      InputError: the time does not suffice for an epoch, or what `measure` raises.
    """
    names = fingerprint.shown_classes
    classes = [fingerprint.of_class(name) for name in names]
    held_out = choose_held_out(fingerprint, folds=folds or 1)
    training = _count_training(fingerprint, held_out.value, folds=folds or 1)
    angle = choose_degrees(fingerprint, degrees)
    start = choose_start(fingerprint, names, network=network, degrees=angle.value)
    fixed: dict[str, Choice] = {
        "data.classes": Choice(names, _shown(fingerprint)),
        "data.field_degrees": angle,
        "data.validation_fraction": held_out,
        "train.initial_model": Choice(start.folder or "", start.reason),
        "train.loss": choose_loss(
            classes, photographs=len(fingerprint.learnt_from), healthy=count_healthy(fingerprint, names)
        ),
        "train.class_sampling": choose_class_sampling(classes),
        **choose_shown(fingerprint, names),
        **choose_recipe(),
    }
    known = None if start.spec is None else start.spec.rule(Camera(degrees=angle.value)).diameter
    diameter = choose_diameter(fingerprint, classes) if known is None else keep_diameter(fingerprint, known)
    crop = choose_crop(classes, diameter.value)
    model = choose_network(classes, start, network=network, photographs=training, diameter=diameter.value)
    draft = _config(fixed | model | _scaled(fingerprint, diameter, crop))
    fast, trials = measure(draft, training)
    if folds is None:
        smallest = min(trials, key=lambda one: one.batch)
        folds = choose_folds(smallest, minutes=minutes, patients=fingerprint.patients)
        fixed["data.validation_fraction"] = held_out = choose_held_out(fingerprint, folds=folds)
        training = _count_training(fingerprint, held_out.value, folds=folds)
    each = minutes / folds
    chosen = with_enough_steps(fast, trials, minutes=each)
    if start.spec is None:
        diameter = shorten_for_time(
            diameter,
            classes,
            photographs=training,
            pixels_per_second=chosen.crops_per_second * chosen.crop**2,
            minutes=each,
        )
    made = (
        fixed | model | _scaled(fingerprint, diameter, crop) | choose_steps(chosen, trials, minutes=each, folds=folds)
    )
    choices = {name: made[name] for name in field_names() if name in made}  # in the order of the schema
    config = _config(choices)
    every = count_tiles(fingerprint, diameter=diameter.value, tile=config.data.tile, stride=config.data.stride)
    tiles = max(round(every * training / len(fingerprint.learnt_from)), 1)
    refuse_too_short(each, chosen, tiles=tiles, folds=folds)
    return Plan(config, choices, chosen, trials, find_problems(fingerprint), training, tiles, folds)


def _count_training(fingerprint: Fingerprint, held_out: float, *, folds: int) -> int:
    """Returns how many photographs a training learns from."""
    if folds > 1:
        usable = len(fingerprint.learnt_from) * (folds - 1) / folds
    else:
        usable = sum(case.split == "train" for case in fingerprint.cases)
    return max(round(usable * (1 - held_out)), 1)


def _shown(fingerprint: Fingerprint) -> str:
    parts = []
    for name in fingerprint.shown_classes:
        one = fingerprint.of_class(name)
        parts.append(f"{name}: {len(one.diameters)} lesions in {one.showing} of {one.known} photographs")
    return f"{'; '.join(parts)}."


def _scaled(fingerprint: Fingerprint, diameter: Choice, crop: Choice) -> dict[str, Choice]:
    tiles = choose_tiles(fingerprint, diameter=diameter.value, crop=crop.value)
    return {"data.field_diameter": diameter, "train.crop": crop, **tiles}


def _config(choices: Choices) -> Config:
    """Returns the config of choices; all other fields have their defaults."""
    values = dataclasses.asdict(Config())
    values["data"]["scale"] = None  # as there is a field_diameter
    for name, choice in choices.items():
        *sections, field = name.split(".")
        section = values
        for one in sections:
            section = section[one]
        section[field] = choice.value
    return from_dict(values)
