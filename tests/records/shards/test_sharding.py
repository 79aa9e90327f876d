"""Shards hold what the index says and what the photographs show, with the same bytes in whatever order cases come."""

import dataclasses
import hashlib
import io
import random
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from configs import DataConfig, InputError
from records import (
    Case,
    PhotographScale,
    Survey,
    field_of_view,
    read_index,
    rescale_mask,
    rescale_photograph,
    tile_origins,
)
from records.shards.cutting import MIN_FIELD_OF_VIEW, Tile
from records.shards.record import decode_record
from records.shards.sharding import plan_shards, read_shard, write_shard


def tiles_of(path: Path) -> list[Tile]:
    return [decode_record(record) for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]


def decoded(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)))


def shard_bytes(folder: Path) -> dict[str, bytes]:
    """Returns the content of the shards and of the three files of the index, by their names."""
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if ".tfrecord-" in path.name or ".json" in path.name
    }


def test_the_index_says_what_is_in_the_shards(records_set):
    listed = set()
    for name, split in records_set.index.splits.items():
        cases = []
        for shard in split.shards:
            content = (records_set.folder / shard.name).read_bytes()
            assert shard.bytes == len(content)
            assert shard.sha256 == hashlib.sha256(content).hexdigest()
            tiles = tiles_of(records_set.folder / shard.name)
            assert shard.records == len(tiles)
            cases += [tile.case for tile in tiles]
            listed.add(shard.name)
        assert split.records == len(cases)
        assert set(cases) <= set(split.cases)
        for case in split.cases:
            assert records_set.index.cases[case].split == name
            assert records_set.index.cases[case].tiles == cases.count(case)
    assert listed == {path.name for path in records_set.folder.iterdir() if "tfrecord" in path.name}
    assert set(records_set.index.cases) == set(records_set.photographed)


def test_shards_are_named_by_split_and_number_and_hold_a_limited_number_of_photographs(records_set):
    per_shard = records_set.data.photographs_per_shard
    assert list(records_set.index.splits) == ["train", "validation", "test"]
    for name, split in records_set.index.splits.items():
        count = -(-len(split.cases) // per_shard)
        assert [shard.name for shard in split.shards] == [
            f"fundus_tiles-{name}.tfrecord-{number:05d}-of-{count:05d}" for number in range(count)
        ]
        for shard in split.shards:
            assert len({tile.case for tile in tiles_of(records_set.folder / shard.name)}) <= per_shard


def test_every_tile_is_a_crop_of_its_photograph_and_masks_at_a_place_of_the_grid(records_set):
    data = records_set.data
    for split in records_set.index.splits.values():
        for tile in (tile for shard in split.shards for tile in tiles_of(records_set.folder / shard.name)):
            photograph, masks = records_set.photographed[tile.case]
            small = rescale_photograph(photograph, data.scale)
            assert (tile.y, tile.x) in tile_origins(*small.shape[:2], data.tile, stride=data.stride)
            rows, columns = slice(tile.y, tile.y + data.tile), slice(tile.x, tile.x + data.tile)
            behind = [(0, data.tile), (0, data.tile)]
            np.testing.assert_array_equal(decoded(tile.image), np.pad(small, [*behind, (0, 0)])[rows, columns])
            bits = decoded(tile.mask)
            for index, name in enumerate(data.classes):
                mask = masks.get(name, np.zeros(photograph.shape[:2], bool))
                expected = np.pad(rescale_mask(mask, data.scale), behind)[rows, columns]
                np.testing.assert_array_equal(bits // 2**index % 2, expected)


def test_every_tile_with_a_lesion_and_the_requested_number_of_empty_ones_are_stored(records_set):
    data = records_set.data
    kinds: dict[str, dict[tuple[int, int], bool]] = {name: {} for name in records_set.photographed}
    for split in records_set.index.splits.values():
        for shard in split.shards:
            for tile in tiles_of(records_set.folder / shard.name):
                assert (tile.y, tile.x) not in kinds[tile.case]
                kinds[tile.case][tile.y, tile.x] = bool(decoded(tile.mask).any())
    for name, (photograph, masks) in records_set.photographed.items():
        small = rescale_photograph(photograph, data.scale)
        any_class = np.zeros(small.shape[:2], bool)
        for mask in masks.values():
            any_class |= rescale_mask(mask, data.scale)
        origins = tile_origins(*any_class.shape, data.tile, stride=data.stride)
        nonempty = {(y, x) for y, x in origins if any_class[y : y + data.tile, x : x + data.tile].any()}
        assert {place for place, lesion in kinds[name].items() if lesion} == nonempty
        inside = field_of_view(small)
        fractions = [
            np.count_nonzero(inside[y : y + data.tile, x : x + data.tile]) / data.tile**2
            for y, x in set(origins) - nonempty
        ]
        possible = sum(fraction >= MIN_FIELD_OF_VIEW for fraction in fractions)
        wanted = round(data.empty_per_nonempty * max(len(nonempty), 1))
        assert len(kinds[name]) - len(nonempty) == min(wanted, possible)
        assert records_set.index.cases[name].nonempty_tiles == len(nonempty)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_the_cases_changes_no_byte(records_set, shard, tmp_path, seed):
    def shuffled(cases: list[Case]) -> list[Case]:
        return random.Random(seed).sample(cases, len(cases))

    again = shard(records_set.source, tmp_path / "again", records_set.data, order=shuffled)
    assert shard_bytes(again.folder) == shard_bytes(records_set.folder)


def test_an_additional_case_changes_no_tile_of_the_others(records_set, shard, write_idrid, fundus, blobs, tmp_path):
    shutil.copytree(records_set.source, tmp_path / "source")
    extra = type(records_set.photographed["P1"])(fundus(100, 140, seed=77), {"HE": blobs(100, 140, seed=77)})
    write_idrid(tmp_path / "source", {"A0": extra})
    more = shard(tmp_path / "source", tmp_path / "records", records_set.data)

    def by_case(folder: Path) -> dict[str, list[Tile]]:
        tiles: dict[str, list[Tile]] = {}
        for path in sorted(folder.glob("*.tfrecord-*")):
            for tile in tiles_of(path):
                tiles.setdefault(tile.case, []).append(tile)
        return tiles

    tiles = by_case(more.folder)
    assert tiles.pop("A0")
    assert tiles == by_case(records_set.folder)


def test_a_shard_written_alone_has_the_same_bytes(records_set, tmp_path):
    plans = plan_shards(records_set.cases, records_set.data, records_set.surveys)
    assert len(plans) > 3
    for plan in plans:
        result = write_shard(plan, tmp_path)
        assert (tmp_path / plan.name).read_bytes() == (records_set.folder / plan.name).read_bytes()
        assert result.shard in records_set.index.splits[plan.split].shards


def test_plans_hold_each_case_once_ordered_by_name():
    data = DataConfig(photographs_per_shard=3)
    splits = ["train"] * 7 + ["validation"] * 3 + ["test"]
    cases = [Case(f"{number:02d}", Path(), {}, split) for number, split in enumerate(splits)]
    surveys = {
        case.name: Survey(9, 9, {}, {}, PhotographScale(1 / (1 + number), "field of view"), 1, 1, "", "")
        for number, case in enumerate(cases)
    }
    plans = plan_shards(random.Random(0).sample(cases, len(cases)), data, surveys)
    assert [[case.name for case in plan.cases] for plan in plans] == [
        ["00", "01", "02"],
        ["03", "04", "05"],
        ["06"],
        ["07", "08", "09"],
        ["10"],
    ]
    assert all(plan.scales == tuple(1 / (1 + int(case.name)) for case in plan.cases) for plan in plans)
    assert [plan.split for plan in plans] == ["train"] * 3 + ["validation", "test"]
    assert [plan.name for plan in plans[2:4]] == [
        "fundus_tiles-train.tfrecord-00002-of-00003",
        "fundus_tiles-validation.tfrecord-00000-of-00001",
    ]


@pytest.fixture(scope="module")
def damaged_set(records_set, shard, tmp_path_factory):
    """The same set, but one training photograph is cut short behind its header."""
    base = tmp_path_factory.mktemp("damaged")
    shutil.copytree(records_set.source, base / "source")
    path = next((base / "source").rglob("P4.png"))
    Image.fromarray(records_set.photographed["P4"].photograph).save(path.with_suffix(".jpg"))
    path.unlink()
    content = path.with_suffix(".jpg").read_bytes()
    path.with_suffix(".jpg").write_bytes(content[: len(content) // 2])
    return shard(base / "source", base / "records", records_set.data)


def test_a_photograph_that_cannot_be_read_is_left_out_and_reported(damaged_set, records_set):
    assert set(damaged_set.failures) == {"P4"}
    line = damaged_set.failures["P4"]
    assert "P4.jpg" in line and "\n" not in line
    assert set(damaged_set.index.cases) == set(records_set.index.cases) - {"P4"}
    assert all("P4" not in split.cases for split in damaged_set.index.splits.values())


def test_the_shards_hold_all_cases_except_the_one_that_cannot_be_read(damaged_set, records_set):
    for name, split in damaged_set.index.splits.items():
        assert split.records == sum(damaged_set.index.cases[case].tiles for case in split.cases)
        for shard, whole in zip(split.shards, records_set.index.splits[name].shards, strict=True):
            kept = [tile for tile in tiles_of(records_set.folder / whole.name) if tile.case != "P4"]
            assert tiles_of(damaged_set.folder / shard.name) == kept


def test_a_shard_that_cannot_be_finished_leaves_no_file(records_set, tmp_path):
    (plan, *_) = plan_shards(records_set.cases, records_set.data, records_set.surveys)
    with pytest.raises(OSError, match="nowhere"):
        write_shard(plan, tmp_path / "nowhere")
    broken = dataclasses.replace(
        plan, cases=(dataclasses.replace(plan.cases[0], masks={}),)
    )  # a defect, not a bad file
    with pytest.raises(KeyError):
        write_shard(broken, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_shard_is_read_back_tile_by_tile_and_damage_is_reported(records_set, tmp_path):
    source = records_set.folder / records_set.index.splits["train"].shards[0].name
    assert list(read_shard(source)) == tiles_of(source)
    content = source.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damaged in (content[:-5], content[: len(content) // 3], bytes(flipped)):
        path = tmp_path / source.name
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=re.escape(source.name)) as error:
            list(read_shard(path))
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="missing"):
        list(read_shard(tmp_path / "missing"))


@pytest.mark.parametrize("codec", ["png", "jpeg"])
def test_tensorflow_datasets_opens_the_folder_as_it_is(records_set, shard, tmp_path, codec):
    folder = records_set.folder
    if codec == "jpeg":
        data = dataclasses.replace(records_set.data, codec="jpeg")
        folder = shard(records_set.source, tmp_path / "jpeg", data).folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(folder)
        streams = {name: list(tfds.as_numpy(stream)) for name, stream in _in_order(builder).items()}
    index = read_index(folder)
    assert set(streams) == set(index.splits)
    for name, split in index.splits.items():
        assert builder.info.splits[name].num_examples == split.records
        assert builder.info.splits[name].num_bytes == sum(file.bytes for file in split.shards)
        tiles = [tile for file in split.shards for tile in tiles_of(folder / file.name)]
        assert len(streams[name]) == len(tiles) > 0
        for example, tile in zip(streams[name], tiles, strict=True):
            assert (example["case"].decode(), example["y"], example["x"]) == (tile.case, tile.y, tile.x)
            np.testing.assert_array_equal(example["mask"][..., 0], decoded(tile.mask))
            image = decoded(tile.image) if codec == "png" else tf.io.decode_jpeg(tile.image).numpy()
            np.testing.assert_array_equal(example["image"], image)


def _in_order(builder) -> dict[str, tf.data.Dataset]:
    return {name: builder.as_dataset(split=name, shuffle_files=False) for name in builder.info.splits}
