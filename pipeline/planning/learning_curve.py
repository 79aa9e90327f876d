"""What further minutes buy: scores of short trainings, extrapolated with what they leave open.

Scores are taken to approach a limit by a power of the time, s(t) = a - b t^-c with b >= 0 (Hestness et al. 2017,
arXiv:1712.00409, section 3, for errors over data; Viering and Loog 2023, arXiv:2103.10948, for what such curves are
worth). A few short trainings do not tell a, b and c apart, so every curve counts by how well it fits them: a and c of a
grid, b by least squares. Where the curves part, the forecast is as wide as they are.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

# By how much scores of two trainings of one recipe differ, as a standard deviation (docs/experiments.md, the rows of
# the same seed on two machines: 0.001 to 0.027 of a class).
NOISE = 0.02
LIMITS = np.linspace(0, 1, 101)  # a
POWERS = np.linspace(0.1, 1.5, 57)  # c; c of 0.5 is what an average over independent samples gains
QUANTILES = (0.05, 0.5, 0.95)


@dataclasses.dataclass(frozen=True)
class ShortTraining:
    """A training that was run to its end.

    Attributes:
      minutes: its length.
      aupr: mean AUPR over the classes, of photographs that it did not learn from.
    """

    minutes: float
    aupr: float


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What a training of some length would score.

    Attributes:
      minutes: its length.
      low, median, high: quantiles of the AUPR, those of QUANTILES.
    """

    minutes: float
    low: float
    median: float
    high: float


def forecast(trainings: Sequence[ShortTraining], minutes: Sequence[float]) -> list[Forecast]:
    """Extrapolates the scores of short trainings.

    Args:
      trainings: at least two, of different lengths.
      minutes: the lengths to extrapolate to, each above 0.

    Returns:
      A forecast for each of the lengths.
    """
    times = np.array([one.minutes for one in trainings])
    scores = np.array([one.aupr for one in trainings])
    a, c = (axis.ravel() for axis in np.meshgrid(LIMITS, POWERS, indexing="ij"))
    shape = times[:, None] ** -c  # [trainings, curves]
    below = a - scores[:, None]
    b = np.maximum((shape * below).sum(0) / np.square(shape).sum(0), 0)
    misfit = np.square(below - b * shape).sum(0) / (2 * NOISE**2)
    weights = np.exp(misfit.min() - misfit)
    forecasts = []
    for one in minutes:
        values = np.clip(a - b * one**-c, 0, 1)
        order = np.argsort(values)
        reached = np.cumsum(weights[order]) / weights.sum()
        places = np.minimum(np.searchsorted(reached, QUANTILES), len(order) - 1)
        low, median, high = values[order][places].tolist()
        forecasts.append(Forecast(one, low, median, high))
    return forecasts
