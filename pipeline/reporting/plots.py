"""Plots as data: curves scaled to the unit square, for a template to draw as SVG."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from pipeline.evaluation import (
    FALSE_POSITIVES,
    FRACTION,
    first_to_last,
    froc,
    precision_recall,
    removed_at,
    sensitivity_at,
    sparsify,
    worth,
)

MOST_POINTS = 600  # per curve; more cannot be seen
ISO_DICE = (0.2, 0.4, 0.6, 0.8)
EIGHTHS = {1 / 8: "1/8", 1 / 4: "1/4", 1 / 2: "1/2"}


@dataclasses.dataclass(frozen=True)
class Mark:
    """A point in the unit square with a tooltip.

    Attributes:
      x: place to the right.
      y: place upwards.
      label: text of the tooltip.
      interval: low and high end in y, if there is one.
      large: whether it is the operating point.
    """

    x: float
    y: float
    label: str
    interval: tuple[float, float] | None = None
    large: bool = False


@dataclasses.dataclass(frozen=True)
class Curve:
    """A line in the unit square, as the `points` of an SVG polyline.

    Attributes:
      name: name in the legend; empty for a guide line.
      points: "x,y x,y …" in thousandths, y downwards.
      color: number of the class.
      marks: points on the line with tooltips.
    """

    name: str
    points: str
    color: int
    marks: Sequence[Mark] = ()


@dataclasses.dataclass(frozen=True)
class Plot:
    """A diagram with two axes.

    Attributes:
      title: heading of the diagram.
      x_label: label of the horizontal axis.
      y_label: label of the vertical axis.
      x_ticks: place in 0..1 and text of each tick.
      y_ticks: place in 0..1 and text of each tick.
      curves: lines of the diagram.
    """

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
      classes: names of the classes.
      histograms: for each class the histograms of lesion and of other pixels, see `Counts`.
      points: for each class (recall, precision, label) at the operating threshold, None if either is undefined.
    """
    curves = [_equal_dice(dice) for dice in ISO_DICE]
    for number, (name, (lesion, negatives), point) in enumerate(zip(classes, histograms, points, strict=True)):
        if lesion.any():
            _, precision, recall = precision_recall(lesion, negatives)
            first = np.flatnonzero(lesion[::-1] + negatives[::-1])[0]  # above it nothing is positive
            marks = [Mark(point[0], point[1], point[2], large=True)] if point else []
            curves.append(make_curve(name, _falling_steps(recall[first:], precision[first:]), number, marks=marks))
    return Plot("Precision and recall", "recall (sensitivity)", "precision (PPV)", FIFTHS, FIFTHS, curves)


def froc_plot(
    classes: Sequence[str],
    lesions: Sequence[np.ndarray],
    detections: Sequence[np.ndarray],
    *,
    photographs: Sequence[int],
    intervals: Sequence[Sequence[Sequence[float] | None]],
) -> Plot:
    """Plots the fraction of lesions found over the false positives per photograph, on a logarithmic axis.

    Args:
      classes: names of the classes.
      lesions: lesions of each class, `LESION` `[lesions]`.
      detections: detections of each class, `LESION` `[detections]`.
      photographs: number of photographs in which each class is known.
      intervals: intervals of the sensitivity of each class at `FALSE_POSITIVES`, None where there is none.
    """
    lines = {
        number: froc(true, detected, known)[1:]
        for number, (true, detected, known) in enumerate(zip(lesions, detections, photographs, strict=True))
        if len(true)
    }
    most = max([FALSE_POSITIVES[-1], *(float(false[-1]) for false, _ in lines.values())])
    place = _logarithmic(FALSE_POSITIVES[0], most)
    curves = []
    for number, (false, sensitivity) in lines.items():
        points = [(place(x), y) for x, y in _rising_steps(false, sensitivity)]
        marks = _froc_marks(classes[number], false, sensitivity, place=place, intervals=intervals[number])
        curves.append(make_curve(classes[number], points, number, marks=marks))
    ticks = [2.0**power for power in range(-3, math.floor(math.log2(most)) + 1)]
    return Plot(
        "Lesions found (FROC)",
        "false positives per photograph",
        "fraction of lesions found",
        [(place(tick), EIGHTHS.get(tick, f"{tick:g}")) for tick in ticks],
        FIFTHS,
        curves,
    )


def calibration_plot(classes: Sequence[str], ranges: Sequence[Sequence[dict]]) -> Plot:
    """Plots the fraction of lesion pixels over the mean probability.

    Args:
      classes: names of the classes.
      ranges: for each class the rows of `calibration` in `scores.json`.
    """
    curves = [make_curve("", [(0.0, 0.0), (1.0, 1.0)], 0)]
    for number, (name, rows) in enumerate(zip(classes, ranges, strict=True)):
        filled = [(row["mean_probability"], row["lesion_share"], row["pixels"]) for row in rows if row["pixels"]]
        if not filled:  # the class is known nowhere
            continue
        marks = [
            Mark(x, y, f"{name}: mean probability {x:.3f}, lesion fraction {y:.3f} of {pixels:,} pixels")
            for x, y, pixels in filled
        ]
        curves.append(make_curve(name, [(x, y) for x, y, _ in filled], number, marks=marks))
    return Plot("Calibration", "mean probability", "fraction of lesion pixels", FIFTHS, FIFTHS, curves)


def detection_calibration_plot(classes: Sequence[str], ranges: Sequence[Sequence[dict]]) -> Plot:
    """Plots the fraction of detections that match a lesion over the mean of their highest probability.

    Args:
      classes: names of the classes.
      ranges: for each class the `ranges` of `lesions[class].calibration` in `scores.json`.
    """
    curves = [make_curve("", [(0.0, 0.0), (1.0, 1.0)], 0)]
    for number, (name, rows) in enumerate(zip(classes, ranges, strict=True)):
        filled = [
            (row["mean_probability"], row["matched_fraction"], row["detections"]) for row in rows if row["detections"]
        ]
        if not filled:
            continue
        marks = [
            Mark(
                x, y, f"{name}: highest probability {x:.3f} on average, {y:.3f} of {count:,} detections match a lesion"
            )
            for x, y, count in filled
        ]
        curves.append(make_curve(name, [(x, y) for x, y, _ in filled], number, marks=marks))
    return Plot(
        "Calibration of detections", "highest probability", "fraction that matches a lesion", FIFTHS, FIFTHS, curves
    )


def sparsification_plot(tiles: np.ndarray) -> Plot:
    """Plots the fraction of the wrong pixels that is removed over the fraction of the tiles that are corrected.

    Args:
      tiles: tiles of all photographs, `TILE_ERRORS`.
    """
    curves = [make_curve("", [(0.0, 0.0), (1.0, 1.0)], 0)]
    for number, (name, order_by) in enumerate((("as ranked", worth(tiles)), ("best order", tiles["wrong"]))):
        curve = sparsify(tiles["wrong"][first_to_last(order_by)])
        removed = removed_at(curve)
        label = f"{name}: the first {100 * FRACTION:g} % of the tiles have {100 * removed:.1f} % of the wrong pixels"
        marks = [Mark(FRACTION, removed, label, large=True)]
        curves.append(make_curve(name, zip(*curve, strict=True), number, marks=marks))
    return Plot(
        "What correcting tiles removes", "fraction of tiles", "fraction of wrong pixels", FIFTHS, FIFTHS, curves
    )


def make_curve(name: str, points: Iterable[tuple[float, float]], color: int, *, marks: Sequence[Mark] = ()) -> Curve:
    """Returns the line through points of the unit square."""
    places = np.rint(np.array(list(points)) * 1000).astype(int)
    places = places[np.append(True, (places[1:] != places[:-1]).any(axis=1))]
    if len(places) > MOST_POINTS:
        places = places[np.linspace(0, len(places) - 1, MOST_POINTS).round().astype(int)]
    return Curve(name, " ".join(f"{x},{1000 - y}" for x, y in places), color, marks)


def _froc_marks(
    name: str,
    false: np.ndarray,
    sensitivity: np.ndarray,
    *,
    place: Callable[[float], float],
    intervals: Sequence[Sequence[float] | None],
) -> list[Mark]:
    """Returns the points of a FROC at `FALSE_POSITIVES`, as far as it reaches, and at its end, the operating point."""
    end = float(false[-1])
    marks = [
        Mark(place(limit), height, f"{name}: {height:.3f} at {limit:g} false positives per photograph", _pair(interval))
        for limit, height, interval in zip(FALSE_POSITIVES, sensitivity_at(false, sensitivity), intervals, strict=True)
        if limit <= end
    ]
    label = f"{name}, operating point: {sensitivity[-1]:.3f} at {end:.2f} false positives per photograph"
    return [*marks, Mark(place(end), float(sensitivity[-1]), label, large=True)]


def _equal_dice(dice: float) -> Curve:
    """Returns the line on which the harmonic mean of precision and recall is `dice`."""
    recall = np.linspace(dice / (2 - dice), 1)
    return make_curve("", zip(recall, dice * recall / (2 * recall - dice), strict=True), 0)


def _rising_steps(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """Returns steps at the height of the previous point: what is found up to there."""
    return [point for i in range(len(x)) for point in ((x[i], y[max(i - 1, 0)]), (x[i], y[i]))]


def _falling_steps(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """Returns steps from x = 0 at the height of the next point, as average precision counts."""
    return [point for i in range(len(x)) for point in ((x[i - 1] if i else 0.0, y[i]), (x[i], y[i]))]


def _logarithmic(least: float, most: float) -> Callable[[float], float]:
    width = math.log2(most / least)
    return lambda value: math.log2(max(value, least) / least) / width


def _pair(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return (interval[0], interval[1]) if interval else None
