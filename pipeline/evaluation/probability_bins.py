"""Bins of probability, in which pixels are counted: equal ones, divided further where networks are sure of themselves.

A network as it is trained is sure: equal bins cannot order the many pixels with a probability near 1 or 0. With 1,280
of them, the areas under the precision-recall curve of one network, on 18 photographs of IDRiD, were MA 0.500, HE 0.478,
EX 0.828 and SE 0.601; those of the probabilities themselves are 0.520, 0.492, 0.834 and 0.685. So there are further
edges from 2^-14 to 1/64 and from 63/64 to 1. Below 2^-14 there are none: the order of pixels there changes these areas
by less than 0.001, but they are most of a photograph and would take most of the time of counting.
"""

import functools

import numpy as np

# Near 0, each doubling of the probability is divided into equal parts, by bits of the float32 number itself.
LEAST, DOUBLINGS, PARTS_BITS = 2.0**-14, 8, 4
# Near 1, edges are equally spaced in log(1 - p), down to the last number below 1.
NEAR_1, LAST, EDGES_NEAR_1 = 2.0**-6, 2.0**-24, 256
EDGES_NEAR_0 = DOUBLINGS * 2**PARTS_BITS
FURTHER = EDGES_NEAR_0 + EDGES_NEAR_1  # number of edges besides the equal ones

_SHIFT = 23 - PARTS_BITS  # of a float32 number's bits, to leave its exponent and the first bits of its fraction
_FIRST_PART = int(np.float32(LEAST).view(np.int32)) >> _SHIFT


@functools.cache
def lower_edges(bins: int) -> np.ndarray:
    """Returns the lower edges of all bins.

    Args:
      bins: number of equal bins over 0..1.

    Returns:
      float64 `[bins + FURTHER]`, rising, among them all i / bins; read-only. The further ones are float32 numbers, so
      that `>=` means the same in float32 and in float64. Some edges occur twice or more, where a further one is equal
      to i / bins, or where float32 has too few numbers near 1; all pixels are then counted at the last of these.

    Example:
      >>> lower_edges(4)[0], lower_edges(4)[-1] == 1 - 2**-24, len(lower_edges(4)) - FURTHER
      (np.float64(0.0), np.True_, 4)
    """
    parts = np.arange(EDGES_NEAR_0, dtype=np.int32) + np.int32(_FIRST_PART)
    near_0 = (parts << _SHIFT).view(np.float32)
    edges = np.sort(np.concatenate([np.arange(bins) / bins, near_0, _edges_near_1()]))
    edges.flags.writeable = False
    return edges


def middles(bins: int) -> np.ndarray:
    """Returns the probability in the middle of each bin, float64 `[bins + FURTHER]`, above 0 and below 1."""
    edges = lower_edges(bins)
    return (edges + np.append(edges[1:], 1)) / 2


def bins_of(histogram: np.ndarray) -> int:
    """Returns the number of equal bins of a histogram `[…, bins + FURTHER]`."""
    return histogram.shape[-1] - FURTHER


def place(probabilities: np.ndarray, bins: int) -> np.ndarray:
    """Returns the bin of each probability, the number of edges up to it less one, int64 `[n]`.

    Args:
      probabilities: float32 `[n]`, 0..1.
      bins: number of equal bins over 0..1.
    """
    # In float64 the product is exact, so that a probability at or next to an edge falls on the right side of it.
    places = np.minimum((probabilities * np.float64(bins)).astype(np.int64), bins - 1)
    places += np.clip((probabilities.view(np.int32) >> _SHIFT) - (_FIRST_PART - 1), 0, EDGES_NEAR_0)
    sure = probabilities >= 1 - NEAR_1
    places[sure] += np.searchsorted(_edges_near_1(), probabilities[sure], side="right")
    return places


def widen(histograms: np.ndarray) -> np.ndarray:
    """Returns histograms of an earlier version, of equal bins alone `[…, bins]`, as `[…, bins + FURTHER]`.

    What was counted in an equal bin is counted in the first of its parts, as of the others nothing is known; in the
    lowest one, which holds nearly all pixels, at its middle.
    """
    bins = histograms.shape[-1]
    places = np.searchsorted(lower_edges(bins), np.append(0.5, np.arange(1, bins)) / bins, side="right") - 1
    wide = np.zeros((*histograms.shape[:-1], bins + FURTHER), histograms.dtype)
    wide[..., places] = histograms
    return wide


@functools.cache
def _edges_near_1() -> np.ndarray:
    return (1 - np.geomspace(NEAR_1, LAST, EDGES_NEAR_1)).astype(np.float32)
