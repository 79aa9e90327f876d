"""Scores, compared with scikit-learn, NumPy and hand-computed numbers."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics
from sklearn.calibration import calibration_curve

from pipeline.evaluation.counting import REGIONS, Counts
from pipeline.evaluation.probability_bins import FURTHER, bins_of, lower_edges, middles, widen
from pipeline.evaluation.scores import (
    AREAS,
    PIXELS,
    SCORES,
    average_precision,
    calibration_error,
    precision_recall,
    reliability,
    score,
    score_all,
)

CLASSES = ("HE", "MA")


def check_against_sklearn(found: dict, probability: np.ndarray, mask: np.ndarray, threshold: float) -> None:
    predicted = probability >= np.float32(threshold)
    negative, false_positive, false_negative, true_positive = metrics.confusion_matrix(
        mask, predicted, labels=[False, True]
    ).ravel()
    assert found["dice"] == pytest.approx(metrics.f1_score(mask, predicted))
    assert found["iou"] == pytest.approx(metrics.jaccard_score(mask, predicted))
    assert found["sensitivity"] == pytest.approx(true_positive / (true_positive + false_negative))
    assert found["ppv"] == pytest.approx(true_positive / (true_positive + false_positive))
    assert found["specificity"] == pytest.approx(negative / (negative + false_positive))
    assert found["lesion_pixels"] == mask.sum()
    assert found["found_pixels"] == predicted.sum()
    assert found["false_positive_pixels"] == false_positive
    assert found["pixels"] == mask.size


@given(st.data(), st.integers(2, 40), st.integers(1, 200))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_average_precision_equals_scikit_learns_on_probabilities_at_bin_centres(count, data, bins, pixels):
    mask = data.draw(hnp.arrays(np.bool_, pixels))
    assume(mask.any())
    levels = data.draw(hnp.arrays(np.int64, pixels, elements=st.integers(0, bins - 1)))
    probability = ((levels + 0.5) / bins).astype(np.float32)
    counts = count(probability[None, :, None], mask[None, :, None], bins=bins)["frame"]["HE"]
    expected = metrics.average_precision_score(mask, levels)
    assert average_precision(counts.lesion, counts.negatives) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("fraction", [0.5, 0.05, 0.005])
def test_average_precision_with_1024_bins_is_near_the_exact_one_of_continuous_score(count, fraction):
    rng = np.random.default_rng(0)
    mask = rng.random(100_000) < fraction
    probability = (1 / (1 + np.exp(-rng.normal(np.where(mask, 0.5, -1.5), 1.2)))).astype(np.float32)
    counts = count(probability[None, :, None], mask[None, :, None], bins=1024)["frame"]["HE"]
    expected = metrics.average_precision_score(mask, probability)
    assert average_precision(counts.lesion, counts.negatives) == pytest.approx(expected, abs=2e-3)


def test_average_precision_by_hand():
    # From the top: 2 lesion and 0 other pixels, then 1 and 1, then 1 and 4.
    lesion, negatives = np.array([1, 1, 2]), np.array([4, 1, 0])
    assert average_precision(lesion, negatives) == pytest.approx(2 / 4 * 1 + 1 / 4 * 3 / 4 + 1 / 4 * 4 / 9)


@pytest.mark.parametrize("thresholds", [(0.5, 0.5), (0.3, 0.8)])
def test_scores_of_every_class_and_region_equal_scikit_learns(count, random_photograph, thresholds):
    probabilities, masks, retina = random_photograph(1)
    counts = count(probabilities, masks, retina, thresholds=thresholds)
    for index, name in enumerate(CLASSES):
        probability, mask = probabilities[..., index], masks[..., index]
        found = {region: score(counts[region][name]) for region in REGIONS}
        check_against_sklearn(found["frame"], probability.ravel(), mask.ravel(), thresholds[index])
        check_against_sklearn(found["field_of_view"], probability[retina], mask[retina], thresholds[index])


def test_a_pixel_at_the_threshold_itself_is_found(count):
    counts = count(np.full((2, 2, 1), 0.3, np.float32), np.ones((2, 2, 1), bool), thresholds=(0.3,))
    assert score(counts["frame"]["HE"])["sensitivity"] == 1


def test_what_lies_outside_the_field_of_view_counts_in_the_frame_alone(count, random_photograph):
    probabilities, masks, _ = random_photograph(2)
    retina = np.zeros(masks.shape[:2], bool)
    retina[:10] = True
    counts = count(probabilities, masks, retina, thresholds=(0.5, 0.5))
    cropped = count(probabilities[:10], masks[:10], thresholds=(0.5, 0.5))
    whole = count(probabilities, masks, thresholds=(0.5, 0.5))
    for name in CLASSES:
        assert score(counts["field_of_view"][name]) == score(cropped["frame"][name])
        assert score(counts["frame"][name]) == score(whole["frame"][name])


def test_undefined_scores_are_none_and_not_nan(count):
    nothing = np.zeros((8, 8, 1))
    empty = score(count(nothing.astype(np.float32), nothing.astype(bool))["frame"]["HE"])
    assert {name for name, value in empty.items() if value is None} == {*AREAS, "dice", "iou", "sensitivity", "ppv"}
    assert empty["specificity"] == 1
    full = score(count(nothing.astype(np.float32), np.ones((8, 8, 1), bool))["frame"]["HE"])
    assert full["specificity"] is full["roc_auc"] is full["ppv"] is None
    assert (full["dice"], full["iou"], full["sensitivity"]) == (0, 0, 0)
    assert tuple(full) == (*SCORES, *PIXELS)


def test_without_lesions_false_positives_have_an_area_but_no_dice(count):
    found = score(count(np.full((8, 8, 1), 0.9, np.float32), np.zeros((8, 8, 1), bool))["frame"]["HE"])
    assert found["dice"] is found["iou"] is found["aupr"] is found["sensitivity"] is None
    assert (found["false_positive_pixels"], found["specificity"], found["ppv"]) == (64, 0, 0)


@st.composite
def histograms(draw):
    """Counts of lesion and other pixels in some number of bins, both with at least one."""
    bins = draw(st.sampled_from([2, 7, 10, 32, 64, 160, 320]))
    lesion, negatives = (draw(hnp.arrays(np.int64, bins, elements=st.integers(0, 3))) for _ in range(2))
    assume(lesion.any() and negatives.any())
    return widen(lesion), widen(negatives)


def pixels_of(lesion: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the bin of every pixel, and whether it is lesion."""
    bins = np.arange(len(lesion))
    levels = np.concatenate([np.repeat(bins, lesion), np.repeat(bins, negatives)])
    return levels, np.arange(len(levels)) < lesion.sum()


@given(histograms())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_area_under_the_roc_curve_equals_scikit_learns(drawn):
    levels, mask = pixels_of(*drawn)
    counts = Counts(*drawn, 0, 0)
    assert score(counts)["roc_auc"] == pytest.approx(metrics.roc_auc_score(mask, levels), abs=1e-12)


@given(histograms())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_curve_is_scikit_learns(drawn):
    levels, mask = pixels_of(*drawn)
    precision, recall, thresholds = metrics.precision_recall_curve(mask, levels)
    threshold, found_precision, found_recall = precision_recall(*drawn)
    at = {level: place for place, level in enumerate(reversed(range(len(drawn[0]))))}
    bins = bins_of(drawn[0])
    assert {level / bins for level in range(bins)} <= set(threshold.tolist())
    places = [at[level] for level in thresholds]
    np.testing.assert_allclose(found_precision[places], precision[:-1])
    np.testing.assert_allclose(found_recall[places], recall[:-1])


def points(lesion: np.ndarray, negatives: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns recall and precision at the thresholds 1, …, 1 / steps, 0, pixel by pixel; at 1 nothing is found."""
    levels, mask = pixels_of(lesion, negatives)
    recall, precision = [0.0], [1.0]
    for k in range(steps - 1, -1, -1):
        found = lower_edges(bins_of(lesion))[levels] >= k / steps
        recall.append(np.count_nonzero(found & mask) / np.count_nonzero(mask))
        precision.append(np.count_nonzero(found & mask) / np.count_nonzero(found) if found.any() else 1.0)
    return np.array(recall), np.array(precision)


@given(histograms())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_areas_at_33_and_at_11_thresholds_are_those_of_their_points(drawn):
    found = score(Counts(*drawn, 0, 0))
    recall, precision = points(*drawn, 32)
    assert found["aupr_33"] == pytest.approx(np.sum(np.diff(recall) * precision[1:]))
    assert found["aupr_33_trapezoid"] == pytest.approx(metrics.auc(recall, precision))
    assert found["aupr_11_trapezoid"] == pytest.approx(metrics.auc(*points(*drawn, 10)))


def test_trapezoids_between_eleven_thresholds_can_lie_far_above_average_precision():
    lesion, negatives = np.zeros((2, 160 + FURTHER), int)
    lesion[[150, 5]], negatives[[157, 40, 5]] = 50, (50, 5000, 100_000)
    found = score(Counts(lesion, negatives, 0, 0))
    assert found["aupr_11_trapezoid"] > found["aupr"] + 0.1
    assert found["aupr_33"] == pytest.approx(found["aupr"])


def test_many_thresholds_in_steps_come_to_the_exact_area():
    rng = np.random.default_rng(0)
    lesion, negatives = widen(rng.integers(0, 50, 32)), widen(rng.integers(0, 500, 32))
    found = score(Counts(lesion, negatives, 0, 0))
    assert found["aupr_33"] == pytest.approx(found["aupr"])  # 33 thresholds part all 32 bins


@given(histograms())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_reliability_curve_is_scikit_learns_of_the_bins_middles(drawn):
    bins = bins_of(drawn[0])
    assume(bins % 10 == 0)
    levels, mask = pixels_of(*drawn)
    probability = middles(bins)[levels]
    fraction, mean = calibration_curve(mask, probability, n_bins=10)
    pixels, found_mean, found_fraction = reliability(*drawn)
    assert pixels.sum() == len(levels)
    np.testing.assert_allclose(found_mean[pixels > 0], mean)
    np.testing.assert_allclose(found_fraction[pixels > 0], fraction)
    expected = np.sum(np.abs(fraction - mean) * pixels[pixels > 0]) / len(levels)
    assert calibration_error(*drawn) == pytest.approx(expected)


def test_scores_of_many_histograms_at_once_are_those_of_each():
    rng = np.random.default_rng(0)
    lesion, negatives = rng.integers(0, 9, (2, 5, 160 + FURTHER))
    lesion[2] = 0
    right, wrong = lesion[:, 80:].sum(axis=1), negatives[:, 80:].sum(axis=1)
    together = score_all(lesion, negatives, right, false_positive=wrong)
    for row in range(5):
        alone = score(Counts(lesion[row], negatives[row], int(right[row]), int(wrong[row])))
        for name in SCORES:
            value = together[name][row]
            assert (None if np.isnan(value) else pytest.approx(value)) == alone[name]
