"""Streams of batches: which tiles they show, in which order, and that element k depends on (seed, k) alone."""

import collections
import dataclasses
import shutil

import cv2
import numpy as np
import pytest
import tensorflow as tf

from configs import AugmentConfig, DataConfig, InputError, TrainConfig
from pipeline.input.host_share import WHOLE, HostShare
from pipeline.input.reading import Cache, RecordSet, naming_damaged_shards
from pipeline.input.stream import tiles_of_split, training_batches, training_elements, validation_batches
from records import read_index
from records.shards.sharding import read_shard

AS_THEY_ARE = AugmentConfig(horizontal_flip=0, vertical_flip=0, quarter_turn=0)
CHANGED = AugmentConfig(brightness=1, color=1)


@pytest.fixture(scope="module")
def stored(records_set):
    """The tiles of each split as the shards hold them: images uint8 `[T, T, 3]` and masks bool `[T, T, C]`."""
    tiles = {}
    for split, entry in records_set.index.splits.items():
        tiles[split] = []
        for shard in entry.shards:
            for tile in read_shard(records_set.folder / shard.name):
                image = cv2.imdecode(np.frombuffer(tile.image, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
                bits = cv2.imdecode(np.frombuffer(tile.mask, np.uint8), cv2.IMREAD_UNCHANGED)
                tiles[split].append((image, np.stack([bits & 1, bits >> 1 & 1], axis=-1).astype(bool)))
    return tiles


@pytest.fixture
def training(records_set):
    """Makes a training stream of single tiles, `stream(start=0, seed=1, augmentation=…, …)`."""

    def stream(
        *,
        start: int = 0,
        augmentation: AugmentConfig = CHANGED,
        cache: Cache = "none",
        device: str | None = None,
        **fields: object,
    ) -> tf.data.Dataset:
        train = TrainConfig(**{"batch_size": 1, "seed": 1, **fields})
        return training_batches(records_set.sets, train, augmentation, start=start, cache=cache, device=device)

    return stream


def elements(stream: tf.data.Dataset, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(stream.take(number).as_numpy_iterator())


def order_of(stream: tf.data.Dataset, stored: list[tuple[np.ndarray, np.ndarray]], number: int) -> list[int]:
    """Returns which stored tile each element of an unaugmented stream of single tiles is."""
    places = {image.astype(np.float32).tobytes(): place for place, (image, _) in enumerate(stored)}
    assert len(places) == len(stored), "two tiles look the same; the test cannot tell them apart"
    return [places[image[0].tobytes()] for image, _ in elements(stream, number)]


CROPS = {
    "crop": 32,
    "lesion_pixel_fraction": 0.3,
    "lesion_fraction": 0.3,
    "empty_fraction": 0.1,
    "balance": "photograph",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "every"),
    [({}, 7), (CROPS, 2), ({"cache": "records"}, 7), ({"cache": "decoded", "crop": 48}, 7)],
    ids=["whole tiles", "crops", "records kept", "pixels kept"],
)
def test_a_stream_started_at_any_element_continues_like_the_one_from_the_first(training, stored, fields, every):
    """With a fresh dataset at every second element of two epochs, or at every seventh."""
    n = len(stored["train"])
    whole = elements(training(**fields), 2 * n + 3)
    assert n % 2 and n % 7  # so that the starts of the second epoch are others than those of the first
    for start in range(0, 2 * n + 1, every):
        rest = elements(training(start=start, **fields), 3)
        for (image, mask), (expected_image, expected_mask) in zip(rest, whole[start : start + 3], strict=True):
            assert np.array_equal(image, expected_image)
            assert np.array_equal(mask, expected_mask)


@pytest.mark.parametrize("cache", ["records", "decoded"])
def test_a_cache_does_not_change_what_is_shown(training, records_set, stored, cache):
    number = 2 * len(stored["train"])
    for one, other in zip(elements(training(), number), elements(training(cache=cache), number), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    kept = validation_batches(records_set.sets, TrainConfig(batch_size=3), cache=cache).as_numpy_iterator()
    read = validation_batches(records_set.sets, TrainConfig(batch_size=3)).as_numpy_iterator()
    for one, other in zip(read, kept, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_batches_are_the_elements_in_order(training, stored):
    number = len(stored["train"]) + 2  # the second batch of 5 or so reaches into the next epoch
    single = elements(training(), 3 * number)
    for (images, masks), first in zip(elements(training(batch_size=number), 3), (0, number, 2 * number), strict=True):
        assert np.array_equal(images, np.concatenate([image for image, _ in single[first : first + number]]))
        assert np.array_equal(masks, np.concatenate([mask for _, mask in single[first : first + number]]))


@pytest.fixture(scope="module")
def epochs(records_set, stored):
    """The order of the tiles in 60 epochs of a stream without augmentation, int `[60, n]`."""
    train, n = TrainConfig(batch_size=1, seed=1), len(stored["train"])
    stream = training_batches(records_set.sets, train, AS_THEY_ARE, cache="decoded")
    return np.reshape(order_of(stream, stored["train"], 60 * n), (60, n))


def test_every_tile_comes_exactly_once_an_epoch(epochs):
    assert np.array_equal(np.sort(epochs, axis=1), np.broadcast_to(np.arange(epochs.shape[1]), epochs.shape))


def test_a_tile_may_follow_any_other(epochs):
    """Over the whole split, not within blocks of it: every tile is once among the first few of an epoch."""
    assert set(epochs[:, :3].ravel()) == set(range(epochs.shape[1]))


def test_epochs_differ_in_their_order_and_so_do_seeds(training, stored, epochs):
    n = len(stored["train"])
    other = tuple(order_of(training(augmentation=AS_THEY_ARE, seed=2), stored["train"], n))
    assert len({*map(tuple, epochs[:3].tolist()), other, tuple(range(n))}) == 5


def test_a_tile_is_augmented_anew_in_every_epoch(training, stored):
    n = len(stored["train"])
    images = collections.Counter(image.tobytes() for image, _ in elements(training(), 3 * n))
    assert max(images.values()) == 1


@pytest.mark.slow
def test_the_stream_does_not_depend_on_tensorflows_global_seed(training):
    streams = []
    for seed in (0, 1, 12345):
        tf.random.set_seed(seed)
        streams.append(elements(training(), 6))
    for other in streams[1:]:
        assert all(np.array_equal(one[0], two[0]) for one, two in zip(streams[0], other, strict=True))


@pytest.mark.slow
def test_training_images_and_masks_are_the_stored_ones_in_float32(training, stored):
    known = {image.astype(np.float32).tobytes(): mask for image, mask in stored["train"]}
    for image, mask in elements(training(augmentation=AS_THEY_ARE), len(known)):
        assert (image.shape, image.dtype) == ((1, 64, 64, 3), np.float32)
        assert (mask.shape, mask.dtype) == ((1, 64, 64, 2), np.float32)
        assert np.array_equal(mask[0], known[image[0].tobytes()])


def test_augmented_masks_are_0_or_1_and_images_0_to_255(training):
    for image, mask in elements(training(), 12):
        assert set(np.unique(mask)) <= {0, 1}
        assert image.min() >= 0
        assert image.max() <= 255
        assert image.max() > 10  # not scaled to 0..1


def test_the_training_stream_is_endless_and_has_only_full_batches(training, stored):
    stream = training(batch_size=5)
    assert stream.element_spec[0].shape == (5, 64, 64, 3)
    assert stream.cardinality() in (tf.data.INFINITE_CARDINALITY, tf.data.UNKNOWN_CARDINALITY)
    assert len(elements(stream, 3 * len(stored["train"]))) == 3 * len(stored["train"])


@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
def test_validation_shows_every_tile_once_in_order_and_pads_with_weight_0(records_set, stored, batch_size):
    tiles = stored["validation"]
    stream = validation_batches(records_set.sets, TrainConfig(batch_size=batch_size))
    batches = list(stream.as_numpy_iterator())
    assert stream.cardinality() == len(batches) == -(-len(tiles) // batch_size)
    assert all(images.shape == (batch_size, 64, 64, 3) for images, _, _ in batches)
    images, masks, weights = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert (images.dtype, masks.dtype, weights.dtype) == (np.float32,) * 3
    assert weights.tolist() == [1] * len(tiles) + [0] * (len(weights) - len(tiles))
    for image, mask, (stored_image, stored_mask) in zip(images, masks, tiles, strict=False):
        assert np.array_equal(image, stored_image)
        assert np.array_equal(mask, stored_mask)
    assert not images[len(tiles) :].any()
    assert not masks[len(tiles) :].any()


@pytest.mark.parametrize(("hosts", "devices"), [(2, 1), (3, 1), (2, 3)])
def test_the_shares_of_all_hosts_and_devices_are_the_whole_batches_in_order(records_set, hosts, devices):
    train, augmentation = TrainConfig(batch_size=12, seed=1), dataclasses.replace(CHANGED, noise=1.0)
    shares = [HostShare(host, hosts, devices) for host in range(hosts)]

    def united(streams: list[tf.data.Dataset]) -> list[list[np.ndarray]]:
        parts = [list(stream.as_numpy_iterator()) for stream in streams]
        batches = [
            [batch for one in parts for batch in one[step * devices : (step + 1) * devices]]
            for step in range(len(parts[0]) // devices)
        ]
        return [[np.concatenate(values) for values in zip(*batch, strict=True)] for batch in batches]

    def training(share: HostShare) -> tf.data.Dataset:
        stream = training_batches(records_set.sets, train, augmentation, start=24, share=share)
        return stream.take(3 * share.devices)

    def validation(share: HostShare) -> tf.data.Dataset:
        return validation_batches(records_set.sets, train, share=share)

    for stream in (training, validation):
        whole = list(stream(WHOLE).as_numpy_iterator())
        found = united([stream(share) for share in shares])
        assert len(found) == len(whole) > 0
        for batch, expected in zip(found, whole, strict=True):
            for values, right in zip(batch, expected, strict=True):
                np.testing.assert_array_equal(values, right)
    lengths = {validation(share).cardinality().numpy() for share in shares}
    assert lengths == {len(list(validation(WHOLE))) * devices}  # all hosts make as many steps


def test_validation_of_another_split_shows_that_split(records_set, stored):
    stream = validation_batches(records_set.sets, TrainConfig(batch_size=1), split="test")
    images = [batch[0][0] for batch in stream.as_numpy_iterator()]
    assert len(images) == len(stored["test"])
    assert all(np.array_equal(image, tile) for image, (tile, _) in zip(images, stored["test"], strict=True))


def test_tiles_of_a_split_come_once_in_order(records_set, stored):
    for split in ("train", "validation", "test"):
        found = list(tiles_of_split(records_set.sets, split).as_numpy_iterator())
        for (image, mask), (stored_image, stored_mask) in zip(found, stored[split], strict=True):
            assert np.array_equal(image, stored_image)
            assert np.array_equal(mask, stored_mask)


def test_a_missing_split_is_refused_with_those_that_exist(records_set):
    with pytest.raises(InputError, match="no split 'valid'; they have train, validation, test"):
        tiles_of_split(records_set.sets, "valid")


def test_crops_are_parts_of_the_stored_tiles_with_their_masks(training, records_set, stored):
    train = TrainConfig(batch_size=1, crop=32, lesion_fraction=0.5)
    for element in training_elements(records_set.sets, train, AS_THEY_ARE).take(40).as_numpy_iterator():
        image, mask = stored["train"][element["target"][0]]
        y, x = element["origin"]
        assert np.array_equal(element["image"], image[y : y + 32, x : x + 32])
        assert np.array_equal(element["labels"], mask[y : y + 32, x : x + 32])
        assert element["image"].dtype == element["labels"].dtype == np.float32


def test_two_sets_are_shown_together_and_by_weight(records_set, shard, tmp_path):
    data = records_set.index.data
    cases = [dataclasses.replace(records_set.cases["F"], split="train")]
    other = RecordSet(tmp_path / "other", shard(tmp_path / "other", cases, data))
    sets = [*records_set.sets, other]
    counts = [one.index.splits["train"].records for one in sets]

    def shown(weights: tuple[float, ...]) -> list[int]:
        train = TrainConfig(batch_size=1, records_weights=weights)
        found = training_elements(sets, train, AS_THEY_ARE).take(3 * sum(counts)).as_numpy_iterator()
        numbers = [int(element["target"][0]) for element in found]
        return [sum(number < counts[0] for number in numbers), sum(number >= counts[0] for number in numbers)]

    assert shown(()) == [3 * counts[0], 3 * counts[1]]
    first, second = shown((1.0, 2.0))
    assert abs(second - 2 * first) <= 9
    found = list(tiles_of_split(sets, "train").as_numpy_iterator())
    assert len(found) == sum(counts)
    assert np.array_equal(found[counts[0]][0], next(iter(tiles_of_split([other], "train").as_numpy_iterator()))[0])


@pytest.mark.slow
def test_batches_prefetched_to_a_device_are_the_same(training):
    """Without a GPU, only that nothing else changes can be seen."""
    for one, other in zip(elements(training(), 5), elements(training(device="/CPU:0"), 5), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


TWO_DEVICES = """
import sys
from pathlib import Path
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from configs import AugmentConfig, TrainConfig
from pipeline.input.stream import training_batches, validation_batches
from pipeline.input.reading import RecordSet
from records import read_index
folder = Path(sys.argv[1])
sets = [RecordSet(folder, read_index(folder))]
train = TrainConfig(batch_size=4, crop=32, lesion_fraction=0.5, seed=1)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for make in (lambda: training_batches(sets, train, AugmentConfig(rotation=1)), lambda: validation_batches(sets, train)):
    spread = iter(strategy.experimental_distribute_dataset(make()))
    for batch in make().take(4):
        for whole, parts in zip(batch, next(spread)):
            parts = strategy.experimental_local_results(parts)
            assert [len(part) for part in parts] == [2, 2]
            assert np.array_equal(np.concatenate([part.numpy() for part in parts]), whole)
    print("equal")
"""


@pytest.mark.slow
def test_two_devices_get_one_half_of_each_batch_each(forked, records_set):
    done = forked(code=TWO_DEVICES, arguments=[records_set.folder])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["equal", "equal"]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_shard_that_is_missing_or_shorter_is_named(records_set, tmp_path, split):
    folder = shutil.copytree(records_set.folder, tmp_path / "records")
    index = read_index(folder)

    def start() -> None:
        if split == "train":
            training_batches([RecordSet(folder, index)], TrainConfig(), CHANGED)
        else:
            validation_batches([RecordSet(folder, index)], TrainConfig())

    shard = folder / index.splits[split].shards[0].name
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(InputError, match=f"{shard.name}: {len(content) - 1} bytes, but the index says {len(content)}"):
        start()
    shard.unlink()
    with pytest.raises(InputError, match=f"{shard.name}: missing, but the index lists it"):
        start()


def test_a_shard_damaged_while_it_is_read_is_named_with_the_remedy(records_set, tmp_path):
    """Each byte of a record is covered by a CRC; which record it belongs to does not matter."""
    folder = shutil.copytree(records_set.folder, tmp_path / "records")
    sets = [RecordSet(folder, read_index(folder))]
    shard = folder / records_set.index.splits["validation"].shards[0].name
    content = shard.read_bytes()
    for place in (0, 14, len(content) // 2, len(content) - 2):
        stream = tiles_of_split(sets, "validation")
        shard.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        with (
            pytest.raises(InputError, match=rf"{shard.name}: its sha256 differs .*--verify"),
            naming_damaged_shards(sets),
        ):
            list(stream)
        shard.write_bytes(content)
    stream = tiles_of_split(sets, "validation")
    shard.unlink()
    with pytest.raises(InputError, match=f"{shard.name}: missing"), naming_damaged_shards(sets):
        list(stream)


def test_an_error_of_another_cause_is_not_replaced(records_set):
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="of another cause"),
        naming_damaged_shards(records_set.sets),
    ):
        raise tf.errors.InvalidArgumentError(None, None, "of another cause")


def test_jpeg_records_have_nearly_the_same_images_and_the_same_masks(records_set, stored, shard, tmp_path):
    data = dataclasses.replace(records_set.index.data, codec="jpeg", jpeg_quality=95)
    cases = [case for case in records_set.cases.values() if case.split == "validation"]
    index = shard(tmp_path / "records", cases, data)
    found = list(tiles_of_split([RecordSet(tmp_path / "records", index)], "validation").as_numpy_iterator())
    for (image, mask), (stored_image, stored_mask) in zip(found, stored["validation"], strict=True):
        assert np.abs(image - stored_image).mean() < 3
        assert np.array_equal(mask, stored_mask)


def test_an_empty_shard_of_a_photograph_without_tiles_changes_nothing(records_set, shard, tmp_path):
    data = dataclasses.replace(records_set.index.data, empty_per_nonempty=0.0)
    index = shard(tmp_path / "records", [records_set.cases[name] for name in "ABC"], data)
    assert [shard.records for shard in index.splits["train"].shards][2] == 0
    n = index.splits["train"].records
    sets = [RecordSet(tmp_path / "records", index)]
    tiles = list(tiles_of_split(sets, "train").as_numpy_iterator())
    stream = training_batches(sets, TrainConfig(batch_size=1), AS_THEY_ARE)
    found = order_of(stream, [(image.astype(np.uint8), mask) for image, mask in tiles], 2 * n)
    assert sorted(found[:n]) == sorted(found[n:]) == list(range(n))


def test_masks_of_a_single_class_have_one_channel(records_set, shard, tmp_path):
    data = DataConfig(classes=("MA",), tile=64, stride=64, photographs_per_shard=1)
    index = shard(tmp_path / "records", [records_set.cases["D"]], data)
    sets = [RecordSet(tmp_path / "records", index)]
    masks = [mask for _, mask in tiles_of_split(sets, "validation").as_numpy_iterator()]
    assert all(mask.shape == (64, 64, 1) for mask in masks)
    assert sum(int(mask.sum()) for mask in masks) >= records_set.pictures["D"].masks[..., 1].sum() > 0
