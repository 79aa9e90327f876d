"""Files of probability maps: the forms that they are written in, and their names.

- `scaled`: `probabilities/CASE.npz` at the network's scale, as the network has made the map. For the photograph's size,
  resize it bilinearly with half-pixel centres, as `eval --predictions` does (`pipeline/evaluation/external_maps.py`).
- `full_size`: the same file at the photograph's size.
- `tiff`: `probabilities/CASE_CLASS.tif` at the photograph's size, 16-bit grey, in which 65,535 means 1.

An npz has the arrays `probabilities`, float16 `[h, w, C]`, `classes`, strings `[C]`, and `size`, (H, W) of the
photograph. It is not compressed: most digits of probabilities are noise, and to save two fifths of the file, zlib takes
as long as the network, even at its fastest level.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipeline.inference import ProbabilityMap
from records import complete_file, write_tiff

FOLDER = "probabilities"
MAP_FORMS = ("scaled", "full_size", "tiff")


def map_files(case: str, classes: tuple[str, ...], forms: Collection[str]) -> list[Path]:
    """Returns the files of a probability map in some of MAP_FORMS, relative to the output folder."""
    arrays = [Path(FOLDER, f"{case}.npz")] if {"scaled", "full_size"} & set(forms) else []
    return arrays + ([Path(FOLDER, f"{case}_{name}.tif") for name in classes] if "tiff" in forms else [])


def write_maps(
    output: Path, case: str, found: ProbabilityMap, *, classes: tuple[str, ...], forms: Collection[str]
) -> None:
    """Writes a probability map.

    Args:
      output: folder that contains the folder `probabilities`, if there are forms.
      case: name of the photograph.
      found: its map.
      classes: names of the C classes.
      forms: some of MAP_FORMS; of `scaled` and `full_size`, at most one.
    """
    for form in {"scaled", "full_size"} & set(forms):
        with complete_file(output / FOLDER / f"{case}.npz") as temporary:
            np.savez(
                temporary,
                probabilities=_halved(found.scaled) if form == "scaled" else _halved_whole(found),
                classes=np.array(classes),
                size=np.array(found.size),
            )
    if "tiff" in forms:
        levels = np.empty((len(classes), *found.size), np.uint16)
        for row, strip in found.strips():
            for index in range(len(classes)):
                levels[index, row : row + len(strip)] = np.rint(strip[..., index] * np.float32(65535))
        for name, plane in zip(classes, levels, strict=True):
            write_tiff(output / FOLDER / f"{case}_{name}.tif", plane)


def forms_beside(written: Collection[str], earlier: Collection[str]) -> tuple[str, ...]:
    """Returns the forms that are there if some are written beside earlier ones, whose `CASE.npz` they may replace."""
    if {"scaled", "full_size"} & set(written):
        earlier = set(earlier) & {"tiff"}
    return tuple(form for form in MAP_FORMS if form in {*written, *earlier})


def remove_other_maps(output: Path, case: str, *, classes: tuple[str, ...], forms: Collection[str]) -> None:
    """Removes the files of a probability map that are of none of these forms: they are of an earlier prediction."""
    for file in set(map_files(case, classes, MAP_FORMS)) - set(map_files(case, classes, forms)):
        (output / file).unlink(missing_ok=True)


def _halved_whole(found: ProbabilityMap) -> np.ndarray:
    whole = np.empty((*found.size, found.scaled.shape[-1]), np.float16)
    for row, strip in found.strips():
        whole[row : row + len(strip)] = _halved(strip)
    return whole


def _halved(probabilities: np.ndarray) -> np.ndarray:
    """Returns float32 values as float16.

    NumPy takes twenty times as long for values that are subnormal in float16, below 6e-5, as most of a map are.
    """
    with tf.device("/device:CPU:0"):
        return tf.cast(probabilities, tf.float16).numpy()
