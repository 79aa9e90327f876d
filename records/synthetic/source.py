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
from records.synthetic.photographs import synthetic_photograph

SIZES = ((848, 1280), (712, 1072))  # (height, width), pixels, of photographs with odd and even numbers
NUMBER_WITHOUT_LESIONS = 2  # fixed, so that a photograph depends only on its own number
JPEG_QUALITY = 92
MASK_PALETTE = (0, 0, 0, 255, 0, 0)  # index 0 black, index 1 red


def write_synthetic_set(folder: Path, *, training: int = 16, test: int = 6, seed: int = 0) -> list[str]:
    """Writes photographs and haemorrhage masks; files of the same names are replaced, others are kept.

    The second training photograph has no haemorrhage and, as in IDRiD, no mask file.

    Args:
      folder: root folder of the set; made if absent.
      training: number of training photographs, at least 2.
      test: number of test photographs, at least 0; their numbers follow those of the training photographs.
      seed: seed of the draws, at least 0; a photograph depends only on the seed and its own number.

    Returns:
      The photographs' names, `["SYN_01", "SYN_02", …]`.

    Raises:
      InputError: a number is out of range.
    """
    for name, value, lowest in (("training", training, NUMBER_WITHOUT_LESIONS), ("test", test, 0), ("seed", seed, 0)):
        if value < lowest:
            raise InputError(f"{name} must be at least {lowest}; received {value}.")
    names = [f"SYN_{number:02d}" for number in range(1, training + test + 1)]
    for number, name in enumerate(names, start=1):
        photograph, mask = synthetic_photograph(
            np.random.default_rng((seed, number)),
            *SIZES[(number - 1) % len(SIZES)],
            haemorrhages=number != NUMBER_WITHOUT_LESIONS,
        )
        part = "a. Training Set" if number <= training else "b. Testing Set"
        photographs = folder / "A. Segmentation" / "1. Original Images" / part
        masks = folder / "A. Segmentation" / "2. All Segmentation Groundtruths" / part / "2. Haemorrhages"
        _save(Image.fromarray(photograph), photographs / f"{name}.jpg", format="JPEG", quality=JPEG_QUALITY)
        if mask.any():
            indices = Image.fromarray(mask.astype(np.uint8))
            indices.putpalette(MASK_PALETTE)
            _save(indices, masks / f"{name}_HE.tif", format="TIFF", compression="tiff_lzw")
    return names


def _save(image: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with complete_file(path) as temporary:
        image.save(temporary, **options)
