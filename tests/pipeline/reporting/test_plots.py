"""Plots, compared with the scores that they show."""

import numpy as np
import pytest

from pipeline.evaluation import FALSE_POSITIVES, LESION, TILE_ERRORS, froc
from pipeline.evaluation.probability_bins import widen
from pipeline.evaluation.scores import average_precision
from pipeline.reporting.plots import (
    MOST_POINTS,
    calibration_plot,
    detection_calibration_plot,
    froc_plot,
    precision_recall_plot,
    sparsification_plot,
)

NO_INTERVALS = [None] * len(FALSE_POSITIVES)


def points_of(curve) -> np.ndarray:
    """Returns x and y of a curve in the unit square, y upwards."""
    places = np.array([[int(number) for number in pair.split(",")] for pair in curve.points.split()])
    return np.column_stack([places[:, 0], 1000 - places[:, 1]]) / 1000


def named(plot):
    return [curve for curve in plot.curves if curve.name]


def test_the_area_under_the_drawn_precision_recall_curve_is_the_average_precision():
    rng = np.random.default_rng(0)
    lesion, negatives = rng.integers(0, 90, 48), rng.integers(0, 90, 48)[::-1] * np.arange(48, 0, -1)
    negatives[-9:] = lesion[-9:] = 0  # no pixel is that probable
    lesion, negatives = widen(lesion), widen(negatives)
    (curve,) = named(precision_recall_plot(["HE"], [(lesion, negatives)], [(0.5, 0.25, "here")]))
    x, y = points_of(curve).T
    assert x[0] == 0
    assert x[-1] == 1
    area = np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)
    assert area == pytest.approx(average_precision(lesion, negatives), abs=2e-3)
    assert [(mark.x, mark.y, mark.label, mark.large) for mark in curve.marks] == [(0.5, 0.25, "here", True)]


def test_dice_is_constant_along_each_guide():
    guides = [curve for curve in precision_recall_plot([], [], []).curves if not curve.name]
    for guide, dice in zip(guides, (0.2, 0.4, 0.6, 0.8), strict=True):
        recall, precision = points_of(guide).T
        np.testing.assert_allclose(2 * recall * precision / (recall + precision), dice, atol=2e-3)


def test_a_class_without_lesions_has_no_curve():
    none, some = widen(np.zeros(8, np.int64)), widen(np.ones(8, np.int64))
    assert named(precision_recall_plot(["HE"], [(none, some)], [None])) == []
    assert (
        named(
            froc_plot(["HE"], [np.zeros(0, LESION)], [np.zeros(0, LESION)], photographs=[3], intervals=[NO_INTERVALS])
        )
        == []
    )


def test_curves_have_no_more_points_than_can_be_seen():
    lesion = np.ones(20_000, np.int64)
    (curve,) = named(precision_recall_plot(["HE"], [(lesion, lesion[::-1].cumsum())], [None]))
    assert len(points_of(curve)) <= MOST_POINTS
    assert points_of(curve)[-1][0] == 1


def test_the_froc_rises_from_its_left_end_to_the_operating_point():
    rng = np.random.default_rng(1)
    lesions, detections = np.zeros(40, LESION), np.zeros(90, LESION)
    lesions["score"], lesions["matched"] = rng.random(40), rng.random(40) < 0.7
    detections["score"], detections["matched"] = rng.random(90), rng.random(90) < 0.4
    intervals = [[[0.1, 0.2]] * len(FALSE_POSITIVES)]
    plot = froc_plot(["HE"], [lesions], [detections], photographs=[4], intervals=intervals)
    (curve,) = named(plot)
    x, y = points_of(curve).T
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    _, false, sensitivity = froc(lesions, detections, 4)
    assert x[-1] == 1  # more than 8 false positives a photograph: the axis ends with the curve
    assert y[-1] == pytest.approx(sensitivity[-1], abs=1e-3)
    *read, end = curve.marks
    assert end.large
    assert end.y == sensitivity[-1]
    assert [mark.y for mark in read] == [sensitivity[false <= limit].max() for limit in FALSE_POSITIVES]
    assert {mark.interval for mark in read} == {(0.1, 0.2)}
    ticks = {label: place for place, label in plot.x_ticks}
    assert ticks["1/8"] == 0
    assert ticks["2"] - ticks["1"] == pytest.approx(ticks["8"] - ticks["4"])


def test_the_calibration_has_a_point_for_each_range_with_pixels():
    rows = [
        {"mean_probability": 0.1, "lesion_share": 0.02, "pixels": 1000},
        {"mean_probability": None, "lesion_share": None, "pixels": 0},
        {"mean_probability": 0.9, "lesion_share": 0.7, "pixels": 10},
    ]
    (curve,) = named(calibration_plot(["HE"], [rows]))
    np.testing.assert_allclose(points_of(curve), [(0.1, 0.02), (0.9, 0.7)])
    assert [mark.label for mark in curve.marks] == [
        "HE: mean probability 0.100, lesion fraction 0.020 of 1,000 pixels",
        "HE: mean probability 0.900, lesion fraction 0.700 of 10 pixels",
    ]


def test_the_calibration_of_detections_has_a_point_for_each_range_with_detections():
    rows = [
        {"mean_probability": 0.55, "matched_fraction": 0.25, "detections": 4},
        {"mean_probability": None, "matched_fraction": None, "detections": 0},
    ]
    (curve,) = named(detection_calibration_plot(["HE", "MA"], [rows, rows[1:]]))
    np.testing.assert_allclose(points_of(curve), [(0.55, 0.25)])
    assert curve.marks[0].label == "HE: highest probability 0.550 on average, 0.250 of 4 detections match a lesion"


def test_the_curve_of_tiles_has_what_the_first_ones_remove():
    tiles = np.zeros(10, TILE_ERRORS)
    tiles["expected"], tiles["wrong"] = np.arange(10, 0, -1), [30, 0, 50, 0, 0, 20, 0, 0, 0, 0]
    ranked, best = named(sparsification_plot(tiles))
    assert (ranked.name, best.name) == ("as ranked", "best order")
    np.testing.assert_allclose(points_of(ranked)[:4], [(0, 0), (0.1, 0.3), (0.2, 0.3), (0.3, 0.8)])
    np.testing.assert_allclose(points_of(best)[:4], [(0, 0), (0.1, 0.5), (0.2, 0.8), (0.3, 1)])
    assert ranked.marks[0].label == "as ranked: the first 10 % of the tiles have 30.0 % of the wrong pixels"
