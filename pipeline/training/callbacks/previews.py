"""Previews: chosen validation photographs with what was found in them after each epoch, beside the truth."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import keras
import numpy as np
import tensorflow as tf

from configs import InputError
from pipeline.input import RecordSet, TileReader
from pipeline.panels import WHITE, caption_height, captioned, densest_window, outlined, with_legend
from records import CLASS_COLORS, contact_sheet, make_folder, write_png

SIDE = 900  # longer side of a panel, pixels
CLOSER = 4  # the close-up shows a photograph's longer side divided by this
EPOCHS = 11  # at most, on the strip of a photograph: with the truth, three rows of four
LETTERS = 16  # size of what is written, pixels

Item = TypeVar("Item")


class Picture(NamedTuple):
    """What is drawn: a photograph, or a tile.

    Attributes:
      name: of its files.
      photograph: uint8 RGB `[H, W, 3]`.
      masks: bool `[H, W, C]`.
    """

    name: str
    photograph: np.ndarray
    masks: np.ndarray


class Previews(keras.callbacks.Callback):
    """Draws `NAME/epoch_003.png` after each epoch, and when the training is over `NAME.png`, how it came to that.

    The truth is on the left, the prediction on the right, each class in its colour. A photograph that had to be shrunk
    has a close-up below, at about its own pixels, of the place with the most lesion pixels: small lesions hardly show
    in a shrunk photograph.
    """

    def __init__(
        self,
        folder: Path,
        pictures: Sequence[Picture],
        segment: Callable[[np.ndarray], np.ndarray],
        *,
        classes: Sequence[str],
        thresholds: Sequence[float],
    ):
        """Args:
        folder: of the files.
        pictures: with different names.
        segment: uint8 RGB `[H, W, 3]` → float32 0..1 `[H, W, C]`, with the weights as they are when it is called.
        classes: names of the C classes.
        thresholds: of each class, from which probability on a pixel is drawn as lesion.
        """
        super().__init__()
        self.folder, self.segment = folder, segment
        self.pictures = [(picture, _views(picture)) for picture in pictures]
        self.thresholds = np.array(thresholds, np.float32)
        self.legend = [f"{name} from {threshold:.3g}" for name, threshold in zip(classes, thresholds, strict=True)]
        self._last = 0

    def on_epoch_end(self, epoch, logs=None):
        self._last = epoch + 1
        for picture, views in self.pictures:
            found = self.segment(picture.photograph) >= self.thresholds
            sides = {"truth": picture.masks, f"prediction after epoch {self._last}": found}
            panels = [
                captioned(_draw(picture.photograph, masks, view), [f"{view.words}{side}"], letters=LETTERS)
                for view in views
                for side, masks in sides.items()
            ]
            folder = make_folder(self.folder / picture.name, flag="--workdir")
            sheet = with_legend(contact_sheet(panels), self.legend, letters=LETTERS)
            write_png(folder / epoch_file(self._last), sheet)

    def on_train_end(self, logs=None):
        for picture, views in self.pictures:
            strip = _strip(self.folder / picture.name, views, self._last)
            write_png(self.folder / f"{picture.name}.png", with_legend(strip, self.legend, letters=LETTERS))


def choose_previews(lesion_pixels: Mapping[str, int], number: int, wanted: Sequence[str]) -> list[str]:
    """Chooses the validation photographs that are drawn.

    Args:
      lesion_pixels: of each validation photograph, all classes together.
      number: of photographs, where none are wanted.
      wanted: names of photographs; empty: those in even steps from few lesion pixels to many.

    Raises:
      InputError: a wanted one that is no validation photograph.
    """
    unknown = [name for name in wanted if name not in lesion_pixels]
    if unknown:
        raise InputError(
            f"train.preview_cases has {', '.join(unknown)}, but the validation photographs of these records are "
            f"{', '.join(sorted(lesion_pixels))}; choose among them."
        )
    return list(wanted) or _in_even_steps(sorted(lesion_pixels, key=lambda name: (lesion_pixels[name], name)), number)


def tile_pictures(sets: Sequence[RecordSet], names: Sequence[str]) -> list[Picture]:
    """Reads, of each of these validation photographs, the tile with the most lesion pixels; all have tiles."""
    reader = TileReader(sets, "validation")
    fullest: dict[str, tuple[int, int]] = {}  # lesion pixels and number of a tile
    number = 0
    for one in sets:
        for name in one.index.splits["validation"].cases:
            for place in one.index.cases[name].places:
                if name not in fullest or place.lesion_pixels > fullest[name][0]:
                    fullest[name] = (place.lesion_pixels, number)
                number += 1
    tiles = {name: reader.tile(tf.constant(fullest[name][1], tf.int64)) for name in names}
    return [Picture(name, image.numpy(), mask.numpy() > 0) for name, (image, mask) in tiles.items()]


def epoch_file(epoch: int) -> str:
    """Returns the name of the file of an epoch, which count from 1."""
    return f"epoch_{epoch:03d}.png"


def read_preview(path: Path) -> np.ndarray:
    """Returns a file that `Previews` wrote, uint8 RGB `[H, W, 3]`."""
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


class _View(NamedTuple):
    """What a panel shows of a photograph.

    Attributes:
      words: that say so.
      part: its rows and columns in the photograph.
      size: height and width of the panel, pixels.
      frame: rows and columns of the panel that the next view shows closer, if there is one.
    """

    words: str
    part: tuple[slice, slice]
    size: tuple[int, int]
    frame: tuple[slice, slice] | None = None


def _views(picture: Picture) -> list[_View]:
    """Returns the whole photograph, and below it a close-up if it had to be shrunk."""
    height, width = picture.photograph.shape[:2]
    longer = max(height, width)
    whole = np.s_[0:height, 0:width]
    if longer <= SIDE:
        return [_View(f"{picture.name}: ", whole, (height * (SIDE // longer), width * (SIDE // longer)))]
    size = max(height * SIDE // longer, CLOSER), max(width * SIDE // longer, CLOSER)
    lesions = cv2.resize(picture.masks.any(axis=-1) * np.uint8(255), size[::-1], interpolation=cv2.INTER_AREA)
    frame = densest_window(lesions, (size[0] // CLOSER, size[1] // CLOSER))
    rows, columns = (
        slice(side.start * whole // panel, side.stop * whole // panel)
        for side, whole, panel in zip(frame, (height, width), size, strict=True)
    )
    words = f"the frame, at y {rows.start}, x {columns.start}: "
    return [_View(f"{picture.name}: ", whole, size, frame), _View(words, (rows, columns), size)]


def _draw(photograph: np.ndarray, masks: np.ndarray, view: _View) -> np.ndarray:
    panel = outlined(photograph[view.part], masks[view.part], view.size)
    if view.frame is not None:
        rows, columns = view.frame
        cv2.rectangle(panel, (columns.start, rows.start), (columns.stop - 1, rows.stop - 1), WHITE)
    return panel


def _strip(folder: Path, views: Sequence[_View], last: int) -> np.ndarray:
    """Lays out the truth and the predictions of epochs from the first to the last, out of the files in a folder."""
    epochs = [epoch for epoch in range(1, last + 1) if (folder / epoch_file(epoch)).exists()]
    sheets = {epoch: read_preview(folder / epoch_file(epoch)) for epoch in _in_even_steps(epochs, EPOCHS)}
    truth = _column(next(iter(sheets.values())), 0, views, words="truth")
    return contact_sheet(
        [truth, *(_column(sheet, 1, views, words=f"epoch {epoch}") for epoch, sheet in sheets.items())]
    )


def _column(sheet: np.ndarray, number: int, views: Sequence[_View], *, words: str) -> np.ndarray:
    """Cuts one column out of a preview, at half its size and with other words above it."""
    height, width = views[0].size
    above, gap = caption_height(1, LETTERS), sheet.shape[1] - 2 * width
    left = number * (width + gap)
    tops = [above + row * (above + height + gap) for row in range(len(views))]
    halves = [_halved(sheet[top : top + height, left : left + width]) for top in tops]
    captions: list[list[str]] = [[words], []]
    return np.concatenate(
        [captioned(half, lines, letters=LETTERS) for half, lines in zip(halves, captions, strict=False)]
    )


def _halved(panel: np.ndarray) -> np.ndarray:
    """Shrinks a drawn panel to half its size; unlike the photograph's, the outlines' colours stay as they are."""
    size = (panel.shape[1] // 2, panel.shape[0] // 2)
    half = cv2.resize(panel, size, interpolation=cv2.INTER_AREA)
    for color in CLASS_COLORS:
        line = cv2.inRange(panel, color, color)  # uint8 0 or 255
        half[cv2.resize(line, size, interpolation=cv2.INTER_AREA) > 0] = color
    return half


def _in_even_steps(items: Sequence[Item], number: int) -> list[Item]:
    """Returns at most `number` items, the first and the last among them; of one, the middle."""
    if number == 1:
        return [items[len(items) // 2]]
    places = np.linspace(0, len(items) - 1, min(number, len(items))).round().astype(int)
    return [items[place] for place in places]
