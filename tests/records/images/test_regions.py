"""Regions and lesions of a mask, compared with SciPy's labels and OpenCV's outlines."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from records.images import find_regions, lesions


def random_mask(seed: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random((height, width)) < rng.random()


def masks() -> st.SearchStrategy[np.ndarray]:
    return st.builds(random_mask, st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 30))


@given(masks())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_regions_are_those_that_scipy_labels(mask):
    regions = find_regions(mask)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    boxes = ndimage.find_objects(labels)
    assert len(regions.area) == count
    np.testing.assert_array_equal(regions.y, [rows.start for rows, _ in boxes])
    np.testing.assert_array_equal(regions.x, [columns.start for _, columns in boxes])
    np.testing.assert_array_equal(regions.y + regions.height, [rows.stop for rows, _ in boxes])
    np.testing.assert_array_equal(regions.x + regions.width, [columns.stop for _, columns in boxes])
    np.testing.assert_array_equal(regions.area, np.bincount(labels.ravel(), minlength=count + 1)[1:])
    np.testing.assert_array_equal(regions.places, np.flatnonzero(mask))
    np.testing.assert_array_equal(np.repeat(regions.region, regions.length) + 1, labels[mask])


@given(masks())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_lesions_make_up_the_mask(mask):
    count = np.zeros(mask.shape, int)
    for lesion in lesions(mask):
        height, width = lesion.pixels.shape
        assert lesion.pixels[0].any() and lesion.pixels[-1].any()
        assert lesion.pixels[:, 0].any() and lesion.pixels[:, -1].any()
        count[lesion.y : lesion.y + height, lesion.x : lesion.x + width] += lesion.pixels
    np.testing.assert_array_equal(count, mask)


@given(masks())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_lesions_come_in_the_order_of_opencv_s_outlines(mask):
    """The draws of training and the bytes of an index depend on this order."""
    outlines, tree = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    boxes = [cv2.boundingRect(outline) for number, outline in enumerate(outlines) if tree[0, number, 3] == -1]
    assert [(lesion.x, lesion.y, *lesion.pixels.shape[::-1]) for lesion in lesions(mask)] == boxes


def test_a_mask_without_lesions_has_no_regions():
    assert len(find_regions(np.zeros((5, 7), bool)).area) == 0
    assert list(lesions(np.zeros((5, 7), bool))) == []
