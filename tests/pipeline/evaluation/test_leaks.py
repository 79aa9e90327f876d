"""The leak audit, on indexes whose faults are known, and on altered copies of photographs."""

import dataclasses
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from configs import DataConfig
from pipeline.evaluation.leaks import Pair, audit
from pipeline.evaluation.names import AnonymousNames, Names
from pipeline.evaluation.seen import Seen
from records import Index, SamePhotograph, find_cases, perceptual_hash, read_photograph
from records.shards.index import CaseEntry, Split

HASHES = {name: f"{value:064x}" for name, value in {"A": 0, "B": 2**128 - 1, "C": 2**256 - 2**128}.items()}
SPLITS = {"train": ["A"], "validation": ["B"], "test": ["C"]}
NOTHING = Seen()


def entry(split: str, name: str, patient: str | None = None) -> CaseEntry:
    return CaseEntry(split, patient, 9, 9, 1.0, 1, 1, {"HE": 1}, f"digest of {name}", HASHES[name], [], [])


@pytest.fixture
def index() -> Index:
    """Three photographs that have nothing in common, each in its split."""
    cases = {name: entry(split, name) for split, (name,) in SPLITS.items()}
    return Index("by hand", DataConfig(), {split: Split(names, []) for split, names in SPLITS.items()}, cases, [])


def changed(index: Index, name: str, **fields: object) -> Index:
    return dataclasses.replace(index, cases=index.cases | {name: dataclasses.replace(index.cases[name], **fields)})


def test_photographs_that_have_nothing_in_common_are_no_leak(index):
    found = audit(index, NOTHING, {"C": HASHES["C"]})
    assert found.leaks == 0
    assert found.photographs == {"train": 1, "validation": 1, "test": 1}
    assert (found.patients, found.same_split, found.chosen_on) == (0, 0, [])


def test_a_case_in_two_splits_is_named(index):
    split = dataclasses.replace(index.splits["test"], cases=["C", "A"])
    found = audit(dataclasses.replace(index, splits=index.splits | {"test": split}), NOTHING, {})
    assert found.cases_in_two_splits == {"A": ["test", "train"]}
    assert found.leaks == 1


def test_a_patient_in_two_splits_is_named_and_one_in_a_single_split_is_not(index):
    two = changed(changed(index, "A", patient="Ann"), "C", patient="Ann")
    found = audit(changed(two, "B", patient="Bob"), NOTHING, {})
    assert found.patients_in_two_splits == {"Ann": ["test", "train"]}
    assert (found.patients, found.leaks) == (2, 1)


def test_equal_files_in_two_splits_are_named_once(index):
    equal = changed(index, "C", digest=index.cases["A"].digest, perceptual_hash=HASHES["A"])
    found = audit(equal, NOTHING, {})
    assert found.equal == [Pair("A", "train", "C", "test", None)]
    assert found.nearly_equal == []
    assert found.leaks == 1


@pytest.mark.parametrize(("bits", "same"), [(0, True), (15, True), (16, False)])
def test_photographs_look_the_same_up_to_15_bits(index, bits, same):
    found = audit(changed(index, "C", perceptual_hash=f"{2**bits - 1:064x}"), NOTHING, {})
    assert found.nearly_equal == ([Pair("A", "train", "C", "test", bits)] if same else [])


def test_photographs_that_look_the_same_in_one_split_are_counted_but_are_no_leak(index):
    split = dataclasses.replace(index.splits["train"], cases=["A", "C"])
    twice = changed(index, "C", perceptual_hash=HASHES["A"], split="train")
    found = audit(dataclasses.replace(twice, splits={"train": split}), NOTHING, {})
    assert (found.same_split, found.leaks) == (1, 0)


def test_scored_photographs_that_the_model_lists_are_named_without_records_too():
    seen = Seen([SamePhotograph("A", "A", "file")], [SamePhotograph("B", "B", "name")], named_alike=["C"])
    found = audit(None, seen, HASHES)
    assert (found.trained, found.chosen_on, found.leaks) == (["A"], ["B"], 1)
    assert (found.by_name, found.named_alike) == (["B"], ["C"])
    assert found.photographs == {}


def test_a_scored_photograph_that_looks_like_a_training_one_is_named_though_its_name_is_another(index):
    hashes = {"renamed": f"{2**9 - 1:064x}", "C": HASHES["C"]}
    found = audit(index, NOTHING, hashes)
    assert found.scored_in_training == [Pair("renamed", "scored", "A", "train", 9)]
    assert found.trained == []
    assert found.leaks == 1
    seen = Seen([SamePhotograph("renamed", "A", "look", 9)])
    assert audit(index, seen, hashes) == found == dataclasses.replace(audit(index, NOTHING, hashes))
    assert audit(None, seen, hashes).scored_in_training == found.scored_in_training  # the model knows without records


def altered(photograph: np.ndarray) -> dict[str, np.ndarray]:
    """Returns versions of a photograph that are the same to the eye."""
    resaved = cv2.imencode(".jpg", photograph, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    half = (photograph.shape[1] // 2, photograph.shape[0] // 2)
    return {
        "resaved": cv2.imdecode(resaved, cv2.IMREAD_COLOR),
        "brightened": np.clip(photograph * 1.1 + 5, 0, 255).astype(np.uint8),
        "resized": cv2.resize(photograph, half, interpolation=cv2.INTER_AREA),
    }


def smooth_noise(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(30, 220, (12, 16, 3)).astype(np.uint8)
    return cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)


def check_copies(photographs: dict[str, np.ndarray], index: Index) -> None:
    """Trains on the photographs, and scores their copies under other names and each photograph against the others."""
    hashes = {name: perceptual_hash(photograph) for name, photograph in photographs.items()}
    cases = {name: dataclasses.replace(index.cases["A"], perceptual_hash=value) for name, value in hashes.items()}
    trained = dataclasses.replace(index, splits={"train": Split(list(cases), [])}, cases=cases)
    copies = {
        f"{name} {how}": perceptual_hash(copy)
        for name, photograph in photographs.items()
        for how, copy in altered(photograph).items()
    }
    found = audit(trained, NOTHING, copies)
    assert {(pair.one, pair.other) for pair in found.scored_in_training} == {(copy, copy.split()[0]) for copy in copies}
    assert found.same_split == 0


def test_resaved_brightened_and_resized_copies_are_found_and_different_photographs_are_not(index):
    check_copies({f"noise{seed}": smooth_noise(seed) for seed in range(5)}, index)


@pytest.mark.slow
@pytest.mark.skipif("FUNDUS_TILES_IDRID" not in os.environ, reason="FUNDUS_TILES_IDRID is not set")
def test_copies_of_photographs_of_idrid_are_found_and_different_ones_are_not(index):
    _, cases = find_cases(Path(os.environ["FUNDUS_TILES_IDRID"]), ("HE",))
    chosen = cases[::14]
    check_copies({case.name: read_photograph(case.photograph, max_pixels=10**8) for case in chosen}, index)


def test_an_anonymous_audit_has_the_same_leaks_and_no_name_of_a_case_or_patient(index):
    two = changed(changed(index, "A", patient="Ann"), "C", patient="Ann")
    split = dataclasses.replace(two.splits["test"], cases=["C", "A"])
    seen = Seen(
        trained=[SamePhotograph("C", "A", "file")], chosen_on=[SamePhotograph("B", "B", "name")], named_alike=["C"]
    )
    found = audit(dataclasses.replace(two, splits=two.splits | {"test": split}), seen, {"C": HASHES["C"]})
    hidden = found.named(AnonymousNames([], (), {}))
    assert hidden.leaks == found.leaks == 3
    assert audit(None, dataclasses.replace(seen, without_looks=2), {}).without_looks == 2
    assert not re.search(r"'(A|B|C|Ann)'", repr(hidden))
    assert found.named(Names()) == found
