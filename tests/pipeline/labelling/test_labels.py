"""Labels from probabilities: thresholds as NumPy has them, regions as SciPy has them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from configs import InputError
from pipeline.labelling.labels import Confidence, boxes_around, label_photograph, parse_confidence, summarize_class
from records import HardNegative

CLASSES = ("HE", "MA", "EX")
TOUCHING = np.ones((3, 3))
MAPS = arrays.arrays(np.float32, (6, 7), elements=st.sampled_from(np.float32([0, 0.05, 0.1, 0.5, 0.9, 1])))
FEW = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.fixture
def probabilities() -> np.ndarray:
    found = np.random.default_rng(5).random((20, 30, 3), np.float32)
    found[0, :2, 0] = np.float32(0.2), np.float32(0.7)  # the limits themselves
    return found


def label(probabilities, confidence=Confidence(0.2, 0.7), *, rows=7, absent=()):  # noqa: B008 - it never changes
    strips = [(row, probabilities[row : row + rows]) for row in range(0, len(probabilities), rows)]
    return label_photograph(strips, probabilities.shape[:2], confidence, classes=CLASSES, absent=absent)


def test_a_pixel_is_lesion_from_high_on_unknown_above_low_and_its_level_is_its_probability(probabilities):
    labels = label(probabilities)
    low, high = np.float32(0.2), np.float32(0.7)
    np.testing.assert_array_equal(labels.lesion, probabilities >= high)
    np.testing.assert_array_equal(labels.unknown, (probabilities > low) & (probabilities < high))
    np.testing.assert_allclose(labels.levels, probabilities * 255, atol=0.5001)
    assert labels.mistakes == ()
    assert (labels.lesion[0, 1, 0], labels.unknown[0, 0, 0]) == (True, False)


def test_an_absent_class_has_nothing_and_what_is_taken_for_it_is_a_mistake(probabilities):
    labels, without = label(probabilities, absent=("MA", "OD")), label(probabilities)
    for planes in (labels.lesion, labels.unknown, labels.levels):
        assert not planes[..., 1].any()
    np.testing.assert_array_equal(labels.lesion[..., ::2], without.lesion[..., ::2])
    regions, number = ndimage.label(without.lesion[..., 1], TOUCHING)
    assert len(labels.mistakes) == number == summarize_class(labels, 1, "MA").mistakes > 0
    assert {box.name for box in labels.mistakes} == {"MA"}
    highest = ndimage.maximum(probabilities[..., 1], regions, range(1, number + 1))
    assert sorted(box.probability for box in labels.mistakes) == pytest.approx(sorted(highest))


def test_equal_limits_leave_nothing_unknown(probabilities):
    assert not label(probabilities, Confidence(0.5, 0.5)).unknown.any()


def test_a_map_with_nan_is_refused(probabilities):
    probabilities[3, 4, 1] = np.nan
    with pytest.raises(InputError, match="contains NaN"):
        label(probabilities)


@FEW
@given(MAPS)
def test_boxes_are_those_of_the_regions_with_the_highest_probability_in_each(probability):
    mask = probability >= np.float32(0.9)
    regions, number = ndimage.label(mask, TOUCHING)
    expected = [
        HardNegative("HE", rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start, float(most))
        for (rows, columns), most in zip(
            ndimage.find_objects(regions), ndimage.maximum(probability, regions, range(1, number + 1)), strict=True
        )
    ]
    assert sorted(boxes_around("HE", mask, probability[mask])) == sorted(expected)


@FEW
@given(MAPS)
def test_a_region_without_a_lesion_pixel_is_doubtful(probability):
    labels = label(np.repeat(probability[..., None], 3, axis=2), Confidence(0.1, 0.9))
    summary = summarize_class(labels, 0, "HE")
    regions, number = ndimage.label(probability > np.float32(0.1), TOUCHING)
    doubtful = [n for n in range(1, number + 1) if probability[regions == n].max() < np.float32(0.9)]
    assert summary.doubtful == len(doubtful)
    assert summary.doubtful_pixels == np.isin(regions, doubtful).sum()
    assert summary.lesions == ndimage.label(labels.lesion[..., 0], TOUCHING)[1]
    assert (summary.lesion_pixels, summary.unknown_pixels) == (
        labels.lesion[..., 0].sum(),
        labels.unknown[..., 0].sum(),
    )


def test_confidence_is_two_probabilities_in_order():
    assert parse_confidence(["0.1", "0.9"]) == Confidence(0.1, 0.9)
    for texts in (["0.9", "0.1"], ["0.1"], ["0.1", "1.5"], ["a", "0.9"], ["nan", "0.9"], ["0", "0.5", "1"]):
        with pytest.raises(InputError, match=r"--confident=.*: expected two probabilities"):
            parse_confidence(texts)
