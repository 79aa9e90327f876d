"""In which tiles of a photograph pixels are expected to be wrong, and in which they are, at the operating point.

The tiles are those of `pipeline.looking`; `predict --uncertainty` ranks them in the same order in `review.csv`.
"""

from collections.abc import Iterator

import numpy as np

from pipeline.looking import TileGrid, looking_seconds, per_minute

TILES = "tiles.csv"
TILE_COLUMNS = ("case", "y", "x", "height", "width", "detections", "expected", "wrong", "expected_per_minute")
# One row per tile that shows retina, a lesion or a detection.
TILE_ERRORS = np.dtype(
    [
        ("y", np.int32),  # first row
        ("x", np.int32),  # first column
        ("height", np.int32),
        ("width", np.int32),
        ("detections", np.int32),  # that have their centre in it
        ("expected", np.float64),  # sum over pixels and classes of the probability that the pixel is wrong
        ("wrong", np.int64),  # number of pixels, added up over classes, in which detections and masks differ
    ]
)


class TileErrors:
    """Adds up, class by class, what is expected to be wrong and what is wrong in each tile of a photograph."""

    def __init__(self, height: int, width: int):
        self._grid = TileGrid.of_photograph(height, width)
        boxes = np.array(self._grid.boxes())
        self._rows = np.zeros(len(boxes), TILE_ERRORS)
        self._lesions = np.zeros(len(boxes))
        for name, column in zip(("y", "x", "height", "width"), boxes.T, strict=True):
            self._rows[name] = column

    def add(
        self,
        probability: np.ndarray,
        mask: np.ndarray,
        detected: np.ndarray,
        *,
        known: np.ndarray | None,
        detections: np.ndarray,
    ) -> None:
        """Adds the pixels of a class of which is known whether they show it.

        Args:
          probability: float32 0..1 `[H, W]`.
          mask: bool `[H, W]`, False where unknown.
          detected: bool `[H, W]`, pixels of the detections; False where unknown.
          known: bool `[H, W]`; None: known throughout.
          detections: the detections, `pipeline.evaluation.lesion_matching.LESION`.
        """
        grid, rows = self._grid, self._rows
        everywhere = grid.sums(probability if known is None else np.where(known, probability, np.float32(0)))
        places = np.flatnonzero(detected)  # five times as fast as `nonzero`
        inside = grid.sums_at(*np.divmod(places, grid.width), 1 - 2 * probability.ravel()[places].astype(np.float64))
        rows["expected"] += everywhere + inside
        rows["wrong"] += grid.sums_at(*np.divmod(np.flatnonzero(mask != detected), grid.width)).astype(np.int64)
        rows["detections"] += grid.sums_at(detections["center_y"], detections["center_x"]).astype(np.int32)
        self._lesions += grid.sums(mask)

    def table(self, field_of_view: np.ndarray) -> np.ndarray:
        """Returns the rows of the tiles that show retina, a lesion or a detection, `TILE_ERRORS`.

        Args:
          field_of_view: bool `[H, W]`.
        """
        shown = (self._grid.sums(field_of_view) > 0) | (self._lesions > 0) | (self._rows["wrong"] > 0)
        return self._rows[shown | (self._rows["detections"] > 0)]


def worth(tiles: np.ndarray) -> np.ndarray:
    """Returns the expected number of wrong pixels per minute of looking at each tile, by which tiles are ranked."""
    return np.asarray(per_minute(tiles["expected"], looking_seconds(tiles["detections"])))


def tile_rows(case: str, tiles: np.ndarray | None) -> Iterator[list[object]]:
    """Yields the rows of a photograph in `tiles.csv`, see `TILE_COLUMNS`.

    Args:
      case: name of the photograph.
      tiles: its tiles; None: the counts are of an earlier version, without tiles.
    """
    if tiles is not None:
        for row, value in zip(tiles.tolist(), worth(tiles).tolist(), strict=True):
            *place, expected, wrong = row
            yield [case, *place, round(expected, 1), wrong, round(value, 1)]
