"""Previews: ground truth and prediction side by side, a close-up where needed, and the strip of all epochs."""

import dataclasses

import cv2
import numpy as np
import pytest

from configs import InputError
from pipeline.input import RecordSet
from pipeline.panels import outlined
from pipeline.training.callbacks import PreviewCase, Previews, choose_previews, preview_tiles
from pipeline.training.callbacks.preview_sheets import read_preview
from records import CLASS_COLORS, tile_starts

GREEN, CYAN = CLASS_COLORS[:2]
GAP, ABOVE = 6, 25  # between panels; what is written above one


def disc(height: int, width: int, y: int, x: int, radius: int) -> np.ndarray:
    ys, xs = np.mgrid[:height, :width]
    return np.hypot(ys - y, xs - x) <= radius


def colored(image: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return (image == color).all(axis=-1)


@pytest.fixture
def tile() -> PreviewCase:
    """A grey tile of 90 pixels with one lesion of each of two classes."""
    masks = np.stack([disc(90, 90, 30, 20, 6), disc(90, 90, 60, 70, 9)], axis=-1)
    return PreviewCase("tile", np.full((90, 90, 3), 100, np.uint8), masks)


@pytest.fixture
def photograph() -> PreviewCase:
    """A black photograph of 1200 x 1800 with noise, a large lesion and a small one."""
    pixels = np.random.default_rng(0).integers(0, 50, (1200, 1800, 3)).astype(np.uint8)
    masks = (disc(1200, 1800, 300, 1400, 60) | disc(1200, 1800, 900, 200, 4))[..., None]
    return PreviewCase("photograph", pixels, masks)


def test_a_preview_has_the_ground_truth_on_the_left_and_the_prediction_on_the_right(tile, tmp_path):
    found = np.zeros((90, 90, 2), np.float32)
    found[40:50, 40:50, 0] = 0.6  # at the threshold of its class
    found[10:20, 40:50, 1] = 0.7  # below the threshold of its class
    seen = []

    def segment(image):
        seen.append(image)
        return found

    Previews(tmp_path, [tile], segment, classes=("HE", "MA"), thresholds=(0.6, 0.8)).on_epoch_end(6)
    assert seen[0] is tile.photograph
    drawn = read_preview(tmp_path / "tile" / "epoch_007.png")[ABOVE:]
    truth, prediction = drawn[:900, :900], drawn[:900, 900 + GAP :]  # 90 pixels ten times as large
    for index, color in enumerate((GREEN, CYAN)):
        expected = np.kron(tile.masks[..., index], np.ones((10, 10))) > 0
        outline = colored(truth, color)
        assert outline.any()
        assert not (outline & ~expected).any()
        assert np.array_equal(cv2.boundingRect(outline.astype(np.uint8)), cv2.boundingRect(expected.astype(np.uint8)))
    ys, xs = np.nonzero(colored(prediction, GREEN))
    assert (ys.min(), ys.max(), xs.min(), xs.max()) == (400, 499, 400, 499)
    assert len(ys) == 4 * 99  # an outline one pixel wide
    assert not colored(prediction, CYAN).any()


def test_what_is_not_labelled_is_striped_in_the_ground_truth_alone_and_named_below(tile, tmp_path):
    known = np.ones((90, 90, 2), bool)
    known[40:80, 10:50, 0] = False
    nothing = np.zeros((90, 90, 2), np.float32)
    options = {"classes": ("HE", "MA"), "thresholds": (0.5, 0.5)}
    for folder, case in (("all", tile), ("parts", tile._replace(known=known))):
        Previews(tmp_path / folder, [case], lambda image: nothing, **options).on_epoch_end(0)
    drawn, striped = (read_preview(tmp_path / folder / "tile" / "epoch_001.png") for folder in ("all", "parts"))
    assert len(striped) > len(drawn)
    ys, xs = np.nonzero((drawn != striped[: len(drawn)]).any(axis=-1)[: ABOVE + 900])
    assert 395 <= ys.min() - ABOVE < 405 and 795 <= ys.max() - ABOVE < 800 and xs.min() >= 100 and xs.max() < 500
    assert (striped[ys, xs] == GREEN).all()
    below = striped[len(drawn) - 5 :]
    assert (below < 100).any()  # the note


@pytest.mark.parametrize(("side", "times"), [(64, 14), (512, 1), (768, 1), (900, 1)])
def test_tiles_are_enlarged_by_whole_pixels_and_need_no_close_up(side, times, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (side, side, 3)).astype(np.uint8)
    picture = PreviewCase("tile", pixels, np.zeros((side, side, 1), bool))
    Previews(
        tmp_path, [picture], lambda image: np.zeros((side, side, 1)), classes=("HE",), thresholds=(0.5,)
    ).on_epoch_end(0)
    drawn = read_preview(tmp_path / "tile" / "epoch_001.png")
    assert drawn.shape == (ABOVE + side * times + ABOVE, 2 * side * times + GAP, 3)  # the legend last
    enlarged = np.kron(pixels, np.ones((times, times, 1), np.uint8))
    for left in (0, side * times + GAP):
        assert np.array_equal(drawn[ABOVE : ABOVE + side * times, left : left + side * times], enlarged)


def test_a_photograph_is_shrunk_and_has_a_close_up_of_its_densest_place_at_its_own_resolution(photograph, tmp_path):
    Previews(
        tmp_path, [photograph], lambda image: photograph.masks * np.float32(0.9), classes=("HE",), thresholds=(0.5,)
    ).on_epoch_end(0)
    drawn = read_preview(tmp_path / "photograph" / "epoch_001.png")
    assert drawn.shape == (2 * (ABOVE + 600) + GAP + ABOVE, 2 * 900 + GAP, 3)
    whole = drawn[ABOVE : ABOVE + 600, :900]
    parts, _, _, centers = cv2.connectedComponentsWithStats(colored(whole, GREEN).astype(np.uint8))
    assert parts == 1 + 2  # the lesion of 9 pixels, too
    np.testing.assert_allclose(sorted(map(tuple, centers[1:])), [(100, 450), (700, 150)], atol=0.6)

    ys, xs = np.nonzero(colored(whole, (255, 255, 255)))
    frame = ys.min(), ys.max() + 1, xs.min(), xs.max() + 1
    assert (frame[1] - frame[0], frame[3] - frame[2]) == (150, 225)
    assert np.abs(np.subtract(frame, (150 - 75, 150 + 75, 700 - 112, 700 + 113))).max() <= 1  # the lesion in the middle
    top, bottom, left, right = (2 * value for value in frame)
    close = drawn[2 * ABOVE + 600 + GAP :][:600, :900]
    expected = outlined(
        photograph.photograph[top:bottom, left:right], photograph.masks[top:bottom, left:right], (600, 900)
    )
    assert np.array_equal(close, expected)
    # Twice as large as it is: a radius of 60 pixels, the photograph's pixels doubled.
    ys, xs = np.nonzero(colored(close, GREEN))
    assert np.ptp(xs) + 1 == 2 * 121
    untouched = ~colored(close[::2, ::2], GREEN)
    assert np.array_equal(close[::2, ::2][untouched], photograph.photograph[top:bottom, left:right][untouched])


def test_the_right_half_of_a_preview_is_the_left_half_where_truth_was_predicted(photograph, tmp_path):
    Previews(
        tmp_path, [photograph], lambda image: photograph.masks * np.float32(0.9), classes=("HE",), thresholds=(0.5,)
    ).on_epoch_end(0)
    drawn = read_preview(tmp_path / "photograph" / "epoch_001.png")
    for top in (ABOVE, 2 * ABOVE + 600 + GAP):
        rows = drawn[top : top + 600]
        assert np.array_equal(rows[:, :900], rows[:, 900 + GAP :])


@pytest.mark.slow
def test_the_strip_has_at_most_twelve_panels_with_the_ground_truth_and_the_first_and_the_last_epoch(tile, tmp_path):
    epochs = 30
    for epoch in range(epochs):  # the prediction wanders to the right
        found = np.stack([disc(90, 90, 45, 3 * epoch, 2), np.zeros((90, 90))], axis=-1)
        previews = Previews(
            tmp_path, [tile], lambda image, found=found: found, classes=("HE", "MA"), thresholds=(0.5, 0.5)
        )
        previews.on_epoch_end(epoch)
    previews.on_train_end()  # a callback that saw the last epoch alone, as after a restart
    strip = read_preview(tmp_path / "tile.png")
    cell = ABOVE + 450
    assert strip.shape == (3 * (cell + GAP) - GAP + ABOVE, 4 * (450 + GAP) - GAP, 3)
    cells = [
        strip[row * (cell + GAP) + ABOVE :, column * (450 + GAP) :][:450, :450]
        for row in range(3)
        for column in range(4)
    ]
    centers = [np.nonzero(colored(picture, GREEN))[1].mean() / 5 for picture in cells]
    assert centers[0] == pytest.approx(20, abs=1)
    assert colored(cells[0], CYAN).any()
    assert not any(colored(picture, CYAN).any() for picture in cells[1:])
    shown = [round(center / 3) for center in centers[2:]]
    assert centers[1] == pytest.approx(1, abs=0.6)  # epoch 1; half of it lies outside
    assert shown[-1] == epochs - 1
    assert set(np.diff(shown)) <= {2, 3, 4}


def test_the_strip_leaves_out_epochs_after_the_last_one_done(tile, tmp_path):
    previews = Previews(tmp_path, [tile], lambda image: tile.masks, classes=("HE", "MA"), thresholds=(0.5, 0.5))
    for epoch in (0, 1, 2, 7):
        previews.on_epoch_end(epoch)
    previews.on_epoch_end(1)  # done again after a kill
    previews.on_train_end()
    assert read_preview(tmp_path / "tile.png").shape[:2] == (2 * (ABOVE + 450) + GAP + ABOVE, 2 * 450 + GAP)


def test_outlines_keep_their_colours_on_the_strip(photograph, tmp_path):
    previews = Previews(tmp_path, [photograph], lambda image: photograph.masks, classes=("HE",), thresholds=(0.5,))
    previews.on_epoch_end(0)
    previews.on_train_end()
    strip = read_preview(tmp_path / "photograph.png")
    whole, close = strip[ABOVE : ABOVE + 300, :450], strip[ABOVE + 300 + 3 :][:300, :450]
    assert cv2.connectedComponents(colored(whole, GREEN).astype(np.uint8))[0] == 1 + 2
    outline = colored(close, GREEN)
    assert np.ptp(np.nonzero(outline)[1]) + 1 == pytest.approx(121, abs=1)
    assert cv2.connectedComponents((~outline).astype(np.uint8), connectivity=4)[0] == 1 + 2  # closed: inside, outside


def test_no_detection_and_no_lesion_leave_the_photograph_as_it_is(tmp_path):
    picture = PreviewCase("empty", np.full((1000, 1000, 3), 9, np.uint8), np.zeros((1000, 1000, 8), bool))
    previews = Previews(
        tmp_path, [picture], lambda image: np.full((1000, 1000, 8), np.nan), classes="abcdefgh", thresholds=(0.5,) * 8
    )
    previews.on_epoch_end(0)
    previews.on_train_end()
    drawn = read_preview(tmp_path / "empty" / "epoch_001.png")[ABOVE : ABOVE + 900]
    ys, xs = np.nonzero(colored(drawn[:, :900], (255, 255, 255)))
    assert (ys.min() + ys.max() + 1, xs.min() + xs.max() + 1) == pytest.approx((900, 900), abs=1)  # in the middle
    assert set(np.unique(drawn[:, :900])) == {9, 255}


NAMES = {"none": 0, "few": 10, "more": 200, "many": 3000, "most": 90_000}


@pytest.mark.parametrize(
    ("number", "chosen"),
    [
        (0, []),
        (1, ["more"]),
        (2, ["none", "most"]),
        (3, ["none", "more", "most"]),
        (5, ["none", "few", "more", "many", "most"]),
        (9, ["none", "few", "more", "many", "most"]),
    ],
)
def test_photographs_are_chosen_evenly_from_few_lesion_pixels_to_many(number, chosen):
    assert choose_previews(dict(sorted(NAMES.items())), number, ()) == chosen


def test_wanted_photographs_are_chosen_in_their_order():
    assert choose_previews(NAMES, 1, ("most", "few")) == ["most", "few"]


def test_a_photograph_that_is_not_in_validation_is_refused_with_the_names_of_those_that_are():
    with pytest.raises(InputError, match=r"preview_cases has A, B, but .* are few, many, more, most, none; choose"):
        choose_previews(NAMES, 1, ("A", "most", "B"))


def test_the_tile_of_a_photograph_is_the_one_with_the_most_lesion_pixels(records_set):
    assert set(records_set.index.splits["validation"].cases) == {"D", "E"}
    for names in (["E", "D"], ["D"]):
        pictures = preview_tiles(records_set.sets, names)
        assert [picture.name for picture in pictures] == names
        for name, tile, masks, known in pictures:
            assert known is None
            assert (tile.dtype, masks.dtype) == (np.uint8, bool)
            photograph, truth = (
                np.pad(part, ((0, max(0, 64 - part.shape[0])), (0, 0), (0, 0))) for part in records_set.pictures[name]
            )
            starts = [tile_starts(side, 64, 48) for side in photograph.shape[:2]]
            parts = [np.s_[y : y + 64, x : x + 64] for y in starts[0] for x in starts[1]]
            fullest = max(parts, key=lambda part, truth=truth: np.count_nonzero(truth[part].any(axis=-1)))
            assert np.array_equal(tile, photograph[fullest])
            assert np.array_equal(masks, truth[fullest])


def test_the_tile_of_a_partly_known_photograph_says_where_it_is_known(records_set, shard, tmp_path):
    partly = dataclasses.replace(
        records_set.cases["D"], unknown=frozenset({"MA"}), masks={**records_set.cases["D"].masks, "MA": None}
    )
    index = shard(tmp_path / "partly", [partly], records_set.index.data)
    (picture,) = preview_tiles([RecordSet(tmp_path / "partly", index)], ["D"])
    assert picture.masks.shape == picture.known.shape == (64, 64, 2)
    assert picture.known[..., 0].all() and not picture.known[..., 1].any()


def test_the_tile_of_a_photograph_is_found_in_the_second_set_too(records_set, shard, tmp_path):
    other = shard(tmp_path / "other", [records_set.cases["D"]], records_set.index.data)
    first = shard(tmp_path / "first", [records_set.cases["E"]], records_set.index.data)
    sets = [RecordSet(tmp_path / "first", first), RecordSet(tmp_path / "other", other)]
    for one, expected in zip(preview_tiles(sets, ["D"]), preview_tiles(records_set.sets, ["D"]), strict=True):
        assert np.array_equal(one.photograph, expected.photograph)
