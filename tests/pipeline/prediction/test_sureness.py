"""How sure a model is: expected Dice, areas and tiles agree with drawn pixels and with NumPy."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.inference import ProbabilityMap, Segmented
from pipeline.operating_point import OperatingPoint
from pipeline.prediction.detections import detect
from pipeline.prediction.landmarks import Landmarks
from pipeline.prediction.measurements import lesion_features
from pipeline.prediction.spread_files import spread_levels
from pipeline.prediction.sureness import LEVEL, area_interval, assess, expected_dice, spread_in
from records import PhotographScale

CLASSES, THRESHOLDS = ("HE", "MA"), (0.5, 0.4)
SIZE = (80, 120)


def drawn(seed: int, size=SIZE) -> np.ndarray:
    """Draws smooth probabilities of two classes, near 0 in most places, float32 `[h, w, 2]`."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(*size, 2)), (3, 3, 0))
    return (1 / (1 + np.exp(5 - smooth / smooth.std() * 3))).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_the_expected_dice_is_that_of_drawn_pixels(seed):
    rng = np.random.default_rng(seed)
    probability = drawn(seed)[..., 0]
    detected = probability >= 0.5
    sampled = []
    for _ in range(400):
        lesion = rng.random(SIZE) < probability
        sampled.append(2 * np.count_nonzero(lesion & detected) / (lesion.sum() + detected.sum()))
    error = np.std(sampled) / np.sqrt(len(sampled))
    assert expected_dice(probability, detected) == pytest.approx(np.mean(sampled), abs=4 * error + 1e-3)


def test_without_a_detection_no_dice_is_expected():
    assert expected_dice(np.full(SIZE, 0.3, np.float32), np.zeros(SIZE, bool)) is None


def test_the_area_lies_in_its_interval_as_often_as_it_says_if_pixels_are_wrong_together():
    rng = np.random.default_rng(0)
    probability = drawn(5)[..., 0]
    low, high = area_interval(probability, np.zeros_like(probability))
    areas = np.array([np.count_nonzero(probability > shared) for shared in rng.random(4000)])
    assert np.mean((low <= areas) & (areas <= high)) == pytest.approx(LEVEL, abs=0.02)
    assert np.mean(areas) == pytest.approx(probability.sum(), rel=0.05)  # as often as the probabilities say


def test_a_larger_spread_makes_a_wider_interval():
    probability = drawn(6)[..., 0]
    intervals = [area_interval(probability, np.full_like(probability, spread)) for spread in (0, 0.01, 0.04)]
    lows, highs = zip(*intervals, strict=True)
    assert lows[0] > lows[1] > lows[2]
    assert highs[0] < highs[1] < highs[2]


@pytest.fixture(scope="module")
def assessed():
    """A photograph of twice the map's size, its detections, features and sureness."""
    probabilities, spread = drawn(7), drawn(8) / 2
    size = (2 * SIZE[0], 2 * SIZE[1])
    segmented = Segmented(
        ProbabilityMap(probabilities, size), PhotographScale(0.5, "fixed"), 0.1, ProbabilityMap(spread, size)
    )
    detections = detect(segmented.map, OperatingPoint(THRESHOLDS, (8, 8)))
    spreads = spread_in(detections.masks, segmented.spread)
    features = lesion_features(CLASSES, detections, landmarks=Landmarks(None, None), spreads=spreads)
    visible = np.indices(size)[1] < 200
    return (
        segmented,
        detections,
        features,
        assess(segmented, detections, classes=CLASSES, features=features, visible=visible),
    )


def test_the_spread_of_a_lesion_is_the_mean_over_its_pixels(assessed):
    segmented, detections, features, _ = assessed
    spread, found = segmented.spread.whole(), []
    for index in range(2):
        labels, number = ndimage.label(detections.masks[..., index], np.ones((3, 3)))
        found += ndimage.mean(spread[..., index], labels, range(1, number + 1)).tolist()
    measured = [feature["properties"]["measurements"]["spread"] for feature in features]
    np.testing.assert_allclose(sorted(measured), sorted(found), atol=6e-5)
    assert len(measured) > 10


def test_tiles_and_columns_are_those_of_the_whole_map(assessed):
    segmented, detections, features, sureness = assessed
    whole = segmented.probabilities.astype(np.float64)
    wrong = np.where(detections.masks, 1 - whole, whole).sum(axis=-1)
    of_tiles = [wrong[y : y + height, x : x + width].sum() for y, x, height, width, *_ in sureness.tiles]
    np.testing.assert_allclose([tile[-1] for tile in sureness.tiles], of_tiles, rtol=0.25, atol=20)
    assert sum(tile[-1] for tile in sureness.tiles) == pytest.approx(sum(of_tiles), rel=0.03)
    assert sum(tile[-2] for tile in sureness.tiles) == len(features)
    for index, name in enumerate(CLASSES):
        detected, probability = detections.masks[..., index], whole[..., index]
        dice = 2 * probability[detected].sum() / (detected.sum() + probability.sum())
        assert sureness.columns[f"{name}_expected_dice"] == pytest.approx(dice, abs=0.01)
        low, high = area_interval(probability, segmented.spread.whole()[..., index])
        assert sureness.columns[f"{name}_area_low"] == pytest.approx(low, rel=0.1, abs=50)
        assert sureness.columns[f"{name}_area_high"] == pytest.approx(high, rel=0.1, abs=50)


def test_only_tiles_that_show_retina_or_a_detection_are_there(assessed):
    segmented, detections, _, sureness = assessed
    assert max(x for _, x, *_ in sureness.tiles) < 240
    hidden = assess(segmented, detections, classes=CLASSES, features=[], visible=np.zeros(segmented.map.size, bool))
    assert hidden.tiles == []


def test_a_photograph_without_spread_is_not_assessed():
    size = (2 * SIZE[0], 2 * SIZE[1])
    segmented = Segmented(ProbabilityMap(drawn(1), size), PhotographScale(0.5, "fixed"), 0.1)
    detections = detect(segmented.map, OperatingPoint(THRESHOLDS))
    assert spread_in(detections.masks, None) is None
    assert assess(segmented, detections, classes=CLASSES, features=[], visible=np.ones(size, bool)) is None


def test_a_photograph_of_a_few_pixels_has_a_tile_for_each():
    segmented = Segmented(
        ProbabilityMap(np.full((1, 2, 2), 0.25, np.float32), (3, 5)),
        PhotographScale(0.4, "fixed"),
        0.1,
        ProbabilityMap(np.zeros((1, 2, 2), np.float32), (3, 5)),
    )
    detections = detect(segmented.map, OperatingPoint(THRESHOLDS))
    sureness = assess(segmented, detections, classes=CLASSES, features=[], visible=np.ones((3, 5), bool))
    assert len(sureness.tiles) == 15
    assert sum(tile[-1] for tile in sureness.tiles) == pytest.approx(2 * 15 * 0.25, abs=0.2)


def test_a_spread_of_a_half_is_white():
    levels = spread_levels(np.array([[0, 0.25, 0.5, 0.50000006]], np.float32))
    assert levels.dtype == np.uint8
    assert levels.tolist() == [[0, 128, 255, 255]]
