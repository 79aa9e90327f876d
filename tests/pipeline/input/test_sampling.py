"""Sampling and cropping: how often everything is shown, and where crops lie."""

import collections
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import AugmentConfig, DataConfig, InputError, TrainConfig
from pipeline.input.cropping import draw_crop
from pipeline.input.reading import RecordSet
from pipeline.input.sampling import ANYWHERE, Sampler, Target, make_sampler
from pipeline.input.stream import training_elements
from records.shards.record import LabelFormat

AS_THEY_ARE = AugmentConfig(horizontal_flip=0, vertical_flip=0, quarter_turn=0)


def targets(sampler: Sampler, number: int, start: int = 0) -> np.ndarray:
    """The targets of elements, int64 `[number, 6]`."""
    numbers = tf.data.Dataset.range(start, start + number)
    return np.stack(list(numbers.map(lambda k: tf.stack(sampler.target(k))).as_numpy_iterator()))


def tiles_per_case(records_set) -> list[tuple[str, int]]:
    index = records_set.index
    return [(name, index.cases[name].tiles) for name in index.splits["train"].cases]


def case_of(records_set) -> list[str]:
    """The case of each training tile."""
    return [name for name, tiles in tiles_per_case(records_set) for _ in range(tiles)]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(weights=st.lists(st.floats(0.01, 1), min_size=1, max_size=12), n=st.integers(1, 40), seed=st.integers(0, 99))
def test_in_each_epoch_a_row_occurs_as_often_as_its_weight_says_within_one(weights, n, seed):
    ends = np.cumsum(weights) / np.sum(weights)
    rows = np.zeros((len(weights), 6), np.int64)
    rows[:, 0] = np.arange(len(weights))
    sampler = Sampler(rows, ends, n, seed)
    for epoch in targets(sampler, 2 * n)[:, 0].reshape(2, n):
        counts = np.bincount(epoch, minlength=len(weights))
        expected = n * np.array(weights) / np.sum(weights)
        assert np.all(np.abs(counts - expected) < 1 + 1e-9)


def test_over_many_epochs_a_row_occurs_as_often_as_its_weight_says():
    weights = np.array([0.5, 0.25, 0.2, 0.04, 0.01])
    rows = np.zeros((5, 6), np.int64)
    rows[:, 0] = np.arange(5)
    counts = np.bincount(targets(Sampler(rows, np.cumsum(weights), 7, 0), 7 * 400)[:, 0], minlength=5)
    assert np.allclose(counts / 2800, weights, atol=0.01)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 257])
def test_each_epoch_is_a_permutation_and_no_two_are_alike(n):
    rows = np.zeros((n, 6), np.int64)
    rows[:, 0] = np.arange(n)
    sampler = Sampler(rows, np.arange(1, n + 1) / n, n, 5)
    epochs = [tuple(targets(sampler, n, start=epoch * n)[:, 0].tolist()) for epoch in (0, 1, 2, 10**9)]
    assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
    assert n < 10 or len(set(epochs)) == 4


@pytest.mark.slow
def test_orders_are_uniformly_random():
    """Chi-square over 600 epochs of 8: no tile prefers a position, and none prefers to follow another."""
    rows = np.zeros((8, 6), np.int64)
    rows[:, 0] = np.arange(8)
    orders = targets(Sampler(rows, np.arange(1, 9) / 8, 8, 1), 8 * 600)[:, 0].reshape(600, 8)
    places = np.stack([np.bincount(orders[:, place], minlength=8) for place in range(8)])
    assert ((places - 75) ** 2 / 75).sum() < 49 + 4 * np.sqrt(2 * 49)
    follows = np.zeros((8, 8))
    for order in orders:
        np.add.at(follows, (order[:-1], order[1:]), 1)
    off_diagonal = follows[~np.eye(8, dtype=bool)]
    assert ((off_diagonal - 75) ** 2 / 75).sum() < 56 + 5 * np.sqrt(2 * 56)


def test_photographs_are_shown_equally_often_whatever_their_number_of_tiles(records_set):
    cases = case_of(records_set)
    n = len(cases)
    sampler = make_sampler(records_set.sets, TrainConfig(balance="photograph"))
    for epoch in targets(sampler, 3 * n)[:, 0].reshape(3, n):
        counts = collections.Counter(cases[tile] for tile in epoch)
        assert len(counts) == len({*cases}) == 3
        assert max(counts.values()) - min(counts.values()) <= 1
    assert len({tiles for _, tiles in tiles_per_case(records_set)}) > 1  # else there is nothing to balance


@pytest.mark.parametrize("balance", ["tile", "photograph"])
def test_tiles_without_lesions_are_shown_as_often_as_asked(records_set, balance):
    lesions = [
        place.lesion_pixels
        for name in records_set.index.splits["train"].cases
        for place in records_set.index.cases[name].places
    ]
    assert 0 < sum(pixels == 0 for pixels in lesions) < len(lesions)
    for fraction in (0.0, 0.25, 1.0):
        sampler = make_sampler(records_set.sets, TrainConfig(empty_fraction=fraction, balance=balance))
        empty = [lesions[tile] == 0 for tile in targets(sampler, 400)[:, 0]]
        # With photographs balanced, C shows its tiles whatever the fraction: all of them are empty.
        if balance == "tile":
            assert np.mean(empty) == pytest.approx(fraction, abs=0.02)
        elif fraction == 1.0:
            assert all(empty)


def test_fractions_that_leave_nothing_to_show_are_refused(records_set, shard, tmp_path):
    data = records_set.index.data
    index = shard(tmp_path / "records", [records_set.cases["C"]], data)  # no lesion anywhere
    with pytest.raises(
        InputError, match=r"train\.lesion_pixel_fraction 0\.0, train\.lesion_fraction 1\.0.*nothing to show"
    ):
        make_sampler([RecordSet(tmp_path / "records", index)], TrainConfig(lesion_fraction=1.0))


@pytest.fixture(scope="module")
def overlapping(fundus, write_case, shard, tmp_path_factory):
    """One training photograph in tiles of 64 that overlap by half, all of them kept, with its masks."""
    folder = tmp_path_factory.mktemp("overlapping")
    picture = fundus(160, 200, seed=11)
    case = write_case(folder / "source", "A", picture, "train")
    data = DataConfig(classes=("HE", "MA"), tile=64, stride=32, empty_per_nonempty=1000)
    index = shard(folder / "records", [case], data)
    return SimpleNamespace(sets=[RecordSet(folder / "records", index)], masks=picture.masks, entry=index.cases["A"])


def crops(overlapping, number: int, **fields: object) -> list[tuple[int, int, int]]:
    """Returns row and column in the photograph, and the class, of the crops of elements."""
    train = TrainConfig(batch_size=1, **fields)
    found = []
    for element in training_elements(overlapping.sets, train, AS_THEY_ARE).take(number).as_numpy_iterator():
        place = overlapping.entry.places[element["target"][0]]
        found.append((place.y + element["origin"][0], place.x + element["origin"][1], element["target"][1]))
    return found


@pytest.mark.slow
def test_overlapped_regions_are_not_shown_more_often_than_others(overlapping):
    """Crops of tile - stride: away from the rim every pixel is equally likely; tiles at the border own larger cells."""
    assert overlapping.entry.tiles == 4 * 6  # all tiles of the grid
    shown = np.zeros((160, 200))
    for y, x, _ in crops(overlapping, 3000, crop=32):
        shown[y : y + 32, x : x + 32] += 1
    inner = shown[32:-32, 32:-32] / 3000
    expected = 32 * 32 / (160 * 200)
    assert inner.mean() == pytest.approx(expected, rel=0.05)
    # Means over what one, two and four tiles hold differ by no more than chance.
    blocks = inner.reshape(6, 16, -1)[:, :, : inner.shape[1] // 16 * 16].reshape(6, 16, -1, 16).mean(axis=(1, 3))
    assert np.all(np.abs(blocks / expected - 1) < 0.25)


@pytest.mark.parametrize("by", ["lesion_pixel_fraction", "lesion_fraction"])
def test_crops_aimed_at_a_lesion_contain_one_of_its_class_anywhere_in_them(overlapping, by):
    relative = []
    for y, x, class_index in crops(overlapping, 300, crop=24, **{by: 1.0}):
        part = overlapping.masks[y : y + 24, x : x + 24, class_index]
        assert part.any()
        relative += [(pixel / 24) for pixel in np.argwhere(part)[:1].ravel()]
    relative = np.array(relative).reshape(-1, 2)
    for axis in range(2):  # in every third of the crop, not in its middle
        assert np.all(np.histogram(relative[:, axis], bins=3, range=(0, 1))[0] > 15)


def test_lesions_are_drawn_by_their_size_or_equally_often(overlapping):
    """A target's lesion is the one inside its box. Both classes are drawn equally often."""
    for by in ("lesion_pixel_fraction", "lesion_fraction"):
        sampler = make_sampler(overlapping.sets, TrainConfig(crop=24, **{by: 1.0}))
        found = [Target(*row) for row in targets(sampler, 2000)]
        for class_index in range(2):
            labels, number = scipy.ndimage.label(overlapping.masks[..., class_index], structure=np.ones((3, 3)))
            sizes = np.bincount(labels.ravel())[1:]
            of_class = [target for target in found if target.class_index == class_index]
            assert len(of_class) == pytest.approx(1000, abs=2)
            counts = np.zeros(number)
            for target in of_class:
                place = overlapping.entry.places[target.tile]
                top, left = place.y + target.y, place.x + target.x
                inside = labels[top : top + target.height, left : left + target.width]
                counts += np.bincount(inside.ravel(), minlength=number + 1)[1:] / np.count_nonzero(inside)
            expected = sizes / sizes.sum() if by == "lesion_pixel_fraction" else np.full(number, 1 / number)
            assert np.allclose(counts / len(of_class), expected, atol=0.04)


def test_every_lesion_pixel_is_chosen_about_equally_often():
    """A crop of a single pixel is that pixel."""
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[5:9, 30:35, 1] = 1
    mask[6, 31, 1] = 0
    mask[4:7, 29:33, [0, 2]] = 1  # of other classes, in the box as well
    bits = np.packbits(mask, axis=-1, bitorder="little")
    target = Target(*(tf.constant(value, tf.int64) for value in (0, 1, 4, 28, 10, 12)))

    def place(k: tf.Tensor) -> tf.Tensor:
        return draw_crop(
            target, tf.constant(bits), 1, form=LabelFormat(8), seed=tf.stack([tf.constant(0, tf.int64), k])
        ).origin

    found = collections.Counter(map(tuple, tf.data.Dataset.range(3800).map(place).as_numpy_iterator()))
    assert set(found) == set(map(tuple, np.argwhere(mask[..., 1])))
    assert all(abs(count - 200) < 5 * np.sqrt(200) for count in found.values())


def test_the_stream_shows_lesions_as_often_as_asked(overlapping):
    fractions = {"lesion_pixel_fraction": 0.3, "lesion_fraction": 0.2, "empty_fraction": 0.1}
    rows = targets(make_sampler(overlapping.sets, TrainConfig(crop=32, **fractions)), 1000)
    aimed = rows[:, 1] != ANYWHERE
    assert np.mean(aimed) == pytest.approx(0.5, abs=0.01)
    empty = np.array([overlapping.entry.places[tile].lesion_pixels == 0 for tile in rows[:, 0]])
    assert np.mean(empty) == pytest.approx(0.1, abs=0.01)
    assert not np.any(aimed & empty)


@pytest.mark.parametrize("kind", ["lesion_pixel_fraction", "lesion_fraction"])
@pytest.mark.parametrize("balance", ["tile", "photograph"])
def test_classes_are_aimed_at_as_often_as_class_sampling_says(overlapping, kind, balance):
    train = TrainConfig(crop=32, balance=balance, class_sampling=(3.0, 1.0), **{kind: 0.8})
    aimed = targets(make_sampler(overlapping.sets, train), 1000)[:, 1]
    assert np.mean(aimed == 0) == pytest.approx(0.6, abs=0.01)
    assert np.mean(aimed == 1) == pytest.approx(0.2, abs=0.01)


def test_the_part_of_an_absent_class_goes_to_the_others(records_set, shard, tmp_path):
    case = records_set.cases["A"]
    case = dataclasses.replace(case, masks={**case.masks, "SE": None})
    data = dataclasses.replace(records_set.index.data, classes=("HE", "SE"))
    index = shard(tmp_path / "records", [case], data)
    train = TrainConfig(lesion_fraction=0.5, class_sampling=(1.0, 9.0))
    aimed = targets(make_sampler([RecordSet(tmp_path / "records", index)], train), 400)[:, 1]
    assert np.mean(aimed == 0) == pytest.approx(0.5, abs=0.01)


def test_another_seed_gives_another_order(records_set):
    n = records_set.index.splits["train"].records
    orders = [
        targets(make_sampler(records_set.sets, dataclasses.replace(TrainConfig(), seed=seed)), n)[:, 0].tolist()
        for seed in (0, 1, 2**40)
    ]
    assert orders[0] != orders[1] and orders[0] != orders[2]
