"""Outlines of lesions along the borders of their pixels, as polygons and as COCO's runs.

A pixel (x, y) covers the square from (x, y) to (x + 1, y + 1), as in QuPath and COCO, so that corners are whole numbers
and a polygon's area is its number of pixels.
"""

from collections.abc import Iterable

import cv2
import numpy as np

Ring = list[list[int]]  # corners (x, y), the last not the first again
Polygon = list[Ring]  # a shell and its holes


def outline(pixels: np.ndarray, x: int, y: int) -> list[Polygon]:
    """Outlines one lesion: a polygon for each of its 4-connected parts.

    So no ring touches itself and no hole cuts a polygon in two, as geometry libraries demand.

    Args:
      pixels: bool `[h, w]`, the lesion within its bounding box.
      x: first column of that box.
      y: first row of it.

    Returns:
      Polygons, shells with a positive area by the shoelace formula, holes with a negative one.
    """
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(pixels.view(np.uint8), connectivity=4)
    polygons = []
    for part in range(1, count):
        left, top, width, height = boxes[part, :4].tolist()
        within = labels[top : top + height, left : left + width] == part
        polygons.append([(ring + (x + left, y + top)).tolist() for ring in _rings(within)])
    return polygons


def runs(polygons: Iterable[Polygon], height: int, width: int) -> list[int]:
    """Encodes the pixels inside of polygons as COCO does without compression.

    Args:
      polygons: of one lesion, as `outline` returns them.
      height: of the photograph.
      width: of the photograph.

    Returns:
      Lengths of background and lesion by turns, down one column after the other.
    """
    ends = []  # of the runs: every edge that lies along a row begins or ends one in each of its columns
    for ring in (ring for polygon in polygons for ring in polygon):
        for (x, y), (next_x, _) in zip(ring, ring[1:] + ring[:1], strict=True):
            ends += [column * height + y for column in range(min(x, next_x), max(x, next_x))]
    return np.diff(sorted(ends), prepend=0, append=height * width).tolist()


def _rings(part: np.ndarray) -> list[np.ndarray]:
    """Returns the corners, int `[n, 2]`, of a 4-connected part's shell and then of its holes."""
    # OpenCV's contours run through the middles of border pixels. In a part enlarged twofold these lie beside the
    # corners of the part's own pixels, each beside just one.
    enlarged = part.view(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, tree = cv2.findContours(enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    is_hole = tree[0, :, 3] >= 0
    # Reversed, as OpenCV goes the other way round.
    return [_corners((contours[number][::-1, 0] + 1) // 2) for number in np.argsort(is_hole, kind="stable")]


def _corners(points: np.ndarray) -> np.ndarray:
    """Leaves out the points, int `[n, 2]`, at which a ring of steps of at most 1 stands still or goes straight on."""
    points = points[(points != _turned(points, 1)).any(axis=1)]
    steps = _turned(points, -1) - points
    return points[(steps != _turned(steps, 1)).any(axis=1)]


def _turned(points: np.ndarray, by: int) -> np.ndarray:
    return np.concatenate([points[-by:], points[:-by]])  # what np.roll does in ten times the time
