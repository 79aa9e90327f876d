"""Regions that are not labelled are striped, and classes that are not are named."""

import numpy as np
import pytest

from pipeline.unlabelled import GREY, draw_stripes, unlabelled_notes, unlabelled_regions
from records import CLASS_COLORS

CLASSES = ("HE", "MA", "EX")


@pytest.fixture
def known() -> np.ndarray:
    """Bool `[100, 200, 3]`: HE is unknown on the left, MA nowhere known, EX unknown at the top."""
    known = np.ones((100, 200, 3), bool)
    known[:, :80, 0] = known[..., 1] = known[:40, :, 2] = False
    return known


def test_stripes_have_the_colour_of_the_class_that_is_unknown_there_and_are_grey_where_several_are(known):
    image = draw_stripes(np.full((100, 200, 3), 90, np.uint8), unlabelled_regions(known))
    parts = {
        CLASS_COLORS[0]: image[40:, :80],
        GREY: image[:40, :80],
        CLASS_COLORS[2]: image[:40, 80:],
        None: image[40:, 80:],
    }
    for color, part in parts.items():
        found = {tuple(pixel) for pixel in part.reshape(-1, 3).tolist()}
        assert found == {(90, 90, 90)} | ({color} if color else set())
        striped = (part != 90).any(axis=-1).mean()
        assert striped == 0 if color is None else 0.05 < striped < 0.2  # what is below can be seen


def test_a_part_of_a_photograph_is_striped_also_where_none_of_it_is_known(known):
    part = unlabelled_regions(known)[50:, :30]
    assert part[..., 0].all()
    assert (draw_stripes(np.zeros((50, 30, 3), np.uint8), part) == CLASS_COLORS[0]).all(axis=-1).any()


def test_the_notes_name_the_classes_that_nobody_looked_for_and_those_that_are_striped(known):
    assert unlabelled_notes(known, CLASSES) == [
        "not labelled: MA",
        "not labelled where striped: HE, EX (grey: several of them)",
    ]
    assert unlabelled_notes(known[..., :1], CLASSES[:1]) == ["not labelled where striped: HE"]


def test_there_is_nothing_to_say_or_to_stripe_of_what_is_known():
    known = np.ones((4, 5, 2), bool)
    for everything in (None, known):
        assert unlabelled_notes(everything, CLASSES[:2]) == []
        assert unlabelled_regions(everything) is None
    image = np.zeros((4, 5, 3), np.uint8)
    assert draw_stripes(image, None) is image and not image.any()
