"""What a person's look at a tile or a photograph costs, and how many wrong pixels it is expected to correct.

A photograph is cut into the tiles that someone looks at one after the other, `TILES_ALONG` along its longer side: on a
screen, a tile of a photograph of 4288 pixels fills about half of the height without being shrunk. They have nothing to
do with the tiles of the network.

A look is worth the number of pixels that are expected to be wrong there. Of a pixel with probability p it is 1 - p in a
detection and p elsewhere; that holds as far as the probabilities are calibrated. A look costs

    OPENING + TILE × tiles + DETECTION × detections    seconds,

for one tile that is looked at alone, and for a photograph of which all tiles with retina are. The three are round
numbers for someone who corrects outlines in an annotation tool, not measurements; the order depends on their ratios.
"""

import dataclasses
import itertools

import numpy as np
from cv2 import sumElems

TILES_ALONG = 9
OPENING = 15.0  # seconds to open a photograph and to find one's way
TILE = 5.0  # seconds to look over a tile for what is missing
DETECTION = 1.0  # seconds to check the outline of a detection


@dataclasses.dataclass(frozen=True)
class TileGrid:
    """The tiles of an image, numbered row by row; their sides differ by at most a pixel.

    Attributes:
      height, width: size of the image, pixels.
      rows, columns: number of tiles along each side.
    """

    height: int
    width: int
    rows: int
    columns: int

    @classmethod
    def of_photograph(cls, height: int, width: int) -> "TileGrid":
        """Returns the grid of a photograph."""
        side = max(height, width) / TILES_ALONG
        rows, columns = (min(max(round(length / side), 1), length) for length in (height, width))
        return cls(height, width, rows, columns)

    def resized(self, height: int, width: int) -> "TileGrid":
        """Returns the grid of the same tiles in the photograph at another size; some are empty if it is tiny."""
        return dataclasses.replace(self, height=height, width=width)

    def boxes(self) -> list[tuple[int, int, int, int]]:
        """Returns first row, first column, height and width of each tile."""
        ys, xs = self._edges()
        return [
            (y, x, below - y, right - x) for y, below in itertools.pairwise(ys) for x, right in itertools.pairwise(xs)
        ]

    def sums(self, plane: np.ndarray) -> np.ndarray:
        """Returns the sum of a plane, bool or float32 `[height, width]`, over each tile, float64 `[tiles]`."""
        plane = plane.view(np.uint8) if plane.dtype == bool else plane
        parts = (plane[y : y + high, x : x + wide] for y, x, high, wide in self.boxes())
        return np.array([sumElems(part)[0] if part.size else 0.0 for part in parts])

    def sums_at(self, ys: np.ndarray, xs: np.ndarray, values: np.ndarray | None = None) -> np.ndarray:
        """Returns the sum of values at some pixels over each tile, float64 `[tiles]`; None: their number."""
        rows, columns = (
            np.searchsorted(edges, places, side="right") - 1
            for edges, places in zip(self._edges(), (ys, xs), strict=True)
        )
        return np.bincount(rows * self.columns + columns, values, self.rows * self.columns).astype(np.float64)

    def _edges(self) -> tuple[list[int], list[int]]:
        ys, xs = (
            np.rint(np.linspace(0, length, number + 1)).astype(int).tolist()
            for length, number in ((self.height, self.rows), (self.width, self.columns))
        )
        return ys, xs


def looking_seconds(detections: np.ndarray | int, tiles: int = 1) -> np.ndarray | float:
    """Returns what a look costs, seconds.

    Args:
      detections: number of detections there, or several numbers.
      tiles: number of tiles that are looked over.
    """
    return OPENING + TILE * tiles + DETECTION * detections


def per_minute(wrong_pixels: np.ndarray | float, seconds: np.ndarray | float) -> np.ndarray | float:
    """Returns the expected number of wrong pixels that a minute of looking corrects."""
    return wrong_pixels / seconds * 60
