"""The mean of several models' probability maps of one photograph, strip by strip."""

from collections.abc import Iterator, Sequence

import numpy as np

from pipeline.inference import STRIP_BYTES, ProbabilityMap


def averaged_strips(
    maps: Sequence[ProbabilityMap], places: Sequence[Sequence[int]]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the mean of probability maps at the photograph's size, for each class over the maps that have it.

    Args:
      maps: maps of one photograph, of any scales.
      places: for each map, the class that each of its channels shows; together they name the classes 0 to C - 1.

    Yields:
      The number of the first row, and float32 `[rows, W, C]`.
    """
    classes = max(map(max, places)) + 1
    if len(maps) == 1 and list(places[0]) == list(range(classes)):
        yield from maps[0].strips()
        return
    number = np.zeros(classes, np.float32)
    for of_map in places:
        number[list(of_map)] += 1
    share = STRIP_BYTES // max(one.scaled.shape[-1] for one in maps)
    strips = [one.strips(share * one.scaled.shape[-1]) for one in maps]  # of the same rows
    for parts in zip(*strips, strict=True):
        row, first = parts[0]
        total = np.zeros((*first.shape[:2], classes), np.float32)
        for (_, strip), of_map in zip(parts, places, strict=True):
            for channel, index in enumerate(of_map):
                total[..., index] += strip[..., channel]
        total /= number
        yield row, total
