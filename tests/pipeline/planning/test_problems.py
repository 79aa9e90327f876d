"""What is refused, and what is named as wrong."""

import dataclasses
import shutil

import pytest

from configs import InputError
from pipeline.planning import refuse_classes, refuse_few, refuse_without_lesions
from pipeline.planning.problems import find_problems


def changed(fingerprint, name, **values):
    """Returns the fingerprint with other facts of one photograph."""
    facts = dict(fingerprint.facts) | {name: dataclasses.replace(fingerprint.facts[name], **values)}
    return dataclasses.replace(fingerprint, facts=facts)


def named(fingerprint, start: str) -> list[str]:
    return [line for line in find_problems(fingerprint) if line.startswith(start)]


def test_five_photographs_are_too_few_and_six_are_enough(eyes):
    cases = list(eyes.cases)
    refuse_few(cases[:6], source="S")
    with pytest.raises(InputError, match="S: 5 photographs to learn from; at least 6 are needed"):
        refuse_few(cases[:5], source="S")
    tests = [dataclasses.replace(case, split="test") for case in cases[5:]]
    with pytest.raises(InputError, match="S: 5 photographs"):
        refuse_few([*cases[:5], *tests], source="S")


def test_nine_classes_are_too_many():
    refuse_classes(list("abcdefgh"), source="S")
    with pytest.raises(InputError, match="S: has masks of 9 classes .* choose some with --classes"):
        refuse_classes(list("abcdefghi"), source="S")


def test_a_source_without_any_lesion_is_refused(write_eyes, fingerprint_of, tmp_path, eyes):
    refuse_without_lesions(eyes, source="S")
    write_eyes(tmp_path / "source", lesions={"HE": [[], []]})
    with pytest.raises(InputError, match="S: no mask shows any HE in 2 photographs"):
        refuse_without_lesions(fingerprint_of(tmp_path / "source"), source="S")


def test_classes_that_none_or_few_show_are_named(eyes):
    assert named(eyes, "no photograph to learn from shows any SE")
    assert named(eyes, "only 2 of 12 photographs show any EX")
    assert not [line for line in find_problems(eyes) if "HE" in line]


def test_one_photograph_of_another_size_is_named_but_many_are_not(eyes):
    assert not named(eyes, "eye3 has")
    one = changed(eyes, "eye3", width=300)
    assert named(one, "eye3 has 300x240 pixels, where 11 of 12 have 240x240")
    many = one
    for number in range(4, 9):
        many = changed(many, f"eye{number}", width=300 + number)
    assert not named(many, "eye3 has")


def test_a_photograph_of_other_colours_is_named(eyes):
    red, green, blue = eyes.facts["eye5"].color
    assert named(changed(eyes, "eye5", color=(red, 20 * green, blue)), "eye5 has ")
    assert not named(changed(eyes, "eye5", color=(red, 1.020 * green, blue)), "eye5 has")


def test_photographs_without_a_field_of_view_are_counted(eyes):
    assert named(changed(eyes, "eye5", field_diameter=None), "no circle of a field of view found in 1 of 12")


def test_copies_are_named_unless_a_patient_keeps_them_together(write_eyes, fingerprint_of, tmp_path):
    write_eyes(tmp_path / "source", lesions={"HE": [[20]] * 3})
    for kind in ("images", "masks/HE"):
        shutil.copy(tmp_path / "source" / kind / "eye0.png", tmp_path / "source" / kind / "copy.png")
    found = fingerprint_of(tmp_path / "source")
    assert named(found, "copy (train) and eye0 (train) are the same file")
    together = [
        dataclasses.replace(case, patient="p") if case.name in ("copy", "eye0") else case for case in found.cases
    ]
    assert not named(dataclasses.replace(found, cases=together), "copy (train)")


def test_warnings_of_masks_are_passed_on(eyes):
    assert "a mask: looks odd" in find_problems(changed(eyes, "eye1", warnings=[("values", "a mask: looks odd")]))
