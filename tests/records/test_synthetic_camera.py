"""Other cameras of drawn photographs: their size, their angle of view, and masks that move along."""

import cv2
import numpy as np
import pytest

from configs import InputError
from records import field_of_view, find_cases
from records.synthetic import SyntheticPhotograph, by_camera, synthetic_photograph, write_paired_set


@pytest.fixture(scope="module")
def drawn() -> SyntheticPhotograph:
    return synthetic_photograph(np.random.default_rng(1), 500, 700)


def lesions(mask: np.ndarray) -> tuple[int, float]:
    """The number of lesions, and the median of their diameters, pixels."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    return len(areas), float(np.median(np.sqrt(areas)))


def test_a_camera_of_another_size_shows_the_same_lesions_smaller(drawn):
    smaller = by_camera(drawn, width=350, degrees=50)
    assert smaller.photograph.shape == (250, 350, 3)
    assert smaller.haemorrhages.shape == smaller.exudates.shape == (250, 350)
    count, diameter = lesions(drawn.haemorrhages)
    fewer, half = lesions(smaller.haemorrhages)
    assert 0.8 * count <= fewer <= count and half == pytest.approx(diameter / 2, rel=0.15)


def test_a_narrower_view_is_a_circle_in_which_lesions_are_larger(drawn):
    narrow = by_camera(drawn, width=700, degrees=25)
    inside = field_of_view(narrow.photograph)
    width, height = cv2.boundingRect(inside.view(np.uint8))[2:]
    assert width >= 0.97 * 700 and 0.97 < width / height < 1.03
    assert inside.mean() == pytest.approx(np.pi / 4, abs=0.03)
    near = cv2.dilate(inside.view(np.uint8), np.ones((9, 9))) > 0  # the circle that is found may be a little smaller
    assert not (narrow.haemorrhages & ~near).any()
    fraction = narrow.haemorrhages.sum() / inside.sum()
    wide = cv2.boundingRect(field_of_view(drawn.photograph).view(np.uint8))[2]
    _, before = lesions(drawn.haemorrhages)
    assert fraction < 0.2
    if narrow.haemorrhages.any():
        assert lesions(narrow.haemorrhages)[1] / width > 1.2 * before / wide


def test_a_set_of_another_camera_is_read_as_any_other(tmp_path):
    write_paired_set(tmp_path, training=2, test=1, width=300, degrees=30.0)
    _, cases = find_cases(tmp_path, ("HE", "EX"))
    assert len(cases) == 3
    for case in cases:
        assert cv2.imread(str(case.photograph)).shape[1] == 300


@pytest.mark.parametrize(
    ("options", "message"),
    [({"width": 100}, "width must be at least 256"), ({"degrees": 60.0}, "field_degrees must be 20 to 50")],
)
def test_cameras_out_of_range_are_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        write_paired_set(tmp_path, training=2, test=0, **options)
    assert not any(tmp_path.iterdir())
