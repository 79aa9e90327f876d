"""Files of the spread: `spread/CASE_CLASS.png` at the network's scale, 8-bit grey in which 255 means 0.5.

A spread is a standard deviation of probabilities, and 0.5 the largest there is. For the photograph's size, resize them
bilinearly with half-pixel centres.
"""

from pathlib import Path

import numpy as np

from pipeline.inference import LARGEST_SPREAD, ProbabilityMap
from records import write_png

FOLDER = "spread"


def spread_files(case: str, classes: tuple[str, ...]) -> list[Path]:
    """Returns the files of a photograph's spread, relative to the output folder."""
    return [Path(FOLDER, f"{case}_{name}.png") for name in classes]


def write_spread(output: Path, case: str, spread: ProbabilityMap | None, *, classes: tuple[str, ...]) -> None:
    """Writes the files of a photograph's spread; those of an earlier prediction are removed if there is none.

    Args:
      output: folder that contains the folder `spread`, if there is one.
      case: name of the photograph.
      spread: its spread, 0 to 0.5; None if it was not asked for.
      classes: names of the C classes.
    """
    for index, file in enumerate(spread_files(case, classes)):
        if spread is None:
            (output / file).unlink(missing_ok=True)
        else:
            write_png(output / file, spread_levels(spread.scaled[..., index]))


def spread_levels(spread: np.ndarray) -> np.ndarray:
    """Returns a spread of 0 to 0.5 as uint8, in which 255 means 0.5."""
    return np.rint(np.minimum(spread / np.float32(LARGEST_SPREAD), 1) * 255).astype(np.uint8)
