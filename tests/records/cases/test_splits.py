"""Splits and folds: no patient is in two of them, and all have similar lesion areas, whatever the cases' order."""

import collections
import dataclasses
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import InputError
from records import Case, assign_validation
from records.cases.splits import assign_folds

fractions = st.floats(0, 1, exclude_max=True)
seeds = st.integers(0, 2**32)


@st.composite
def sources(draw: st.DrawFn, *, validation: bool = False) -> tuple[list[Case], dict[str, float]]:
    """Cases, some of them of known patients, each of whom is in one split only; and their lesion areas, some equal."""
    splits = ["train", "train", "train", "test"] + ["validation"] * validation
    patients = draw(st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.sampled_from(splits)), max_size=25))
    cases = []
    for number, (photographs, known, split) in enumerate(patients):
        for photograph in range(photographs if known else 1):
            name = f"eye{number}_{photograph}"
            cases.append(Case(name, Path(f"{name}.jpg"), {}, split, f"p{number}" if known else None))
    areas = draw(st.lists(st.sampled_from([0.0, 0.001, 0.01, 0.2]), min_size=len(cases), max_size=len(cases)))
    return cases, dict(zip((case.name for case in cases), areas, strict=True))


def plain(count: int) -> tuple[list[Case], dict[str, float]]:
    """Training cases without patients; the larger the number, the larger the lesions."""
    cases = [Case(f"eye{number:03d}", Path(f"{number}.jpg"), {}, "train") for number in range(count)]
    return cases, {case.name: index / count for index, case in enumerate(cases)}


def split_of(cases: list[Case]) -> dict[str, str]:
    return {case.name: case.split for case in cases}


@given(source=sources(validation=True), fraction=fractions, seed=seeds)
def test_no_case_and_no_patient_is_in_two_splits(source, fraction, seed):
    cases, areas = source
    assigned = assign_validation(cases, areas, fraction=fraction, seed=seed)
    assert [case.name for case in assigned] == [case.name for case in cases]  # each once, in the order given
    splits = collections.defaultdict(set)
    for case in assigned:
        if case.patient is not None:
            splits[case.patient].add(case.split)
    assert all(len(of_patient) == 1 for of_patient in splits.values())


@given(source=sources(), fraction=fractions, seed=seeds)
def test_only_training_cases_move_and_only_their_split_changes(source, fraction, seed):
    cases, areas = source
    for before, after in zip(cases, assign_validation(cases, areas, fraction=fraction, seed=seed), strict=True):
        moved = before.split == "train" and after.split == "validation"
        assert after == (dataclasses.replace(before, split="validation") if moved else before)


@given(source=sources(), fraction=fractions, seed=seeds)
def test_validation_has_its_fraction_of_the_patients_and_training_keeps_some(source, fraction, seed):
    cases, areas = source
    assigned = assign_validation(cases, areas, fraction=fraction, seed=seed)
    patients = {case.patient or case.name: case.split for case in assigned if case.split != "test"}
    validating = sum(split == "validation" for split in patients.values())
    if fraction == 0 or len(patients) < 2:
        assert validating == 0
    else:
        assert 1 <= validating <= len(patients) - 1
        assert abs(validating - fraction * len(patients)) <= 1


@given(seed=seeds, healthy=st.integers(1, 40), ill=st.integers(1, 40))
def test_healthy_photographs_are_spread_as_well(seed, healthy, ill):
    cases, areas = plain(healthy + ill)
    absent = [dataclasses.replace(case, absent=frozenset({"HE"})) for case in cases[:healthy]]
    areas |= dict.fromkeys((case.name for case in absent), 0.0)
    assigned = assign_validation(absent + cases[healthy:], areas, fraction=0.2, seed=seed)
    validating = [case for case in assigned if case.split == "validation"]
    share = len(validating) * healthy / (healthy + ill)
    assert abs(sum(bool(case.absent) for case in validating) - share) < 1


@given(source=sources(), fraction=fractions, seed=seeds, order=st.randoms(use_true_random=False))
def test_the_order_of_the_cases_does_not_matter(source, fraction, seed, order):
    cases, areas = source
    shuffled = order.sample(cases, len(cases))
    one = assign_validation(cases, areas, fraction=fraction, seed=seed)
    other = assign_validation(shuffled, areas, fraction=fraction, seed=seed)
    assert split_of(one) == split_of(other)


def test_the_order_of_a_patients_photographs_does_not_matter():
    # 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 are different floats
    areas = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.6, "e": 0.6000000000000001, "f": 0.7}
    cases = [Case(name, Path(name), {}, "train", "one" if name in "abc" else name) for name in areas]
    orders = [random.Random(number).sample(cases, len(cases)) for number in range(10)]
    for seed in range(10):
        splits = [split_of(assign_validation(order, areas, fraction=0.5, seed=seed)) for order in orders]
        assert all(split == splits[0] for split in splits)


@given(source=sources(validation=True), fraction=fractions, seed=seeds)
def test_test_cases_stay_test_and_a_source_with_validation_cases_keeps_its_own(source, fraction, seed):
    cases, areas = source
    assigned = assign_validation(cases, areas, fraction=fraction, seed=seed)
    before, after = split_of(cases), split_of(assigned)
    assert all((before[name] == "test") == (after[name] == "test") for name in before)
    if "validation" in before.values():
        assert after == before


def test_the_same_seed_draws_the_same_and_others_draw_others():
    cases, areas = plain(40)
    draws = [split_of(assign_validation(cases, areas, fraction=0.2, seed=seed)) for seed in (0, 0, 1, 2, 3)]
    assert draws[0] == draws[1]
    assert len({tuple(draw.values()) for draw in draws}) == 4


@given(count=st.integers(2, 120), fraction=st.floats(0.01, 0.99), seed=seeds)
def test_validation_is_spread_over_the_whole_range_of_lesion_areas(count, fraction, seed):
    cases, areas = plain(count)  # in the order of their areas
    assigned = assign_validation(cases, areas, fraction=fraction, seed=seed)
    places = [place for place, case in enumerate(assigned) if case.split == "validation"]
    stratum = -(-count // len(places))
    gaps = [after - before for before, after in zip([-1, *places], [*places, count], strict=True)]
    assert max(gaps[1:-1], default=0) < 2 * stratum
    assert max(gaps[0], gaps[-1]) <= stratum


@pytest.mark.parametrize(("count", "fraction"), [(53, 0.2), (100, 0.4), (100, 0.7)])
def test_validation_has_the_mean_lesion_area_of_all_cases(count, fraction):
    cases, areas = plain(count)  # areas even from 0 to 1
    means = []
    for seed in range(200):
        assigned = assign_validation(cases, areas, fraction=fraction, seed=seed)
        validating = [areas[case.name] for case in assigned if case.split == "validation"]
        means.append(sum(validating) / len(validating))
    assert abs(sum(means) / len(means) - sum(areas.values()) / count) < 0.02


def test_every_case_validates_for_some_seed():
    cases, areas = plain(12)
    validated = set()
    for seed in range(60):
        assigned = assign_validation(cases, areas, fraction=0.25, seed=seed)
        validated |= {case.name for case in assigned if case.split == "validation"}
    assert validated == set(areas)


def test_a_single_training_case_stays_in_training():
    cases, areas = plain(1)
    assert assign_validation(cases, areas, fraction=0.9, seed=0) == cases
    assert assign_validation([], {}, fraction=0.5, seed=0) == []


@given(source=sources(validation=True), folds=st.integers(2, 6), seed=seeds, order=st.randoms(use_true_random=False))
def test_folds_hold_each_case_outside_the_test_part_once_and_no_patient_twice(source, folds, seed, order):
    cases, areas = source
    kept = [case for case in cases if case.split != "test"]
    patients = {case.patient or case.name for case in kept}
    if len(patients) < folds:
        with pytest.raises(InputError, match=f"folds must be 2 to .*received {folds}"):
            assign_folds(cases, areas, folds=folds, seed=seed)
        return
    fold_of = assign_folds(cases, areas, folds=folds, seed=seed)
    assert set(fold_of) == {case.name for case in kept}
    of_patient = collections.defaultdict(set)
    for case in kept:
        of_patient[case.patient or case.name].add(fold_of[case.name])
    assert all(len(folds_of_one) == 1 for folds_of_one in of_patient.values())
    sizes = collections.Counter(fold for (fold,) in of_patient.values())
    assert set(sizes) == set(range(folds)) and max(sizes.values()) - min(sizes.values()) <= 1
    assert assign_folds(order.sample(cases, len(cases)), areas, folds=folds, seed=seed) == fold_of


def test_every_fold_has_small_and_large_lesions():
    cases, areas = plain(53)
    fold_of = assign_folds(cases, areas, folds=5, seed=0)
    for fold in range(5):
        members = [areas[name] for name, its_fold in fold_of.items() if its_fold == fold]
        assert abs(sum(members) / len(members) - 0.5) < 0.06
        assert min(members) < 0.1 and max(members) > 0.85
