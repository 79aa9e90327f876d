"""Photographs read, segmented and counted side by side, and tiles as the earlier system scored them."""

import csv
import dataclasses
import threading

import numpy as np
import pytest
import tensorflow as tf

from configs import InputError
from pipeline.evaluation import photographs
from pipeline.evaluation.counting import count_photograph
from pipeline.evaluation.photographs import (
    Seconds,
    evaluate_photographs,
    evaluate_tiles,
    parse_thresholds,
    load_case,
    segmented_by,
    write_tile_scores,
)
from pipeline.evaluation.scores import score
from pipeline.inference.segmenter import TiledSegmenter
from records import field_of_view

CLASSES = ("HE", "MA")
OPTIONS = {"thresholds": (0.5, 0.5), "bins": 64}


def true_map(marked) -> np.ndarray:
    return marked.masks.astype(np.float32)


def test_photographs_are_read_segmented_and_counted_class_by_class(records_set):
    cases = list(records_set.cases.values())
    evaluated = list(evaluate_photographs(true_map, cases, records_set.index.data, **OPTIONS))
    assert [case for case, _ in evaluated] == cases
    for case, photograph in evaluated:
        picture = records_set.pictures[case.name]
        assert photograph.case == case.name
        assert (photograph.height, photograph.width) == picture.masks.shape[:2]
        for index, name in enumerate(CLASSES):
            found = score(photograph.counts["frame"][name])
            assert found["lesion_pixels"] == picture.masks[..., index].sum()
            assert found["dice"] == found["aupr"] == (1 if picture.masks[..., index].any() else None)
            assert photograph.lesions[name]["area"].sum() == picture.masks[..., index].sum()
            assert photograph.lesions[name]["matched"].all()
            inside = score(photograph.counts["field_of_view"][name])
            assert inside["pixels"] == field_of_view(picture.photograph).sum()


def test_a_case_that_cannot_be_read_is_named_and_the_others_are_evaluated(records_set, tmp_path):
    gone = dataclasses.replace(records_set.cases["E"], photograph=tmp_path / "gone.png")
    cases = [records_set.cases["D"], gone, records_set.cases["F"]]
    first, second, third = (
        outcome for _, outcome in evaluate_photographs(true_map, cases, records_set.index.data, **OPTIONS)
    )
    assert (first.case, third.case) == ("D", "F")
    assert isinstance(second, InputError)
    assert "gone.png" in str(second)


def test_a_map_with_a_pixel_that_is_no_number_is_refused_by_its_case(records_set):
    marked = load_case(records_set.cases["D"], records_set.index.data)
    probabilities = np.full(marked.masks.shape, 0.5, np.float32)
    probabilities[3, 4, 1] = np.nan
    with pytest.raises(InputError, match=r"^case D: the network's map has pixels that are no number \(NaN\)[^\n]+$"):
        segmented_by(lambda photograph: probabilities)(marked)


def test_a_photograph_is_counted_while_the_next_one_is_segmented(records_set, monkeypatch):
    """Each waits for the other: one after the other, they would wait for ever."""
    counting, segmenting = threading.Event(), threading.Event()

    def count(case, *arrays, **options):
        if case == "D":
            counting.set()
            assert segmenting.wait(20)
        return count_photograph(case, *arrays, **options)

    def map_of(marked):
        if marked.case == "E":
            assert counting.wait(20)
            segmenting.set()
        return true_map(marked)

    monkeypatch.setattr(photographs, "count_photograph", count)
    cases = [records_set.cases[name] for name in "DE"]
    seconds = Seconds()
    evaluated = list(evaluate_photographs(map_of, cases, records_set.index.data, **OPTIONS, seconds=seconds))
    assert [photograph.case for _, photograph in evaluated] == ["D", "E"]
    assert seconds.scoring > 0
    assert seconds.segmenting > 0


def test_at_most_three_photographs_are_in_memory(records_set, monkeypatch):
    read, counted, most = [], [], []
    reading, counting = photographs.load_case, photographs.count_photograph

    def noted_read(case, data):
        read.append(case.name)
        return reading(case, data)

    def noted_count(case, *arrays, **options):
        answer = counting(case, *arrays, **options)
        counted.append(case)
        return answer

    def map_of(marked):
        most.append(len(read) - len(counted))
        return true_map(marked)

    monkeypatch.setattr(photographs, "load_case", noted_read)
    monkeypatch.setattr(photographs, "count_photograph", noted_count)
    cases = [records_set.cases[name] for name in "ABCDEFG"]
    assert len(list(evaluate_photographs(map_of, cases, records_set.index.data, **OPTIONS))) == 7
    assert max(most) <= 3


@pytest.mark.parametrize(
    ("text", "expected"), [("0.3", (0.3, 0.3)), ("MA=0.2,HE=0.6", (0.6, 0.2)), ("HE=.5, MA=1e-3", (0.5, 0.001))]
)
def test_thresholds_are_one_for_all_or_one_a_class(text, expected):
    assert parse_thresholds(text, CLASSES) == expected


@pytest.mark.parametrize("text", ["0", "1", "nan", "high", "", "HE=0.5", "HE=0.5,EX=0.5", "HE=0.5,MA=0.5,MA=0.6"])
def test_thresholds_that_are_none_are_refused(text):
    with pytest.raises(InputError, match=rf"^--threshold={text}: expected [^\n]+$"):
        parse_thresholds(text, CLASSES)


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


def test_tile_scores_are_written_as_names_and_values(tmp_path):
    write_tile_scores(tmp_path, {"bce_dice": 0.25, "dice_coef": 0.7655})
    with open(tmp_path / "evaluation.csv", newline="") as file:
        assert {row["name"]: float(row["value"]) for row in csv.DictReader(file)} == {
            "bce_dice": 0.25,
            "dice_coef": 0.7655,
        }
