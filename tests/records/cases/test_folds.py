"""The folds of a cross-validation over several sources, and the sources that are refused."""

import collections
import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import DataConfig, InputError
from records import Case, PhotographScale, Survey
from records.cases import find_training_cases, plan_folds

DATA = DataConfig(classes=("HE",), validation_fraction=0.25)


def make_case(name: str, patient: str | None = None) -> Case:
    return Case(name, Path(f"{name}.png"), {"HE": None}, "train", patient)


def make_survey(name: str, lesion_pixels: int) -> Survey:
    scale = PhotographScale(1.0, "fixed")
    return Survey(10, 10, {"HE": lesion_pixels}, {"HE": []}, scale, 1, 1, f"photograph {name}", f"files {name}")


def plan_of(sources: list[list[Case]], pixels: dict[str, int], *, folds: int, data: DataConfig = DATA):
    return plan_folds(sources, {name: make_survey(name, count) for name, count in pixels.items()}, data, folds=folds)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(8, 15), min_size=1, max_size=3), folds=st.integers(2, 3), seed=st.integers(0, 99))
def test_each_case_is_held_out_once_and_no_patient_is_in_two_splits_of_a_fold(sizes, folds, seed):
    data = dataclasses.replace(DATA, seed=seed)
    sources = [[make_case(f"{s}-{i}", f"{s}-{i // 2}") for i in range(size)] for s, size in enumerate(sizes)]
    names = [case.name for cases in sources for case in cases]
    plan = plan_of(sources, {name: 1 + i for i, name in enumerate(names)}, folds=folds, data=data)
    held_out = collections.Counter()
    for fold in range(folds):
        for cases, before in zip(plan.parts(fold), sources, strict=True):
            assert [case.name for case in cases] == [case.name for case in before]
            assert {case.split for case in cases} == {"train", "validation", "test"}  # each source in each part
            splits = collections.defaultdict(set)
            for case in cases:
                splits[case.patient].add(case.split)
            assert all(len(of_patient) == 1 for of_patient in splits.values())
        held_out.update(case.name for case in plan.members(fold, "test"))
        assert {case.name for case in plan.members(fold, "test")} == {n for n in names if plan.fold_of[n] == fold}
    assert held_out == collections.Counter(names)


def test_surplus_cases_of_several_sources_go_to_different_folds():
    sources = [[make_case(f"{s}-{i}") for i in range(11)] for s in range(20)]
    plan = plan_of(sources, {case.name: i for cases in sources for i, case in enumerate(cases)}, folds=5)
    sizes = collections.Counter(plan.fold_of.values())
    assert sum(sizes.values()) == 220 and max(sizes.values()) - min(sizes.values()) < 10  # of 20 with equal draws


def test_no_case_validates_with_a_validation_fraction_of_zero():
    data = dataclasses.replace(DATA, validation_fraction=0.0)
    plan = plan_of([[make_case(name) for name in "abcd"]], dict.fromkeys("abcd", 5), folds=2, data=data)
    assert not plan.members(0, "validation") and len(plan.members(0, "train")) == len(plan.members(0, "test")) == 2
    assert plan.shows_lesions(0, "train") and not plan.shows_lesions(0, "validation")


def test_a_fold_that_would_train_without_a_lesion_is_refused():
    with pytest.raises(InputError, match="fold [01] of 2: none of its 1 training photographs shows any of HE") as error:
        plan_of([[make_case(name) for name in "abcd"]], {"a": 5, "b": 0, "c": 0, "d": 0}, folds=2)
    assert "\n" not in str(error.value)


def test_a_fold_that_would_train_on_nothing_that_is_known_of_a_class_is_refused():
    unknown = [dataclasses.replace(make_case(name), unknown=frozenset({"HE"})) for name in "bcd"]
    with pytest.raises(InputError, match="fold [01] of 2: HE is known in none of its 1 training photographs; choose"):
        plan_of([[make_case("a"), *unknown]], {"a": 5, "b": 0, "c": 0, "d": 0}, folds=2)


def test_a_source_too_small_to_validate_beside_another_is_refused():
    sources = [[make_case(name) for name in "abcdefgh"], [make_case(name) for name in "yz"]]
    with pytest.raises(InputError, match=r"fold 0 of 2: the source of y\.png has 2 photographs, too few"):
        plan_of(sources, dict.fromkeys("abcdefghyz", 5), folds=2)


def test_more_folds_than_patients_are_refused():
    cases = [make_case(name, "one" if name in "ab" else "other") for name in "abcd"]
    with pytest.raises(InputError, match=r"number of cases or patients \(2\); received 3"):
        plan_of([cases], dict.fromkeys("abcd", 5), folds=3)


@pytest.mark.parametrize("folds", [2, 6])  # in one fold or in two
def test_equal_photographs_are_refused_unless_they_have_one_patient(folds):
    def plan(patients: dict[str, str]):
        surveys = {name: make_survey(name, 5) for name in "abcdefg"}
        surveys["b"] = dataclasses.replace(surveys["b"], photograph_digest=surveys["a"].photograph_digest)
        cases = [make_case(name, patients.get(name)) for name in "abcdefg"]
        return plan_folds([cases], surveys, DATA, folds=folds)

    with pytest.raises(InputError, match=r"a\.png.* and b\.png.* are the same file"):
        plan({})
    kept = plan({"a": "one", "b": "one"})
    assert kept.fold_of["a"] == kept.fold_of["b"]


def test_the_digest_depends_on_files_and_folds_and_not_on_the_order_of_sources():
    left, right = [make_case(name) for name in "abcd"], [make_case(name) for name in "efgh"]
    pixels = dict.fromkeys("abcdefgh", 5)
    plan = plan_of([left, right], pixels, folds=2)
    assert plan_of([right, left[::-1]], pixels, folds=2).digest == plan.digest
    assert plan_of([left, right], pixels, folds=4).digest != plan.digest
    surveys = dict(plan.surveys)
    surveys["c"] = dataclasses.replace(surveys["c"], digest="another mask")
    assert plan_folds([left, right], surveys, DATA, folds=2).digest != plan.digest


def make_source(folder: Path, parts: dict[str, str]) -> Path:
    """Makes paired folders train/, valid/ and test/ of empty files, each with photographs of one letter."""
    for part, letters in parts.items():
        for kind in ("images", "masks"):
            (folder / part / kind).mkdir(parents=True)
            for letter in letters:
                (folder / part / kind / f"{letter}.png").touch()
    return folder


def test_training_and_validation_parts_take_part_and_the_test_part_does_not(tmp_path):
    source = make_source(tmp_path / "source", {"train": "ab", "valid": "c", "test": "de"})
    (cases,), tests = find_training_cases([source], DATA)
    assert [(case.name, case.split) for case in cases] == [("a", "train"), ("b", "train"), ("c", "train")]
    assert tests == 2


def test_one_table_lists_the_patients_of_all_sources(tmp_path):
    sources = [make_source(tmp_path / "1", {"train": "a", "valid": "b"}), make_source(tmp_path / "2", {"train": "c"})]
    (tmp_path / "patients.csv").write_text("case,patient\na,one\nb,one\nc,other\n")
    found, _ = find_training_cases(sources, DATA, patients=tmp_path / "patients.csv")
    assert [[case.patient for case in cases] for cases in found] == [["one", "one"], ["other"]]


@pytest.mark.parametrize(
    ("parts", "patients", "message"),
    [
        ([{"train": "ab"}, {"train": "b"}], "", "has a photograph b, too; names must be unique"),
        ([{"train": "ab"}, {"test": "c"}], "", "has only a test part"),
        ([{"train": "ab"}, {"train": "c"}], "a,one\nc,one\n", "patient 'one' is in"),
        ([{"train": "ab", "test": "c"}], "a,one\nc,one\n", "has a in train and c in test"),
    ],
)
def test_sources_that_cannot_be_combined_are_refused(tmp_path, parts, patients, message):
    sources = [make_source(tmp_path / str(number), one) for number, one in enumerate(parts)]
    (tmp_path / "patients.csv").write_text(f"case,patient\n{patients}")
    with pytest.raises(InputError, match=message) as error:
        find_training_cases(sources, DATA, patients=tmp_path / "patients.csv")
    assert "\n" not in str(error.value)
