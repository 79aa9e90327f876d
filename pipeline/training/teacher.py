"""Distillation: a training that also learns from the probabilities of a model folder."""

from pathlib import Path
from typing import NamedTuple

from configs import Config, InputError
from models import Teacher
from pipeline.inference import fingerprint_of, load_model, spec_of
from records import ScaleRule, SeenPhotographs


class LoadedTeacher(NamedTuple):
    """A teacher and where it comes from.

    Attributes:
      teacher: what the training model learns from.
      message: a line that tells the user about it.
      seen: the photographs that it was trained on.
    """

    teacher: Teacher
    message: str
    seen: SeenPhotographs


def fingerprint_of_teacher(folder: Path) -> str:
    """Returns the fingerprint of `train.teacher`, by which a run that is continued knows it again.

    Raises:
      InputError: not a model folder.
    """
    return fingerprint_of(folder, spec_of(folder, flag="train.teacher").classes)


def load_teacher(folder: Path, config: Config) -> LoadedTeacher:
    """Loads `train.teacher`, in the precision that it was saved in; call it in the scope of the strategy.

    Args:
      folder: the model folder.
      config: the settings of the training.

    Raises:
      InputError: not a model folder, it has none of the classes, or it takes photographs at another scale or tiles of
        other sides.
    """
    network, spec = load_model(folder, flag="train.teacher")
    data, train = config.data, config.train
    taught = [name for name in data.classes if name in spec.classes]
    if not taught:
        raise InputError(
            f"train.teacher={folder}: the model has the classes {', '.join(spec.classes)}, none of data.classes "
            f"({', '.join(data.classes)}); choose a model of some of them."
        )
    if (theirs := spec.rule()) != (ours := ScaleRule.of(data)):
        raise InputError(
            f"train.teacher={folder}: the model takes photographs at {theirs}, but this training shows them at {ours}; "
            "choose a model of the same scale, or shard at the scale of the model."
        )
    side = train.crop or data.tile
    if side % network.stride:
        raise InputError(
            f"train.teacher={folder}: the model takes tiles whose sides are multiples of {network.stride}, but crops "
            f"have {side} pixels; change {'train.crop' if train.crop else 'data.tile'}."
        )
    teacher = Teacher(
        network,
        channels=tuple(spec.classes.index(name) for name in taught),
        student_channels=tuple(data.classes.index(name) for name in taught),
        weight=train.teacher_weight,
        temperature=train.teacher_temperature,
    )
    message = (
        f"learns {', '.join(taught)} from {folder} with a weight of {train.teacher_weight:g} and a temperature of "
        f"{train.teacher_temperature:g}"
    )
    return LoadedTeacher(teacher, message, spec.seen)
