"""Reading tiles by number, the choice of the cache, and which sets can be trained on together."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from configs import InputError
from pipeline.input import reading
from pipeline.input.reading import RecordSet, TileReader, choose_cache, open_records
from records import Index
from records.shards.sharding import read_shard


def tiles_of(reader: TileReader, numbers: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(tf.data.Dataset.from_tensor_slices(numbers).map(reader.tile).as_numpy_iterator())


@pytest.mark.parametrize("cache", ["none", "records", "decoded"])
def test_tiles_are_read_in_any_order_as_they_are_stored(records_set, cache):
    stored = [
        tile
        for shard in records_set.index.splits["train"].shards
        for tile in read_shard(records_set.folder / shard.name)
    ]
    reader = TileReader(records_set.sets, "train", cache)
    assert reader.count == len(stored)
    order = np.random.default_rng(0).permutation(len(stored)).tolist()
    for number, (image, mask) in zip(order, tiles_of(reader, order), strict=True):
        bits = tf.io.decode_png(stored[number].mask).numpy()
        assert np.array_equal(image, tf.io.decode_png(stored[number].image))
        assert np.array_equal(mask, np.concatenate([bits & 1, bits >> 1 & 1], axis=-1))
        assert (image.dtype, mask.dtype) == (np.uint8, np.float32)


def test_tiles_are_numbered_as_the_index_lists_cases_and_places(records_set):
    """The sampler relies on this."""
    index = records_set.index
    listed = [
        (name, place.y, place.x, place.lesion_pixels)
        for name in index.splits["train"].cases
        for place in index.cases[name].places
    ]
    found = []
    for shard in index.splits["train"].shards:
        for tile in read_shard(records_set.folder / shard.name):
            mask = tf.io.decode_png(tile.mask).numpy()
            found.append((tile.case, tile.y, tile.x, np.count_nonzero(mask)))
    assert found == listed


def test_cached_tiles_no_longer_need_their_shards(records_set, shard, tmp_path):
    index = shard(tmp_path / "records", [records_set.cases["A"]], records_set.index.data)
    sets = [RecordSet(tmp_path / "records", index)]
    readers = [TileReader(sets, "train", cache) for cache in ("records", "decoded")]
    before = [tiles_of(reader, [0])[0][0] for reader in readers]
    for entry in index.splits["train"].shards:
        (tmp_path / "records" / entry.name).unlink()
    assert all(np.array_equal(tiles_of(reader, [0])[0][0], one) for reader, one in zip(readers, before, strict=True))


def sizes(index: Index) -> tuple[int, int]:
    """Returns the bytes of the pixels, and of the records, of training and validation."""
    splits = [index.splits["train"], index.splits["validation"]]
    decoded = sum(split.records for split in splits) * 64 * 64 * 4
    return decoded, sum(shard.bytes for split in splits for shard in split.shards)


def test_auto_chooses_the_cache_by_the_free_memory(records_set, monkeypatch):
    decoded, records = sizes(records_set.index)
    assert records < decoded
    for free, expected in [
        (2 * decoded, "decoded"),
        (2 * decoded - 2, "records"),
        (2 * records, "records"),
        (2 * records - 2, "none"),
        (0, "none"),
    ]:
        monkeypatch.setattr(reading, "free_memory", lambda free=free: free)
        chosen, message = choose_cache(records_set.sets, "auto")
        assert chosen == expected
        assert f"cache {expected}" in message and f"{decoded / 1e6:.0f} MB" in message and "are free" in message


@pytest.mark.parametrize("wanted", ["none", "records", "decoded"])
def test_a_cache_that_the_config_names_is_used(records_set, monkeypatch, wanted):
    monkeypatch.setattr(reading, "free_memory", lambda: 0)
    chosen, message = choose_cache(records_set.sets, wanted)
    assert chosen == wanted and "as the config says" in message


def test_sets_with_a_case_in_different_splits_are_refused(config, records_set, shard, tmp_path):
    moved = [dataclasses.replace(records_set.cases[name], split="train") for name in "AD"]
    shard(tmp_path / "other", moved, records_set.index.data)
    folders = [records_set.folder, tmp_path / "other"]
    for order in itertools.permutations(folders):
        with pytest.raises(InputError, match=r"case D is in (train|validation) of .* and in (train|validation) of"):
            open_records(order, config)
    assert len(open_records([records_set.folder, records_set.folder], config)) == 2


def test_a_number_of_weights_other_than_one_per_set_is_refused(config, records_set):
    train = dataclasses.replace(config.train, records_weights=(1.0, 2.0))
    with pytest.raises(InputError, match=r"train\.records_weights has 2 numbers for 1 --records"):
        open_records([records_set.folder], dataclasses.replace(config, train=train))


def test_classes_that_the_records_lack_are_refused(config, records_set):
    data = dataclasses.replace(config.data, classes=("HE", "EX"))
    with pytest.raises(InputError, match=r"data\.classes is \('HE', 'MA'\) in the records and \('HE', 'EX'\)"):
        open_records([records_set.folder], dataclasses.replace(config, data=data))
