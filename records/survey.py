"""The survey: what each case is like, from its photograph's header and its masks, before any work is planned."""

import dataclasses

import numpy as np

from configs import DataConfig, InputError
from records.grid import scaled_size, tile_origins
from records.imaging import photograph_size, read_mask, shrink_mask
from records.sources import Case


@dataclasses.dataclass(frozen=True)
class Survey:
    """One case in numbers.

    Attributes:
      height: of the photograph, pixels.
      width: of the photograph, pixels.
      lesion_pixels: at full size, for every class.
      tiles: all tiles of the scaled photograph.
      nonempty_tiles: those with a lesion pixel of any class.
    """

    height: int
    width: int
    lesion_pixels: dict[str, int]
    tiles: int
    nonempty_tiles: int

    @property
    def lesion_share(self) -> float:
        """Lesion pixels of all classes together, as a share of the photograph."""
        return sum(self.lesion_pixels.values()) / (self.height * self.width)


def survey_case(case: Case, data: DataConfig) -> Survey:
    """Reads a case's masks and its photograph's header.

    Raises:
      InputError: a file that cannot be read, or a mask of another size than its photograph.
    """
    height, width = photograph_size(case.photograph, max_pixels=data.max_pixels)
    masks = read_masks(case, (height, width), data)
    scaled = shrink_masks(masks, data.scale)
    origins = tile_origins(scaled.shape[0], scaled.shape[1], data.tile, data.stride)
    nonempty = sum(bool(scaled[y : y + data.tile, x : x + data.tile].any()) for y, x in origins)
    pixels = {name: int(np.count_nonzero(masks[..., index])) for index, name in enumerate(data.classes)}
    return Survey(height, width, pixels, len(origins), nonempty)


def read_masks(case: Case, size: tuple[int, int], data: DataConfig) -> np.ndarray:
    """Reads the masks of a case in the order of `data.classes`; a class without a file has no lesion.

    Args:
      case: the case.
      size: (H, W) of its photograph.
      data: classes and the largest number of pixels.

    Returns:
      bool `[H, W, C]`.

    Raises:
      InputError: a file that cannot be read, or a mask of another size than its photograph.
    """
    masks = np.zeros((*size, len(data.classes)), bool)
    for index, name in enumerate(data.classes):
        path = case.masks[name]
        if path is not None:
            mask = read_mask(path, max_pixels=data.max_pixels)
            if mask.shape != size:
                raise InputError(
                    f"{path}: {mask.shape[1]}x{mask.shape[0]} pixels, but its photograph {case.photograph.name} has "
                    f"{size[1]}x{size[0]}; a mask must have its photograph's size."
                )
            masks[..., index] = mask
    return masks


def shrink_masks(masks: np.ndarray, scale: float) -> np.ndarray:
    """Shrinks bool `[H, W, C]` class by class, as `records.imaging.shrink_mask` does; returns bool `[h, w, C]`."""
    height, width = scaled_size(masks.shape[0], masks.shape[1], scale)
    shrunk = np.zeros((height, width, masks.shape[2]), bool)
    for index in range(masks.shape[2]):
        shrunk[..., index] = shrink_mask(masks[..., index], scale)
    return shrunk
