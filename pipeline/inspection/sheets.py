"""Contact sheets of training elements and augmentations, each tile with a caption."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from configs import AugmentConfig, Config
from pipeline.inspection.elements import Element, Extreme
from pipeline.panels import BLACK, MARGIN, WHITE, captioned, densest_window, outlined, with_legend, wrapped
from pipeline.unlabelled import unlabelled_notes, unlabelled_regions
from records import contact_sheet

SIDE = 224  # of a tile on a sheet, pixels
MIN_WIDTH = 480  # of the sheet of one element, so that its caption fits, pixels
GREY = (130, 130, 130)
FINE = ("elastic", "noise", "blur", "sharpening", "jpeg")  # invisible in a shrunk tile; a detail is shown in full size


def draw_extremes(groups: Iterable[list[Extreme]], config: Config) -> np.ndarray:
    """Draws augmentations in pairs of the low and the high end of their range.

    Args:
      groups: what `pipeline.inspection.extremes` yields, the tile without augmentation first.
      config: for the probabilities and classes in the captions.

    Returns:
      uint8 RGB `[H, W, 3]`.
    """
    first, *others = groups
    original = first[0]
    detail = _detail(original.mask)
    pairs = []
    for group in others:
        shown = [original] * (len(group) % 2) + group
        part = detail if group[0].name in FINE else np.s_[:, :]
        panels = [
            captioned(_contoured(one.image[part], one.mask[part], SIDE), *_caption(one, config.augment))
            for one in shown
        ]
        pairs += [_pad(contact_sheet(panels[start : start + 2])) for start in range(0, len(panels), 2)]
    return with_legend(contact_sheet(pairs), config.data.classes)


def draw_elements(elements: Sequence[Element], config: Config) -> np.ndarray:
    """Draws elements of the stream, small, with the contours of their masks, uint8 RGB `[H, W, 3]`."""
    captions = []
    for element in elements:
        stored = element.stored
        origin = f"{element.k}: {stored.case}, y {stored.y}, x {stored.x}{_pasted(element)}"
        unlabelled = "; ".join(unlabelled_notes(element.known, config.data.classes))
        captions.append([*wrapped(origin, SIDE), *wrapped(element.description, SIDE), *wrapped(unlabelled, SIDE)])
    panels = [
        captioned(_contoured(element.image, element.mask, SIDE, known=element.known), caption)
        for element, caption in zip(elements, _aligned(captions), strict=True)
    ]
    return with_legend(contact_sheet(panels), config.data.classes)


def draw_element(element: Element, config: Config) -> np.ndarray:
    """Draws one element in full size: its stored tile with the frame of the crop, its image, and its mask's contours.

    Returns:
      uint8 RGB `[H, W, 3]`.
    """
    tile, mask = element.tile
    side = element.image.shape[0]
    stored = _contoured(tile, mask, tile.shape[0])
    if side < tile.shape[0]:
        y, x = element.origin
        cv2.rectangle(stored, (x, y), (x + side - 1, y + side - 1), WHITE)
    panels = {
        "the stored tile" + (", with the frame of the crop" if side < tile.shape[0] else ""): stored,
        "what training gets": _levels(element.image),
        "with its mask": _contoured(element.image, element.mask, side, known=element.known),
    }
    captions = _aligned([wrapped(text, panel.shape[1]) for text, panel in panels.items()])
    columns = []
    for caption, panel in zip(captions, panels.values(), strict=True):
        margins = ((0, tile.shape[0] - panel.shape[0]), (0, 2 * MARGIN), (0, 0))
        columns.append(captioned(np.pad(panel, margins, constant_values=255), caption))
    row = np.concatenate(columns, axis=1)
    row = np.pad(row, ((0, 0), (0, max(0, MIN_WIDTH - row.shape[1])), (0, 0)), constant_values=255)
    texts = [*_origin(element), *unlabelled_notes(element.known, config.data.classes)]
    lines = [line for text in texts for line in wrapped(text, row.shape[1])]
    return with_legend(captioned(row, lines), config.data.classes)


def _origin(element: Element) -> list[str]:
    """Describes where an element comes from and how it was augmented."""
    stored, (y, x) = element.stored, element.origin
    return [
        f"element {element.k}, epoch {element.epoch}: {stored.case}, tile at y {stored.y}, x {stored.x}",
        f"record {stored.record} of {stored.shard.parent.name}/{stored.shard.name}",
        f"shows {element.shows}, crop of {element.image.shape[0]} at y {y}, x {x}{_pasted(element)}",
        f"augmentations: {element.description}",
    ]


def _pasted(element: Element) -> str:
    return f"; lesions of {element.donor.case} pasted" if element.donor else ""


def _caption(extreme: Extreme, config: AugmentConfig) -> tuple[list[str], tuple[int, int, int]]:
    """Returns the two lines above a tile, and their colour."""
    if not extreme.name:
        return ["", "original"], BLACK
    probability = getattr(config, extreme.name)
    often = f"p {probability:.3g}" if probability else "off"
    fine = ", full size" if extreme.name in FINE and extreme.image.shape[0] > SIDE else ""
    return [f"{extreme.name} ({often}{fine})", extreme.description], BLACK if probability else GREY


def _aligned(captions: Sequence[list[str]]) -> list[list[str]]:
    """Puts empty lines before the captions, so that all have equally many."""
    most = max(map(len, captions))
    return [[""] * (most - len(lines)) + lines for lines in captions]


def _detail(mask: np.ndarray) -> tuple[slice, slice]:
    """Returns the window of a mask `[S, S, C]`, at most SIDE wide and high, with the most lesion pixels."""
    side = min(SIDE, mask.shape[0])
    return densest_window(mask.max(axis=-1) >= 0.5, (side, side))


def _contoured(image: np.ndarray, mask: np.ndarray, side: int, *, known: np.ndarray | None = None) -> np.ndarray:
    """Returns the image with the outlines of a mask, striped where it is unknown, uint8 `[side, side, 3]`.

    Args:
      image: RGB 0..255 `[S, S, 3]`.
      mask: 0..1 `[S, S, C]`.
      side: side of the result, pixels.
      known: bool `[S, S, C]`; None: known throughout.
    """
    return outlined(_levels(image), mask >= 0.5, (side, side), striped=unlabelled_regions(known))


def _levels(image: np.ndarray) -> np.ndarray:
    return np.rint(image).astype(np.uint8)


def _pad(panel: np.ndarray) -> np.ndarray:
    return np.pad(panel, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=255)
