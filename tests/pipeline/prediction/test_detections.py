"""Detections found strip by strip are those of the whole map, to the bit."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from configs import InputError
from pipeline.inference import ProbabilityMap
from pipeline.inference.scaling import resize_maps
from pipeline.operating_point import OperatingPoint
from pipeline.prediction.detections import detect

THRESHOLDS = (0.4, 0.6, 0.5)


def random_map(height: int, width: int) -> np.ndarray:
    logits = cv2.GaussianBlur(np.random.default_rng(height).normal(size=(height, width, 3)), (5, 5), 0) * 20
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


@pytest.mark.parametrize("most_bytes", [1, 10_000, 2**29])
@pytest.mark.parametrize("size", [(97, 131), (203, 180), (30, 41), (5, 7), (20, 300)])
def test_strips_are_the_map_that_the_graph_enlarges(size, most_bytes):
    scaled = random_map(30, 41)
    found = ProbabilityMap(scaled, size)
    whole = resize_maps(tf.constant(scaled), tf.constant(size)).numpy()
    strips = list(found.strips(most_bytes))
    assert [row for row, _ in strips] == np.cumsum([0, *(len(strip) for _, strip in strips)])[:-1].tolist()
    assert np.array_equal(np.concatenate([strip for _, strip in strips]), whole)
    assert np.array_equal(found.whole(), whole)
    assert len(strips) == 1 if most_bytes > 10**6 else len(strips) > 1 or size[0] < 8


@pytest.mark.parametrize("min_area", [(), (5, 1, 40)])
@pytest.mark.parametrize("resized", [True, False])
def test_masks_and_measures_are_those_of_the_whole_map(monkeypatch, min_area, resized):
    scaled = random_map(60, 70)
    found = ProbabilityMap(scaled, (240, 310) if resized else (60, 70), resized=resized)
    monkeypatch.setattr(ProbabilityMap.strips, "__defaults__", (1,))
    point, whole = OperatingPoint(THRESHOLDS, min_area), found.whole()
    assert len(list(found.strips())) == 8
    detections, masks = detect(found, point), point.detect(whole)
    assert masks.any(axis=(0, 1)).all()
    assert np.array_equal(detections.masks, masks)
    for index in range(3):
        assert np.array_equal(detections.probabilities[index], whole[..., index][masks[..., index]])
        assert detections.maxima[index] == whole[..., index].max()


def test_nan_in_one_strip_is_refused():
    scaled = random_map(30, 41)
    scaled[20, 3, 1] = np.nan
    with pytest.raises(InputError, match="contains NaN"):
        detect(ProbabilityMap(scaled, (90, 130)), OperatingPoint(THRESHOLDS))
