"""Probability maps of the page: 8 bits at the network's scale, in files that browsers unpack themselves."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.inference import ProbabilityMap, Segmented
from pipeline.operating_point import OperatingPoint
from pipeline.prediction import spread_levels
from records import write_bytes

FAST = 1  # of gzip's levels: maps are mostly black


class MapStore:
    """Maps on disk, by number of the photograph: gzip of uint8 `[C, h, w]`, and as much again for a spread."""

    def __init__(self, folder: Path):
        """Keeps maps in an existing folder."""
        self._folder = folder

    def path(self, number: int) -> Path:
        """Returns the file of a photograph's map."""
        return self._folder / f"{number}.map.gz"

    def write(self, number: int, segmented: Segmented) -> np.ndarray:
        """Writes a map, in which 255 means probability 1, and its spread, in which 255 means the largest there is.

        Returns:
          The levels of the map, uint8 `[C, h, w]`.
        """
        planes = [_class_first(np.rint(np.clip(segmented.scaled, 0, 1) * 255).astype(np.uint8))]
        if segmented.spread is not None:
            planes.append(_class_first(spread_levels(segmented.spread.scaled)))
        write_bytes(self.path(number), gzip.compress(b"".join(one.tobytes() for one in planes), FAST))
        return planes[0]

    def read(self, number: int, map_size: tuple[int, int], classes: int) -> np.ndarray:
        """Returns the levels of a map, uint8 `[C, h, w]`, without its spread."""
        content = gzip.decompress(self.path(number).read_bytes())
        height, width = map_size
        return np.frombuffer(content, np.uint8, classes * height * width).reshape(classes, height, width)

    def remove(self, number: int) -> None:
        """Removes a map, if it is there."""
        self.path(number).unlink(missing_ok=True)


def probability_map(levels: np.ndarray, size: tuple[int, int]) -> ProbabilityMap:
    """Returns the map of levels, uint8 `[C, h, w]`, of a photograph of this size, (H, W)."""
    scaled = np.ascontiguousarray(np.moveaxis(levels, 0, -1)).astype(np.float32) / 255
    return ProbabilityMap(scaled, size, resized=scaled.shape[:2] != size)


def expected_wrong(levels: np.ndarray, size: tuple[int, int], thresholds: Sequence[float]) -> float:
    """Returns how many pixels of a photograph are expected to be wrong if probabilities are frequencies.

    Args:
      levels: uint8 `[C, h, w]`.
      size: height and width of the photograph.
      thresholds: least probability of a positive pixel of each class.
    """
    point, each, wrong = OperatingPoint(tuple(thresholds)), size[0] * size[1] / levels[0].size, 0.0
    for index, plane in enumerate(levels):
        probability = plane.astype(np.float32) / 255
        positive = point.is_positive(probability, index)
        wrong += each * float(np.where(positive, 1 - probability, probability).sum(dtype=np.float64))
    return wrong


def _class_first(levels: np.ndarray) -> np.ndarray:
    """Returns `[h, w, C]` as `[C, h, w]`."""
    return np.moveaxis(levels, -1, 0)
