"""Which scored photographs a model has seen: by files and looks, whatever the names, or, of old folders, by names."""

import pytest

from pipeline.evaluation.seen import compare_with_model
from records import PhotographIdentity

HASHES = {name: f"{value:064x}" for name, value in {"A": 0, "B": 2**128 - 1, "C": 2**256 - 2**128}.items()}
NEAR = f"{2**9 - 1:064x}"  # looks like A
FAR = f"{sum(1 << bit for bit in range(0, 256, 3)):064x}"


def identity(case: str, of: str | None = None, **fields: str) -> PhotographIdentity:
    """Returns what the photograph `of` is recognised by, under the name `case`."""
    given = {"sha256": f"digest of {of or case}", "perceptual_hash": HASHES.get(of or case, FAR)}
    return PhotographIdentity(case, **{**given, **fields})


@pytest.fixture
def model(spec):
    """A model that was trained on A, and whose thresholds were chosen on B."""
    return spec(
        splits={"train": ["A"], "validation": ["B"]},
        photographs={"train": (identity("A"),), "validation": (identity("B"),)},
    )


@pytest.fixture
def old(spec):
    """The same model in a folder that lists names alone."""
    return spec(splits={"train": ["A"], "validation": ["B"]})


def test_the_same_files_are_found_under_any_name(model):
    seen = compare_with_model([identity("x", "A"), identity("y", "B")], model, threshold_source="validation")
    assert [(pair.one, pair.other, pair.by) for pair in seen.trained] == [("x", "A", "file")]
    assert seen.without_looks == 0
    assert seen.chosen_on == seen.thresholds_on
    assert [(pair.one, pair.other, pair.by) for pair in seen.thresholds_on] == [("y", "B", "file")]
    assert seen.named_alike == seen.by_name == []


def test_a_resaved_copy_is_found_by_its_looks(model):
    scored = [identity("copy", sha256="another", perceptual_hash=NEAR)]
    seen = compare_with_model(scored, model, threshold_source="validation")
    assert [tuple(pair) for pair in seen.trained] == [("copy", "A", "look", 9)]
    assert not seen.thresholds_on


def test_other_photographs_of_the_same_names_are_not_taken_for_those_that_the_model_saw(model):
    scored = [identity("A", "C"), identity("B", "D")]
    seen = compare_with_model(scored, model, threshold_source="validation")
    assert (seen.trained, seen.chosen_on, seen.thresholds_on) == ([], [], [])
    assert seen.named_alike == ["A", "B"] and seen.by_name == []


def test_of_a_folder_that_lists_names_alone_the_same_name_counts_and_it_is_said(old):
    seen = compare_with_model([identity("A", "C"), identity("B")], old, threshold_source="validation")
    assert [(pair.one, pair.by) for pair in (*seen.trained, *seen.thresholds_on)] == [("A", "name"), ("B", "name")]
    assert seen.by_name == ["A", "B"] and seen.named_alike == []


@pytest.mark.parametrize(
    ("source", "seen"), [("validation", ["B"]), ("held out", ["C"]), ("config", []), ("given", [])]
)
def test_thresholds_were_chosen_on_the_photographs_that_their_source_says(model, spec, source, seen):
    fields = vars(model) | {"calibrated_on": ("C",), "photographs": {**model.photographs, "calibrated_on": ()}}
    for known in ((), (identity("C"),)):
        changed = spec(**fields | {"photographs": {**model.photographs, "calibrated_on": known}})
        scored = [identity(name) for name in "ABC"]
        found = compare_with_model(scored, changed, threshold_source=source)
        assert [pair.one for pair in found.thresholds_on] == seen
        assert found.by_name == ([] if known or source != "held out" else ["C"])


def test_photographs_that_the_initial_weights_saw_count_as_training(spec):
    before = spec(seen_before=("A", "B"), photographs={"seen_before": (identity("A"),)})
    seen = compare_with_model([identity("x", "A"), identity("B")], before, threshold_source="config")
    assert [(pair.one, pair.by) for pair in seen.trained] == [("x", "file"), ("B", "name")]


def test_records_of_earlier_versions_give_hashes_without_digests(spec):
    known = spec(splits={"train": ["A"]}, photographs={"train": (identity("A", sha256=""),)})
    seen = compare_with_model([identity("A"), identity("C", sha256="")], known, threshold_source="config")
    assert [tuple(pair) for pair in seen.trained] == [("A", "A", "look", 0)]


@pytest.fixture
def hidden(model):
    """The same model without names."""
    return model.anonymized("0123456789abcdef")


def test_an_anonymous_model_knows_the_same_files_under_any_name(hidden):
    scored = [identity("x", "A"), identity("y", "B"), identity("z", "C")]
    seen = compare_with_model(scored, hidden, threshold_source="validation")
    assert [(pair.one, pair.by) for pair in seen.trained] == [("x", "file")]
    assert [(pair.one, pair.by) for pair in seen.thresholds_on] == [("y", "file")]
    assert seen.named_alike == seen.by_name == []


def test_of_a_copy_an_anonymous_model_knows_the_name_alone_and_it_is_said(hidden):
    copy = {"sha256": "another", "perceptual_hash": NEAR}
    seen = compare_with_model([identity("A", **copy), identity("copy", **copy)], hidden, threshold_source="config")
    assert [tuple(pair) for pair in seen.trained] == [("A", "A", "name", None)]
    assert seen.by_name == ["A"] and seen.named_alike == []
    assert seen.without_looks == 1


def test_of_an_anonymous_folder_of_an_earlier_version_the_same_name_counts(old):
    hidden = old.anonymized("0123456789abcdef")
    seen = compare_with_model([identity("A", "C"), identity("B")], hidden, threshold_source="validation")
    assert [(pair.one, pair.by) for pair in (*seen.trained, *seen.thresholds_on)] == [("A", "name"), ("B", "name")]


def test_photographs_of_several_anonymous_trainings_are_known(spec):
    before = spec(splits={"train": ["A"]}, photographs={"train": (identity("A"),)}).anonymized("0" * 16)
    after = spec(
        splits={"train": ["B"]}, seen_before=tuple(before.splits["train"]), photographs={"train": (identity("B"),)}
    ).anonymized("1" * 16)
    assert after.salts == {"0" * 16, "1" * 16}
    seen = compare_with_model([identity("A"), identity("B"), identity("C")], after, threshold_source="config")
    assert sorted((pair.one, pair.by) for pair in seen.trained) == [("A", "name"), ("B", "file")]
