"""The colour threshold that networks are compared with."""

import dataclasses

import numpy as np
import pytest

from pipeline.evaluation.baseline import baseline_aupr, color_threshold_map
from pipeline.evaluation.counting import count_photograph
from pipeline.evaluation.scores import average_precision
from pipeline.operating_point import OperatingPoint
from records import field_of_view


@pytest.fixture(scope="module")
def picture(fundus):
    return fundus(120, 160, seed=2)


def test_the_map_is_how_dark_green_is_within_the_field_of_view(picture):
    found = color_threshold_map(picture.photograph, 1)
    retina = field_of_view(picture.photograph)
    assert (found.shape, found.dtype) == ((120, 160, 1), np.float32)
    np.testing.assert_allclose(found[..., 0][retina], 1 - picture.photograph[..., 1][retina] / 255, atol=1e-6)
    assert 0 < retina.mean() < 1
    assert not found[~retina].any()


def test_every_class_gets_the_same_map(picture):
    found = color_threshold_map(picture.photograph, 3)
    assert found.shape == (120, 160, 3)
    assert np.array_equal(found, found[..., :1].repeat(3, axis=-1))


def test_on_dark_lesions_it_is_far_better_than_chance(picture):
    masks = picture.masks[..., :1]
    counts = count_photograph(
        "P",
        color_threshold_map(picture.photograph, 1),
        masks,
        field_of_view=field_of_view(picture.photograph),
        classes=("HE",),
        operating_point=OperatingPoint((0.5,)),
        bins=256,
    ).counts["field_of_view"]["HE"]
    assert average_precision(counts.lesion, counts.negatives) > 0.5 > 3 * masks.mean()


def test_its_aupr_is_that_of_its_map_and_unreadable_cases_are_skipped(records_set, tmp_path):
    data, gone = records_set.index.data, dataclasses.replace(records_set.cases["E"], photograph=tmp_path / "gone.png")
    found = baseline_aupr([gone, records_set.cases["D"]], data, bins=256)
    photograph, masks = records_set.pictures["D"]
    counts = count_photograph(
        "D",
        color_threshold_map(photograph, 2),
        masks,
        field_of_view=field_of_view(photograph),
        classes=data.classes,
        operating_point=OperatingPoint((0.5, 0.5)),
        bins=256,
    ).counts["frame"]
    assert found == {name: average_precision(one.lesion, one.negatives) for name, one in counts.items()}
