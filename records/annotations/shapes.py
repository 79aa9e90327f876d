"""Regions as tools describe them (polygons, run lengths, circles, small bitmaps), and which pixels they cover.

Pixel (x, y) covers the square from (x, y) to (x + 1, y + 1), as in COCO, QuPath, CVAT and LabelMe. pycocotools fills
all polygons. Those whose corners are integers, as predict writes them, it fills to the pixel; on others it works with a
fifth of a pixel.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_masks

from configs import InputError

Ring = np.ndarray  # corners (x, y), float64 [n, 2]
FARTHEST = 10  # how many widths or heights of the photograph a corner may lie away from it


@dataclasses.dataclass(frozen=True)
class Polygons:
    """Polygons, each a shell and its holes, which may be closed or open."""

    polygons: Sequence[Sequence[Ring]]

    def paint(self, mask: np.ndarray) -> bool:
        """Sets the pixels inside the shells and outside their holes."""
        _check_place(np.concatenate([ring for polygon in self.polygons for ring in polygon]), mask.shape)
        painted = [_paint_polygon(polygon, mask) for polygon in self.polygons]
        return any(painted)


@dataclasses.dataclass(frozen=True)
class RunLengths:
    """COCO's run lengths, down the columns, of a whole photograph: a list of numbers, or compressed text."""

    size: Any
    counts: Any

    def paint(self, mask: np.ndarray) -> bool:
        """Sets the pixels of every second run."""
        height, width = mask.shape
        if self.size != [height, width]:
            raise InputError(f"run lengths of the size {self.size!r} for {height} rows and {width} columns.")
        runs = _checked_runs(self.counts, height, width)
        if not coco_masks.area(runs):
            return False
        left, top, columns, rows = np.asarray(coco_masks.toBbox(runs), int).tolist()
        part = np.s_[top : top + rows, left : left + columns]  # the whole would take a tenth of a second per region
        mask[part] |= coco_masks.decode(runs)[part].view(bool)
        return True


@dataclasses.dataclass(frozen=True)
class Disc:
    """A circle and what is inside."""

    x: float
    y: float
    radius: float

    def paint(self, mask: np.ndarray) -> bool:
        """Sets the pixels whose middles lie inside."""
        corners = np.array([(self.x - self.radius, self.y - self.radius), (self.x + self.radius, self.y + self.radius)])
        _check_place(corners, mask.shape)
        left, top, box = _box(corners, mask)
        ys, xs = np.ogrid[: box.shape[0], : box.shape[1]]
        pixels = (ys + top + 0.5 - self.y) ** 2 + (xs + left + 0.5 - self.x) ** 2 <= self.radius**2
        box |= pixels
        return bool(pixels.any())


@dataclasses.dataclass(frozen=True)
class Bitmap:
    """Pixels, bool `[h, w]`, whose first one lies at column `x` and row `y`; what lies outside is cut off."""

    pixels: np.ndarray
    x: int
    y: int

    def paint(self, mask: np.ndarray) -> bool:
        """Sets its pixels."""
        height, width = self.pixels.shape
        top, left = max(self.y, 0), max(self.x, 0)
        within = mask[top : max(self.y + height, 0), left : max(self.x + width, 0)]
        part = self.pixels[top - self.y :, left - self.x :][: within.shape[0], : within.shape[1]]
        within |= part
        return bool(part.any())


@dataclasses.dataclass(frozen=True)
class Unoutlined:
    """A region of which there is only a box; it does no harm as long as its class is not wanted."""

    def paint(self, mask: np.ndarray) -> bool:
        """Raises an InputError."""
        raise InputError("a box without an outline; masks need polygons or run lengths.")


def ring(corners: Any) -> Ring:
    """Returns corners of JSON, `[[x, y], …]`, as an array; further coordinates are dropped.

    Raises:
      InputError: they are not at least three pairs of numbers.
    """
    with contextlib.suppress(ValueError, TypeError):  # ragged lists, or other things than numbers
        array = np.array(corners)
        if array.dtype.kind in "if" and array.ndim == 2 and len(array) >= 3 and array.shape[1] >= 2:
            return array[:, :2].astype(np.float64)
    raise InputError("a polygon needs three or more corners of two numbers each.")


def _check_place(corners: np.ndarray, size: Sequence[int]) -> None:
    height, width = size
    limit = FARTHEST * np.array([width, height])
    if not ((corners >= -limit) & (corners <= limit + limit / FARTHEST)).all():  # also refuses what is not a number
        raise InputError(f"corners lie far outside of the photograph of {width}x{height} pixels.")


def _paint_polygon(polygon: Sequence[Ring], mask: np.ndarray) -> bool:
    """Paints one polygon within its bounding box, as a photograph may have thousands."""
    left, top, box = _box(polygon[0], mask)
    if not box.size:
        return False
    shell, *holes = (_filled(one - (left, top), *box.shape) for one in polygon)
    for hole in holes:
        shell &= ~hole
    box |= shell
    return bool(shell.any())


def _box(corners: np.ndarray, mask: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Returns the first column and row of the smallest box around corners, and this part of a mask."""
    limit = mask.shape[1], mask.shape[0]
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, limit).astype(int).tolist()
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, limit).astype(int).tolist()
    return left, top, mask[top:bottom, left:right]


def _filled(corners: Ring, height: int, width: int) -> np.ndarray:
    (encoded,) = coco_masks.frPyObjects([corners.ravel().tolist()], height, width)
    return coco_masks.decode(encoded).view(bool)


def _checked_runs(counts: Any, height: int, width: int) -> Any:
    """Returns run lengths as pycocotools takes them.

    It would decode runs that end too early to whatever the memory holds, so their sum is checked first.
    """
    if isinstance(counts, str):
        counts = _uncompressed(counts)
    if (
        not isinstance(counts, list)
        or not all(isinstance(count, int) and count >= 0 for count in counts)
        or sum(counts) != height * width
    ):
        raise InputError(f"run lengths that do not add up to {height}x{width} pixels.")
    return coco_masks.frPyObjects({"size": [height, width], "counts": counts}, height, width)


def _uncompressed(text: str) -> list[int]:
    """Returns the numbers in COCO's compressed text, which pycocotools reads only together with the pixels.

    A character, less 48, holds five bits of a number, the lowest first, and 32 if more follow. From the fourth number
    on, each is the difference to the last but one.
    """
    counts: list[int] = []
    number = shift = 0
    for code in (ord(character) - 48 for character in text):
        number |= (code & 31) << shift
        shift += 5
        if not 0 <= code < 64:
            return []
        if not code & 32:
            if code & 16:  # a negative number
                number -= 1 << shift
            counts.append(number + (counts[-2] if len(counts) > 2 else 0))
            number = shift = 0
    return [] if shift else counts
