"""Bins of probability, in which pixels are counted: equal ones, and narrower ones where a network is sure.

A network as it is trained is sure of itself. Of the soft exudates that one found in 18 photographs of IDRiD, it gave so
many pixels a probability above 1279/1280 that 1,280 equal bins, which cannot order these, had an area under the
precision-recall curve of 0.600 for 0.678. Its float32 numbers do order them. So further edges, which are equally spaced
in log(1 - p), divide the bins from 63/64 to the last number below 1.

Nothing is divided at the other end. Nearly all pixels of a photograph lie there, the precision is that of chance, and
to examine them one by one would take most of the time of counting.
"""

import functools

import numpy as np

SURE = 256  # number of further edges
FIRST, LAST = 2.0**-6, 2.0**-24  # 1 - p of the first and the last of them; after the last, float32 has only 1


@functools.cache
def lower_edges(bins: int) -> np.ndarray:
    """Returns the lower edges of all bins.

    Args:
      bins: number of equal bins over 0..1.

    Returns:
      float64 `[bins + SURE]`, rising, among them all i / bins; read-only. The further ones are float32 numbers, so that
      `>=` means the same in float32 and in float64. Near 1 some are equal, as float32 has no more numbers there; only
      the last of equals has pixels.

    Example:
      >>> lower_edges(4)[:4].tolist(), bool(lower_edges(4)[-1] == 1 - 2**-24)
      ([0.0, 0.25, 0.5, 0.75], True)
    """
    further = (1 - np.geomspace(FIRST, LAST, SURE)).astype(np.float32)
    edges = np.sort(np.concatenate([np.arange(bins) / bins, further.astype(np.float64)]))
    edges.flags.writeable = False
    return edges


def middles(bins: int) -> np.ndarray:
    """Returns the probability in the middle of each bin, float64 `[bins + SURE]`, above 0 and below 1."""
    edges = lower_edges(bins)
    return (edges + np.append(edges[1:], 1)) / 2


def bins_of(histogram: np.ndarray) -> int:
    """Returns the number of equal bins of a histogram `[…, bins + SURE]`."""
    return histogram.shape[-1] - SURE


def place(probabilities: np.ndarray, bins: int) -> np.ndarray:
    """Returns the bin of each probability, int64, of any shape.

    Args:
      probabilities: 0..1, float32. Of float64 ones, those next to an edge may fall on the other side of it.
      bins: number of equal bins over 0..1.
    """
    # In float64 the product with a float32 number is exact, so that it falls on the right side of each edge.
    places = (probabilities * np.float64(bins)).astype(np.int64)
    sure = probabilities >= 1 - FIRST
    places[sure] = np.searchsorted(lower_edges(bins), probabilities[sure], side="right") - 1
    return places


def widen(histograms: np.ndarray) -> np.ndarray:
    """Returns histograms of an earlier version, of equal bins alone `[…, bins]`, as `[…, bins + SURE]`.

    What was counted in an equal bin is counted in the first of its parts: of the others nothing is known.
    """
    bins = histograms.shape[-1]
    wide = np.zeros((*histograms.shape[:-1], bins + SURE), histograms.dtype)
    wide[..., np.searchsorted(lower_edges(bins), np.arange(bins) / bins, side="right") - 1] = histograms
    return wide
