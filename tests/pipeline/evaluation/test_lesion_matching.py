"""Lesion matching, compared with scipy.ndimage and with the rules written out pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.evaluation.lesion_matching import (
    FALSE_POSITIVES,
    LESION,
    SIZES,
    by_size,
    froc,
    match_lesions,
    sensitivity_at,
)

EIGHT = np.ones((3, 3))


def blobs(seed: int, height: int = 24, width: int = 31) -> tuple[np.ndarray, np.ndarray]:
    """Draws a map and a mask that partly agree, of some ten regions each; 50 levels, so that some scores are equal."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(2, height, width)), (0, 1.2, 1.2))
    mask = smooth[0] > rng.uniform(0.1, 0.5)
    level = 0.5 + smooth[0] + rng.uniform(0, 1.5) * smooth[1]
    return np.round(np.clip(level, 0, 1) * 50).astype(np.float32) / 50, mask


def match(probability: np.ndarray, mask: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    return match_lesions(probability, mask, probability >= np.float32(threshold))


@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 20))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_regions_are_scipys_with_its_boxes_centres_and_maxima(seed, height, width):
    rng = np.random.default_rng(seed)
    probability = rng.random((height, width)).astype(np.float32)
    threshold = float(rng.uniform(0.05, 0.95))
    _, detections = match(probability, rng.random((height, width)) < rng.random(), threshold)
    labels, count = ndimage.label(probability >= np.float32(threshold), EIGHT)
    assert len(detections) == count
    for number, (detection, (rows, columns)) in enumerate(
        zip(detections, ndimage.find_objects(labels), strict=True), 1
    ):
        assert (detection["y"], detection["x"]) == (rows.start, columns.start)
        assert (detection["height"], detection["width"]) == (rows.stop - rows.start, columns.stop - columns.start)
        assert detection["area"] == np.count_nonzero(labels == number)
        assert detection["maximum"] == detection["score"] == ndimage.maximum(probability, labels, number)
        center = ndimage.center_of_mass(labels == number)
        assert (detection["center_y"], detection["center_x"]) == pytest.approx(center, rel=1e-5)


@given(st.integers(0, 10**6), st.sampled_from([0.4, 0.5, 0.7]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_found_lesions_and_false_positives_follow_the_rule_of_a_fifth(seed, threshold):
    probability, mask = blobs(seed)
    found = probability >= np.float32(threshold)
    lesions, detections = match(probability, mask, threshold)
    true_labels, true_count = ndimage.label(mask, EIGHT)
    found_labels, found_count = ndimage.label(found, EIGHT)
    assert (len(lesions), len(detections)) == (true_count, found_count)
    for number, lesion in enumerate(lesions, 1):
        pixels = true_labels == number
        overlap = np.count_nonzero(pixels & found)
        assert lesion["overlap"] == overlap
        assert lesion["matched"] == (overlap / np.count_nonzero(pixels) >= 0.2)
        assert lesion["maximum"] == probability[pixels].max()
    for number, detection in enumerate(detections, 1):
        pixels = found_labels == number
        assert detection["overlap"] == np.count_nonzero(pixels & mask)
        assert detection["matched"] == (np.count_nonzero(pixels & mask) / np.count_nonzero(pixels) >= 0.2)


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_score_of_a_lesion_is_the_highest_from_which_on_detections_cover_a_fifth(seed):
    probability, mask = blobs(seed)
    lesions, detections = match(probability, mask, 0.5)
    true_labels, _ = ndimage.label(mask, EIGHT)
    found_labels, _ = ndimage.label(probability >= np.float32(0.5), EIGHT)
    for number, lesion in enumerate(lesions, 1):
        pixels = true_labels == number
        covering = []
        for score in detections["score"]:
            taken = np.isin(found_labels, 1 + np.flatnonzero(detections["score"] >= score))
            if np.count_nonzero(taken & pixels) / np.count_nonzero(pixels) >= 0.2:
                covering.append(score)
        assert lesion["score"] == max(covering, default=0)
        assert lesion["matched"] == bool(covering)


@pytest.mark.parametrize(("covered", "found"), [(1, False), (2, True), (10, True)])
def test_a_lesion_of_ten_pixels_is_found_by_two(covered, found):
    mask = np.zeros((3, 12), bool)
    mask[1, 1:11] = True
    probability = np.zeros((3, 12), np.float32)
    probability[1, 1 : 1 + covered] = 0.9
    lesions, detections = match(probability, mask, 0.5)
    assert lesions["matched"].tolist() == [found]
    assert (lesions["overlap"].tolist(), detections["matched"].tolist()) == ([covered], [True])


def test_a_large_detection_that_grazes_a_lesion_is_a_false_positive_although_the_lesion_is_found():
    mask = np.zeros((10, 10), bool)
    mask[0, 0] = True
    lesions, detections = match(np.ones((10, 10), np.float32), mask, 0.5)
    assert lesions["matched"].tolist() == [True]
    assert detections["matched"].tolist() == [False]


@pytest.mark.parametrize("mask", [np.zeros((5, 7), bool), np.ones((5, 7), bool)])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_empty_and_full_masks_and_maps_are_matched(mask, level):
    lesions, detections = match(np.full((5, 7), level, np.float32), mask, 0.5)
    assert (len(lesions), len(detections)) == (int(mask.any()), int(level))
    assert lesions["matched"].tolist() == [level == 1] * len(lesions)
    assert detections["matched"].tolist() == [bool(mask.any())] * len(detections)


def several(seeds: range) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return tuple(zip(*(match(*blobs(seed), 0.5) for seed in seeds), strict=True))


def test_the_curve_counts_at_every_score_what_is_taken_from_there_on():
    lesions, detections = (np.concatenate(rows) for rows in several(range(6)))
    scores, false_positives, sensitivity = froc(lesions, detections, 6)
    assert (scores[0], false_positives[0], sensitivity[0]) == (np.inf, 0, 0)
    assert (np.diff(scores) < 0).all()
    for score, false, found in zip(scores, false_positives, sensitivity, strict=True):
        taken = detections["score"] >= score
        assert false == np.count_nonzero(taken & ~detections["matched"]) / 6
        assert found == np.count_nonzero(lesions["matched"] & (lesions["score"] >= score)) / len(lesions)
    assert sensitivity[-1] == lesions["matched"].mean()
    assert false_positives[-1] == np.count_nonzero(~detections["matched"]) / 6


def test_the_curve_is_read_by_hand():
    false_positives = np.array([0, 0, 1 / 8, 3 / 8, 1.5, 5])
    sensitivity = np.array([0, 0.1, 0.2, 0.4, 0.5, 0.9])
    assert FALSE_POSITIVES == (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8)
    assert sensitivity_at(false_positives, sensitivity) == [0.2, 0.2, 0.4, 0.4, 0.5, 0.5, 0.9]


def test_lesions_are_counted_by_size():
    lesions = np.zeros(5, LESION)
    lesions["area"] = [1, 99, 100, 9999, 10_000]
    lesions["matched"] = [False, True, True, False, True]
    rows = by_size(lesions)
    assert [(row["least"], row["below"]) for row in rows] == list(zip((1, *SIZES), (*SIZES, None), strict=True))
    assert [(row["lesions"], row["found"], row["sensitivity"]) for row in rows] == [
        (2, 1, 0.5),
        (1, 1, 1.0),
        (0, 0, None),
        (0, 0, None),
        (1, 0, 0.0),
        (1, 1, 1.0),
    ]
