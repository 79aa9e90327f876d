"""Counts of photographs, compared with NumPy and with exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.evaluation.counting import REGIONS, PhotographCounts, count_photograph, pool
from pipeline.evaluation.probability_bins import lower_edges, place, widen
from pipeline.evaluation.scores import best_threshold
from pipeline.operating_point import OperatingPoint

CLASSES = ("HE", "MA")
BINS = 64


def test_the_edges_of_the_histogram_hold_probabilities_0_and_1(count):
    probability = np.array([0, 1 / 4, np.nextafter(np.float32(1 / 4), np.float32(0)), 1], np.float32)
    counts = count(probability[None, :, None], np.ones((1, 4, 1), bool), bins=4)["frame"]["HE"]
    of_quarters = np.add.reduceat(counts.lesion, np.searchsorted(lower_edges(4), [0, 0.25, 0.5, 0.75]))
    assert of_quarters.tolist() == [2, 1, 0, 1]
    assert (counts.lesion[0], counts.lesion[-1]) == (1, 1)
    assert not counts.negatives.any()


@st.composite
def probabilities_with_mask(draw):
    """Draws bins, float32 probabilities, many on an edge between two bins or next to one, and a mask."""
    bins = draw(st.sampled_from([2, 3, 7, 10, 64, 100, 1000, 1024]))
    edges = np.array(draw(st.lists(st.integers(0, bins), min_size=1, max_size=40))) / bins
    beside = [np.nextafter(np.float32(edge), np.float32(draw(st.sampled_from([0, edge, 1])))) for edge in edges]
    between = draw(st.lists(st.floats(0, 1, width=32), max_size=10))
    probability = np.array([*beside, *between], np.float32)
    return bins, probability, draw(hnp.arrays(np.bool_, len(probability)))


@given(probabilities_with_mask())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_bins_are_exact_for_probabilities_on_their_edges_and_next_to_them(count, drawn):
    bins, probability, mask = drawn
    counts = count(probability[None, :, None], mask[None, :, None], bins=bins)["frame"]["HE"]
    exact = np.array([min(math.floor(Fraction(float(p)) * bins), bins - 1) for p in probability])
    for histogram, kind in ((counts.lesion, mask), (counts.negatives, ~mask)):
        first = np.searchsorted(lower_edges(bins), np.arange(bins) / bins)
        equal = np.add.reduceat(histogram, first)
        assert equal.tolist() == np.bincount(exact[kind], minlength=bins).tolist()


def dice_at(threshold, probability: np.ndarray, mask: np.ndarray) -> Fraction:
    found = probability >= threshold
    return Fraction(2 * int((found & mask).sum()), int(found.sum() + mask.sum()))


@pytest.mark.slow
@given(probabilities_with_mask())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_best_threshold_has_the_highest_dice_of_all_edges_on_the_map_itself(count, drawn):
    bins, probability, mask = drawn
    assume(mask.any())
    counts = count(probability[None, :, None], mask[None, :, None], bins=bins)["frame"]["HE"]
    threshold = best_threshold(counts.lesion, counts.negatives)
    assert 0 < threshold < 1
    exact = [Fraction(float(p)) for p in probability]  # without rounding errors
    edges = [Fraction(level, bins) for level in range(1, bins)]
    edges += [Fraction(edge) for edge in set(lower_edges(bins).tolist()) - {level / bins for level in range(bins)}]
    best = Fraction(0)
    for edge in edges:
        found = np.array([p >= edge for p in exact])
        best = max(best, Fraction(2 * int((found & mask).sum()), int(found.sum() + mask.sum())))
    assert dice_at(np.float32(threshold), probability, mask) == best
    assert dice_at(np.float64(threshold), probability.astype(np.float64), mask) == best
    assert np.float32(threshold) == threshold
    assert min(abs(float(edge) - threshold) for edge in edges) < 1e-7


@pytest.mark.parametrize(
    ("lesion", "other", "expected"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 3], [9, 0, 0, 0, 0, 0, 0, 0], 4 / 8),  # edges 1 to 7 separate them
        ([0, 0, 0, 0, 0, 3, 0, 0], [0, 0, 9, 0, 0, 0, 0, 0], 4 / 8),  # edges 3 to 5
        ([1, 0, 0, 0, 0, 0, 0, 8], [9, 0, 0, 0, 9, 0, 0, 0], 6 / 8),  # edges 5 to 7, though one lesion pixel is lost
        ([0, 4, 0, 0, 2, 0, 0, 0], [0, 0, 0, 3, 0, 0, 0, 0], 1 / 8),  # one edge alone: 2 * 6 / (6 + 9)
        ([0, 2, 0, 0, 0, 0, 2, 0], [9, 0, 4, 0, 0, 0, 0, 0], 5 / 8),  # edge 1: 8 / 12; edges 3 to 6: 4 / 6
        ([5, 0, 0, 0, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0, 0], 5 / 8),  # every edge finds nothing, those near 1 too
    ],
)
def test_the_best_threshold_is_the_middle_of_the_widest_run_of_equals(lesion, other, expected):
    levels = (np.arange(8) / 8).astype(np.float32)
    histograms = [np.bincount(place(levels, 8), counts, len(lower_edges(8))) for counts in (lesion, other)]
    assert best_threshold(*histograms) == expected


def test_the_best_threshold_excludes_a_probability_below_the_edge_that_rounds_to_it_in_float32(count):
    below = np.float32(0.7)  # 0.69999999, of the bin below 7 / 10
    above = np.nextafter(below, np.float32(1))
    probability, mask = np.array([below, above, 0.95], np.float32), np.array([False, True, True])
    counts = count(probability[None, :, None], mask[None, :, None], bins=10)["frame"]["HE"]
    threshold = best_threshold(counts.lesion, counts.negatives)
    assert (
        (probability >= threshold).tolist() == (probability.astype(np.float64) >= threshold).tolist() == mask.tolist()
    )


def test_without_lesion_pixels_no_threshold_is_best():
    assert best_threshold(widen(np.zeros(8, int)), widen(np.full(8, 3))) is None


@given(st.integers(0, 10**6), st.sampled_from([1e-5, 0.003, 0.5, 0.999]), st.sampled_from([16, 160, 1280]))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_counts_of_all_kinds_of_pixels_are_those_that_numpy_counts(count, seed, threshold, bins):
    rng = np.random.default_rng(seed)
    probability = (rng.random((20, 30)) ** rng.uniform(0.2, 20)).astype(np.float32)
    mask, retina = rng.random((2, 20, 30)) < rng.random((2, 1, 1))
    counts = count(probability[..., None], mask[..., None], retina, thresholds=(threshold,), bins=bins)
    for region, where in zip(REGIONS, (np.ones_like(retina), retina), strict=True):
        found = counts[region]["HE"]
        for histogram, kind in ((found.lesion, mask), (found.negatives, ~mask)):
            edges = np.append(lower_edges(bins), 1)
            assert np.array_equal(histogram, np.histogram(probability[where & kind].astype(np.float64), edges)[0])
        assert found.true_positive == np.count_nonzero(where & mask & (probability >= np.float32(threshold)))
        assert found.false_positive == np.count_nonzero(where & ~mask & (probability >= np.float32(threshold)))


@given(st.integers(0, 10**6), st.integers(2, 9))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_small_detections_are_dropped_from_outcomes_and_lesions_as_if_they_had_no_probability_but_from_no_histogram(
    seed, least
):
    rng = np.random.default_rng(seed)
    probabilities = rng.random((20, 30, 1)).astype(np.float32)
    masks, retina = rng.random((20, 30, 1)) < 0.3, rng.random((20, 30)) < 0.7
    options = {"field_of_view": retina, "classes": ("HE",), "bins": BINS}
    every, large = OperatingPoint((0.7,)), OperatingPoint((0.7,), (least,))
    dropped = every.detect(probabilities) & ~large.detect(probabilities)
    whole = count_photograph("a", probabilities, masks, operating_point=every, **options)
    found = count_photograph("a", probabilities, masks, operating_point=large, **options)
    expected = count_photograph("a", np.where(dropped, 0, probabilities), masks, operating_point=every, **options)
    for region in REGIONS:
        counts, same, bare = (one.counts[region]["HE"] for one in (found, whole, expected))
        assert (counts.true_positive, counts.false_positive) == (bare.true_positive, bare.false_positive)
        assert np.array_equal(counts.lesion, same.lesion) and np.array_equal(counts.negatives, same.negatives)
    assert np.array_equal(found.detections["HE"], expected.detections["HE"])
    assert found.detections["HE"]["area"].min(initial=least) >= least
    for name in ("overlap", "score", "matched"):
        assert np.array_equal(found.lesions["HE"][name], expected.lesions["HE"][name])


def test_pooled_counts_are_those_of_the_photographs_side_by_side(count, random_photograph):
    photographs = [random_photograph(seed, 20, 10 + seed) for seed in range(4)]
    options = {"classes": CLASSES, "operating_point": OperatingPoint((0.4, 0.6)), "bins": BINS}
    single: list[PhotographCounts] = [
        count_photograph(str(i), probabilities, masks, field_of_view=retina, **options)
        for i, (probabilities, masks, retina) in enumerate(photographs)
    ]
    joined = (np.concatenate(parts, axis=1) for parts in zip(*photographs, strict=True))
    together = count(*joined, thresholds=(0.4, 0.6))
    pooled = pool(single)
    for region in REGIONS:
        for name in CLASSES:
            one, other = pooled[region][name], together[region][name]
            assert np.array_equal(one.lesion, other.lesion)
            assert np.array_equal(one.negatives, other.negatives)
            assert (one.true_positive, one.false_positive) == (other.true_positive, other.false_positive)
