"""Which photographs benchmarks score that alter them."""

import types

import pytest

from configs import InputError
from scripts.benchmarks.scoring import plan_scoring
from tests.sources import touch
from tests.specs import make_spec


def planned(folder, *masks: str):
    touch(folder, "images/a.png", "images/b.png", *masks)
    segmenter = types.SimpleNamespace(spec=make_spec(classes=("HE", "MA")))
    return plan_scoring(segmenter, folder / "model", folder, split="all")


def test_a_source_with_fewer_classes_than_the_model_is_scored_in_those_that_it_has(tmp_path):
    plan = planned(tmp_path, "masks/HE/a.png", "masks/HE/b.png")
    assert [case.unknown for case in plan.cases] == [{"MA"}, {"MA"}]


def test_a_photograph_that_lacks_a_mask_is_refused_and_never_taken_for_one_without_lesions(tmp_path):
    with pytest.raises(InputError, match=r"1 of 2 photographs lack a mask, the first is b \(HE\); add masks"):
        planned(tmp_path, "masks/HE/a.png", "masks/MA/a.png", "masks/MA/b.png")
