"""Annotations that are image files: a mask per class, or one in which each class has a colour."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from configs import InputError
from records.annotations.annotated import Canvas
from records.images import opened, photograph_size, read_mask, read_photograph

HALF = 128  # of 8 bits


@dataclasses.dataclass(frozen=True)
class MaskFile:
    """A mask of one class.

    Attributes:
      name: the class.
      path: the file; every pixel that is not black is lesion.
      soft: whether edges are smoothed: then pixels of at least half the brightness are.
    """

    name: str
    path: Path
    soft: bool = False

    def paint(self, canvas: Canvas) -> None:
        """Adds its pixels to the mask of its class."""
        mask = canvas.mask(self.name)
        if mask is None:
            return
        limit = canvas.size[0] * canvas.size[1]
        _check_size(self.path, canvas.size)
        if self.soft:
            mask |= (read_photograph(self.path, max_pixels=limit) >= HALF).any(axis=-1)
        else:
            mask |= read_mask(self.path, max_pixels=limit)


@dataclasses.dataclass(frozen=True)
class ColoredMask:
    """A mask in which each class has a colour, or in a grey file the number of its line.

    Attributes:
      path: the file.
      labels: all labels and their RGB colours, in the order of their file, with that of the background.
    """

    path: Path
    labels: Mapping[str, tuple[int, int, int]]

    def paint(self, canvas: Canvas) -> None:
        """Adds the pixels of each class to its mask; a colour that no label has is an error."""
        _check_size(self.path, canvas.size)
        red, green, blue = np.moveaxis(read_photograph(self.path, max_pixels=canvas.size[0] * canvas.size[1]), -1, 0)
        colors = (red.astype(np.uint32) << 16) | (green.astype(np.uint32) << 8) | blue
        labels = {name: int.from_bytes(bytes(color)) for name, color in self.labels.items()}
        unknown = np.unique(colors[~np.isin(colors, [0, *labels.values()])])
        if unknown.size and self._is_grey() and red.max() < len(labels):
            colors, labels = red, {name: number for number, name in enumerate(labels)}
        elif unknown.size:
            shown = ", ".join(f"{color:06x}" for color in unknown[:4]) + ", …" * (len(unknown) > 4)
            raise InputError(f"{self.path}: colours that labelmap.txt does not have ({shown}).")
        for name, color in labels.items():
            mask = canvas.mask(name)
            if mask is not None:
                mask |= colors == color

    def _is_grey(self) -> bool:
        with opened(self.path, max_pixels=2**62) as image:
            return image.mode == "L"


def _check_size(path: Path, size: tuple[int, int]) -> None:
    """Raises an InputError if a mask does not have the photograph's size, (H, W)."""
    height, width = photograph_size(path, max_pixels=2**62)
    if (height, width) != size:
        raise InputError(f"{path}: {width}x{height} pixels; the photograph has {size[1]}x{size[0]}.")
