"""The layout of previews: panels with outlines and captions, and the strip of all epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from pipeline.panels import WHITE, caption_height, captioned, densest_window, outlined, with_legend, with_notes
from records import CLASS_COLORS, contact_sheet

SIDE = 900  # longer side of a panel, pixels
CLOSER = 4  # the close-up shows this part of a photograph's longer side
EPOCHS = 11  # most epochs on a strip: with the ground truth, three rows of four
LETTERS = 16  # height of captions, pixels

Item = TypeVar("Item")


class PreviewCase(NamedTuple):
    """A photograph, or a tile of one, to draw.

    Attributes:
      name: the name of its files.
      photograph: uint8 RGB `[H, W, 3]`.
      masks: bool `[H, W, C]`.
      known: bool `[H, W, C]`, whether it is known that a pixel shows a class or not; None: known throughout.
    """

    name: str
    photograph: np.ndarray
    masks: np.ndarray
    known: np.ndarray | None = None


class Side(NamedTuple):
    """What a column of a sheet shows of a photograph.

    Attributes:
      caption: text that names it.
      masks: bool `[H, W, C]`.
      striped: `unlabelled_regions` of the ground truth.
    """

    caption: str
    masks: np.ndarray
    striped: np.ndarray | None = None


class View(NamedTuple):
    """The part of a photograph that a panel shows.

    Attributes:
      caption: text that names it.
      part: its rows and columns in the photograph.
      size: height and width of the panel, pixels.
      frame: rows and columns of the panel that the next view shows enlarged, if there is one.
    """

    caption: str
    part: tuple[slice, slice]
    size: tuple[int, int]
    frame: tuple[slice, slice] | None = None


def views_of(case: PreviewCase) -> list[View]:
    """Returns the view of the whole photograph, and that of a close-up if it has to be shrunk."""
    height, width = case.photograph.shape[:2]
    longer = max(height, width)
    whole = np.s_[0:height, 0:width]
    if longer <= SIDE:
        return [View(f"{case.name}: ", whole, (height * (SIDE // longer), width * (SIDE // longer)))]
    size = max(height * SIDE // longer, CLOSER), max(width * SIDE // longer, CLOSER)
    lesions = cv2.resize(case.masks.any(axis=-1) * np.uint8(255), size[::-1], interpolation=cv2.INTER_AREA)
    frame = densest_window(lesions, (size[0] // CLOSER, size[1] // CLOSER))
    rows, columns = (
        slice(side.start * whole // panel, side.stop * whole // panel)
        for side, whole, panel in zip(frame, (height, width), size, strict=True)
    )
    caption = f"the frame, at y {rows.start}, x {columns.start}: "
    return [View(f"{case.name}: ", whole, size, frame), View(caption, (rows, columns), size)]


def preview_sheet(
    case: PreviewCase, views: Sequence[View], sides: Sequence[Side], *, legend: Sequence[str], notes: Sequence[str] = ()
) -> np.ndarray:
    """Draws a case: a row per view, a column per side.

    Args:
      case: what is drawn.
      views: as `views_of` returns them.
      sides: the columns.
      legend: a line for each class.
      notes: lines below it.
    """
    panels = [
        captioned(_draw(case.photograph, side, view), [f"{view.caption}{side.caption}"], letters=LETTERS)
        for view in views
        for side in sides
    ]
    return with_notes(with_legend(contact_sheet(panels), legend, letters=LETTERS), notes, letters=LETTERS)


def preview_strip(
    sheets: Mapping[int, Path], views: Sequence[View], *, legend: Sequence[str], notes: Sequence[str] = ()
) -> np.ndarray:
    """Lays out the ground truth and the predictions from the first epoch to the last.

    Args:
      sheets: files with the sheets of `preview_sheet`, by epoch.
      views: those of the sheets.
      legend: a line for each class.
      notes: lines below it.
    """
    images = {epoch: read_preview(sheets[epoch]) for epoch in evenly_spaced(sorted(sheets), EPOCHS)}
    truth = _column(next(iter(images.values())), 0, views, caption="ground truth")
    predictions = [_column(image, 1, views, caption=f"epoch {epoch}") for epoch, image in images.items()]
    strip = with_legend(contact_sheet([truth, *predictions]), legend, letters=LETTERS)
    return with_notes(strip, notes, letters=LETTERS)


def read_preview(path: Path) -> np.ndarray:
    """Returns a file with a sheet or a strip, uint8 RGB `[H, W, 3]`."""
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def evenly_spaced(items: Sequence[Item], number: int) -> list[Item]:
    """Returns at most `number` items, including the first and the last; for a single one, that in the middle."""
    if number == 1:
        return [items[len(items) // 2]]
    places = np.linspace(0, len(items) - 1, min(number, len(items))).round().astype(int)
    return [items[place] for place in places]


def _draw(photograph: np.ndarray, side: Side, view: View) -> np.ndarray:
    striped = None if side.striped is None else side.striped[view.part]
    panel = outlined(photograph[view.part], side.masks[view.part], view.size, striped=striped)
    if view.frame is not None:
        rows, columns = view.frame
        cv2.rectangle(panel, (columns.start, rows.start), (columns.stop - 1, rows.stop - 1), WHITE)
    return panel


def _column(sheet: np.ndarray, number: int, views: Sequence[View], *, caption: str) -> np.ndarray:
    """Cuts one column out of a sheet, at half its size and with another caption."""
    height, width = views[0].size
    above, gap = caption_height(1, LETTERS), sheet.shape[1] - 2 * width
    left = number * (width + gap)
    tops = [above + row * (above + height + gap) for row in range(len(views))]
    halves = [_halved(sheet[top : top + height, left : left + width]) for top in tops]
    captions: list[list[str]] = [[caption], []]
    return np.concatenate(
        [captioned(half, lines, letters=LETTERS) for half, lines in zip(halves, captions, strict=False)]
    )


def _halved(panel: np.ndarray) -> np.ndarray:
    """Shrinks a panel to half its size, but keeps the colours of the outlines as they are."""
    size = (panel.shape[1] // 2, panel.shape[0] // 2)
    half = cv2.resize(panel, size, interpolation=cv2.INTER_AREA)
    for color in CLASS_COLORS:
        line = cv2.inRange(panel, color, color)  # uint8 0 or 255
        half[cv2.resize(line, size, interpolation=cv2.INTER_AREA) > 0] = color
    return half
