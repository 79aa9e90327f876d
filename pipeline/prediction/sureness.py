"""How sure a model is of what it found in a photograph: of the areas, of each lesion, and of each tile.

All of it is computed from the maps at the network's scale, `[h, w]`, whose pixels stand for equally many pixels of the
photograph.

- **Expected Dice** of a class: 2 Σ_D p / (|D| + Σ p), with the probabilities p and the detections D. Of pixels that are
  lesion as often as p says, it is the ratio of the expectations of Dice's numerator and denominator.
- **Area interval** of a class, of level `LEVEL`: probabilities of neighbouring pixels are wrong together, so all pixels
  of a photograph share one error, a number u drawn from 0 to 1 for all of them: lesion is where p > u. The interval is
  between the areas at the two ends of the middle `LEVEL` of u, with p one spread lower at the lower end and one spread
  higher at the upper. Independent pixels would leave almost no interval: its coverage on photographs is in
  docs/experiments.md.
- **Expected wrong pixels** of a tile: see `pipeline.looking`.
"""

import dataclasses
from typing import Any

import cv2
import numpy as np

from pipeline.inference import ProbabilityMap, Segmented
from pipeline.looking import TileGrid
from pipeline.prediction.detections import Detections

LEVEL = 0.9


@dataclasses.dataclass(frozen=True)
class Sureness:
    """How sure a model is of a photograph.

    Attributes:
      columns: what `predictions.csv` says of it, by the names of the columns.
      tiles: of each tile that shows retina or a detection its first row and column, height and width, pixels of the
        photograph, the number of detections and the expected number of wrong pixels; for the record.
    """

    columns: dict[str, float | int | str]
    tiles: list[list[Any]]


def sureness_columns(classes: tuple[str, ...]) -> list[str]:
    """Returns the columns that `predictions.csv` gains."""
    return [f"{name}_{value}" for name in classes for value in ("expected_dice", "area_low", "area_high")]


def assess(
    segmented: Segmented,
    detections: Detections,
    *,
    classes: tuple[str, ...],
    features: list[dict],
    visible: np.ndarray,
) -> Sureness | None:
    """Says how sure a model is of what it found; None without a spread.

    Args:
      segmented: the photograph's map and spread.
      detections: its detections.
      classes: names of the C classes.
      features: its `lesion_features`.
      visible: its field of view, bool `[H, W]`.
    """
    if segmented.spread is None:
        return None
    (height, width), shape = visible.shape, segmented.scaled.shape[:2]
    grid = TileGrid.of_photograph(height, width)
    scaled_grid = grid.resized(*shape)
    each = height * width / (shape[0] * shape[1])  # pixels of the photograph for one of the map
    expected = np.zeros(grid.rows * grid.columns)
    columns: dict[str, float | int | str] = {}
    for index, name in enumerate(classes):
        probability = np.ascontiguousarray(segmented.scaled[..., index])
        detected = _shrunk(detections.masks[..., index], shape)
        expected += each * scaled_grid.sums(detected + probability - 2 * detected * probability)
        dice = expected_dice(probability, detected)
        low, high = area_interval(probability, segmented.spread.scaled[..., index])
        columns[f"{name}_expected_dice"] = "" if dice is None else round(dice, 4)
        columns[f"{name}_area_low"], columns[f"{name}_area_high"] = round(each * low), round(each * high)
    centers = [feature["properties"]["measurements"] for feature in features]
    number = grid.sums_at(*(np.array([one[key] for one in centers], float) for key in ("center_y", "center_x")))
    shown = (grid.sums(visible) > 0) | (number > 0)
    tiles = [
        [*box, int(found), round(float(wrong), 1)]
        for box, found, wrong, there in zip(grid.boxes(), number, expected, shown, strict=True)
        if there
    ]
    return Sureness(columns, tiles)


def expected_dice(probability: np.ndarray, detected: np.ndarray) -> float | None:
    """Returns the expected Dice of detections, None without any; `detected` is the part of each pixel in them, 0..1."""
    area = float(detected.sum(dtype=np.float64))
    if not area:
        return None
    inside = float((probability * detected).sum(dtype=np.float64))
    return 2 * inside / (area + float(probability.sum(dtype=np.float64)))


def area_interval(probability: np.ndarray, spread: np.ndarray) -> tuple[int, int]:
    """Returns between how many pixels the area of a class lies with probability `LEVEL`, if pixels are wrong together.

    Args:
      probability: float32 `[h, w]`.
      spread: float32 `[h, w]`.
    """
    end = (1 - LEVEL) / 2
    return int(np.count_nonzero(probability - spread > 1 - end)), int(np.count_nonzero(probability + spread > end))


def spread_in(masks: np.ndarray, spread: ProbabilityMap | None) -> tuple[np.ndarray, ...] | None:
    """Returns for each class the spread at the pixels of its mask in reading order, float32 `[n]`; None without one.

    Args:
      masks: bool `[H, W, C]`.
      spread: the spread, which is enlarged strip by strip.
    """
    if spread is None:
        return None
    parts: list[list[np.ndarray]] = [[] for _ in range(masks.shape[-1])]
    for row, strip in spread.strips():
        for index, values in enumerate(parts):
            values.append(strip[..., index][masks[row : row + len(strip), :, index]])
    return tuple(np.concatenate(values) for values in parts)


def _shrunk(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns which part of each pixel of another size a mask covers, float32 `shape`."""
    whole = np.ascontiguousarray(mask).view(np.uint8) * np.uint8(255)
    smaller = shape[0] <= mask.shape[0] and shape[1] <= mask.shape[1]
    size, how = shape[::-1], cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(whole, size, interpolation=how).astype(np.float32) / 255
