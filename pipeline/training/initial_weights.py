"""Fine-tuning: a training that starts from the weights of a model folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from configs import Config, InputError
from models import Network, number_of_members, transfer_weights
from pipeline.inference import load_model
from records import ScaleRule, SeenPhotographs


class InitialWeights(NamedTuple):
    """The origin of a network's first weights.

    Attributes:
      message: a line that tells the user where they come from.
      seen: the photographs that they were trained on.
      thresholds: operating thresholds of that model for the training's classes; None if it has not all of them.
      quality: quantiles of measures of the photographs that it was trained on, see `SegmenterSpec`.
    """

    message: str
    seen: SeenPhotographs
    thresholds: tuple[float, ...] | None
    quality: Mapping[str, Sequence[float]]


def load_initial_weights(folder: Path, network: Network, config: Config) -> InitialWeights:
    """Loads the weights of `train.initial_model` into a new network; a class that it has not keeps a new head.

    Args:
      folder: the model folder.
      network: a network as the config describes it.
      config: the settings of the training.

    Raises:
      InputError: not a model folder, an ensemble, or its network is built differently.
    """
    initial, spec = load_model(folder, flag="train.initial_model")
    if (members := number_of_members(initial)) > 1:
        raise InputError(
            f"train.initial_model={folder}: is an ensemble of {members} models, whose weights are not those of one "
            "network; let train.teacher learn from it, or make one network of its members with "
            "python -m scripts.ensemble --average=weights."
        )
    data = config.data
    numbers = [spec.classes.index(name) if name in spec.classes else None for name in data.classes]
    try:
        transfer_weights(initial, network, classes=numbers)
    except InputError as error:
        raise InputError(
            f"train.initial_model={folder}: its network {initial.name!r}, trained for {', '.join(spec.classes)}, "
            f"is built differently from the config's {network.name!r}: {error} Copy the section model of the "
            "config that it was trained with."
        ) from error
    message = f"starts from the weights of {folder}"
    if new := [name for name in data.classes if name not in spec.classes]:
        message += f", with a new head for {', '.join(new)} (that model has {', '.join(spec.classes)})"
    elif left := [name for name in spec.classes if name not in data.classes]:
        message += f", without those of its head for {', '.join(left)}"
    if (before := spec.rule()) != (now := ScaleRule.of(data)):
        message += f"; that model was trained at {before}, this training uses {now}"
    of_class = dict(zip(spec.classes, spec.thresholds, strict=True))
    thresholds = None if new else tuple(of_class[name] for name in data.classes)
    return InitialWeights(message, spec.seen, thresholds, spec.quality)
