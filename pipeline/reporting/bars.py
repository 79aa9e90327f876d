"""Bars with intervals as data: lengths scaled to the unit interval, for a template to draw as SVG."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

MOST_TICKS = 5  # steps of the axis


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar from 0 to a value.

    Attributes:
      label: what it is.
      value: the value itself.
      interval: low and high end of its interval, if there is one.
      length: place of the value in 0..1.
      ends: places of the interval's ends.
    """

    label: str
    value: float
    interval: tuple[float, float] | None
    length: float
    ends: tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class BarPlot:
    """Horizontal bars over one axis from 0.

    Attributes:
      title: heading of the diagram.
      x_label: label of the axis.
      x_ticks: place in 0..1 and text of each tick.
      bars: bars from top to bottom.
      color: number of the class.
    """

    title: str
    x_label: str
    x_ticks: Sequence[tuple[float, str]]
    bars: Sequence[Bar]
    color: int


def bar_plot(title: str, x_label: str, rows: Mapping[str, Mapping[str, Any]], *, color: int) -> BarPlot:
    """Plots values with their intervals, none below 0.

    Args:
      title: heading of the diagram.
      x_label: label of the axis.
      rows: for the label of each bar its `value` and its `interval`, which may be None.
      color: number of the class.
    """
    ends = [(one["value"], *(one["interval"] or ())) for one in rows.values()]
    step, steps = _axis(max(value for several in ends for value in several))
    most = step * steps
    bars = [_bar(label, one, most) for label, one in rows.items()]
    ticks = [(number / steps, f"{number * step:g}") for number in range(steps + 1)]
    return BarPlot(title, x_label, ticks, bars, color)


def _bar(label: str, one: Mapping[str, Any], most: float) -> Bar:
    value, interval = one["value"], one["interval"]
    if interval is None:
        return Bar(label, value, None, value / most, None)
    low, high = interval
    return Bar(label, value, (low, high), value / most, (low / most, high / most))


def _axis(most: float) -> tuple[float, int]:
    """Returns the step of an axis, 1, 2 or 5 times a power of ten, and the number of steps that reach `most`."""
    if most <= 0:
        return 1.0, 1
    power = math.floor(math.log10(most / MOST_TICKS))
    steps = (factor * 10.0**exponent for exponent in (power, power + 1) for factor in (1, 2, 5))
    step = next(step for step in steps if most / step <= MOST_TICKS)
    return step, math.ceil(most / step)
