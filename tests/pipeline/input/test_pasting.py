"""Pasting: lesions of other photographs come to lie where none are, and nothing else of the stream changes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from configs import AugmentConfig, DataConfig, InputError, TrainConfig
from pipeline.input.pasting import DARK, EDGE_PX, FREE_PX, NO_DONOR, make_donors, paste
from pipeline.input.reading import RecordSet, TileReader
from pipeline.input.stream import training_elements
from records.shards.record import LabelFormat

SIDE = 64
STILL = AugmentConfig(horizontal_flip=0.0, vertical_flip=0.0, quarter_turn=0.0)
PASTED = TrainConfig(batch_size=1, seed=1, crop=48, paste_fraction=0.5)


def disc(y: float, x: float, radius: float) -> np.ndarray:
    """Draws bool `[SIDE, SIDE]`."""
    ys, xs = np.mgrid[:SIDE, :SIDE]
    return np.hypot(ys - y, xs - x) <= radius


def flat(level: tuple[int, int, int]) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def pasted_into(
    image: np.ndarray, labels: np.ndarray, donor: np.ndarray, bits: np.ndarray, *, partly_known: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Pastes lesions of a donor whose retina has the colour of its first pixel."""
    surroundings = np.broadcast_to(donor[0, 0].astype(np.float32), donor.shape)
    form = LabelFormat(classes=2, partly_known=partly_known)
    mixed = paste(*map(tf.constant, (image, labels, donor)), bits=bits[..., None], surroundings=surroundings, form=form)
    return tuple(one.numpy() for one in mixed)


@pytest.fixture
def elements(records_set):
    """Reads elements of a stream of the small records, by default unaugmented crops of 48 pixels."""

    def read(number: int, train: TrainConfig = PASTED, *, augment: AugmentConfig = STILL, start: int = 0) -> list[dict]:
        stream = training_elements(records_set.sets, train, augment, start=start)
        return list(stream.take(number).as_numpy_iterator())

    return read


def test_a_lesion_takes_or_adds_as_much_light_as_it_does_in_its_own_photograph():
    dark, bright = disc(20, 20, 7), disc(44, 44, 7)
    donor = flat((160, 80, 40))
    donor[dark] = (72, 32, 12)  # half of the light, with the 16 levels that steady dark channels
    donor[bright] = (190, 130, 60)
    bits = (dark | bright * 2).astype(np.uint8)
    image, labels = pasted_into(flat((120, 140, 100)), np.zeros((SIDE, SIDE, 1), np.uint8), donor, bits)
    assert image[20, 20].tolist() == [60, 70, 50]
    assert image[44, 44].tolist() == [150, 190, 120]
    assert np.array_equal(labels[..., 0], bits)
    far = ~ndimage.maximum_filter(bits > 0, size=3 * EDGE_PX)
    assert np.all(image[far] == (120, 140, 100))
    rim = dark & ~ndimage.binary_erosion(dark)
    assert np.all((image[rim] > (60, 70, 50)) & (image[rim] < (120, 140, 100)))  # it fades


def test_nothing_covers_a_lesion_or_lies_outside_of_the_field_of_view():
    image = flat((120, 140, 100))
    image[:, :24] = int(DARK) - 1
    labels = disc(32, 48, 6).astype(np.uint8)[..., None] * 2
    donor = flat((160, 80, 40))
    donor[1:, 1:] = 30
    mixed, shown = pasted_into(image, labels, donor, np.ones((SIDE, SIDE), np.uint8))
    blocked = (image.mean(axis=-1) <= DARK) | ndimage.maximum_filter(labels[..., 0] > 0, size=FREE_PX)
    assert np.array_equal(shown[..., 0], np.where(blocked, labels[..., 0], 1))
    assert np.array_equal(mixed[blocked], image[blocked])
    assert np.all(mixed[8:, 8:][~ndimage.maximum_filter(blocked, size=9)[8:, 8:]] < 100)


def test_that_a_pasted_lesion_is_there_is_known():
    lesion, labels = disc(32, 32, 8), np.zeros((SIDE, SIDE, 2), np.uint8)
    labels[..., 1] = 2  # the first class is unknown
    _, changed = pasted_into(
        flat((120, 140, 100)), labels, flat((160, 80, 40)), lesion * np.uint8(1), partly_known=True
    )
    assert np.array_equal(changed[..., 0], lesion)
    assert np.array_equal(changed[..., 1], lesion | 2)


def test_elements_without_a_donor_are_those_of_a_stream_that_pastes_nothing(elements):
    plain = elements(60, dataclasses.replace(PASTED, paste_fraction=0.0), augment=AugmentConfig())
    changed = 0
    for one, other in zip(elements(60, augment=AugmentConfig()), plain, strict=True):
        assert other["donor"] == NO_DONOR
        assert np.array_equal(one["target"], other["target"]) and np.array_equal(one["origin"], other["origin"])
        same = np.array_equal(one["image"], other["image"]) and np.array_equal(one["labels"], other["labels"])
        assert same or one["donor"] != NO_DONOR
        changed += not same
    assert 18 <= changed <= 42


def test_masks_keep_their_lesions_and_gain_those_of_the_donors_that_the_image_shows(elements, records_set):
    reader = TileReader(records_set.sets, "train")
    plain, gained = elements(60, dataclasses.replace(PASTED, paste_fraction=0.0)), np.zeros(2, int)
    for one, other in zip(elements(60, dataclasses.replace(PASTED, paste_fraction=1.0)), plain, strict=True):
        donor_shows = reader.tile(tf.constant(one["donor"]))[1].numpy().any(axis=(0, 1))
        more = one["labels"].astype(bool) & ~other["labels"].astype(bool)
        assert np.all(one["labels"] >= other["labels"])
        assert np.all(donor_shows | ~more.any(axis=(0, 1)))
        touched = np.any(one["image"] != other["image"], axis=-1)
        far = touched & ~ndimage.maximum_filter(more.any(axis=-1), size=3 * EDGE_PX)
        assert not far[EDGE_PX + 1 : -EDGE_PX - 1, EDGE_PX + 1 : -EDGE_PX - 1].any()  # edges reach in from outside
        if more.any():  # the lesions of the small photographs are dark
            assert one["image"][more.any(axis=-1)].mean() < other["image"][more.any(axis=-1)].mean()
        gained += more.any(axis=(0, 1))
    assert np.all(gained >= 10)


def test_a_stream_that_pastes_can_start_at_any_element(elements):
    first, later = elements(12), elements(5, start=7)
    for one, other in zip(first[7:], later, strict=True):
        assert all(np.array_equal(one[key], other[key]) for key in one)
    assert len({int(one["donor"]) for one in first}) > 2


def test_only_the_named_classes_are_pasted(elements):
    only = dataclasses.replace(PASTED, paste_fraction=1.0, paste_classes=("MA",))
    plain = elements(40, dataclasses.replace(PASTED, paste_fraction=0.0))
    more = sum(one["labels"] - other["labels"] for one, other in zip(elements(40, only), plain, strict=True))
    assert not more[..., 0].any()
    assert more[..., 1].any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"paste_classes": ("SE",)}, r"train\.paste_classes has SE, which data\.classes HE, MA has not"),
        ({"paste_fraction": 1.5}, r"train\.paste_fraction must be a fraction, 0 to 1; received 1\.5"),
    ],
)
def test_a_class_that_is_none_of_the_configs_and_a_number_that_is_no_fraction_are_refused(elements, fields, message):
    with pytest.raises(InputError, match=message):
        elements(1, dataclasses.replace(PASTED, **fields))


def test_soft_labels_and_records_without_a_lesion_of_the_class_are_refused(
    records_set, fundus, write_case, shard, tmp_path
):
    picture = fundus(90, 90, seed=1)
    picture.masks[..., 1] = False
    data = DataConfig(classes=("HE", "MA"), tile=64, stride=48)
    index = shard(tmp_path / "records", [write_case(tmp_path / "source", "A", picture, "train")], data)
    sets = [RecordSet(tmp_path / "records", index)]
    train = dataclasses.replace(PASTED, paste_classes=("MA",))
    with pytest.raises(InputError, match=r"these records show no lesion of MA; set it to 0, or train\.paste_classes"):
        make_donors(sets, train, TileReader(sets, "train"))
    soft = dataclasses.replace(index, data=dataclasses.replace(data, soft_labels=True))
    sets = [RecordSet(tmp_path / "records", soft)]
    with pytest.raises(InputError, match=r"data\.soft_labels has levels; set it to 0"):
        make_donors(sets, train, TileReader(sets, "train"))
