"""Inspection: elements are those that training gets, with their origin and draws; extremes are the ends of ranges."""

import dataclasses
import itertools
import math

import cv2
import numpy as np
import pytest
import tensorflow as tf

from configs import AugmentConfig, Config, InputError, TrainConfig
from pipeline.input import AUGMENTATIONS, Crop, RecordSet, training_batches
from pipeline.input.draws import uniform, watched
from pipeline.inspection.descriptions import describe
from pipeline.inspection.elements import extremes, read_elements, replay
from pipeline.inspection.sheets import SIDE, draw_element, draw_elements, draw_extremes
from records import CLASS_COLORS
from records.shards.sharding import read_shard

OFF = dict.fromkeys(AUGMENTATIONS, 0.0)
NOTHING = AugmentConfig(**OFF)
HALF = AugmentConfig(**dict.fromkeys(AUGMENTATIONS, 0.5))
CROPPED = {"crop": 32, "lesion_fraction": 0.6}


@pytest.fixture(scope="module")
def configured(config):
    """Makes a config of the small records, seed 3 and batches of 4."""

    def make(augment: AugmentConfig = HALF, **fields: object) -> Config:
        return dataclasses.replace(config, augment=augment, train=TrainConfig(batch_size=4, seed=3, **fields))

    return make


@pytest.fixture(scope="module")
def elements(records_set, configured):
    """Elements 5 to 14 of a stream of crops with all augmentations."""
    return list(read_elements(records_set.sets, configured(**CROPPED), 5, number=10))


@pytest.fixture(scope="module")
def groups(records_set, configured):
    """The extremes, brightness being on and all else off, by the name of the augmentation."""
    found = list(extremes(records_set.sets, configured(AugmentConfig(**{**OFF, "brightness": 0.3}))))
    return {group[0].name: group for group in found}


@pytest.mark.slow
def test_elements_are_those_that_fit_gets(records_set, configured, elements):
    config = configured(**CROPPED)
    batches = list(training_batches(records_set.sets, config.train, config.augment).take(4).as_numpy_iterator())
    assert [element.k for element in elements] == list(range(5, 15))
    for element in elements:
        images, masks = batches[element.k // 4]
        assert np.array_equal(element.image, images[element.k % 4])
        assert np.array_equal(element.mask, masks[element.k % 4])


def test_augmenting_the_stored_tile_once_more_gives_the_elements_pixels(elements):
    """So the recorded draws are those behind the pixels."""
    for element in elements:
        crop = Crop(tf.constant(element.origin), 32)
        image, mask, draws = replay(*map(tf.constant, element.tile), (3, element.k), config=HALF, crop=crop)
        assert draws == element.draws
        assert np.array_equal(mask, element.mask)
        if "jpeg" not in draws:  # before which levels are rounded: there the last bit of a float may decide
            np.testing.assert_allclose(image, element.image, atol=0.01)


def test_flips_and_turns_of_whole_tiles_are_replayed_exactly(records_set, configured):
    config = configured(AugmentConfig())
    for element in read_elements(records_set.sets, config, 0, number=6):
        crop = Crop(tf.constant(element.origin), 64)
        image, mask, _ = replay(*map(tf.constant, element.tile), (3, element.k), config=config.augment, crop=crop)
        assert np.array_equal(image, element.image)
        assert np.array_equal(mask, element.mask)


def test_an_element_names_the_record_it_comes_from(elements):
    for element in elements:
        stored = element.stored
        tile = next(itertools.islice(read_shard(stored.shard), stored.record, None))
        assert (tile.case, tile.y, tile.x) == (stored.case, stored.y, stored.x)
        bits = cv2.imdecode(np.frombuffer(tile.mask, np.uint8), cv2.IMREAD_UNCHANGED)
        image = cv2.imdecode(np.frombuffer(tile.image, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert np.array_equal(element.tile[0], image)
        assert np.array_equal(element.tile[1], np.stack([bits & 1, bits >> 1 & 1], axis=-1))
    assert len({element.stored for element in elements}) > 3


def test_elements_of_several_sets_name_their_own_shards(records_set, configured, shard, tmp_path):
    cases = [dataclasses.replace(records_set.cases["D"], name="Z", split="train")]
    other = RecordSet(tmp_path / "other", shard(tmp_path / "other", cases, records_set.index.data))
    config = configured(NOTHING, records_weights=(1.0, 1.0))
    found = {
        one.stored.case: one.stored.shard.parent
        for one in read_elements([*records_set.sets, other], config, 0, number=9)
    }
    assert found.pop("Z") == other.folder
    assert set(found.values()) == {records_set.folder}


def test_an_element_aimed_at_a_lesion_has_it_in_its_crop(elements, configured):
    aimed = [element for element in elements if element.shows != "anywhere"]
    assert aimed
    for element in aimed:
        channel = ["lesion of HE", "lesion of MA"].index(element.shows)
        y, x = element.origin
        assert element.tile[1][y : y + 32, x : x + 32, channel].any()
    assert {element.shows for element in elements} >= {"anywhere"}


def test_an_epoch_has_as_many_elements_as_there_are_tiles(records_set, configured):
    tiles = records_set.index.splits["train"].records
    assert [element.epoch for element in read_elements(records_set.sets, configured(NOTHING), tiles - 1, number=2)] == [
        0,
        1,
    ]


def test_what_is_applied_and_how_strongly_is_what_the_seed_draws(elements):
    most = {"rotation": math.radians(15), "hue": math.radians(10), "brightness": 0.2}
    for element in elements:
        seed = tf.constant([3, element.k], tf.int64)
        assert list(element.draws) == [name for name in AUGMENTATIONS if uniform(seed, name, 0.0, high=1.0) < 0.5]
        for name, reach in most.items():
            if name in element.draws:
                drawn = float(uniform(seed, f"{name} strength", -reach, high=reach))
                assert element.draws[name] == {f"{name} strength": [drawn]}
    drawn = {name for element in elements for name in element.draws}
    assert drawn == set(AUGMENTATIONS)


def test_descriptions_have_units(elements):
    assert describe({"rotation strength": [math.radians(-12)]}) == "-12.0°"
    assert describe({"barrel strength": [0.214], "barrel center": [1.5]}) == "exponent 0.21, upper left"
    assert describe({"color strength": [0.1, -0.05, 0.0]}) == "+10.0 % -5.0 % +0.0 %"
    assert describe({"new strength": [0.5]}) == "+0.5"
    assert describe({}) == ""
    for element in elements:
        assert [part.split(" ")[0] for part in element.description.split("; ")] == list(element.draws)
        assert element.metadata()["augmentations"] == element.description


def test_what_a_watcher_returns_is_used_within_its_block_alone():
    seed, seen = tf.constant([1, 2], tf.int64), []

    def watch(name: str, low: float, high: float, drawn: tf.Tensor) -> tf.Tensor:
        seen.append((name, low, high, drawn.numpy()))
        return tf.constant(0.25)

    before = uniform(seed, "one", -1.0, high=1.0)
    with watched(watch):
        assert uniform(seed, "one", -1.0, high=1.0) == 0.25
    assert seen == [("one", -1.0, 1.0, before.numpy())]
    assert uniform(seed, "one", -1.0, high=1.0) == before


def test_every_augmentation_is_shown_those_that_are_on_first(groups):
    assert list(groups)[:2] == ["", "brightness"]
    assert sorted(groups) == sorted(("", *AUGMENTATIONS))
    as_it_is = groups[""][0]
    for name in AUGMENTATIONS:
        for one in groups[name]:
            assert one.image.shape == as_it_is.image.shape
            assert set(np.unique(one.mask)) <= {0, 1}
        assert any(np.abs(one.image - as_it_is.image).max() > 2 for one in groups[name]), name


def test_extremes_are_the_ends_of_the_ranges(groups):
    image, mask = groups[""][0].image, groups[""][0].mask
    assert mask.any()
    moved = {
        "horizontal_flip": [lambda x: x[:, ::-1]],
        "vertical_flip": [lambda x: x[::-1]],
        "quarter_turn": [np.rot90, lambda x: np.rot90(x, 2), lambda x: np.rot90(x, 3)],
    }
    for name, moves in moved.items():
        for one, move in zip(groups[name], moves, strict=True):
            assert np.array_equal(one.image, move(image))
            assert np.array_equal(one.mask, move(mask))
    for one, factor in zip(groups["brightness"], (0.8, 1.2), strict=True):
        np.testing.assert_allclose(one.image, np.clip(image * factor, 0, 255), atol=0.01)
        assert np.array_equal(one.mask, mask)
    middle = (image.shape[1] - 1) / 2
    for one, degrees in zip(groups["rotation"], (-15, 15), strict=True):  # counter-clockwise, as OpenCV's
        turn = cv2.getRotationMatrix2D((middle, middle), degrees, 1)
        expected = cv2.warpAffine(image, turn, image.shape[:2], flags=cv2.INTER_LINEAR)
        inner = np.s_[16:-16, 16:-16]
        assert np.abs(one.image[inner] - expected[inner]).mean() < 1
    descriptions = {name: [one.description for one in group] for name, group in groups.items()}
    assert descriptions["rotation"] == ["-15.0°", "+15.0°"]
    assert descriptions["quarter_turn"] == ["90°", "180°", "270°"]
    assert descriptions["scale"] == ["×1.25", "×0.80"]
    assert descriptions["translation"] == ["+6 px -6 px", "-6 px +6 px"]
    assert descriptions["shear"] == ["slope -0.100, of the columns", "slope +0.100, of the rows"]
    assert descriptions["color"] == ["-10.0 % +10.0 % -10.0 %", "+10.0 % -10.0 % +10.0 %"]
    assert descriptions["pincushion"] == ["exponent -0.30, in the middle", "exponent 0.00, lower right"]
    assert descriptions["haze"] == ["0 %, grey 128", "40 %, grey 255"]
    assert descriptions["vignette"] == ["at 0.00 sides, 0°, up to 0 %", "at 1.50 sides, 360°, up to 60 %"]
    assert descriptions["noise"] == ["sigma 0.0", "sigma 6.0"]
    assert descriptions["gamma"] == ["exponent 0.77", "exponent 1.30"]
    assert descriptions["jpeg"] == ["quality 60", "quality 100"]


def test_a_translation_is_described_by_how_the_image_moves(groups):
    image = groups[""][0].image
    first, second = groups["translation"]
    np.testing.assert_allclose(first.image[8:-8, 8:-8], image[2:-14, 14:-2], atol=0.05)  # 6 down, 6 to the left
    np.testing.assert_allclose(second.image[8:-8, 8:-8], image[14:-2, 2:-14], atol=0.05)


def test_a_crop_of_the_extremes_has_a_lesion_in_its_middle(records_set, configured):
    as_it_is = next(extremes(records_set.sets, configured(crop=32)))[0]
    assert as_it_is.image.shape == (32, 32, 3)
    assert as_it_is.mask[8:24, 8:24].any()


def test_a_sheet_of_one_element_shows_its_pixels_and_the_outlines_of_its_mask(elements, configured):
    element = next(one for one in elements if one.mask.any() and not one.mask.all(axis=(0, 1)).any())
    sheet = draw_element(element, configured())
    expected = np.rint(element.image).astype(np.uint8)
    seen = np.lib.stride_tricks.sliding_window_view(sheet[:, :, 0], (32, 32))
    y, x = next(zip(*np.nonzero((seen == expected[..., 0]).all(axis=(2, 3))), strict=True))
    assert np.array_equal(sheet[y : y + 32, x : x + 32], expected)
    outlined = sheet[y : y + 32, x + 38 :][:, :32]  # 6 pixels to the right of it
    changed = (outlined != expected).any(axis=-1)
    assert changed.any()
    assert not (changed & ~element.mask.any(axis=-1)).any()  # outlines lie on the lesions
    colors = {tuple(map(int, color)) for color in outlined[changed]}
    assert colors <= {CLASS_COLORS[index] for index in range(2) if element.mask[..., index].any()}


def test_sheets_of_many_have_captions_and_outlines(elements, groups, configured):
    sheet = draw_elements(elements, configured())
    assert sheet.shape[1] == 4 * SIDE + 3 * 6  # ten of them in four columns
    assert (sheet[:-18] == CLASS_COLORS[0]).all(axis=-1).sum() > 100  # the legend's 18 rows left out
    assert (sheet[:60].max(axis=-1) < 60).sum() > 100  # dark letters
    augmentations = draw_extremes(groups.values(), configured())
    assert augmentations.shape[0] > 4 * SIDE
    assert (augmentations == CLASS_COLORS[0]).all(axis=-1).sum() > 1000


def test_a_lesion_of_one_pixel_is_outlined_on_a_shrunk_tile(elements, configured):
    mask = np.zeros((512, 512, 2), np.float32)
    mask[201, 303, 1] = 1
    one = dataclasses.replace(elements[0], image=np.zeros((512, 512, 3), np.float32), mask=mask)
    picture = draw_elements([one], configured())[-SIDE - 18 : -18]  # above the legend
    assert (picture == CLASS_COLORS[1]).all(axis=-1).any()


def test_records_without_training_tiles_are_refused(records_set, configured, shard, tmp_path):
    data = dataclasses.replace(records_set.index.data, empty_per_nonempty=0.0)
    empty = RecordSet(tmp_path / "a", shard(tmp_path / "a", [records_set.cases[name] for name in "CD"], data))
    without = RecordSet(tmp_path / "b", shard(tmp_path / "b", [records_set.cases["D"]], data))
    config = dataclasses.replace(configured(), data=data)
    for inspect in (
        lambda sets: list(read_elements(sets, config, 0, number=1)),
        lambda sets: list(extremes(sets, config)),
    ):
        with pytest.raises(InputError, match=f"--records={empty.folder}: these records have no training tiles"):
            inspect([empty])
        with pytest.raises(InputError, match=f"{without.folder}: these records have no split 'train'"):
            inspect([without])
