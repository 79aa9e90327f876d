"""Histograms of sizes, compared with the sizes that they show."""

import numpy as np
import pytest

from pipeline.reporting import size_plot


def points_of(curve) -> np.ndarray:
    """Returns x and y of a curve in the unit square, y upwards."""
    places = np.array([[int(number) for number in pair.split(",")] for pair in curve.points.split()])
    return np.column_stack([places[:, 0], 1000 - places[:, 1]]) / 1000


def test_the_highest_step_is_at_the_most_frequent_size_and_all_others_are_relative_to_it():
    plot = size_plot({"HE": np.array([3.1, 3.1, 3.1, 3.1, 12.5]), "EX": np.array([1.5])}, 3.0)
    assert [label for _, label in plot.x_ticks] == ["1", "2", "4", "8", "16"]
    limit, haemorrhages, exudates = map(points_of, plot.curves)
    octaves = 4 * haemorrhages[:, 0]
    top, quarter = haemorrhages[:, 1] == 1, np.isclose(haemorrhages[:, 1], 0.25)
    assert octaves[top].min() <= np.log2(3.1) <= octaves[top].max()
    assert octaves[quarter].min() <= np.log2(12.5) <= octaves[quarter].max()
    assert exudates[:, 1].max() == 1
    assert limit[:, 0] * 4 == pytest.approx([np.log2(3)] * 2, abs=5e-3)


def test_one_size_at_the_limit_is_drawn():
    plot = size_plot({"HE": np.array([4.0])}, 4.0)
    assert len(plot.x_ticks) == 2 and points_of(plot.curves[1])[:, 1].max() == 1
