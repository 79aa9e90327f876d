"""Bins of probability: their edges, and that networks which are sure of themselves are scored as they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit
from sklearn import metrics

from pipeline.evaluation.probability_bins import FURTHER, bins_of, lower_edges, middles, place, widen
from pipeline.evaluation.scores import average_precision, best_threshold, roc_auc

BINS = st.sampled_from([2, 7, 64, 1280, 4096])


@given(BINS)
@settings(max_examples=5, deadline=None, derandomize=True)
def test_edges_rise_from_0_through_the_equal_ones_to_the_last_number_below_1(bins):
    edges = lower_edges(bins)
    equal = [level / bins for level in range(bins)]
    further = sorted(set(edges.tolist()) - set(equal))
    assert set(equal) <= set(edges.tolist())
    assert (np.diff(edges) >= 0).all()
    assert edges[-1] == np.nextafter(np.float32(1), np.float32(0))
    assert all(edge == np.float32(edge) and (2**-14 <= edge < 1 / 64 or edge >= 63 / 64) for edge in further)
    assert bins_of(edges) == bins == len(middles(bins)) - FURTHER


@given(BINS, hnp.arrays(np.float32, 30, elements=st.floats(0, 1, width=32)), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_probability_lies_between_the_edges_of_its_bin_also_where_float32_ends(bins, drawn, seed):
    rng = np.random.default_rng(seed)
    small = 2.0 ** -rng.uniform(1, 30, 30)
    edges = lower_edges(bins).astype(np.float32)
    beside = np.nextafter(edges[1:], np.float32(rng.integers(0, 2)))
    probabilities = np.concatenate([drawn, small, 1 - small, edges, beside, [0, 1]]).astype(np.float32)
    places = place(probabilities, bins)
    assert (lower_edges(bins)[places] <= probabilities).all()
    assert (probabilities < np.append(lower_edges(bins), 2)[places + 1]).all()


def sure_network(fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Draws probabilities of which many are near 1 and many near 0, lesions that it misses too, and the mask."""
    rng = np.random.default_rng(0)
    mask = rng.random(100_000) < fraction
    seen, of_lesions = rng.random(len(mask)) < 0.7, rng.normal(9, 5, len(mask))
    logits = np.where(mask, np.where(seen, of_lesions, rng.normal(-8, 1, len(mask))), rng.normal(-9, 5, len(mask)))
    return expit(logits).astype(np.float32), mask


@pytest.mark.parametrize("fraction", [0.5, 0.05, 0.005])
def test_a_network_that_is_sure_has_the_exact_areas_although_most_lesions_are_in_the_outer_equal_bins(count, fraction):
    probability, mask = sure_network(fraction)
    counts = count(probability[None, :, None], mask[None, :, None], bins=1280)["frame"]["HE"]
    edges = np.arange(1280) / 1280
    equal = [
        np.add.reduceat(one, np.searchsorted(lower_edges(1280), edges)) for one in (counts.lesion, counts.negatives)
    ]
    assert equal[0][-1] + equal[0][0] > counts.lesion.sum() / 2
    exact = metrics.average_precision_score(mask, probability)
    assert average_precision(counts.lesion, counts.negatives) == pytest.approx(exact, abs=3e-3)
    assert average_precision(*equal) < exact - 0.005
    exact = metrics.roc_auc_score(mask, probability)
    assert roc_auc(counts.lesion, counts.negatives) == pytest.approx(exact, abs=2e-2)  # the lowest bin is wide


def test_the_best_threshold_of_a_network_that_is_sure_may_be_above_all_equal_edges(count):
    probability, mask = sure_network(0.005)
    counts = count(probability[None, :, None], mask[None, :, None], bins=64)["frame"]["HE"]
    threshold = best_threshold(counts.lesion, counts.negatives)
    assert 63 / 64 < threshold < 1
    best = max(metrics.f1_score(mask, probability >= edge) for edge in np.unique(probability[probability > 0.9])[::20])
    assert metrics.f1_score(mask, probability >= threshold) == pytest.approx(best, abs=0.01)


def test_a_result_of_an_earlier_version_has_its_area_and_its_threshold():
    rng = np.random.default_rng(0)
    lesion, negatives = rng.integers(1, 50, (2, 64))
    lesion[-1] += 10_000  # as of a network that is sure
    assert average_precision(widen(lesion), widen(negatives)) == pytest.approx(average_precision(lesion, negatives))
    right, wrong = (np.cumsum(one[::-1])[::-1] for one in (lesion, negatives))
    dice = 2 * right / (lesion.sum() + right + wrong)
    assert best_threshold(widen(lesion), widen(negatives)) == (dice[1:].argmax() + 1) / 64
