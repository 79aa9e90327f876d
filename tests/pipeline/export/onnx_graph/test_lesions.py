"""Masks and tables of lesions are those of the operating point and of the regions, for random maps."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.export.onnx_graph.lesions import COLUMNS, find_lesions
from pipeline.operating_point import OperatingPoint
from records import lesions


@pytest.fixture(scope="module")
def found(compiled):
    return compiled(
        find_lesions, np.zeros((1, 1, 2), np.float32), np.zeros(2, np.float32), np.zeros(2, np.int64), ranks=(3, 2)
    )


def expected_rows(probabilities: np.ndarray, masks: np.ndarray) -> list[list[float]]:
    rows = []
    for number in range(masks.shape[2]):
        regions = sorted(lesions(masks[..., number]), key=lambda one: (one.y, one.x + np.argmax(one.pixels[0])))
        for region in regions:
            (height, width), (ys, xs) = region.pixels.shape, np.nonzero(region.pixels)
            window = probabilities[region.y : region.y + height, region.x : region.x + width, number]
            values = window[region.pixels]
            box = [number, region.y, region.x, height, width, len(ys)]
            rows.append([*box, region.y + ys.mean(), region.x + xs.mean(), values.mean(), values.max()])
    return rows


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_they_are_those_of_the_references(found, height, width, blur, least, seed):
    drawn = np.random.default_rng(seed).random((height, width, 2), np.float32)
    drawn = cv2.GaussianBlur(drawn, (0, 0), blur).reshape(height, width, 2) if blur else drawn
    probabilities = (drawn - drawn.min()) / (np.ptp(drawn) + 1e-6)
    point = OperatingPoint((0.5, 0.7), min_area=(1, least))
    masks, table = found(probabilities, np.array(point.thresholds, np.float32), np.array(point.min_area))
    expected = point.detect(probabilities)
    np.testing.assert_array_equal(masks, expected)
    rows = expected_rows(probabilities, expected)
    np.testing.assert_allclose(table, np.reshape(rows, (-1, len(COLUMNS))), rtol=1e-5)


def test_a_long_spiral_is_one_lesion(found):
    spiral = np.zeros((61, 61, 2), np.float32)
    y = x = 0
    for turn in range(29):
        for dy, dx, steps in ((0, 1, 60), (1, 0, 60), (0, -1, 60), (-1, 0, 58)):
            for _ in range(max(steps - 2 * turn, 0)):
                spiral[y, x, 0] = 1
                y, x = y + dy, x + dx
    _, table = found(spiral, np.array([0.5, 0.5], np.float32), np.array([1, 1]))
    assert len(table) == len(list(lesions(spiral[..., 0] > 0.5)))
    assert table[:, 5].sum() == spiral.sum()


def test_a_map_without_lesions_has_an_empty_table(found):
    masks, table = found(np.zeros((3, 4, 2), np.float32), np.array([0.5, 0.5], np.float32), np.array([1, 1]))
    assert masks.shape == (3, 4, 2) and not masks.any()
    assert table.shape == (0, len(COLUMNS))
