"""How much memory a photograph takes from when it is read until it is written."""

from collections.abc import Collection
from pathlib import Path

from configs import InputError
from pipeline.inference import STRIP_BYTES
from records import photograph_size

# Measured with a photograph of 16000x13000 pixels and five classes: itself, its overlay, and copies of both in other
# layouts. Each class adds its mask.
BYTES_PER_PIXEL = 16
BYTES_BESIDE_TRUTH = 18  # more, in an overlay of two panels
BYTES_PER_MAP_FORM = 2  # for each class, in files of 16 bits at the photograph's size
BYTES_UNSCALED = 8  # for each class, if the network's map is as large as the photograph


def photograph_bytes(
    path: Path,
    classes: int,
    *,
    max_pixels: int,
    unscaled: bool = False,
    annotated: bool = False,
    partly_known: bool = False,
    map_forms: Collection[str] = (),
    with_spread: bool = False,
) -> int:
    """Estimates the most memory that a photograph takes at once, bytes; 0 if its size cannot be read.

    Args:
      path: its file.
      classes: number of classes.
      max_pixels: largest number of pixels that is read at all.
      unscaled: whether photographs are segmented at their own size.
      annotated: whether its overlay shows ground truth as well.
      partly_known: whether that is unknown of a class or in a region; both are as large as the masks.
      map_forms: the forms in which its probability map is written, see `map_files`.
      with_spread: whether there is a map of the spread, as large as that of the probabilities.
    """
    try:
        height, width = photograph_size(path, max_pixels=max_pixels)
    except InputError:
        return 0
    forms = len(set(map_forms) - {"scaled"})
    of_class = (
        1 + annotated + 2 * partly_known + BYTES_PER_MAP_FORM * forms + BYTES_UNSCALED * unscaled * (1 + with_spread)
    )
    per_pixel = BYTES_PER_PIXEL + annotated * BYTES_BESIDE_TRUTH + classes * of_class
    strips = 2 * min(4 * classes * height * width, STRIP_BYTES)  # of the map, and what is computed with them
    return height * width * per_pixel + strips
