"""Judges masks by what was read of them anyway: what is not plausible becomes a warning.

Such masks are used as they are. Most come from a step that somebody did not think of: a mask that was resized, exported
with other colours, labels or black and white swapped, or drawn on a photograph that was turned.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from records.cases.case import Case
from records.images import MaskFile, Turn, field_of_view, read_photograph

LARGEST_FRACTION = 0.25  # of the field of view that lesions of one class cover
SMALLEST_FIELD = 0.25  # fraction of the frame that any field of view covers; below, the photograph need not be read
INVERTED, INVERTED_BORDER = 0.5, 0.9  # at least these fractions of an inverted mask and of its border are lesion
MOST_LABELS = 32  # values below this are labels, not levels of grey
MOST_COLORS = 32  # more colours than this come from soft edges
SHOWN = 4  # values or colours that a warning lists
PART = 1 << 20  # pixels that are counted at once


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
        highest = int(np.atleast_3d(file.values)[..., :3].max(initial=0))
        if highest > 0 and not file.lesion.any():
            text = (
                f"{path}: shows no lesion: it is compressed with loss, and its highest value, {highest}, is below half"
            )
            yield MaskWarning("faint", f"{text} of the full brightness; save it as PNG")
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
    colors, counts = _distinct(values)
    if len(colors) == 1:  # under several indices of a palette
        return
    hues = np.unique(colors > 0, axis=0)
    if len(hues) > 1 and len(colors) <= MOST_COLORS:
        listed = _listed_colors(colors, counts, values.dtype)
        text = f"the colours {listed} are all read as lesion of one class; data.colors gives each class its colour"
        yield MaskWarning("colors", f"{path}: {text}")
        return
    levels = colors.max(axis=-1)
    listed = _listed(np.unique(levels).tolist())
    if levels.max() < MOST_LABELS:
        text = f"the labels {listed} are all read as lesion of one class; write a mask for each class"
        yield MaskWarning("labels", f"{path}: {text}")
        return
    half = 128 if levels.max() <= 255 else 32768
    above, at_half = counts.sum() / file.lesion.size, counts[levels >= half].sum() / file.lesion.size
    yield MaskWarning(
        "values",
        f"{path}: more than two values, {listed}: {above:.3%} of the frame is above 0, which is read as lesion, and "
        f"{at_half:.3%} at least {half}; a resized mask has such soft edges: save it with two values",
    )


def _unclaimed_colors(path: Path, file: MaskFile) -> Iterator[MaskWarning]:
    """Yields a warning about colours of a coloured mask that belong to no class and are read as background."""
    if file.lossy:  # each pixel has the class of the nearest colour
        return
    black = cv2.inRange(file.values, (0, 0, 0), (0, 0, 0))
    claimed = np.count_nonzero(file.lesion) + cv2.countNonZero(black)
    if (unclaimed := black.size - claimed) == 0:
        return
    colors, counts = _distinct(file.values[(black == 0) & ~file.lesion.any(axis=-1)])
    yield MaskWarning(
        "unclaimed colors",
        f"{path}: {unclaimed} pixels of {len(colors)} {'colour' if len(colors) == 1 else 'colours'} that no class of "
        f"data.colors claims are read as background: {_listed_colors(colors, counts, file.values.dtype)}",
    )


def _distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct values of pixels, and how often each occurs.

    Args:
      values: uint8 or uint16, grey `[N]` or colours `[N, 3]`, or `[N, 4]` with alpha, which does not count.

    Returns:
      uint64 `[n, 1]` or `[n, 3]`, and int64 `[n]`.
    """
    values = values.reshape(len(values), -1)[:, :3]
    weights = np.array([1 << 32, 1 << 16, 1], np.uint64)[-values.shape[1] :]
    parts = [  # in parts, as 8 bytes per pixel are much for a large mask
        np.unique(values[first : first + PART].astype(np.uint64) @ weights, return_counts=True)
        for first in range(0, len(values), PART)
    ]
    packed, inverse = np.unique(np.concatenate([part for part, _ in parts]), return_inverse=True)
    counts = np.bincount(inverse, np.concatenate([numbers for _, numbers in parts])).astype(np.int64)
    return packed[:, None] // weights % np.uint64(1 << 16), counts


def _listed_colors(colors: np.ndarray, counts: np.ndarray, dtype: np.dtype) -> str:
    """Lists the most frequent colours with their numbers of pixels, such as "{ff0000 (100), 00ff00 (25)}"."""
    digits = 2 * dtype.itemsize
    order = np.argsort(-counts, kind="stable")
    names = ["".join(f"{int(level):0{digits}x}" for level in colors[index]) for index in order[: SHOWN + 1]]
    return _listed([f"{name} ({counts[index]})" for name, index in zip(names, order, strict=False)])


def _listed(items: Sequence[object]) -> str:
    return "{" + ", ".join([str(item) for item in items[:SHOWN]] + ["…"] * (len(items) > SHOWN)) + "}"
