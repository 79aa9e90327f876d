"""What is detected in a photograph, found strip by strip, so that its whole map is never in memory."""

import dataclasses

import numpy as np

from configs import InputError
from pipeline.inference import NAN_MESSAGE, ProbabilityMap
from pipeline.operating_point import OperatingPoint


@dataclasses.dataclass(frozen=True)
class Detections:
    """The detections in a photograph, and what of its probability map they are measured by.

    Attributes:
      masks: their pixels, bool `[H, W, C]`; each class is contiguous in memory.
      probabilities: for each class, the probabilities of these pixels in reading order, float32 `[n]`.
      maxima: highest probability of each class anywhere in the photograph.
    """

    masks: np.ndarray
    probabilities: tuple[np.ndarray, ...]
    maxima: tuple[float, ...]


def detect(found: ProbabilityMap, operating_point: OperatingPoint) -> Detections:
    """Finds the detections in a probability map.

    Raises:
      InputError: the map contains NaN.
    """
    classes = range(found.scaled.shape[-1])
    masks = np.empty((len(classes), *found.size), bool)
    probabilities: list[list[np.ndarray]] = [[] for _ in classes]
    maxima = np.zeros(len(classes), np.float32)
    for row, strip in found.strips():
        maxima = np.maximum(maxima, strip.max(axis=(0, 1)))  # keeps NaN
        for index in classes:
            positive = operating_point.is_positive(strip[..., index], index)
            masks[index, row : row + len(strip)] = positive
            probabilities[index].append(strip[..., index][positive])
    if np.isnan(maxima).any():
        raise InputError(NAN_MESSAGE)
    kept = [
        _without_small(masks[index], np.concatenate(probabilities[index]), operating_point, index=index)
        for index in classes
    ]
    return Detections(np.moveaxis(masks, 0, -1), tuple(kept), tuple(maxima.tolist()))


def _without_small(
    mask: np.ndarray, probabilities: np.ndarray, operating_point: OperatingPoint, *, index: int
) -> np.ndarray:
    """Removes regions that are too small from a class' mask, in place, and returns the other pixels' probabilities."""
    detected = operating_point.without_small(mask, index)
    if detected is mask:
        return probabilities
    kept = probabilities[detected[mask]]
    mask[:] = detected
    return kept
