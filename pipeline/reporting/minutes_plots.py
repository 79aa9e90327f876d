"""The diagram of what minutes of training buy, as data for a template to draw."""

import math
from collections.abc import Sequence

from pipeline.reporting.plots import FIFTHS, Mark, Plot, make_curve


def minutes_plot(
    measured: Sequence[tuple[float, float]], expected: Sequence[tuple[float, float, tuple[float, float]]]
) -> Plot:
    """Plots mean AUPR over the minutes of a training, on a logarithmic axis.

    Args:
      measured: minutes and AUPR of trainings.
      expected: minutes, AUPR, and the interval of it, of trainings that were not run.
    """
    lengths = [*(one[0] for one in measured), *(one[0] for one in expected)]
    low, high = math.floor(math.log2(min(lengths))), math.ceil(math.log2(max(lengths)))

    def place(minutes: float) -> float:
        return (math.log2(minutes) - low) / max(high - low, 1)

    trained = [Mark(place(minutes), aupr, f"{minutes:.3g} minutes: {aupr:.3f}") for minutes, aupr in measured]
    further = [
        Mark(place(minutes), aupr, f"{minutes:g} minutes: {aupr:.2f} ({ends[0]:.2f} to {ends[1]:.2f})", interval=ends)
        for minutes, aupr, ends in expected
    ]
    curves = [
        make_curve(name, [(mark.x, mark.y) for mark in marks], color, marks=marks)
        for color, (name, marks) in enumerate({"trained": trained, "expected": further}.items())
    ]
    ticks = [(place(2.0**octave), f"{2.0**octave:g}") for octave in range(low, high + 1)]
    return Plot("What minutes buy", "minutes of training", "mean AUPR", ticks, FIFTHS, curves)
