"""Bars: lengths in proportion to values, and axes of few round steps that hold every interval."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.reporting.bars import MOST_TICKS, bar_plot

VALUES = st.floats(1e-3, 1e4)


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=3))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_bars_are_in_proportion_and_fit_an_axis_of_few_round_steps(drawn):
    rows = {str(number): {"value": sorted(one)[1], "interval": sorted(one)[::2]} for number, one in enumerate(drawn)}
    plot = bar_plot("HE", "per photograph", rows, color=0)
    most = float(plot.x_ticks[-1][1])
    assert max(max(one) for one in drawn) <= most * (1 + 1e-9)
    assert 2 <= len(plot.x_ticks) <= MOST_TICKS + 1
    step = float(plot.x_ticks[1][1])
    assert f"{step:e}".partition("e")[0] in {"1.000000", "2.000000", "5.000000"}
    for bar, row in zip(plot.bars, rows.values(), strict=True):
        assert bar.length * most == pytest.approx(row["value"])
        assert [end * most for end in bar.ends] == pytest.approx(row["interval"])
        assert bar.interval == tuple(row["interval"])


def test_nothing_but_zeros_still_has_an_axis_and_a_bar_without_an_interval_has_no_ends():
    plot = bar_plot("HE", "per photograph", {"a": {"value": 0.0, "interval": None}}, color=1)
    assert (plot.bars[0].length, plot.bars[0].ends, len(plot.x_ticks)) == (0.0, None, 2)
    assert math.isclose(plot.x_ticks[-1][0], 1.0)
