"""Measurements of photographs and masks against independent ones, and what is kept of them."""

import os

import cv2
import numpy as np
import pytest
from scipy import ndimage

from configs import DataConfig, InputError
from pipeline.planning import take_fingerprint
from pipeline.planning.photograph_facts import facts_from_dict, facts_to_dict, measure_photograph
from records import find_cases, read_photograph


@pytest.fixture
def source(write_eyes, tmp_path):
    """Three eyes with lesions of two classes."""
    folder = tmp_path / "source"
    masks = write_eyes(folder, lesions={"HE": [[6, 21, 9], [], [30]], "EX": [[4], [12], []]})
    return folder, masks


def cases_of(folder, classes=("HE", "EX")):
    return find_cases(folder, classes)[1]


def test_lesions_are_measured_as_scipy_labels_them(source):
    folder, masks = source
    for case in cases_of(folder):
        facts = measure_photograph(case, DataConfig(classes=("HE", "EX")))
        green = read_photograph(case.photograph, max_pixels=10**6)[..., 1].astype(float)
        for name, mask in masks[case.name].items():
            labels, count = ndimage.label(mask, np.ones((3, 3)))
            boxes = ndimage.find_objects(labels)
            assert facts.lesions[name].areas == [int((labels == one).sum()) for one in range(1, count + 1)]
            assert facts.lesions[name].extents == [max(one.stop - one.start for one in box) for box in boxes]
            for number, box in enumerate(boxes, start=1):
                margins = [one.stop - one.start + 1 for one in box]
                around = tuple(
                    slice(max(one.start - margin, 0), one.stop + margin)
                    for one, margin in zip(box, margins, strict=True)
                )
                lesion = labels[around] == number
                expected = 1 - green[around][lesion].mean() / green[around][~lesion].mean()
                assert facts.lesions[name].contrasts[number - 1] == pytest.approx(expected, abs=1e-3)


def test_the_field_of_view_is_the_ruler(source):
    facts = measure_photograph(cases_of(source[0])[0], DataConfig(classes=("HE", "EX")))
    assert facts.field_diameter == pytest.approx(200, rel=0.01) and facts.ruler == facts.field_diameter
    assert facts.field_pixels == pytest.approx(np.pi * 100**2, rel=0.05)


def test_facts_survive_json(source):
    facts = measure_photograph(cases_of(source[0])[0], DataConfig(classes=("HE", "EX")))
    assert facts_from_dict(facts_to_dict(facts)) == facts


def test_only_what_changed_is_measured_again(source, tmp_path):
    folder, kept = source[0], tmp_path / "kept.json"

    def take():
        return take_fingerprint("", cases_of(folder), DataConfig(classes=("HE", "EX")), kept=kept, workers=2)

    first, second = take(), take()
    assert (first.measured, second.measured) == (3, 0) and first.facts == second.facts
    os.utime(folder / "masks" / "EX" / "eye1.png", ns=(1, 1))
    assert take().measured == 1
    kept.write_text("{")
    assert take().measured == 3


def test_a_photograph_that_cannot_be_read_is_named_and_left_out(source, tmp_path):
    folder = source[0]
    (folder / "images" / "eye1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    cases = cases_of(folder)
    found = take_fingerprint("", cases, DataConfig(classes=("HE", "EX")), kept=tmp_path / "kept.json", workers=1)
    assert list(found.failures) == ["eye1"] and [case.name for case in found.cases] == ["eye0", "eye2"]
    with pytest.raises(InputError, match="none of the 1 photographs can be read; the first: "):
        take_fingerprint("", cases[1:2], DataConfig(classes=("HE", "EX")), kept=tmp_path / "no.json", workers=1)


def test_lesions_of_a_class_are_fractions_of_the_field_of_view(eyes):
    facts = eyes.of_class("HE")
    assert (facts.showing, facts.known, facts.absent) == (12, 12, 0)
    pixels = [np.count_nonzero(cv2.circle(np.zeros((40, 40)), (20, 20), radius, 1, -1)) for radius in (4, 10)]
    np.testing.assert_allclose(
        np.sort(facts.diameters)[[0, -1]] * 200, np.sqrt(4 / np.pi * np.array(pixels)), rtol=0.01
    )
    assert eyes.of_class("EX").showing == 2 and eyes.shown_classes == ("HE", "EX")


def test_sizes_do_not_depend_on_the_resolution(write_eyes, fingerprint_of, tmp_path):
    lesions = {"HE": [[20]] * 2}
    write_eyes(tmp_path / "small", lesions=lesions)
    write_eyes(tmp_path / "large", lesions={"HE": [[40]] * 2}, side=480, diameter=400)
    small, large = (fingerprint_of(tmp_path / name).of_class("HE").diameters for name in ("small", "large"))
    np.testing.assert_allclose(small, large, rtol=0.03)


def test_test_photographs_decide_nothing(write_eyes, fingerprint_of, tmp_path):
    write_eyes(tmp_path / "source" / "train", lesions={"HE": [[20]] * 3, "EX": [[]] * 3})
    write_eyes(tmp_path / "source" / "test", lesions={"HE": [[60]] * 3, "EX": [[20]] * 3}, first=3)
    found = fingerprint_of(tmp_path / "source")
    assert len(found.cases) == 6 and found.patients == 3
    assert found.shown_classes == ("HE",) and len(found.of_class("HE").diameters) == 3
