"""Sweeps, compared with SciPy's regions and the rules written out at each point of the grid, and with plain counts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline.evaluation.counting import count_photograph
from pipeline.evaluation.sweeps import AREAS, OUTCOMES, THRESHOLDS, sweep
from pipeline.operating_point import OperatingPoint

EIGHT = np.ones((3, 3))


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws a map, a mask that it partly agrees with, and what is known, of regions of all sizes."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(3, 30, 41)), (0, 1.2, 1.2))
    mask = smooth[0] > rng.uniform(0.1, 0.5)
    probability = np.clip(0.3 + smooth[0] + rng.uniform(0.2, 1.5) * smooth[1], 0, 1).astype(np.float32)
    known = smooth[2] < rng.uniform(0.1, 1)
    return probability, mask & known, known


def expected_at(threshold: float, area: float, probability, mask, *, known, factor: float) -> list[int]:
    """Returns the `OUTCOMES` by the rules, region by region."""
    labels, number = ndimage.label((probability >= np.float32(threshold)) & known, EIGHT)
    lesions, lesion_number = ndimage.label(mask, EIGHT)
    beside_unknown = ndimage.binary_dilation(~known, EIGHT)
    detected, matched, false = np.zeros(mask.shape, bool), 0, 0
    for region in (labels == one for one in range(1, number + 1)):
        if region.sum() < max(round(area / factor**2), 1):
            continue
        detected |= region
        is_right = (region & mask).sum() / region.sum() >= 0.2
        matched += is_right
        false += not is_right and not (region & beside_unknown).any()
    each = [lesions == one for one in range(1, lesion_number + 1)]
    found = sum((lesion & detected).sum() / lesion.sum() >= 0.2 for lesion in each)
    return [(detected & mask).sum(), (detected & ~mask).sum(), matched, false, found]


@given(st.integers(0, 10**6), st.sampled_from([0.4, 0.9, 1.3]), st.booleans())
@settings(max_examples=5, deadline=None, derandomize=True)
def test_every_point_of_the_grid_has_the_outcomes_of_its_detections_and_lesions(seed, factor, partly_known):
    probability, mask, known = draw(seed)
    if not partly_known:
        known = np.ones_like(known)
    found = sweep(probability, mask, factor=factor, known=known if partly_known else None)
    assert found.shape == (len(OUTCOMES), len(THRESHOLDS), len(AREAS))
    for number, threshold in enumerate(THRESHOLDS[::3]):
        for index, area in enumerate(AREAS):
            expected = expected_at(threshold, area, probability, mask, known=known, factor=factor)
            assert found[:, 3 * number, index].tolist() == expected


def test_every_point_of_the_grid_is_what_a_photograph_counts_there():
    probability, mask, known = draw(3)
    maps, masks, known_maps = probability[..., None], mask[..., None], known[..., None]
    options = {"field_of_view": np.ones_like(mask), "classes": ("HE",), "bins": 64, "known": known_maps, "factor": 0.6}
    swept = count_photograph("a", maps, masks, operating_point=OperatingPoint((0.5,)), sweeps=True, **options)
    assert swept.factor == 0.6
    for number, index in ((1, 3), (7, 0), (9, 5), (14, 11)):
        point = OperatingPoint((THRESHOLDS[number],), min_areas=(AREAS[index],))
        there = count_photograph("a", maps, masks, operating_point=point, **options)
        counts, detections = there.counts["frame"]["HE"], there.detections["HE"]["matched"]
        assert there.sweeps == {}
        assert swept.sweeps["HE"][:, number, index].tolist() == [
            counts.true_positive,
            counts.false_positive,
            detections.sum(),
            (~detections).sum(),
            there.lesions["HE"]["matched"].sum(),
        ]


def test_a_class_that_is_unknown_or_nowhere_counts_nothing():
    nothing = np.zeros((9, 7), np.float32)
    assert not sweep(nothing, np.zeros((9, 7), bool), factor=1.0).any()
    assert not sweep(nothing + 1, np.zeros((9, 7), bool), factor=1.0, known=np.zeros((9, 7), bool)).any()
