"""Says to which photograph, and to which class, a mask belongs, by its file's name."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from configs import InputError
from records.cases.names import image_stem, nearest_name
from records.cases.unused import listed

NUMBERED = re.compile(r"(?P<name>.+?)(?:[ _.-]\d+| ?\(\d+\))")  # EYE7_1, EYE7-1, EYE7 (1)
# What Label Studio calls the brush masks of a task, whose number may be the photograph's name.
LABEL_STUDIO = re.compile(r"(task-(?P<task>\d+))-annotation-\d+-by-\d+-tag-(?P<name>.+)-\d+")


class Owner(NamedTuple):
    """The photograph and class of a mask.

    Attributes:
      photograph: stem of the photograph.
      name: name of the class.
      numbered: whether the mask's name has a number, as one of several masks of a photograph has.
    """

    photograph: str
    name: str
    numbered: bool


def owner_of(stem: str, photographs: Collection[str], *, classes: Sequence[str], unnamed: str | None) -> Owner | None:
    """Returns the photograph and the class of a mask, or None if it belongs to no photograph.

    Args:
      stem: the mask's name without suffix: `PHOTOGRAPH` or `PHOTOGRAPH_CLASS`, exactly; with or without a number.
      photographs: stems of the photographs.
      classes: classes that may end the name.
      unnamed: class of a mask that is called `PHOTOGRAPH` alone; None if such a mask has no class.
    """
    return next((one for one in _readings(stem, classes, unnamed) if one.photograph in photographs), None)


def is_of_another_class(stem: str, photographs: Collection[str]) -> bool:
    """Returns whether a mask is called `PHOTOGRAPH_X` or `PHOTOGRAPH_X_ignore`, perhaps with a number, for any X."""
    return any(
        text.removesuffix("_ignore").rpartition("_")[0] in photographs for text, _ in _with_and_without_number(stem)
    )


def refuse_unpaired(masks: Sequence[Path], photographs: Collection[str], *, classes: Sequence[str]) -> None:
    """Raises an InputError if there are masks that belong to no photograph; it shows the most similar name.

    Args:
      masks: such masks.
      photographs: stems of the photographs.
      classes: classes that may end the masks' names.
    """
    if not masks:
        return
    names = [image_stem(masks[0]), *(one.photograph for one in _readings(image_stem(masks[0]), classes, None))]
    if names[0] in photographs:
        hint = f" {names[0]!r} names no class; expected CLASS/{masks[0].name} or {names[0]}_CLASS{masks[0].suffix}."
    else:
        hint = of_label_studio(names[0]) or nearest_name(names, photographs)
    raise InputError(
        f"{'a mask pairs' if len(masks) == 1 else f'{len(masks)} masks pair'} with no photograph: "
        f"{listed(map(str, masks))}; rename or remove {'it' if len(masks) == 1 else 'them'}.{hint}"
    )


def of_label_studio(stem: str) -> str:
    """Returns a hint, for a message, if a mask has a name of Label Studio."""
    if not LABEL_STUDIO.fullmatch(stem):
        return ""
    return f" {stem!r} is a name of Label Studio, which has the number of the task instead of the photograph's name."


def _readings(stem: str, classes: Sequence[str], unnamed: str | None) -> Iterator[Owner]:
    """Yields what a mask's name can mean, the most literal first."""
    for text, numbered in _with_and_without_number(stem):
        if unnamed is not None:
            yield Owner(text, unnamed, numbered)
        for name in classes:
            if text.endswith(f"_{name}"):
                for base, inner in _with_and_without_number(text.removesuffix(f"_{name}")):
                    yield Owner(base, name, numbered or inner)
    task = LABEL_STUDIO.fullmatch(stem)
    if task and task["name"] in classes:
        yield Owner(task[1], task["name"], numbered=True)
        yield Owner(task["task"], task["name"], numbered=True)


def _with_and_without_number(stem: str) -> Iterator[tuple[str, bool]]:
    yield stem, False
    if match := NUMBERED.fullmatch(stem):
        yield match["name"], True
