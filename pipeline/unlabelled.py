"""Shows where a photograph is not labelled, so that nobody takes the unknown for absent.

A class that nobody looked for is named; a region of which is unknown whether it shows a class is striped in its colour.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from records import CLASS_COLORS

STRIPES = 40  # along the longer side of an image
LEAST_PERIOD = 12  # pixels from one stripe to the next of its class


def unlabelled_notes(known: np.ndarray | None, classes: Sequence[str]) -> list[str]:
    """Returns what a reader must know of a photograph's ground truth, a line each; nothing if all of it is known.

    Args:
      known: bool `[H, W, C]`, whether it is known that a pixel shows a class or not; None: known throughout.
      classes: names of the C classes.
    """
    if known is None:
        return []
    nowhere, in_parts = _partly_known(known)
    notes = [(nowhere, "not labelled: {}"), (in_parts, "striped: not labelled, {}")]
    return [note.format(", ".join(classes[index] for index in chosen)) for chosen, note in notes if chosen]


def unlabelled_regions(known: np.ndarray | None) -> np.ndarray | None:
    """Returns the regions of a photograph where a class is unknown that is known elsewhere in it.

    Args:
      known: bool `[H, W, C]`, as in `unlabelled_notes`.

    Returns:
      bool `[H, W, C]`, each class contiguous in memory; None without such regions.
    """
    if known is None or not (in_parts := _partly_known(known)[1]):
        return None
    regions = np.zeros((known.shape[2], *known.shape[:2]), bool)
    for index in in_parts:
        np.logical_not(known[..., index], out=regions[index])
    return np.moveaxis(regions, 0, -1)


def draw_stripes(image: np.ndarray, regions: np.ndarray | None) -> np.ndarray:
    """Stripes the regions of each class, bool `[H, W, C]`, in its colour onto uint8 RGB `[H, W, 3]`, in place.

    The stripes of several classes lie side by side.

    Returns:
      The image.
    """
    if regions is None:
        return image
    period = max(max(image.shape) // STRIPES, LEAST_PERIOD)
    pattern = np.arange(image.shape[1] + period) % period < max(period // 10, 1)
    for index in range(regions.shape[-1]):
        region = regions[..., index]
        _, top, _, height = cv2.boundingRect(region.astype(np.uint8))
        first = index * period // len(CLASS_COLORS)
        for y in range(top, top + height):  # row by row, as photographs may have hundreds of megapixels
            start = (y + first) % period
            image[y, region[y] & pattern[start : start + image.shape[1]]] = CLASS_COLORS[index]
    return image


def _partly_known(known: np.ndarray) -> tuple[list[int], list[int]]:
    """Returns the numbers of the classes that are known nowhere, and of those that are in parts."""
    planes = [known[..., index] for index in range(known.shape[-1])]
    nowhere = [index for index, plane in enumerate(planes) if not plane.any()]
    in_parts = [index for index, plane in enumerate(planes) if plane.any() and not plane.all()]
    return nowhere, in_parts
