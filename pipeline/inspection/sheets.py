"""Sheets of captioned pictures: what `pipeline.inspection.elements` finds, for the eye."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from configs import AugmentConfig, Config
from pipeline.inspection.elements import Element, Extreme
from pipeline.panels import BLACK, MARGIN, WHITE, captioned, densest_window, outlined, with_legend, wrapped
from records import contact_sheet

SIDE = 224  # of a picture on a sheet, pixels
LEAST = 480  # pixels that the words about one element need
GREY = (130, 130, 130)
FINE = ("elastic", "blur", "sharpening", "jpeg")  # these cannot be seen in a shrunk tile


def draw_extremes(groups: Iterable[list[Extreme]], config: Config) -> np.ndarray:
    """Draws augmentations in pairs of low and high end, uint8 RGB `[H, W, 3]`.

    Args:
      groups: as `pipeline.inspection.elements.extremes` yields them: the tile as it is first.
      config: whose probabilities and classes stand beside the pictures.
    """
    first, *others = groups
    as_it_is = first[0]
    detail = _detail(as_it_is.mask)
    pairs = []
    for group in others:
        shown = [as_it_is] * (len(group) % 2) + group
        name = group[0].name
        part = detail if name in FINE else np.s_[:, :]
        pictures = [
            captioned(_contoured(one.image[part], one.mask[part], SIDE), *_about(one, config.augment)) for one in shown
        ]
        pairs += [_pad(contact_sheet(pictures[place : place + 2])) for place in range(0, len(pictures), 2)]
    return with_legend(contact_sheet(pairs), config.data.classes)


def draw_elements(elements: Sequence[Element], config: Config) -> np.ndarray:
    """Draws elements of the stream, small, with the contours of their masks, uint8 RGB `[H, W, 3]`."""
    texts = []
    for element in elements:
        stored = element.stored
        where = f"{element.k}: {stored.case}, y {stored.y}, x {stored.x}"
        texts.append([*wrapped(where, SIDE), *wrapped(element.words, SIDE)])
    rows = max(map(len, texts))
    pictures = [
        captioned(_contoured(element.image, element.mask, SIDE), [""] * (rows - len(text)) + text)
        for element, text in zip(elements, texts, strict=True)
    ]
    return with_legend(contact_sheet(pictures), config.data.classes)


def draw_element(element: Element, config: Config) -> np.ndarray:
    """Draws, in full size, the stored tile with the crop's frame, what training saw, and its mask's contours."""
    tile, mask = element.tile
    side = element.image.shape[0]
    stored = _contoured(tile, mask, tile.shape[0])
    if side < tile.shape[0]:
        y, x = element.origin
        cv2.rectangle(stored, (x, y), (x + side - 1, y + side - 1), WHITE)
    pictures = {
        "as it is stored" + (", with the crop's frame" if side < tile.shape[0] else ""): stored,
        "what training saw": _levels(element.image),
        "with its mask": _contoured(element.image, element.mask, side),
    }
    captions = [wrapped(text, picture.shape[1]) for text, picture in pictures.items()]
    rows, height = max(map(len, captions)), tile.shape[0]
    columns = []
    for lines, picture in zip(captions, pictures.values(), strict=True):
        below = ((0, height - picture.shape[0]), (0, 2 * MARGIN), (0, 0))
        columns.append(captioned(np.pad(picture, below, constant_values=255), [""] * (rows - len(lines)) + lines))
    row = np.concatenate(columns, axis=1)
    row = np.pad(row, ((0, 0), (0, max(0, LEAST - row.shape[1])), (0, 0)), constant_values=255)
    stored_at, (y, x) = element.stored, element.origin
    about = [
        f"element {element.k}, epoch {element.epoch}: {stored_at.case}, tile at y {stored_at.y}, x {stored_at.x}",
        f"record {stored_at.record} of {stored_at.shard.parent.name}/{stored_at.shard.name}",
        f"shows {element.shows}, crop of {side} at y {y}, x {x}",
        f"augmentations: {element.words}",
    ]
    words = [line for text in about for line in wrapped(text, row.shape[1])]
    return with_legend(captioned(row, words), config.data.classes)


def _about(extreme: Extreme, config: AugmentConfig) -> tuple[list[str], tuple[int, int, int]]:
    """Returns the two lines above a picture, and their colour."""
    if not extreme.name:
        return ["", "as it is"], BLACK
    probability = getattr(config, extreme.name)
    often = f"p {probability:.3g}" if probability else "off"
    fine = ", full size" if extreme.name in FINE and extreme.image.shape[0] > SIDE else ""
    return [f"{extreme.name} ({often}{fine})", extreme.words], BLACK if probability else GREY


def _detail(mask: np.ndarray) -> tuple[slice, slice]:
    """Returns where, in mask `[S, S, C]`, the most lesion pixels lie that a picture of full size can hold."""
    side = min(SIDE, mask.shape[0])
    return densest_window(mask.max(axis=-1), (side, side))


def _contoured(image: np.ndarray, mask: np.ndarray, side: int) -> np.ndarray:
    """Returns uint8 `[side, side, 3]` with the outlines of mask `[S, S, C]`."""
    return outlined(_levels(image), mask, (side, side))


def _levels(image: np.ndarray) -> np.ndarray:
    return np.rint(image).astype(np.uint8)


def _pad(picture: np.ndarray) -> np.ndarray:
    return np.pad(picture, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=255)
