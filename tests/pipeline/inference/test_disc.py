"""The optic disc as a ruler: a photograph without a visible circle is scaled by its disc."""

import cv2
import numpy as np
import pytest

from pipeline.inference.disc import find_disc, scale_by_disc
from records import PhotographScale

FRAME = PhotographScale(0.4, "frame")
USUAL = (130.0, 170.0, 220.0)


def disc_map(diameter: float, *, probability: float = 0.9, side: int = 700) -> np.ndarray:
    drawn = np.zeros((side, side), np.float32)
    return cv2.circle(drawn, (side // 2, side // 3), round(diameter / 2), probability, -1)


@pytest.mark.parametrize("diameter", [40, 61, 180])
def test_a_disc_has_the_diameter_of_a_circle_of_its_area(diameter):
    found = find_disc(disc_map(diameter), 0.5)
    assert found[0] == pytest.approx(diameter, rel=0.05)
    assert found[1] == pytest.approx(0.9, abs=0.06)


def test_the_largest_detection_is_the_disc_and_none_without_one():
    drawn = np.maximum(disc_map(100), np.pad(np.full((20, 20), 0.9, np.float32), ((0, 680), (680, 0))))
    assert find_disc(drawn, 0.5)[0] == pytest.approx(100, rel=0.05)
    assert find_disc(drawn * 0.5, 0.5) is None


def test_a_long_region_is_less_sure_than_a_round_one():
    line = np.zeros((300, 300), np.float32)
    line[100:110, 20:280] = 0.9
    assert find_disc(line, 0.5)[1] < 0.1


@pytest.mark.parametrize("diameter", [300, 500, 900])
def test_the_photograph_is_scaled_so_that_its_disc_is_as_large_as_usual(diameter):
    """The disc has this many pixels in the photograph; a network finds it if it is about as large as it knows."""

    def seen(factor: float) -> np.ndarray:
        size = diameter * factor
        return disc_map(size, probability=0.9 if 80 < size < 350 else 0.1)

    scale = scale_by_disc(seen, FRAME, threshold=0.5, usual=USUAL)
    assert scale.ruler == "optic disc"
    assert scale.factor == pytest.approx(170 / diameter, rel=0.05)
    assert scale.warnings() == [f"no field of view found: scaled by {scale.factor:.3g} (optic disc)"]


def test_a_detection_that_another_scale_does_not_confirm_is_no_disc():
    def seen(factor: float) -> np.ndarray:
        return disc_map(150 if factor == FRAME.factor else 10)

    assert scale_by_disc(seen, FRAME, threshold=0.5, usual=USUAL) is FRAME


def test_without_a_disc_the_frame_decides():
    assert scale_by_disc(lambda factor: np.zeros((50, 50), np.float32), FRAME, threshold=0.5, usual=USUAL) is FRAME
