"""Lesions found and measured in the graph are those of SciPy and of `records.images`."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from pipeline.export.lesion_graph import DIRECTIONS, detect_pixels, measure, number_regions
from records.images.regions import find_regions

EIGHT = np.ones((3, 3))
MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 14), st.integers(1, 14)))
graph = {  # traced once for all sizes
    "number": tf.function(
        number_regions, input_signature=[tf.TensorSpec([None, 3], tf.int64), tf.TensorSpec([2], tf.int64)]
    ),
    "measure": tf.function(
        lambda places, probabilities, size, least: measure(
            detect_pixels(places, probabilities, size, least_areas=least)
        ),
        input_signature=[
            tf.TensorSpec([None, 3], tf.int64),
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([2], tf.int64),
            tf.TensorSpec([None], tf.int64),
        ],
    ),
}


def spiral(side: int) -> np.ndarray:
    """One region whose pixels are far from each other along it: a path of one pixel's width, `[1, side, side]`."""
    mask = np.zeros((side, side), bool)
    y, x, dy, dx = 0, 0, 0, 1
    mask[0, 0] = True
    for length in (side - 1, *(length for step in range(side - 1, 1, -2) for length in (step, step))):
        for _ in range(length):
            y, x = y + dy, x + dx
            if not (0 <= y < side and 0 <= x < side):
                return mask[None]
            mask[y, x] = True
        dy, dx = dx, -dy
    return mask[None]


def numbered(masks: np.ndarray) -> np.ndarray:
    """The number of the region of each pixel as SciPy numbers them, class by class."""
    labels, before = [], 0
    for mask in masks:
        label, count = ndimage.label(mask, EIGHT)
        labels.append(label[mask] - 1 + before)
        before += count
    return np.concatenate(labels)


@given(MASKS)
@example(np.zeros((2, 3, 3), bool))
@example(np.ones((2, 3, 3), bool))
@example(spiral(40))
@example(np.indices((1, 20, 20)).sum(axis=0) % 2 == 0)  # touches by corners alone
@settings(max_examples=30, deadline=None)
def test_regions_are_scipys_with_their_numbers(masks):
    found = graph["number"](np.argwhere(masks), masks.shape[1:]).numpy()
    np.testing.assert_array_equal(found, numbered(masks))
    np.testing.assert_array_equal(np.unique(found), np.arange(sum(len(find_regions(mask).area) for mask in masks)))


@given(MASKS, st.integers(1, 4), st.randoms(use_true_random=False))
@example(np.zeros((2, 3, 3), bool), 1, None)
@settings(max_examples=20, deadline=None)
def test_measures_are_those_of_numpy_of_each_region_that_is_large_enough(masks, least, random):
    rng = np.random.default_rng(random.randrange(2**32) if random else 0)
    maps = rng.uniform(0.5, 1, masks.shape).astype(np.float32)
    found = graph["measure"](np.argwhere(masks), maps[masks], masks.shape[1:], [least] * len(masks))
    found = {name: value.numpy() for name, value in found.items()}
    number = 0
    for index, mask in enumerate(masks):
        labels, count = ndimage.label(mask, EIGHT)
        for label in range(1, count + 1):
            ys, xs = np.nonzero(labels == label)
            if len(ys) < least:
                continue
            of_region = {name: value[number] for name, value in found.items()}
            number += 1
            assert of_region["class"] == index
            assert of_region["areas"] == len(ys)
            assert of_region["boxes"].tolist() == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
            np.testing.assert_allclose(of_region["centers"], [xs.mean(), ys.mean()], rtol=1e-6)
            values = maps[index, ys, xs]
            assert of_region["mean_probabilities"] == pytest.approx(values.mean(), rel=1e-6)
            assert of_region["maximum_probabilities"] == values.max()
            pixels = set(zip(xs.tolist(), ys.tolist(), strict=True))
            for step, (x, y) in enumerate(of_region["contours"].tolist()):
                angle = 2 * np.pi * step / DIRECTIONS
                assert (x, y) in pixels
                reach = xs * np.cos(angle) + ys * np.sin(angle)
                assert x * np.cos(angle) + y * np.sin(angle) == pytest.approx(reach.max(), abs=1e-9)
    assert {len(value) for value in found.values()} == {number}
