"""Plans of evaluations: operating points, cases, and what they refuse."""

import dataclasses
import re
import types
from pathlib import Path

import numpy as np
import pytest

from configs import DataConfig, InputError
from pipeline.evaluation.photographs import LoadedCase
from pipeline.evaluation.plan import EvaluationPlan, EvaluationRequest, choose_cases, plan_evaluation
from pipeline.operating_point import OperatingPoint
from records import Case, KnownRules, write_png
from tests.sources import touch

CLASSES = ("HE", "MA")
CASES = [Case(name, Path(f"{name}.png"), {}, split) for name, split in (("A", "train"), ("B", "train"), ("T", "test"))]


@pytest.mark.parametrize(
    ("split", "listed", "expected"),
    [
        ("all", None, "ABT"),
        ("train", None, "AB"),
        ("train", {"train": ["A"], "validation": ["B"]}, "A"),
        ("validation", {"train": ["A"], "validation": ["B"]}, "B"),
        ("test", {"train": ["A"], "validation": ["B"]}, "T"),  # not listed by the model: the source's own
        ("test", {"train": ["B"], "test": ["A"]}, "A"),
        ("test", {"train": ["A", "B"], "validation": [], "test": []}, "T"),  # of folds that are one model
    ],
)
def test_a_split_has_the_cases_that_the_model_lists_or_else_those_of_the_source(split, listed, expected):
    chosen = choose_cases(CASES, EvaluationRequest("source", split), listed)
    assert "".join(case.name for case in chosen) == expected


@pytest.mark.parametrize(
    ("split", "listed", "message"),
    [
        ("validation", None, "the source has 2 train, 0 validation, 1 test. Name another split, or --split=all."),
        ("test", {"train": ["A"], "test": ["X"]}, "the model lists 1 train, 1 test. Name the source it was trained"),
    ],
)
def test_a_split_without_cases_is_refused_with_those_that_there_are(split, listed, message):
    with pytest.raises(InputError, match=re.escape(f"--split={split}: source has none of its cases; {message}")):
        choose_cases(CASES, EvaluationRequest("source", split), listed)


def test_records_of_other_classes_are_refused(records_set):
    request = EvaluationRequest("nowhere", "all", records="records", classes=["HE"])
    with pytest.raises(InputError, match="--records=records: tiles of the classes HE, MA, but those scored are HE;"):
        plan_evaluation(request, None, records_set.index)


def test_several_masks_and_trees_are_read_as_the_request_says(tmp_path):
    touch(tmp_path, "images/001/a.png", "masks/HE/001/a.png", "masks/HE/001/a_2.png", "maps/001_a_HE.png")
    request = EvaluationRequest(
        str(tmp_path), "all", predictions=str(tmp_path / "maps"), classes=["HE"], recursive=True
    )
    with pytest.raises(InputError, match="--unite_masks"):
        plan_evaluation(request, None)
    (case,) = plan_evaluation(dataclasses.replace(request, unite_masks=True), None).cases
    assert case.name == "001_a" and len(case.mask_files("HE")) == 2


def plan(spec, split: str, source: str = "validation", layout: str = "idrid", **request) -> EvaluationPlan:
    return EvaluationPlan(
        request=EvaluationRequest("source", split, **request),
        segmenter=types.SimpleNamespace(spec=spec),
        maps={},
        levels=None,
        layout=layout,
        cases=tuple(CASES),
        data=DataConfig(classes=("HE",)),
        bins=64,
        operating_point=OperatingPoint((0.5,)),
        threshold_source=source,
    )


@pytest.mark.parametrize(
    ("layout", "allowed", "missing"), [("paired", False, True), ("paired", True, False), ("idrid", False, False)]
)
def test_a_missing_mask_shows_no_lesion_in_idrid_or_where_that_is_allowed(spec, layout, allowed, missing):
    made = plan(spec(), "all", layout=layout, allow_missing_masks=allowed)
    case = dataclasses.replace(CASES[0], masks={"HE": None})
    failures = dataclasses.replace(made, cases=(case, CASES[1])).without_needed_mask()
    assert failures == (
        {"A": "A.png: no mask of class HE (--allow_missing_masks takes it as free of lesions)."} if missing else {}
    )


def test_a_missing_mask_of_a_class_that_is_unknown_or_absent_is_none_that_is_needed(spec):
    made = dataclasses.replace(plan(spec(), "all", layout="paired"), data=DataConfig(classes=CLASSES))
    bare = dataclasses.replace(CASES[0], masks={"HE": None, "MA": None})
    needed = {
        case.name: dataclasses.replace(bare, name=case.name, unknown=case.unknown, absent=case.absent)
        for case in (
            dataclasses.replace(bare, name="healthy", absent=frozenset(CLASSES)),
            dataclasses.replace(bare, name="both", absent=frozenset({"HE"}), unknown=frozenset({"MA"})),
            dataclasses.replace(bare, name="one", unknown=frozenset({"HE"})),
        )
    }
    assert dataclasses.replace(made, cases=tuple(needed.values())).without_needed_mask() == {
        "one": "A.png: no mask of class MA (--allow_missing_masks takes it as free of lesions)."
    }


def test_external_maps_beside_a_model_are_counted_at_the_scale_of_its_least_areas(tmp_path, spec):
    write_png(tmp_path / "A.png", np.full((4, 6), 255, np.uint8))
    made = dataclasses.replace(plan(spec(), "all"), maps={"A": tmp_path / "A.png"}, levels="full")
    loaded = LoadedCase("A", np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6, 1), bool), np.ones((4, 6), bool))
    assert made.map_of({})(loaded).factor is None
    measured = types.SimpleNamespace(scale=types.SimpleNamespace(factor=0.25))
    found = made.map_of({})(dataclasses.replace(loaded, measured=measured))
    assert found.factor == 0.25 and np.all(found.probabilities == 1)


def source_of(folder: Path, masks: str) -> str:
    return str(touch(folder, "images/a.png", "images/b.png", *masks.split()))


def of_two_classes(spec):
    return types.SimpleNamespace(spec=spec(classes=CLASSES, thresholds=(0.5, 0.5)))


def test_a_class_of_the_model_of_which_no_photograph_has_a_mask_was_not_looked_for(tmp_path, spec):
    source = source_of(tmp_path, "masks/HE/a.png masks/HE/b.png")
    planned = plan_evaluation(EvaluationRequest(source, "all"), of_two_classes(spec))
    assert planned.unlabelled == ("MA",) and not planned.without_needed_mask()
    assert [case.unknown for case in planned.cases] == [frozenset({"MA"})] * 2


@pytest.mark.parametrize(
    ("masks", "asked", "needed"),
    [
        ("masks/HE/a.png masks/HE/b.png masks/MA/a.png", {}, "b"),  # one of them has a mask of MA
        ("masks/HE/a.png masks/HE/b.png", {"known": KnownRules(labelled="HE,MA")}, "ab"),
        ("masks/HE/a.png masks/HE/b.png", {"allow_missing_masks": True}, ""),
        ("masks/EX/a.png", {}, "ab"),  # of no class of the model
    ],
)
def test_a_class_that_was_looked_for_in_any_photograph_is_known_in_all(tmp_path, spec, masks, asked, needed):
    planned = plan_evaluation(EvaluationRequest(source_of(tmp_path, masks), "all", **asked), of_two_classes(spec))
    assert planned.unlabelled == () and "".join(sorted(planned.without_needed_mask())) == needed
    assert not any(case.unknown for case in planned.cases)


def test_a_table_of_labels_decides_what_was_looked_for_whatever_masks_there_are(tmp_path, spec):
    source = source_of(tmp_path, "masks/HE/a.png masks/HE/b.png")
    (tmp_path / "labels.csv").write_text("case,labelled\na,HE MA\nb,HE\n")
    planned = plan_evaluation(EvaluationRequest(source, "all"), of_two_classes(spec))
    assert planned.unlabelled == () and list(planned.without_needed_mask()) == ["a"]


def test_what_healthy_eyes_show_none_of_stays_absent_though_no_photograph_has_a_mask(tmp_path, spec):
    source = source_of(tmp_path, "masks/HE/a.png")
    (tmp_path / "healthy.csv").write_text("case,absent\nb,HE MA\n")
    known = KnownRules(healthy=str(tmp_path / "healthy.csv"))
    eye, healthy = plan_evaluation(EvaluationRequest(source, "all", known=known), of_two_classes(spec)).cases
    assert eye.unknown == {"MA"} and not eye.absent
    assert healthy.absent == {"HE", "MA"} and not healthy.unknown


def test_the_cases_of_an_anonymous_models_splits_are_found_by_their_names(tmp_path, spec):
    for name in "ABC":
        touch(tmp_path, f"images/{name}.png", f"masks/HE/{name}.png")
    hidden = spec(splits={"train": ["A", "B"], "validation": ["C", "elsewhere"]}).anonymized("0" * 16)
    segmenter = types.SimpleNamespace(spec=hidden)
    for split, names in (("train", "AB"), ("validation", "C")):
        planned = plan_evaluation(EvaluationRequest(str(tmp_path), split), segmenter)
        assert [case.name for case in planned.cases] == list(names)
