"""The models that are joined to one: names and patterns of their folders, and what is averaged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from configs import InputError

AVERAGES = ("probabilities", "logits")  # as in `models.AVERAGES`, which takes seconds to import


def define_flags(*further: str) -> None:
    """Defines --average, whose values are what a network of several can average and `further` ones."""
    flags.DEFINE_enum(
        "average",
        AVERAGES[0],
        [*AVERAGES, *further],
        f"What is averaged over the models: {', '.join(AVERAGES)}" + "".join(f", {one}" for one in further) + ".",
    )


def average() -> Any:
    """Returns what --average says, one of the literals that it can be."""
    return flags.FLAGS.average


def folders(names: Sequence[str], *, flag: str) -> list[Path]:
    """Returns model folders by name or pattern, such as `CV/fold_*/run/model`, those of a pattern in order.

    Raises:
      InputError: a pattern matches nothing.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        is_pattern = not path.exists() and any(one in name for one in "*?[")
        below = Path(path.anchor).glob(str(path.relative_to(path.anchor))) if is_pattern else [path]
        matches = sorted(below)
        if not matches:
            raise InputError(f"{flag}={name}: matches nothing; expected model folders, such as CV/fold_*/run/model.")
        found += matches
    return found
