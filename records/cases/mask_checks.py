"""Judges masks by what was read of them anyway: what is not plausible becomes a warning.

Such masks are used as they are. Most come from a step that somebody did not think of: a mask that was resized, exported
with other colours, labels or black and white swapped, or drawn on a photograph that was turned.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from records.cases.sources import Case
from records.images import MaskFile, Turn, field_of_view, read_photograph

LARGEST_FRACTION = 0.25  # of the field of view that lesions of one class cover
SMALLEST_FIELD = 0.25  # fraction of the frame that any field of view covers; below, the photograph need not be read
INVERTED, INVERTED_BORDER = 0.5, 0.9  # at least these fractions of an inverted mask and of its border are lesion
MOST_LABELS = 32  # values below this are labels, not levels of grey
MOST_COLORS = 32  # more colours than this come from soft edges
SHOWN = 4  # values or colours that a warning lists


class MaskWarning(NamedTuple):
    """What is not plausible about a mask.

    Attributes:
      kind: "size", "inverted", "values", "labels", "colors", "unclaimed colors", "faint" or "turned".
      text: one line that names the file, or the case and the class.
    """

    kind: str
    text: str


def by_kind(warnings: Iterable[MaskWarning]) -> dict[str, list[str]]:
    """Returns the lines of warnings by their kind."""
    lines: dict[str, list[str]] = {}
    for kind, text in warnings:
        lines.setdefault(kind, []).append(text)
    return lines


def check_mask_file(path: Path, file: MaskFile, *, case: Case, turn: Turn) -> Iterator[MaskWarning]:
    """Yields what is not plausible about the content of a mask file.

    Args:
      path: the file.
      file: its content, of the size of its photograph.
      case: its case.
      turn: how the photograph is turned.
    """
    if file.lesion.ndim == 3:
        yield from _unclaimed_colors(path, file)
    elif file.lossy:
        if not file.lesion.any() and (highest := int(file.values.max(initial=0))) > 0:
            text = (
                f"{path}: shows no lesion: it is compressed with loss, and its highest value, {highest}, is below 128"
            )
            yield MaskWarning("faint", f"{text}; save it as PNG")
    elif not _has_one_value(file):
        yield from _several_values(path, file)
    if file.turn != turn and (file.turn.sideways == turn.sideways or len(set(file.lesion.shape[:2])) == 1):
        yield MaskWarning(
            "turned",
            f"{path}: turned by {file.turn.tag or 'no tag'}, but its photograph {case.photograph.name} by "
            f"{turn.tag or 'none'}; if the mask was drawn on the pixels as they are stored, give both the same tag",
        )


def check_class(case: Case, name: str, mask: np.ndarray, *, max_pixels: int) -> Iterator[MaskWarning]:
    """Yields what is not plausible about the area of a class.

    The photograph is read only if the area is large enough to make it necessary.

    Args:
      case: the case.
      name: name of the class.
      mask: its mask, bool `[H, W]`.
      max_pixels: largest allowed number of pixels.

    Raises:
      InputError: the photograph cannot be read.
    """
    fraction = np.count_nonzero(mask) / mask.size
    if fraction <= LARGEST_FRACTION * SMALLEST_FIELD:
        return
    where = case.masks[name]
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if fraction >= INVERTED and border.mean() >= INVERTED_BORDER:
        text = f"{where}: looks inverted: {fraction:.1%} of the frame and {border.mean():.1%} of its border are {name}"
        yield MaskWarning("inverted", f"{text}; background must be black")
        return
    inside = field_of_view(read_photograph(case.photograph, max_pixels=max_pixels))
    covered = np.count_nonzero(mask & inside) / max(int(np.count_nonzero(inside)), 1)
    if covered > LARGEST_FRACTION:
        yield MaskWarning("size", f"{where}: {name} covers {covered:.1%} of the field of view; lesions seldom do")


def _has_one_value(file: MaskFile) -> bool:
    """Returns whether all pixels of a file's lesion have the same value; costs a few passes over the pixels."""
    lesion, values = file.lesion, file.values
    if values.dtype == bool or not lesion.any():
        return True
    first = np.atleast_1d(values[np.unravel_index(lesion.argmax(), lesion.shape)]).astype(float)
    low, high = first.copy(), first
    low[3:], high[3:] = 0, np.iinfo(values.dtype).max  # alpha does not count
    same = cv2.inRange(np.ascontiguousarray(values), low, high)
    return cv2.countNonZero(same) == np.count_nonzero(lesion)


def _several_values(path: Path, file: MaskFile) -> Iterator[MaskWarning]:
    """Yields a warning about a mask whose lesion has several values, which are all lesion alike."""
    values = file.values[file.lesion]
    if file.palette is not None:
        values = file.palette[values]
    if values.ndim == 2:
        values = values[:, :3]
        channels = (values > 0).astype(np.uint8) @ np.array([4, 2, 1], np.uint8)
        colors = _counted(values)
        if len(colors) <= 1:
            return
        if len(np.unique(channels)) > 1 and len(colors) <= MOST_COLORS:
            yield MaskWarning(
                "colors",
                f"{path}: the colours {_listed(colors)} are all read as lesion of one class; "
                "data.colors gives each class its colour",
            )
            return
        values = values.max(axis=-1)
    levels = np.unique(values)
    if levels[-1] < MOST_LABELS:
        yield MaskWarning(
            "labels",
            f"{path}: the labels {_listed(levels)} are all read as lesion of one class; write a mask for each class",
        )
        return
    half = 128 if levels[-1] <= 255 else 32768
    above, at_half = len(values) / file.lesion.size, np.count_nonzero(values >= half) / file.lesion.size
    yield MaskWarning(
        "values",
        f"{path}: more than two values, {_listed(levels)}: {above:.3%} of the frame is above 0, which is read as "
        f"lesion, and {at_half:.3%} at least {half}; a resized mask has such soft edges: save it with two values",
    )


def _unclaimed_colors(path: Path, file: MaskFile) -> Iterator[MaskWarning]:
    """Yields a warning about colours of a coloured mask that belong to no class and are read as background."""
    if file.lossy:
        return
    black = cv2.inRange(file.values, (0, 0, 0), (0, 0, 0))
    claimed = np.count_nonzero(file.lesion) + cv2.countNonZero(black)
    if (unclaimed := black.size - claimed) == 0:
        return
    colors = _counted(file.values[(black == 0) & ~np.logical_or.reduce(file.lesion, axis=-1)])
    yield MaskWarning(
        "unclaimed colors",
        f"{path}: {unclaimed} pixels of {len(colors)} {'colour' if len(colors) == 1 else 'colours'} that no class of "
        f"data.colors claims are read as background: {_listed(colors)}",
    )


def _counted(colors: np.ndarray) -> Mapping[str, int]:
    """Returns how often each colour occurs in uint8 or uint16 `[pixels, 3]`, the most frequent first."""
    digits = 2 * colors.dtype.itemsize
    packed = colors.astype(np.uint64) @ np.array([1 << 8 * digits, 1 << 4 * digits, 1], np.uint64)
    found, counts = np.unique(packed, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {f"{int(found[index]):0{3 * digits}x}": int(counts[index]) for index in order}


def _listed(values: Iterable[object]) -> str:
    """Returns a list of values, or of colours with their numbers of pixels, in braces."""
    items = values.items() if isinstance(values, Mapping) else [(value, None) for value in values]
    shown = [f"{value}" if count is None else f"{value} ({count})" for value, count in list(items)[:SHOWN]]
    return "{" + ", ".join(shown + ["…"] * (len(items) > SHOWN)) + "}"
