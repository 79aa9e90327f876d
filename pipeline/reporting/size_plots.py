"""Histograms of the sizes of lesions, as data for a template to draw."""

import math
from collections.abc import Mapping

import numpy as np

from pipeline.reporting.plots import FIFTHS, Curve, Plot, make_curve

PER_OCTAVE = 4  # bins of a histogram per doubling of the diameter


def size_plot(diameters: Mapping[str, np.ndarray], limit: float) -> Plot:
    """Plots how many lesions of each class have which diameter, as a fraction of the class' most frequent size.

    Args:
      diameters: for every class the diameters of its lesions, pixels at the network's scale, at least one in all.
      limit: diameter of a dotted line.
    """
    together = np.concatenate(list(diameters.values()))
    low = math.floor(math.log2(min(together.min(), limit)))
    high = max(math.ceil(math.log2(max(together.max(), limit))), low + 1)
    edges = np.linspace(low, high, PER_OCTAVE * (high - low) + 1)

    def place(octave: float) -> float:
        return (octave - low) / (high - low)

    curves: list[Curve] = [make_curve("", [(place(math.log2(limit)), 0.0), (place(math.log2(limit)), 1.0)], 0)]
    for color, (name, values) in enumerate(diameters.items()):
        counts, _ = np.histogram(np.log2(values), edges)
        heights = np.repeat(counts / max(counts.max(), 1), 2).tolist()
        across = [place(edge) for edge in np.repeat(edges, 2)[1:-1].tolist()]
        curves.append(make_curve(f"{name} ({len(values)})", zip(across, heights, strict=True), color))
    ticks = [(place(octave), f"{2.0**octave:g}") for octave in range(low, high + 1)]
    return Plot("Sizes of lesions", "diameter at the planned scale, pixels", "lesions, relative", ticks, FIFTHS, curves)
