"""Trainings on labels of models: what those have seen counts as seen, and scores that say less are warned of."""

from pathlib import Path

import pytest

from configs import DataConfig
from pipeline.input import RecordSet
from pipeline.training.labelling_models import labelling_warnings, seen_by_labellers
from records import CaseEntry, Index, LabelledBy, PhotographIdentity, SeenPhotographs


def look(number: int) -> str:
    """Returns a perceptual hash that is far from those of other numbers."""
    return f"{0x5A17 * number % 0xFFFF:04x}" * 16


@pytest.fixture
def records():
    """Makes a set of records of cases with splits and looks."""

    def make(name, cases, labelled_by=None) -> RecordSet:
        entries = {
            case: CaseEntry(
                split,
                patient=None,
                height=9,
                width=9,
                scale=1.0,
                tiles=1,
                nonempty_tiles=1,
                lesion_pixels={"HE": 1},
                digest=case,
                perceptual_hash=look(number),
                places=[],
                lesions=[],
                photograph_digest=f"sha of {number}",
            )
            for case, (split, number) in cases.items()
        }
        return RecordSet(Path(name), Index("by hand", DataConfig(), {}, entries, [], labelled_by))

    return make


def model(*, seen=(), chosen_on=()) -> LabelledBy:
    """Returns a labelling model that has seen photographs of these looks, under names of its own."""

    def photographs(numbers):
        known = tuple(PhotographIdentity(f"m{number}", "", look(number)) for number in numbers)
        return SeenPhotographs(tuple(one.case for one in known), known)

    return LabelledBy(("0123",), photographs(seen), photographs(chosen_on))


def test_what_labelling_models_have_seen_counts_as_seen_and_not_what_they_were_chosen_on(records):
    sets = [records("A", {}), records("B", {}, model(seen=[7], chosen_on=[8])), records("C", {}, model(seen=[9, 7]))]
    assert seen_by_labellers(sets).names == ("m7", "m9")
    assert seen_by_labellers(sets[:1]) == SeenPhotographs()


def test_nothing_is_warned_of_without_labels_of_models_or_with_validation_apart(records):
    truth = records("truth", {"a": ("train", 1), "b": ("validation", 2)})
    assert list(labelling_warnings([truth])) == []
    assert list(labelling_warnings([truth, records("by model", {"c": ("train", 3)}, model(seen=[1, 4]))])) == []


def test_validation_photographs_that_a_model_labelled_are_named(records):
    [line] = labelling_warnings([records("B", {f"p{n}": ("validation", n) for n in range(1, 9)}, model())])
    assert line.startswith("8 photographs (p1, p2, p3, p4, p5 and 3 more) for validation, labelled by a model: their")
    assert "how well it is imitated" in line


def test_validation_photographs_that_are_trained_on_by_other_names_are_named(records):
    sets = [records("truth", {"b": ("validation", 2)}), records("B", {"copy": ("train", 2)}, model())]
    [line] = labelling_warnings(sets)
    assert line.startswith("1 photograph (b) for validation, and also for training in B with labels of a model")


@pytest.mark.parametrize("how", ["seen", "chosen_on"])
def test_validation_photographs_that_a_labelling_model_has_seen_are_named(records, how):
    sets = [records("truth", {"b": ("validation", 2)}), records("B", {"c": ("train", 3)}, model(**{how: [2]}))]
    [line] = labelling_warnings(sets)
    assert line.startswith("1 photograph (b) for validation that a model has seen whose labels are trained on")
