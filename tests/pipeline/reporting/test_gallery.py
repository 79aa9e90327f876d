"""The gallery: which photographs it keeps, and what their outlines show."""

import cv2
import numpy as np
import pytest

from pipeline.evaluation import LoadedCase, PhotographCounts, count_photograph
from pipeline.operating_point import OperatingPoint
from pipeline.reporting import gallery as gallery_module
from pipeline.reporting.gallery import SHOWN, Gallery, mean_dice
from pipeline.reporting.outlined_photographs import MISSED, SIDE, OutlinedPhotograph
from records import CLASS_COLORS

CLASSES, THRESHOLDS = ("HE", "MA"), (0.5, 0.25)
POINT = OperatingPoint(THRESHOLDS)


def counted(
    case: str,
    photograph: np.ndarray,
    masks: np.ndarray,
    probabilities: np.ndarray,
    *,
    point: OperatingPoint = POINT,
    known: np.ndarray | None = None,
    factor: float | None = None,
) -> tuple[LoadedCase, np.ndarray, PhotographCounts]:
    """Counts a photograph, and returns what a gallery looks at."""
    field_of_view = photograph.max(axis=-1) > 15
    counts = count_photograph(
        case,
        probabilities,
        masks,
        field_of_view=field_of_view,
        classes=CLASSES,
        operating_point=point,
        bins=16,
        known=known,
        factor=factor,
    )
    return LoadedCase(case, photograph, masks, field_of_view, known), probabilities, counts


def show(gallery: Gallery, case: str, *maps: np.ndarray) -> float | None:
    """Shows a photograph with its masks and probabilities to the gallery, and returns its mean Dice."""
    seen = counted(case, *maps)
    gallery.look(*seen)
    return mean_dice(seen[-1])


def striped(found: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a photograph with a lesion of 30 rows, its masks, and a map that finds so many rows."""
    photograph = np.full((40, 50, 3), 90, np.uint8)
    masks, probabilities = np.zeros((40, 50, 2), bool), np.zeros((40, 50, 2), np.float32)
    masks[5:35, 10:20, 0] = True
    probabilities[5 : 5 + found, 10:20, 0] = 0.9
    return photograph, masks, probabilities


def decoded(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("photographs", [1, 2, 5, 11, 12, 13, 25])
def test_the_worst_and_the_best_are_those_of_a_full_sort_and_none_is_in_both(photographs):
    rng = np.random.default_rng(photographs)
    gallery = Gallery(CLASSES, POINT)
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


@pytest.mark.parametrize("seed", range(2))
def test_the_galleries_of_several_processes_rank_as_one_does(seed):
    rng = np.random.default_rng(seed)
    one, taking, others = Gallery(CLASSES, POINT), Gallery(CLASSES, POINT), [Gallery(CLASSES, POINT) for _ in range(3)]
    shown = []
    for number in range(40):
        photograph, masks, probabilities = striped(int(rng.integers(0, 31)))
        masks = masks if number % 3 else np.zeros_like(masks)
        seen = counted(f"P{number:02d}", photograph, masks, probabilities)
        one.look(*seen)
        shown.append((seen[-1], others[rng.integers(3)].look(*seen)))
    for number in rng.permutation(len(shown)):
        taking.take(*shown[number])
    for rank in ("worst", "best", "false_alarms"):
        assert getattr(taking, rank) == getattr(one, rank)
        assert len(getattr(one, rank)) == SHOWN


def test_photographs_without_a_lesion_are_ranked_by_their_false_positives():
    gallery = Gallery(CLASSES, POINT)
    for number in range(9):
        photograph, masks, probabilities = striped(number)
        show(gallery, f"P{number}", photograph, np.zeros_like(masks), probabilities)
    assert gallery.worst == gallery.best == []
    assert [one.case for one in gallery.false_alarms] == ["P8", "P7", "P6", "P5", "P4", "P3"]
    assert gallery.false_alarms[0].value == pytest.approx(8 * 10 / 2000)
    assert gallery.false_alarms[0].missed == []


def test_a_photograph_without_lesions_and_false_positives_is_not_kept():
    gallery = Gallery(CLASSES, POINT)
    photograph, masks, probabilities = striped(0)
    show(gallery, "P", photograph, np.zeros_like(masks), probabilities)
    assert gallery.worst == gallery.best == gallery.false_alarms == []


@pytest.fixture(scope="module")
def outlined() -> OutlinedPhotograph:
    """A photograph larger than its JPEGs, with a lesion that is found and 14 missed ones of two classes."""
    photograph = np.zeros((1500, 2000, 3), np.uint8)
    photograph[100:1400, 200:1800] = 90
    masks, probabilities = np.zeros((1500, 2000, 2), bool), np.zeros((1500, 2000, 2), np.float32)
    masks[600:700, 900:1000, 0] = True
    probabilities[600:700, 900:1000, 0] = 0.9
    for number in range(14):
        side = 5 + number
        masks[300 : 300 + side, 300 + 90 * number : 300 + 90 * number + side, number % 2] = True
    probabilities[300:318, 300 + 90 * 13 : 300 + 90 * 13 + 18, 1] = 0.2  # the largest, of MA, below its threshold
    gallery = Gallery(CLASSES, POINT)
    show(gallery, "P", photograph, masks, probabilities)
    return gallery.worst[0]


def test_the_jpegs_show_the_field_of_view_at_the_size_given(outlined):
    assert (outlined.width, outlined.height) == (SIDE, round(SIDE * 1300 / 1600))
    for content in (outlined.masks, outlined.detections):
        assert decoded(content).shape == (outlined.height, outlined.width, 3)


def test_masks_and_detections_are_outlined_in_their_own_jpegs(outlined):
    mask = np.abs(decoded(outlined.masks).astype(int) - CLASS_COLORS[0]).max(axis=-1) < 60
    detected = np.abs(decoded(outlined.detections).astype(int) - CLASS_COLORS[0]).max(axis=-1) < 60
    shrink = SIDE / 1600
    box = np.s_[
        int((600 - 100 - 5) * shrink) : int((700 - 100 + 5) * shrink),
        int((900 - 200 - 5) * shrink) : int((1000 - 200 + 5) * shrink),
    ]
    assert mask[box].any()
    assert detected[box].any()
    detected[box] = False
    assert not detected.any()
    mask[box] = False
    assert mask.any()


def test_what_is_not_labelled_is_striped_in_the_ground_truth_and_noted():
    photograph, masks, probabilities = striped(20)
    known = np.ones_like(masks)
    known[:, 30:, 0] = known[..., 1] = False
    gallery = Gallery(CLASSES, POINT)
    gallery.look(*counted("P", photograph, masks, probabilities, known=known))
    (shown,) = gallery.worst
    assert shown.notes == ["not labelled: MA", "not labelled where striped: HE"]
    green = [
        np.abs(decoded(content).astype(int) - CLASS_COLORS[0]).max(axis=-1)[:, 32:].min() < 60
        for content in (shown.masks, shown.detections)
    ]
    assert green == [True, False]


def test_the_largest_missed_lesions_have_place_number_and_probability(outlined):
    assert outlined.missed_count == 14
    assert len(outlined.missed) == MISSED
    assert [one.area for one in outlined.missed] == [side**2 for side in range(18, 18 - MISSED, -1)]
    largest, second = outlined.missed[:2]
    assert (largest.class_name, largest.maximum) == ("MA", pytest.approx(0.2))
    assert (largest.y, largest.x) == (round(300 + 17 / 2), round(300 + 90 * 13 + 17 / 2))
    assert second.class_name == "HE"
    left, top, width, height = largest.box
    assert (left * 1600, top * 1300) == (pytest.approx(300 + 90 * 13 - 200), pytest.approx(200))
    assert (width * 1600, height * 1300) == (pytest.approx(18), pytest.approx(18))


def test_the_close_up_shows_the_mask_on_the_left_and_detections_on_the_right(outlined):
    close = decoded(outlined.missed[0].close_up).astype(int)
    cyan = np.abs(close - CLASS_COLORS[1]).max(axis=-1) < 90
    middle = close.shape[1] // 2
    assert cyan[:, : middle - 5].any()
    assert not cyan[:, middle + 5 :].any()


def test_outlines_are_of_the_detections_that_were_counted_at_the_photographs_scale(monkeypatch):
    """At a factor of a half, 8 pixels at the network's scale are 32 of the photograph; the detection has 30."""
    drawn = []
    monkeypatch.setattr(gallery_module, "outline_photograph", lambda loaded, detected, *_, **__: drawn.append(detected))
    monkeypatch.setattr(gallery_module._Rank, "add", lambda *_: None)
    for least, pixels in ((7.5, 30), (8.0, 0)):
        point = OperatingPoint(THRESHOLDS, min_areas=(least, 0.0))
        seen = counted("P", *striped(3), point=point, factor=0.5)
        Gallery(CLASSES, point).look(*seen)
        assert np.count_nonzero(drawn[-1]) == pixels == seen[-1].counts["frame"]["HE"].true_positive
