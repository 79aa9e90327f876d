"""Building blocks of sheets and previews: images with outlined lesions, captions above and a legend below."""

import functools
import math
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.unlabelled import draw_stripes
from records import CLASS_COLORS, draw_contours

LETTERS = 11  # font size, pixels
MARGIN = 3  # around text, pixels
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


def outlined(
    image: np.ndarray,
    masks: np.ndarray,
    size: tuple[int, int],
    *,
    thickness: int = 1,
    striped: np.ndarray | None = None,
) -> np.ndarray:
    """Resizes an image, and then draws the outlines of its lesions.

    Args:
      image: uint8 RGB `[H, W, 3]`.
      masks: bool `[H, W, C]`, drawn in the colours `CLASS_COLORS`; even the smallest lesion is outlined.
      size: height and width of the result. The image is shrunk by area averaging or enlarged by nearest pixels.
      thickness: thickness of the outlines, pixels.
      striped: bool `[H, W, C]`, the part of `unlabelled_regions` that the image shows.

    Returns:
      uint8 RGB `[*size, 3]`.
    """
    interpolation = cv2.INTER_AREA if size[0] < image.shape[0] else cv2.INTER_NEAREST
    resized = cv2.resize(image, size[::-1], interpolation=interpolation)
    if striped is not None:
        planes = (striped[..., index].astype(np.uint8) for index in range(striped.shape[-1]))
        nearest = [cv2.resize(plane, size[::-1], interpolation=cv2.INTER_NEAREST) for plane in planes]
        draw_stripes(resized, np.stack(nearest, axis=-1) > 0)
    for index, color in zip(range(masks.shape[-1]), CLASS_COLORS, strict=False):
        fraction = cv2.resize(masks[..., index].astype(np.float32), size[::-1], interpolation=interpolation)
        draw_contours(resized, fraction > 0, color, thickness=thickness)
    return resized


def with_outlines(photograph: np.ndarray, masks: np.ndarray, *, striped: np.ndarray | None = None) -> np.ndarray:
    """Returns a photograph, uint8 RGB `[H, W, 3]`, with the outlines of masks, bool `[H, W, C]`, at its own size.

    Regions that are not labelled, `unlabelled_regions`, are striped.
    """
    overlay = draw_stripes(photograph.copy(), striped)
    for index in range(masks.shape[-1]):
        draw_contours(overlay, masks[..., index], CLASS_COLORS[index], thickness=line_width(photograph.shape))
    return overlay


def line_width(shape: Sequence[int]) -> int:
    """Returns the thickness of outlines in a photograph of this shape, pixels; it looks the same at every size."""
    return max(round(max(shape) / 1500), 1)


def letter_size(shape: Sequence[int]) -> int:
    """Returns the font size of a legend below a photograph of this shape, pixels; it looks the same at every size."""
    return max(round(max(shape) / 90), LETTERS)


def densest_window(mask: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice]:
    """Finds the window that contains the most lesion pixels; of equally good ones, the one nearest to their centre.

    Args:
      mask: bool or uint8 `[H, W]`; the sum of uint8 values counts.
      size: height and width of the window, at most those of the mask.

    Returns:
      The rows and the columns of the window.
    """
    height, width = size
    summed = cv2.integral(mask.astype(np.uint8))  # int32 [H + 1, W + 1]
    within = summed[height:, width:] - summed[:-height, width:] - summed[height:, :-width] + summed[:-height, :-width]
    places = np.argwhere(within == within.max())
    y, x = places[np.square(places - places.mean(axis=0)).sum(axis=1).argmin()]
    return slice(int(y), int(y) + height), slice(int(x), int(x) + width)


def captioned(
    image: np.ndarray,
    lines: Sequence[str],
    color: tuple[int, int, int] = BLACK,
    *,
    letters: int = LETTERS,
) -> np.ndarray:
    """Writes lines of text above an image, uint8 RGB `[H, W, 3]`; lines that are too long are cut off."""
    strip = Image.new("RGB", (image.shape[1], caption_height(len(lines), letters)), WHITE)
    drawing = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        drawing.text((MARGIN, caption_height(number, letters) - MARGIN), line, fill=color, font=_font(letters))
    return np.concatenate([np.asarray(strip), image])


def with_legend(sheet: np.ndarray, classes: Sequence[str], *, letters: int = LETTERS) -> np.ndarray:
    """Writes the classes below a sheet, uint8 RGB `[H, W, 3]`, each beside the colour of its outlines.

    A sheet that is too narrow for an entry becomes wider, with white on the right.
    """
    side, margin = letters - 2, round(MARGIN * letters / LETTERS)
    widths = [side + margin + math.ceil(_font(letters).getlength(name)) for name in classes]
    missing = max(2 * margin + max(widths) - sheet.shape[1], 0)
    if missing:  # a large sheet is not copied for nothing
        sheet = np.pad(sheet, ((0, 0), (0, missing), (0, 0)), constant_values=WHITE[0])
    places, x, line = [], margin, 0
    for width in widths:
        if x + width + margin > sheet.shape[1] and x > margin:
            x, line = margin, line + 1
        places.append((x, caption_height(line, letters)))
        x += width + 5 * margin
    strip = Image.new("RGB", (sheet.shape[1], caption_height(line + 1, letters)), WHITE)
    drawing = ImageDraw.Draw(strip)
    for name, color, (x, y) in zip(classes, CLASS_COLORS, places, strict=False):
        drawing.rectangle((x, y + MARGIN, x + side, y + MARGIN + side), fill=color, outline=BLACK)
        drawing.text((x + side + margin, y), name, fill=BLACK, font=_font(letters))
    return np.concatenate([sheet, np.asarray(strip)])


def with_notes(sheet: np.ndarray, notes: Sequence[str], *, letters: int = LETTERS) -> np.ndarray:
    """Writes notes below a sheet, uint8 RGB `[H, W, 3]`, each on lines of its own."""
    lines = [line for note in notes for line in wrapped(note, sheet.shape[1], letters=letters)]
    if not lines:
        return sheet
    return np.concatenate([sheet, captioned(np.zeros((0, *sheet.shape[1:]), np.uint8), lines, letters=letters)])


def wrapped(text: str, width: int, *, letters: int = LETTERS) -> list[str]:
    """Breaks a text into lines of at most `width` pixels, but not between a number and its unit."""
    lines = [""]
    for word in re.sub(r" (?=%|px)", "\N{NO-BREAK SPACE}", text).split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if _font(letters).getlength(longer) <= width - 2 * MARGIN:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines if lines[0] else lines[1:]


def caption_height(lines: int, letters: int = LETTERS) -> int:
    """Returns the height of a caption of this many lines, pixels."""
    return lines * round(letters * 15 / 11) + MARGIN


@functools.cache
def _font(letters: int) -> ImageFont.FreeTypeFont:
    # matplotlib's font has the letters of most languages, unlike OpenCV's.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), letters)
