"""External maps: probability maps or masks made by any program, to be scored by the same rules as a model's.

Files are in the folder itself, or in its `probabilities/` or `masks/` as `python -m scripts.predict` writes them:

- `CASE.npz` with the arrays `probabilities`, float 0..1 `[h, w, C]`, and `classes`, strings `[C]`; if the map is not of
  the photograph's size, also `size`, (H, W) of the photograph, to which it is resized bilinearly (half-pixel centres),
  as the network's own map is;
- `CASE_CLASS.png` (or TIFF, BMP): 8-bit grey, where 255 means 1, or 16-bit grey, where 65,535 does; or masks, of 1 bit
  or with only the levels 0 and 1.

Whether the level 1 means 1 or 1/255 (1/65,535) is the same for all files of a folder: it means 1 if no file of 8 or 16
bits has a higher level.

Masks have the scores of an operating point: Dice, IoU, sensitivity, PPV, specificity and lesions. Their curves consist
of a single point, so `scores.json` lists such classes under `binary`.
"""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np

from configs import DataConfig, InputError
from records import image_files
from records.images import (
    decode,
    is_sixteen_bit_grey,
    naming_damage,
    open_file,
    opened,
    rgb_of,
    sixteen_bit_grey,
)

PLACES = ("", "probabilities", "masks")
Levels = Literal["full", "binary"]  # what means 1 in files of 8 and 16 bits: 255 and 65,535, or the level 1


class _Arrays(NamedTuple):
    """The content of a `CASE.npz`: probabilities `[h, w, C]`, names of the C classes, and (H, W) of the photograph."""

    probabilities: np.ndarray
    names: list[str]
    size: tuple[int, int]


def find_maps(folder: Path) -> dict[str, Path]:
    """Finds the files of external maps.

    Args:
      folder: folder of the maps, or one that `python -m scripts.predict` wrote.

    Returns:
      The files by their stems.

    Raises:
      InputError: there is no such folder, or no map in it.
    """
    if not folder.is_dir():
        raise InputError(f"--predictions={folder}: no such folder.")
    for place in PLACES:
        if (folder / place).is_dir():
            arrays = {file.stem: file for file in sorted((folder / place).glob("*.npz"))}
            if files := arrays | image_files(folder / place) | arrays:  # arrays first, also where names are equal
                return files
    raise InputError(
        f"--predictions={folder}: no maps there; expected CASE.npz or CASE_CLASS.png, in it or in its probabilities/ "
        "or masks/."
    )


def classes_of(files: Mapping[str, Path]) -> tuple[str, ...]:
    """Returns the classes of external maps: those in the first `CASE.npz`, or what follows the last `_` of the names.

    Raises:
      InputError: a name has no class.
    """
    stem, first = next(iter(files.items()))
    if first.suffix == ".npz":
        return tuple(_arrays(first).names)
    names = sorted({stem.rpartition("_")[2] for stem in files if "_" in stem})
    if not names or any("_" not in stem for stem in files):
        raise InputError(f"{first}: no class in the name, such as {stem}_HE; give --classes=NAME,….")
    return tuple(names)


def find_levels(files: Mapping[str, Path], *, max_pixels: int = DataConfig().max_pixels) -> Levels | None:
    """Decides once for all files of a folder which level means 1.

    Reads files until one has a level above 1: usually the first one, and all of them if they are masks of 0 and 1.

    Args:
      files: as `find_maps` returns them.
      max_pixels: files with more pixels have no say.

    Returns:
      "binary" if the highest level of all is 1; None if there are no files of 8 or 16 bits.
    """
    levels: Levels | None = None
    for path in files.values():
        if path.suffix == ".npz":
            continue
        try:
            values = _grey_levels(path, max_pixels=max_pixels)
        except InputError:
            continue  # whoever needs this file will hear of it
        if values.dtype == bool:
            continue
        highest = values.max(initial=0)
        if highest > 1:
            return "full"
        levels = "binary" if highest == 1 else levels or "full"
    return levels


def read_map(
    files: Mapping[str, Path],
    case: str,
    size: tuple[int, int],
    *,
    classes: tuple[str, ...],
    levels: Levels | None = "full",
) -> np.ndarray:
    """Reads the external map of a case.

    Args:
      files: as `find_maps` returns them.
      case: name of the case.
      size: (H, W) of the photograph.
      classes: names of the C classes.
      levels: which level of files of 8 and 16 bits means 1, as `find_levels` returns it.

    Returns:
      float32 0..1 `[H, W, C]`.

    Raises:
      InputError: a class has no map, or a map has another size or values that are not probabilities.
    """
    path = files.get(case)
    if path is not None and path.suffix == ".npz":
        arrays = _arrays(path)
        missing = [name for name in classes if name not in arrays.names]
        if missing:
            raise InputError(f"{path}: no class {', '.join(missing)}; it has {', '.join(arrays.names)}.")
        _check_size(arrays.size, size, path)
        chosen = arrays.probabilities[..., [arrays.names.index(name) for name in classes]]
        return _resized(_checked(chosen, path), size)
    planes = []
    for name in classes:
        stem = f"{case}_{name}"
        if stem not in files and (len(classes) > 1 or path is None):
            raise InputError(f"case {case}: no map of class {name}; expected {stem}.png or {case}.npz.")
        file = files.get(stem, path)
        assert file is not None
        values = _grey_levels(file, max_pixels=2 * size[0] * size[1])
        _check_size(values.shape, size, file)
        planes.append(_probabilities(values, levels, file))
    return np.stack(planes, axis=-1)


def _arrays(path: Path) -> _Arrays:
    with open_file(path) as file, naming_damage(path, zipfile.BadZipFile, zlib.error), np.load(file) as arrays:
        if not {"probabilities", "classes"} <= set(arrays.files):
            raise InputError(f"{path}: expected the arrays probabilities and classes; has {', '.join(arrays.files)}.")
        probabilities, names = arrays["probabilities"], [str(name) for name in arrays["classes"]]
        size = arrays["size"] if "size" in arrays.files else np.array(probabilities.shape[:2])
    if probabilities.ndim != 3 or probabilities.shape[2] != len(names) or probabilities.dtype.kind != "f":
        raise InputError(
            f"{path}: probabilities are {probabilities.dtype} {list(probabilities.shape)}; expected floats "
            f"[height, width, {len(names)}]."
        )
    if size.shape != (2,) or size.dtype.kind not in "iu":
        raise InputError(f"{path}: size is {size.dtype} {list(size.shape)}; expected two integers, height and width.")
    return _Arrays(probabilities, names, (int(size[0]), int(size[1])))


def _grey_levels(path: Path, *, max_pixels: int) -> np.ndarray:
    """Returns the levels of a grey file, uint8 or uint16 `[H, W]`, or bool of 1 bit."""
    with opened(path, max_pixels=max_pixels) as image:
        decode(image)
        if is_sixteen_bit_grey(image):
            return sixteen_bit_grey(image)
        values = np.asarray(image if image.mode == "1" else rgb_of(image))
    if values.ndim == 2:
        return values
    if (values != values[..., :1]).any():
        raise InputError(f"{path}: has colours; expected grey, one file per class.")
    return values[..., 0]


def _probabilities(values: np.ndarray, levels: Levels | None, path: Path) -> np.ndarray:
    """Returns levels, uint8 or uint16 `[H, W]` or bool, as float32 0..1."""
    if values.dtype == bool:
        return values.astype(np.float32)
    if levels == "full":
        return values / np.float32(np.iinfo(values.dtype).max)
    if (highest := values.max(initial=0)) > 1:
        raise InputError(f"{path}: has the level {highest}, but with --levels=binary only 0 and 1 are expected.")
    return values.astype(np.float32)


def _check_size(given: tuple[int, ...], size: tuple[int, int], path: Path) -> None:
    if given != size:
        raise InputError(f"{path}: {given[1]}x{given[0]} pixels, but its photograph has {size[1]}x{size[0]}.")


def _checked(probabilities: np.ndarray, path: Path) -> np.ndarray:
    if np.isnan(probabilities).any():
        raise InputError(f"{path}: has pixels that are not a number (NaN).")
    if probabilities.min() < 0 or probabilities.max() > 1:
        least, most = probabilities.min(), probabilities.max()
        raise InputError(f"{path}: has values from {least:g} to {most:g}; expected probabilities, 0 to 1.")
    return probabilities.astype(np.float32)


def _resized(probabilities: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes float32 `[h, w, C]` to `[H, W, C]`, as `pipeline.inference.scaling.resize_maps` does in the graph."""
    if probabilities.shape[:2] == size:
        return probabilities
    resized = cv2.resize(probabilities, size[::-1], interpolation=cv2.INTER_LINEAR)
    return resized.reshape(*size, -1)  # OpenCV drops the axis of a single class
