"""Scores, held against scikit-learn and NumPy."""

import csv
import dataclasses
import json
import math
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics

from configs import InputError
from pipeline.evaluation import (
    REGIONS,
    Counts,
    PhotographCounts,
    average_precision,
    best_threshold,
    count_photograph,
    evaluate_photograph,
    evaluate_tiles,
    pool,
    read_marked,
    scores,
    write_scores,
    write_tile_scores,
)
from pipeline.segmenter import TiledSegmenter
from records import field_of_view

CLASSES = ("HE", "MA")
BINS = 64


def count(probabilities, masks, retina=None, *, thresholds=(0.5,), bins=BINS) -> dict[str, dict[str, Counts]]:
    retina = np.ones(masks.shape[:2], bool) if retina is None else retina
    classes = CLASSES[: masks.shape[2]]
    return count_photograph(probabilities, masks, retina, classes=classes, thresholds=thresholds, bins=bins)


def random_photograph(seed: int, height: int = 40, width: int = 50):
    """Probabilities, masks that they half agree with (both of two classes), and a field of view."""
    rng = np.random.default_rng(seed)
    masks = rng.random((height, width, 2)) < (0.2, 0.05)
    probabilities = np.clip(rng.normal(0.3 + 0.3 * masks, 0.2), 0, 1).astype(np.float32)
    return probabilities, masks, rng.random((height, width)) < 0.7


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
def test_average_precision_equals_scikit_learns_on_probabilities_at_bin_centres(data, bins, pixels):
    mask = data.draw(hnp.arrays(np.bool_, pixels))
    assume(mask.any())
    levels = data.draw(hnp.arrays(np.int64, pixels, elements=st.integers(0, bins - 1)))
    probability = ((levels + 0.5) / bins).astype(np.float32)
    counts = count(probability[None, :, None], mask[None, :, None], bins=bins)["frame"]["HE"]
    expected = metrics.average_precision_score(mask, levels)
    assert average_precision(counts.lesion, counts.other) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.05, 0.005])
def test_average_precision_with_1024_bins_is_near_the_exact_one_of_continuous_scores(share):
    rng = np.random.default_rng(0)
    mask = rng.random(100_000) < share
    probability = (1 / (1 + np.exp(-rng.normal(np.where(mask, 0.5, -1.5), 1.2)))).astype(np.float32)
    counts = count(probability[None, :, None], mask[None, :, None], bins=1024)["frame"]["HE"]
    expected = metrics.average_precision_score(mask, probability)
    assert average_precision(counts.lesion, counts.other) == pytest.approx(expected, abs=2e-3)


def test_average_precision_by_hand():
    # From the top: 2 lesion and 0 other pixels, then 1 and 1, then 1 and 4.
    lesion, other = np.array([1, 1, 2]), np.array([4, 1, 0])
    assert average_precision(lesion, other) == pytest.approx(2 / 4 * 1 + 1 / 4 * 3 / 4 + 1 / 4 * 4 / 9)


def test_the_edges_of_the_histogram_hold_probabilities_0_and_1():
    probability = np.array([0, 1 / 4, np.nextafter(np.float32(1 / 4), np.float32(0)), 1], np.float32)
    counts = count(probability[None, :, None], np.ones((1, 4, 1), bool), bins=4)["frame"]["HE"]
    assert counts.lesion.tolist() == [2, 1, 0, 1]
    assert counts.other.tolist() == [0, 0, 0, 0]


@st.composite
def marked_probabilities(draw):
    """Bins, and probabilities of float32 with a mask: many lie on an edge between two bins or next to one."""
    bins = draw(st.sampled_from([2, 3, 7, 10, 64, 100, 1000, 1024]))
    edges = np.array(draw(st.lists(st.integers(0, bins), min_size=1, max_size=40))) / bins
    beside = [np.nextafter(np.float32(edge), np.float32(draw(st.sampled_from([0, edge, 1])))) for edge in edges]
    between = draw(st.lists(st.floats(0, 1, width=32), max_size=10))
    probability = np.array([*beside, *between], np.float32)
    return bins, probability, draw(hnp.arrays(np.bool_, len(probability)))


@given(marked_probabilities())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_bins_are_exact_for_probabilities_on_their_edges_and_next_to_them(drawn):
    bins, probability, mask = drawn
    counts = count(probability[None, :, None], mask[None, :, None], bins=bins)["frame"]["HE"]
    exact = [min(math.floor(Fraction(float(p)) * bins), bins - 1) for p in probability]
    assert counts.lesion.tolist() == np.bincount(np.array(exact)[mask], minlength=bins).tolist()
    assert counts.other.tolist() == np.bincount(np.array(exact)[~mask], minlength=bins).tolist()


def dice_at(threshold, probability: np.ndarray, mask: np.ndarray) -> Fraction:
    found = probability >= threshold
    return Fraction(2 * int((found & mask).sum()), int(found.sum() + mask.sum()))


@given(marked_probabilities())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_best_threshold_has_the_highest_dice_of_all_edges_on_the_map_itself(drawn):
    bins, probability, mask = drawn
    assume(mask.any())
    counts = count(probability[None, :, None], mask[None, :, None], bins=bins)["frame"]["HE"]
    threshold = best_threshold(counts.lesion, counts.other)
    assert 0 < threshold < 1
    of_edges = []
    for edge in range(1, bins):  # in integers, which know no rounding
        found = np.array([Fraction(float(p)) * bins >= edge for p in probability])
        of_edges.append(Fraction(2 * int((found & mask).sum()), int(found.sum() + mask.sum())))
    assert dice_at(np.float32(threshold), probability, mask) == max(of_edges)
    assert dice_at(np.float64(threshold), probability.astype(np.float64), mask) == max(of_edges)
    assert np.float32(threshold) == threshold
    assert of_edges[math.floor(threshold * bins) - 1] == max(of_edges)


@pytest.mark.parametrize(
    ("lesion", "other", "expected"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 3], [9, 0, 0, 0, 0, 0, 0, 0], 4 / 8),  # edges 1 to 7 part them
        ([0, 0, 0, 0, 0, 3, 0, 0], [0, 0, 9, 0, 0, 0, 0, 0], 4 / 8),  # edges 3 to 5
        ([1, 0, 0, 0, 0, 0, 0, 8], [9, 0, 0, 0, 9, 0, 0, 0], 6 / 8),  # edges 5 to 7, though one lesion pixel is lost
        ([0, 4, 0, 0, 2, 0, 0, 0], [0, 0, 0, 3, 0, 0, 0, 0], 1 / 8),  # one edge alone: 2 * 6 / (6 + 9)
        ([0, 2, 0, 0, 0, 0, 2, 0], [9, 0, 4, 0, 0, 0, 0, 0], 5 / 8),  # edge 1: 8 / 12; edges 3 to 6: 4 / 6
        ([5, 0, 0, 0, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0, 0], 4 / 8),  # nothing found by any edge
    ],
)
def test_the_best_threshold_is_the_middle_of_the_longest_run_of_equals(lesion, other, expected):
    assert best_threshold(np.array(lesion), np.array(other)) == expected


def test_the_best_threshold_leaves_out_what_lies_below_the_edge_though_it_is_the_edge_in_float32():
    below = np.float32(0.7)  # 0.69999999, of the bin below 7 / 10
    above = np.nextafter(below, np.float32(1))
    probability, mask = np.array([below, above, 0.95], np.float32), np.array([False, True, True])
    counts = count(probability[None, :, None], mask[None, :, None], bins=10)["frame"]["HE"]
    threshold = best_threshold(counts.lesion, counts.other)
    assert (
        (probability >= threshold).tolist() == (probability.astype(np.float64) >= threshold).tolist() == mask.tolist()
    )


def test_without_lesion_pixels_no_threshold_is_best():
    assert best_threshold(np.zeros(8, int), np.full(8, 3)) is None


@pytest.mark.parametrize("thresholds", [(0.5, 0.5), (0.3, 0.8)])
def test_scores_of_every_class_and_region_equal_scikit_learns(thresholds):
    probabilities, masks, retina = random_photograph(1)
    counts = count(probabilities, masks, retina, thresholds=thresholds)
    for index, name in enumerate(CLASSES):
        probability, mask = probabilities[..., index], masks[..., index]
        found = {region: scores(counts[region][name]) for region in REGIONS}
        check_against_sklearn(found["frame"], probability.ravel(), mask.ravel(), thresholds[index])
        check_against_sklearn(found["field_of_view"], probability[retina], mask[retina], thresholds[index])


def test_a_pixel_at_the_threshold_itself_is_found():
    counts = count(np.full((2, 2, 1), 0.3, np.float32), np.ones((2, 2, 1), bool), thresholds=(0.3,))
    assert scores(counts["frame"]["HE"])["sensitivity"] == 1


def test_what_lies_outside_the_field_of_view_counts_in_the_frame_alone():
    probabilities, masks, _ = random_photograph(2)
    retina = np.zeros(masks.shape[:2], bool)
    retina[:10] = True
    counts = count(probabilities, masks, retina, thresholds=(0.5, 0.5))
    cropped = count(probabilities[:10], masks[:10], thresholds=(0.5, 0.5))
    whole = count(probabilities, masks, thresholds=(0.5, 0.5))
    for name in CLASSES:
        assert scores(counts["field_of_view"][name]) == scores(cropped["frame"][name])
        assert scores(counts["frame"][name]) == scores(whole["frame"][name])


def test_where_nothing_is_there_scores_are_none_and_not_nan():
    nothing = np.zeros((8, 8, 1))
    empty = scores(count(nothing.astype(np.float32), nothing.astype(bool))["frame"]["HE"])
    assert {name for name, value in empty.items() if value is None} == {"aupr", "dice", "iou", "sensitivity", "ppv"}
    assert empty["specificity"] == 1
    full = scores(count(nothing.astype(np.float32), np.ones((8, 8, 1), bool))["frame"]["HE"])
    assert full["specificity"] is None
    assert (full["dice"], full["iou"], full["sensitivity"], full["ppv"]) == (0, 0, 0, None)


def test_false_alarms_on_a_photograph_without_lesions_cost_dice_but_have_no_precision_recall_curve():
    found = scores(count(np.full((8, 8, 1), 0.9, np.float32), np.zeros((8, 8, 1), bool))["frame"]["HE"])
    assert (found["dice"], found["iou"], found["ppv"], found["specificity"]) == (0, 0, 0, 0)
    assert (found["aupr"], found["sensitivity"]) == (None, None)


def test_pooled_counts_are_those_of_all_photographs_laid_side_by_side():
    photographs = [random_photograph(seed, 20, 10 + seed) for seed in range(4)]
    single = [PhotographCounts(str(i), count(*parts, thresholds=(0.4, 0.6))) for i, parts in enumerate(photographs)]
    joined = (np.concatenate(parts, axis=1) for parts in zip(*photographs, strict=True))
    together = count(*joined, thresholds=(0.4, 0.6))
    pooled = pool(single)
    for region in REGIONS:
        for name in CLASSES:
            one, other = pooled[region][name], together[region][name]
            assert np.array_equal(one.lesion, other.lesion)
            assert np.array_equal(one.other, other.other)
            assert (one.true_positive, one.false_positive) == (other.true_positive, other.false_positive)


def test_photographs_are_read_segmented_and_counted_class_by_class(records_set):
    data = records_set.index.data
    for case in records_set.cases.values():
        picture = records_set.pictures[case.name]
        marked = read_marked(case, data)
        assert np.array_equal(marked.photograph, picture.photograph)
        assert np.array_equal(marked.masks, picture.masks)
        photograph = evaluate_photograph(
            lambda photograph, found=picture.masks: found.astype(np.float32),
            marked,
            classes=CLASSES,
            thresholds=(0.5, 0.5),
            bins=BINS,
        )
        assert photograph.case == case.name
        for index, name in enumerate(CLASSES):
            found = scores(photograph.counts["frame"][name])
            assert found["lesion_pixels"] == picture.masks[..., index].sum()
            assert found["dice"] == found["aupr"] == (1 if picture.masks[..., index].any() else None)
            inside = scores(photograph.counts["field_of_view"][name])
            assert inside["pixels"] == field_of_view(picture.photograph).sum()


def test_a_photograph_that_cannot_be_read_is_named(records_set, tmp_path):
    gone = dataclasses.replace(records_set.cases["D"], photograph=tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"gone\.png"):
        read_marked(gone, records_set.index.data)


def test_a_map_with_a_pixel_that_is_no_number_is_refused_by_its_case(records_set):
    marked = read_marked(records_set.cases["D"], records_set.index.data)
    probabilities = np.full(marked.masks.shape, 0.5, np.float32)
    probabilities[3, 4, 1] = np.nan
    with pytest.raises(InputError, match=r"^case D: the network's map has pixels that are no number \(NaN\)[^\n]+$"):
        evaluate_photograph(lambda photograph: probabilities, marked, classes=CLASSES, thresholds=(0.5, 0.5), bins=BINS)


@pytest.fixture
def green_segmenter(spec):
    """Probability = green / 255, of one class."""
    return TiledSegmenter(lambda images: images[..., 1:2] / 255, spec())


def tile_set(number: int, empty: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns that many images and masks; the masks at the places `empty` show nothing."""
    rng = np.random.default_rng(0)
    images = rng.uniform(5, 250, (number, 16, 16, 3)).astype(np.float32)
    masks = (rng.random((number, 16, 16, 1)) < np.linspace(0.05, 0.6, number)[:, None, None, None]).astype(np.float32)
    masks[list(empty)] = 0
    return images, masks


@pytest.mark.parametrize(("number", "empty"), [(9, (0, 4, 7)), (8, ()), (3, (1,))])
def test_tiles_are_scored_in_batches_of_four_with_a_smaller_last_one_and_without_empty_ones(
    green_segmenter, number, empty
):
    images, masks = tile_set(number, empty)
    kept = [place for place in range(number) if place not in empty]
    dices, losses = [], []
    for first in range(0, len(kept), 4):
        batch = kept[first : first + 4]
        p, y = images[batch][..., 1:2].astype(np.float64) / 255, masks[batch].astype(np.float64)
        dices.append((2 * np.sum(p * y) + 1) / (p.sum() + y.sum() + 1))
        losses.append((-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)) + 1 - dices[-1]) / 2)
    found = evaluate_tiles(green_segmenter, tf.data.Dataset.from_tensor_slices((images, masks)))
    assert found["dice_coef"] == pytest.approx(np.mean(dices), rel=1e-5)
    assert found["bce_dice"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_tiles_without_any_lesion_cannot_be_scored(green_segmenter):
    images, masks = tile_set(3, (0, 1, 2))
    with pytest.raises(InputError, match="no tile of this split holds a lesion"):
        evaluate_tiles(green_segmenter, tf.data.Dataset.from_tensor_slices((images, masks)))


@pytest.fixture
def written(tmp_path):
    """Three photographs, one without lesions, and their scores as written."""
    photographs = []
    for seed in range(3):
        probabilities, masks, retina = random_photograph(seed)
        masks = masks & (seed != 1)
        photographs.append(PhotographCounts(f"P{seed}", count(probabilities, masks, retina, thresholds=(0.5, 0.4))))
    pooled = write_scores(tmp_path, photographs, classes=CLASSES, about={"model": "m", "bins": BINS})
    return tmp_path, photographs, pooled


def test_scores_json_holds_the_pooled_scores_and_what_was_scored(written):
    folder, photographs, pooled = written
    content = json.loads((folder / "scores.json").read_text(), parse_constant=pytest.fail)  # no NaN
    assert (content["model"], content["bins"]) == ("m", BINS)
    assert content["scores"] == pooled
    for region in REGIONS:
        for name in CLASSES:
            assert pooled[region][name] == scores(pool(photographs)[region][name])


def test_photographs_csv_has_a_row_of_every_photograph_class_and_region(written):
    folder, photographs, _ = written
    with open(folder / "photographs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["region"], row["class"]) for row in rows] == [
        (photograph.case, region, name) for photograph in photographs for region in REGIONS for name in CLASSES
    ]
    for row in rows:
        photograph = photographs[int(row["case"][1])]
        for key, value in scores(photograph.counts[row["region"]][row["class"]]).items():
            assert row[key] == ("" if value is None else str(value))
    assert {row["aupr"] for row in rows if row["case"] == "P1"} == {""}


def test_the_sums_of_the_rows_are_the_pooled_pixels(written):
    folder, _, pooled = written
    with open(folder / "photographs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for key in ("lesion_pixels", "found_pixels", "false_positive_pixels", "pixels"):
        for region in REGIONS:
            total = sum(int(row[key]) for row in rows if (row["region"], row["class"]) == (region, "HE"))
            assert total == pooled[region]["HE"][key]


def test_tile_scores_are_written_as_names_and_values(tmp_path):
    write_tile_scores(tmp_path, {"bce_dice": 0.25, "dice_coef": 0.7655})
    with open(tmp_path / "evaluation.csv", newline="") as file:
        assert {row["name"]: float(row["value"]) for row in csv.DictReader(file)} == {
            "bce_dice": 0.25,
            "dice_coef": 0.7655,
        }
