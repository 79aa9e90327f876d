"""Photographs are read, segmented and counted side by side."""

import dataclasses
import threading

import cv2
import numpy as np
import pytest

from configs import InputError
from pipeline.evaluation import photographs
from pipeline.evaluation.counting import count_photograph
from pipeline.evaluation.network_maps import segmented_by
from pipeline.evaluation.photographs import CaseMap, Seconds, evaluate_photographs, load_case
from pipeline.evaluation.scores import score
from pipeline.operating_point import OperatingPoint
from records import field_of_view

CLASSES = ("HE", "MA")
OPTIONS = {"operating_point": OperatingPoint((0.5, 0.5)), "bins": 64}


def true_map(loaded) -> CaseMap:
    return CaseMap(loaded.masks.astype(np.float32))


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


def test_a_case_that_cannot_be_read_gives_an_error_and_the_others_are_evaluated(records_set, tmp_path):
    gone = dataclasses.replace(records_set.cases["E"], photograph=tmp_path / "gone.png")
    cases = [records_set.cases["D"], gone, records_set.cases["F"]]
    first, second, third = (
        outcome for _, outcome in evaluate_photographs(true_map, cases, records_set.index.data, **OPTIONS)
    )
    assert (first.case, third.case) == ("D", "F")
    assert isinstance(second, InputError)
    assert "gone.png" in str(second)


def test_a_case_is_loaded_with_what_is_not_plausible_about_its_masks(records_set, tmp_path):
    case = records_set.cases["D"]
    inverted = tmp_path / "D_HE.png"
    cv2.imwrite(str(inverted), 255 - cv2.imread(str(case.masks["HE"]), cv2.IMREAD_GRAYSCALE))
    wrong = dataclasses.replace(case, masks={**case.masks, "HE": inverted})
    (warning,) = load_case(wrong, records_set.index.data).mask_warnings
    assert warning.kind == "inverted" and str(inverted) in warning.text
    assert load_case(case, records_set.index.data).mask_warnings == ()


def test_a_map_with_nan_is_refused_with_the_name_of_its_case(records_set):
    loaded = load_case(records_set.cases["D"], records_set.index.data)
    probabilities = np.full(loaded.masks.shape, 0.5, np.float32)
    probabilities[3, 4, 1] = np.nan
    with pytest.raises(InputError, match=r"^case D: [^\n]*NaN[^\n]+$"):
        segmented_by(lambda loaded: CaseMap(probabilities))(loaded)


def test_a_photograph_is_counted_while_the_next_one_is_segmented(records_set, monkeypatch):
    """Each waits for the other, so they would time out one after the other."""
    counting, segmenting = threading.Event(), threading.Event()

    def count(case, *arrays, **options):
        if case == "D":
            counting.set()
            assert segmenting.wait(20)
        return count_photograph(case, *arrays, **options)

    def map_of(loaded):
        if loaded.case == "E":
            assert counting.wait(20)
            segmenting.set()
        return true_map(loaded)

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

    def noted_read(case, *arguments):
        read.append(case.name)
        return reading(case, *arguments)

    def noted_count(case, *arrays, **options):
        answer = counting(case, *arrays, **options)
        counted.append(case)
        return answer

    def map_of(loaded):
        most.append(len(read) - len(counted))
        return true_map(loaded)

    monkeypatch.setattr(photographs, "load_case", noted_read)
    monkeypatch.setattr(photographs, "count_photograph", noted_count)
    cases = [records_set.cases[name] for name in "ABCDEFG"]
    assert len(list(evaluate_photographs(map_of, cases, records_set.index.data, **OPTIONS))) == 7
    assert max(most) <= 3
