"""The gallery: who is in it, and what its pictures show."""

import cv2
import numpy as np
import pytest

from pipeline.evaluation.counting import count_photograph
from pipeline.evaluation.photographs import LoadedCase
from pipeline.reporting.gallery import MISSED, SHOWN, SIDE, Gallery, Picture, mean_dice
from records import CLASS_COLORS, perceptual_hash

CLASSES, THRESHOLDS = ("HE", "MA"), (0.5, 0.25)


def show(
    gallery: Gallery, case: str, photograph: np.ndarray, masks: np.ndarray, probabilities: np.ndarray
) -> float | None:
    """Counts a photograph, shows it to the gallery and returns its Dice."""
    retina = photograph.max(axis=-1) > 15
    counts = count_photograph(
        case, probabilities, masks, field_of_view=retina, classes=CLASSES, thresholds=THRESHOLDS, bins=16
    )
    gallery.look(LoadedCase(case, photograph, masks, retina), probabilities, counts)
    return mean_dice(counts)


def striped(found: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photograph with a lesion of 30 rows, of which so many are found."""
    photograph = np.full((40, 50, 3), 90, np.uint8)
    masks, probabilities = np.zeros((40, 50, 2), bool), np.zeros((40, 50, 2), np.float32)
    masks[5:35, 10:20, 0] = True
    probabilities[5 : 5 + found, 10:20, 0] = 0.9
    return photograph, masks, probabilities


def decoded(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("photographs", [1, 2, 5, 11, 12, 13, 25])
def test_the_worst_and_the_best_are_those_of_a_full_sort_and_nobody_is_in_both(photographs):
    rng = np.random.default_rng(photographs)
    gallery = Gallery(CLASSES, THRESHOLDS)
    dice = {}
    for number in range(photographs):
        case = f"P{number:02d}"
        dice[case] = show(gallery, case, *striped(int(rng.integers(0, 31))))  # equal ones are among them
    ordered = sorted(dice, key=lambda case: (dice[case], case))
    worst, best = [one.case for one in gallery.worst], [one.case for one in gallery.best]
    assert worst == ordered[: min(SHOWN, (photographs + 1) // 2)]
    assert best == ordered[::-1][: min(SHOWN, photographs // 2)]
    assert not set(worst) & set(best)
    assert [one.value for one in gallery.worst] == [dice[case] for case in worst]
    assert set(gallery.hashes) == set(dice)


def test_photographs_without_a_lesion_rank_apart_by_their_false_positives():
    gallery = Gallery(CLASSES, THRESHOLDS)
    for number in range(9):
        photograph, masks, probabilities = striped(number)
        show(gallery, f"P{number}", photograph, np.zeros_like(masks), probabilities)
    assert gallery.worst == gallery.best == []
    assert [one.case for one in gallery.false_alarms] == ["P8", "P7", "P6", "P5", "P4", "P3"]
    assert gallery.false_alarms[0].value == pytest.approx(8 * 10 / 2000)
    assert gallery.false_alarms[0].missed == []


def test_one_without_a_lesion_and_without_a_false_positive_is_in_no_rank():
    gallery = Gallery(CLASSES, THRESHOLDS)
    photograph, masks, probabilities = striped(0)
    show(gallery, "P", photograph, np.zeros_like(masks), probabilities)
    assert gallery.worst == gallery.best == gallery.false_alarms == []
    assert gallery.hashes == {"P": perceptual_hash(photograph)}


@pytest.fixture(scope="module")
def picture() -> Picture:
    """A photograph larger than its picture, retina in its middle, one lesion found, 14 of two classes missed."""
    photograph = np.zeros((1500, 2000, 3), np.uint8)
    photograph[100:1400, 200:1800] = 90
    masks, probabilities = np.zeros((1500, 2000, 2), bool), np.zeros((1500, 2000, 2), np.float32)
    masks[600:700, 900:1000, 0] = True
    probabilities[600:700, 900:1000, 0] = 0.9
    for number in range(14):
        side = 5 + number
        masks[300 : 300 + side, 300 + 90 * number : 300 + 90 * number + side, number % 2] = True
    probabilities[300:318, 300 + 90 * 13 : 300 + 90 * 13 + 18, 1] = 0.2  # the largest, of MA, below its threshold
    gallery = Gallery(CLASSES, THRESHOLDS)
    show(gallery, "P", photograph, masks, probabilities)
    return gallery.worst[0]


def test_the_pictures_show_the_field_of_view_shrunk_to_the_size_that_is_told(picture):
    assert (picture.width, picture.height) == (SIDE, round(SIDE * 1300 / 1600))
    for content in (picture.truth, picture.found):
        assert decoded(content).shape == (picture.height, picture.width, 3)


def test_true_and_predicted_outlines_are_in_their_own_pictures(picture):
    green = np.abs(decoded(picture.truth).astype(int) - CLASS_COLORS[0]).max(axis=-1) < 60
    found = np.abs(decoded(picture.found).astype(int) - CLASS_COLORS[0]).max(axis=-1) < 60
    shrink = SIDE / 1600
    box = np.s_[
        int((600 - 100 - 5) * shrink) : int((700 - 100 + 5) * shrink),
        int((900 - 200 - 5) * shrink) : int((1000 - 200 + 5) * shrink),
    ]
    assert green[box].any()
    assert found[box].any()
    found[box] = False
    assert not found.any()
    green[box] = False
    assert green.any()


def test_the_largest_missed_lesions_are_told_with_place_number_and_probability(picture):
    assert picture.missed_in_all == 14
    assert len(picture.missed) == MISSED
    assert [one.area for one in picture.missed] == [side**2 for side in range(18, 18 - MISSED, -1)]
    largest, second = picture.missed[:2]
    assert (largest.class_name, largest.maximum) == ("MA", pytest.approx(0.2))
    assert (largest.y, largest.x) == (round(300 + 17 / 2), round(300 + 90 * 13 + 17 / 2))
    assert second.class_name == "HE"
    left, top, width, height = largest.box
    assert (left * 1600, top * 1300) == (pytest.approx(300 + 90 * 13 - 200), pytest.approx(200))
    assert (width * 1600, height * 1300) == (pytest.approx(18), pytest.approx(18))


def test_the_close_up_shows_the_true_outline_on_the_left_and_what_was_predicted_on_the_right(picture):
    close = decoded(picture.missed[0].close).astype(int)
    cyan = np.abs(close - CLASS_COLORS[1]).max(axis=-1) < 90
    middle = close.shape[1] // 2
    assert cyan[:, : middle - 5].any()
    assert not cyan[:, middle + 5 :].any()
