"""Outlines of lesions along the edges of their pixels, as polygons and as COCO's run lengths.

Pixel (x, y) covers the square from (x, y) to (x + 1, y + 1), as in QuPath and COCO, so corners are integers and a
polygon's area is its number of pixels.
"""

from collections.abc import Iterable

import cv2
import numpy as np

Ring = list[list[int]]  # corners (x, y); the first is not repeated at the end
Polygon = list[Ring]  # a shell and its holes


def outline(pixels: np.ndarray, x: int, y: int) -> list[Polygon]:
    """Outlines a lesion by one polygon per 4-connected part.

    Hence no ring touches itself and no hole divides a polygon, as geometry libraries require.

    Args:
      pixels: the lesion within its bounding box, bool `[h, w]`.
      x: first column of the box.
      y: first row of the box.

    Returns:
      Polygons; by the shoelace formula, shells have a positive area and holes a negative one.
    """
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(pixels.view(np.uint8), connectivity=4)
    polygons = []
    for part in range(1, count):
        left, top, width, height = boxes[part, :4].tolist()
        within = labels[top : top + height, left : left + width] == part
        polygons.append([(ring + (x + left, y + top)).tolist() for ring in _rings(within)])
    return polygons


def runs(polygons: Iterable[Polygon], height: int, width: int) -> list[int]:
    """Encodes the pixels inside polygons as COCO's uncompressed run lengths.

    Args:
      polygons: the polygons of one lesion, as returned by `outline`.
      height: height of the photograph, pixels.
      width: width of the photograph, pixels.

    Returns:
      Alternating lengths of background and lesion, going down one column after the other.
    """
    ends = []  # every horizontal edge begins or ends a run in each of its columns
    for ring in (ring for polygon in polygons for ring in polygon):
        for (x, y), (next_x, _) in zip(ring, ring[1:] + ring[:1], strict=True):
            ends += [column * height + y for column in range(min(x, next_x), max(x, next_x))]
    return np.diff(sorted(ends), prepend=0, append=height * width).tolist()


def _rings(part: np.ndarray) -> list[np.ndarray]:
    """Returns the corners, int `[n, 2]`, of the shell of a 4-connected part and then of its holes."""
    # OpenCV's contours run through the centres of border pixels. In a part enlarged twofold, each of these lies next to
    # exactly one corner of the original pixels.
    enlarged = part.view(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, tree = cv2.findContours(enlarged, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    is_hole = tree[0, :, 3] >= 0
    # Reversed, because OpenCV's orientation is the opposite one.
    return [_corners((contours[number][::-1, 0] + 1) // 2) for number in np.argsort(is_hole, kind="stable")]


def _corners(points: np.ndarray) -> np.ndarray:
    """Removes the points, int `[n, 2]`, of a ring of steps of at most 1 that are repeated or lie on a straight line."""
    points = points[(points != _rolled(points, 1)).any(axis=1)]
    steps = _rolled(points, -1) - points
    return points[(steps != _rolled(steps, 1)).any(axis=1)]


def _rolled(points: np.ndarray, by: int) -> np.ndarray:
    return np.concatenate([points[-by:], points[:-by]])  # ten times as fast as np.roll
