"""Fine-tuning: a training that begins with the weights of a model folder."""

from pathlib import Path
from typing import NamedTuple

from configs import Config, InputError
from models import Network, transfer_weights
from pipeline.inference import load_model


class InitialWeights(NamedTuple):
    """What a network began with.

    Attributes:
      words: a line that says it.
      seen: names of the photographs that these weights were trained on.
    """

    words: str
    seen: tuple[str, ...]


def load_initial_weights(folder: Path, network: Network, config: Config) -> InitialWeights:
    """Gives a new network the weights of `train.initial_model`; where its classes are others, all but the head's.

    Args:
      folder: the model folder.
      network: of the config.
      config: of the training.

    Raises:
      InputError: no model folder, or a network that is built differently.
    """
    initial, spec = load_model(folder, flag="train.initial_model")
    data = config.data
    same = spec.classes == data.classes
    try:
        transfer_weights(initial, network, head=same)
    except InputError as error:
        raise InputError(
            f"train.initial_model={folder}: its network {initial.name!r}, of the classes {', '.join(spec.classes)}, "
            f"is built differently from the config's {network.name!r}: {error} Take over the section model of the "
            "config that it was trained with."
        ) from error
    words = f"begins with the weights of {folder}"
    if not same:
        words += f", but for a new head: that has {', '.join(spec.classes)}, this {', '.join(data.classes)}"
    if spec.scale != data.scale:
        words += f"; it was trained at scale {spec.scale:.4g}, not {data.scale:.4g}"
    return InitialWeights(words, (*spec.seen_before, *spec.splits.get("train", ())))
