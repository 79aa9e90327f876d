"""Shows where a photograph is not labelled, so that nobody takes the unknown for absent.

A class that nobody looked for is named; a region of which is unknown whether it shows a class is striped in its colour,
and in grey where that is so of several classes.
"""

from collections.abc import Sequence

import numpy as np

from records import CLASS_COLORS

STRIPES = 40  # along the longer side of an image
LEAST_PERIOD = 12  # pixels from one stripe to the next
GREY = (160, 160, 160)


def unlabelled_notes(known: np.ndarray | None, classes: Sequence[str]) -> list[str]:
    """Returns what a reader must know of a photograph's ground truth, a line each; nothing if all of it is known.

    Args:
      known: bool `[H, W, C]`, whether it is known that a pixel shows a class or not; None: known throughout.
      classes: names of the C classes.
    """
    if known is None:
        return []
    nowhere, in_parts = ([classes[index] for index in chosen] for chosen in _partly_known(known))
    notes = [f"not labelled: {', '.join(nowhere)}"] if nowhere else []
    if in_parts:
        several = " (grey: several of them)" if len(in_parts) > 1 else ""
        notes.append(f"not labelled where striped: {', '.join(in_parts)}{several}")
    return notes


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
    """Stripes the regions of each class, bool `[H, W, C]`, onto uint8 RGB `[H, W, 3]`, in place; returns the image."""
    if regions is None:
        return image
    width, classes = image.shape[1], regions.shape[-1]
    period = max(max(image.shape) // STRIPES, LEAST_PERIOD)
    pattern = np.arange(width + period) % period < max(period // 10, 1)
    colors = np.array([*CLASS_COLORS[:classes], GREY], np.uint8)
    for y in np.flatnonzero(regions.any(axis=(1, 2))):  # row by row, as photographs may have hundreds of megapixels
        number = regions[y].sum(axis=-1)
        chosen = np.where(number > 1, classes, regions[y].argmax(axis=-1))
        striped = (number > 0) & pattern[y % period :][:width]
        image[y, striped] = colors[chosen[striped]]
    return image


def _partly_known(known: np.ndarray) -> tuple[list[int], list[int]]:
    """Returns the numbers of the classes that are known nowhere, and of those that are in parts."""
    planes = [known[..., index] for index in range(known.shape[-1])]
    nowhere = [index for index, plane in enumerate(planes) if not plane.any()]
    in_parts = [index for index, plane in enumerate(planes) if plane.any() and not plane.all()]
    return nowhere, in_parts
