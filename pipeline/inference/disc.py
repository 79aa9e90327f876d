"""The optic disc as a ruler: its size on the retina varies little, so that it tells the scale if nothing else does."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from records import PhotographScale, equivalent_diameter, lesions

# Factors that are tried, relative to that at which the frame's diagonal is as wide as the field of view: a crop shows
# less than the field of view, so they are mostly smaller.
LADDER = (1.4, 1.0, 0.7, 0.5, 0.35, 0.25)
SURE = 0.5  # least probability times roundness of a disc
AGAIN = 0.1  # largest relative difference from the usual diameter, once the photograph is scaled by the disc


def find_disc(probabilities: np.ndarray, threshold: float) -> tuple[float, float] | None:
    """Measures the disc as the largest detection.

    Args:
      probabilities: map of the class DISC, float32 `[h, w]`.
      threshold: operating threshold of the class.

    Returns:
      The diameter of a circle of the same area, pixels, and how sure and how round it is, 0 to 1; None without one.
    """
    found = max(lesions(probabilities >= threshold), key=lambda region: np.count_nonzero(region.pixels), default=None)
    if found is None:
        return None
    height, width = found.pixels.shape
    area = int(np.count_nonzero(found.pixels))
    values = probabilities[found.y : found.y + height, found.x : found.x + width][found.pixels]
    roundness = min(4 * area / (math.pi * max(height, width) ** 2), 1)
    return equivalent_diameter(area), float(values.mean()) * roundness


def scale_by_disc(
    disc_map: Callable[[float], np.ndarray], frame: PhotographScale, *, threshold: float, usual: Sequence[float]
) -> PhotographScale:
    """Finds the scale at which a photograph's disc is as large as those that the model was trained on.

    Args:
      disc_map: returns the map of the class DISC at a factor, float32 `[h, w]`.
      frame: scale that was derived from the frame.
      threshold: operating threshold of the class.
      usual: least, median and largest usual diameter, pixels at the model's scale.

    Returns:
      The scale at which the network is surest of a round disc of a usual size; `frame` if there is none.
    """
    least, median, most = usual
    candidates = []
    for step in LADDER:
        factor = frame.factor * step
        disc = find_disc(disc_map(factor), threshold)
        if disc is not None and least <= disc[0] <= most:
            candidates.append((disc[1], factor * median / disc[0]))
    for _, factor in sorted(candidates, reverse=True):
        disc = find_disc(disc_map(factor), threshold)  # at its own scale a true disc is found again, as large as it was
        if disc is not None and abs(disc[0] / median - 1) <= AGAIN and disc[1] >= SURE:
            return PhotographScale(factor, "optic disc", frame.circle)
    return frame
