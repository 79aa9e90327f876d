"""Plots as numbers: curves of any data brought into the unit square, for a template to draw as SVG."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from pipeline.evaluation.lesion_matching import FALSE_POSITIVES, froc, sensitivity_at
from pipeline.evaluation.scores import precision_recall

MOST_POINTS = 600  # of a curve: more cannot be seen
ISO_DICE = (0.2, 0.4, 0.6, 0.8)
EIGHTHS = {1 / 8: "1/8", 1 / 4: "1/4", 1 / 2: "1/2"}


@dataclasses.dataclass(frozen=True)
class Mark:
    """A point that is named when the pointer rests on it, in the unit square; with an interval in y or without."""

    x: float
    y: float
    words: str
    interval: tuple[float, float] | None = None
    large: bool = False


@dataclasses.dataclass(frozen=True)
class Curve:
    """A line in the unit square (x to the right, y up), as SVG's `points` of 1,000 units a side, y down.

    Attributes:
      name: for the legend; empty: a grid line.
      points: "x,y x,y …".
      color: number of the class.
      marks: on it.
    """

    name: str
    points: str
    color: int
    marks: Sequence[Mark] = ()


@dataclasses.dataclass(frozen=True)
class Plot:
    """Two axes with ticks (place in 0..1, word) and curves."""

    title: str
    x_label: str
    y_label: str
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    curves: Sequence[Curve]


FIFTHS = [(tenth / 10, f"{tenth / 10:g}") for tenth in range(0, 11, 2)]


def precision_recall_plot(
    classes: Sequence[str],
    histograms: Sequence[tuple[np.ndarray, np.ndarray]],
    points: Sequence[tuple[float, float, str] | None],
) -> Plot:
    """Plots precision over recall.

    Args:
      classes: names.
      histograms: of each class its counts of lesion and of other pixels, int64 `[bins]`.
      points: of each class (recall, precision, words) at the operating threshold, None where nothing was found.
    """
    curves = [_equal_dice(dice) for dice in ISO_DICE]
    for number, (name, (lesion, other), point) in enumerate(zip(classes, histograms, points, strict=True)):
        if lesion.any():
            _, precision, recall = precision_recall(lesion, other)
            first = np.flatnonzero(lesion[::-1] + other[::-1])[0]  # above it nothing was found
            marks = [Mark(point[0], point[1], point[2], large=True)] if point else []
            curves.append(_curve(name, _falling_steps(recall[first:], precision[first:]), number, marks=marks))
    return Plot("Precision and recall", "recall (sensitivity)", "precision (PPV)", FIFTHS, FIFTHS, curves)


def froc_plot(
    classes: Sequence[str],
    lesions: Sequence[np.ndarray],
    findings: Sequence[np.ndarray],
    *,
    photographs: int,
    intervals: Sequence[Sequence[Sequence[float] | None]],
) -> Plot:
    """Plots the share of lesions found over the false positives a photograph, on a logarithmic axis.

    Args:
      classes: names.
      lesions: of each class, `LESION` `[lesions]`.
      findings: likewise.
      photographs: their number.
      intervals: of each class at `FALSE_POSITIVES`, None where there is none.
    """
    lines = {
        number: froc(true, found, photographs)[1:]
        for number, (true, found) in enumerate(zip(lesions, findings, strict=True))
        if len(true)
    }
    most = max([FALSE_POSITIVES[-1], *(float(false[-1]) for false, _ in lines.values())])
    place = _logarithmic(FALSE_POSITIVES[0], most)
    curves = []
    for number, (false, sensitivity) in lines.items():
        name, end = classes[number], float(false[-1])
        marks = [
            Mark(
                place(limit), height, f"{name}: {height:.3f} at {limit:g} false positives a photograph", _pair(interval)
            )
            for limit, height, interval in zip(
                FALSE_POSITIVES, sensitivity_at(false, sensitivity), intervals[number], strict=True
            )
            if limit <= end
        ]
        words = f"{name}, operating point: {sensitivity[-1]:.3f} at {end:.2f} false positives a photograph"
        marks.append(Mark(place(end), float(sensitivity[-1]), words, large=True))
        points = [(place(x), y) for x, y in _rising_steps(false, sensitivity)]
        curves.append(_curve(name, points, number, marks=marks))
    ticks = [2.0**power for power in range(-3, math.floor(math.log2(most)) + 1)]
    return Plot(
        "Lesions found (FROC)",
        "false positives a photograph",
        "share of lesions found",
        [(place(tick), EIGHTHS.get(tick, f"{tick:g}")) for tick in ticks],
        FIFTHS,
        curves,
    )


def calibration_plot(classes: Sequence[str], ranges: Sequence[Sequence[dict]]) -> Plot:
    """Plots the share of lesion pixels over the mean probability; `ranges` of each class as `scores.json` has them."""
    curves = [_curve("", [(0.0, 0.0), (1.0, 1.0)], 0)]
    for number, (name, rows) in enumerate(zip(classes, ranges, strict=True)):
        filled = [(row["mean_probability"], row["lesion_fraction"], row["pixels"]) for row in rows if row["pixels"]]
        marks = [
            Mark(x, y, f"{name}: probability {x:.3f}, lesion {y:.3f} of {pixels:,} pixels") for x, y, pixels in filled
        ]
        curves.append(_curve(name, [(x, y) for x, y, _ in filled], number, marks=marks))
    return Plot("Calibration", "mean probability", "share that is lesion", FIFTHS, FIFTHS, curves)


def _equal_dice(dice: float) -> Curve:
    """Returns where precision and recall have this harmonic mean."""
    recall = np.linspace(dice / (2 - dice), 1)
    return _curve("", zip(recall, dice * recall / (2 * recall - dice), strict=True), 0)


def _curve(name: str, points: Iterable[tuple[float, float]], color: int, *, marks: Sequence[Mark] = ()) -> Curve:
    places = np.rint(np.array(list(points)) * 1000).astype(int)
    places = places[np.append(True, (places[1:] != places[:-1]).any(axis=1))]
    if len(places) > MOST_POINTS:
        places = places[np.linspace(0, len(places) - 1, MOST_POINTS).round().astype(int)]
    return Curve(name, " ".join(f"{x},{1000 - y}" for x, y in places), color, marks)


def _rising_steps(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """Returns a line that stays at the height of the point before: what is found until then."""
    return [point for i in range(len(x)) for point in ((x[i], y[max(i - 1, 0)]), (x[i], y[i]))]


def _falling_steps(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """Returns a line from x = 0 that has the height of the point after, as average precision counts."""
    return [point for i in range(len(x)) for point in ((x[i - 1] if i else 0.0, y[i]), (x[i], y[i]))]


def _logarithmic(least: float, most: float) -> Callable[[float], float]:
    width = math.log2(most / least)
    return lambda value: math.log2(max(value, least) / least) / width


def _pair(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return (interval[0], interval[1]) if interval else None
