"""Draws a small synthetic fundus set in IDRiD's folder layout, so that the demo needs no patient's photograph.

Haemorrhages differ from unmarked look-alikes (vessels, pigment, shadows) by shape and hue rather than by darkness: a
network can learn to find them, a threshold cannot.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from configs import InputError
from records.files import complete_file
from records.synthetic.photographs import SyntheticPhotograph, synthetic_photograph

SIZES = ((848, 1280), (712, 1072))  # (height, width), pixels, of photographs with odd and even numbers
NUMBER_WITHOUT_LESIONS = 2  # fixed, so that a photograph depends only on its own number
LOWEST = {"training": 2, "first": 1, "width": 256}  # values of numbers whose lowest is not 0
JPEG_QUALITY = 92
MASK_PALETTE = (0, 0, 0, 255, 0, 0)  # index 0 black, index 1 red


def write_synthetic_set(folder: Path, *, training: int = 16, test: int = 6, seed: int = 0, first: int = 1) -> list[str]:
    """Writes photographs and haemorrhage masks; files of the same names are replaced, others are kept.

    Photograph number 2 has no haemorrhage and, as in IDRiD, no mask file.

    Args:
      folder: root folder of the set; made if absent.
      training: number of training photographs, at least 2.
      test: number of test photographs, at least 0; their numbers follow those of the training photographs.
      seed: seed of the draws, at least 0; a photograph depends only on the seed and its own number.
      first: number of the first photograph, at least 1.

    Returns:
      The photographs' names, `["SYN_01", "SYN_02", …]`.

    Raises:
      InputError: a number is out of range.
    """
    check_numbers(training=training, test=test, seed=seed, first=first)
    names = []
    for place in range(training + test):
        name, drawn = draw_numbered(seed, first + place)
        part = "a. Training Set" if place < training else "b. Testing Set"
        photographs = folder / "A. Segmentation" / "1. Original Images" / part
        masks = folder / "A. Segmentation" / "2. All Segmentation Groundtruths" / part / "2. Haemorrhages"
        save_photograph(drawn.photograph, photographs / f"{name}.jpg")
        if drawn.haemorrhages.any():
            indices = Image.fromarray(drawn.haemorrhages.astype(np.uint8))
            indices.putpalette(MASK_PALETTE)
            _save(indices, masks / f"{name}_HE.tif", format="TIFF", compression="tiff_lzw")
        names.append(name)
    return names


def check_numbers(*, highest: int | None = None, **numbers: int) -> None:
    """Raises an InputError that names the first of some numbers that is too low, or above `highest`."""
    for name, value in numbers.items():
        lowest = LOWEST.get(name, 0)
        if value < lowest:
            raise InputError(f"{name} must be at least {lowest}; received {value}.")
        if highest is not None and value > highest:
            raise InputError(f"{name} must be at most {highest}, as there are no more photographs; received {value}.")


def draw_numbered(seed: int, number: int, *, healthy: bool = False) -> tuple[str, SyntheticPhotograph]:
    """Draws the photograph of a number, or the healthy eye of a number, and returns it with its name."""
    draws = np.random.default_rng((seed, number, 1) if healthy else (seed, number))
    size = SIZES[(number - 1) % len(SIZES)]
    if healthy:
        return f"SYN_H{number:02d}", synthetic_photograph(draws, *size, haemorrhages=False, exudates=False)
    drawn = synthetic_photograph(draws, *size, haemorrhages=number != NUMBER_WITHOUT_LESIONS)
    return f"SYN_{number:02d}", drawn


def save_photograph(photograph: np.ndarray, path: Path) -> None:
    """Saves uint8 RGB `[H, W, 3]` as JPEG, in a folder that is made if absent."""
    _save(Image.fromarray(photograph), path, format="JPEG", quality=JPEG_QUALITY)


def _save(image: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with complete_file(path) as temporary:
        image.save(temporary, **options)
