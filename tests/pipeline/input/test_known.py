"""What is unknown is stored with the tiles and reaches the training step; sampling targets what is known alone."""

import dataclasses
import io
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from configs import AugmentConfig, Config, DataConfig, InputError, TrainConfig
from pipeline.input import (
    MISTAKEN,
    RecordSet,
    TileReader,
    make_sampler,
    open_records,
    training_batches,
    training_elements,
    validation_batches,
)
from records import Case, Index, field_of_view, read_index, tile_origins, write_index
from records.cases import HardNegative, write_hard_negatives
from records.grid import tile_cells, tile_starts
from records.shards.sharding import read_shard

CLASSES = ("HE", "MA")
DATA = DataConfig(classes=CLASSES, tile=32, stride=24, empty_per_nonempty=0.5, photographs_per_shard=2)
STILL = AugmentConfig(horizontal_flip=0.0, vertical_flip=0.0, quarter_turn=0.0)
TURNING = AugmentConfig(rotation=1.0, rotation_degrees=20.0)
BOXES = [HardNegative("MA", 30, 20, 9, 7, probability=0.9), HardNegative("HE", 3, 60, 30, 30, probability=1.0)]


class Source(NamedTuple):
    """Cases, with the masks of each, and what is known of it, both bool `[H, W, C]` and False where unknown."""

    folder: Path
    cases: dict[str, Case]
    masks: dict[str, np.ndarray]
    known: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def source(tmp_path_factory, fundus, write_case) -> Source:
    """A is not labelled for HE, regions of MA in B are left out, C is healthy, D and E are known throughout."""
    folder = tmp_path_factory.mktemp("known")
    cases, masks, known = {}, {}, {}
    for seed, (name, split) in enumerate({**dict.fromkeys("ABCD", "train"), "E": "validation"}.items()):
        picture = fundus(90, 100, seed=seed, lesions=name != "C")
        cases[name] = write_case(folder, name, picture, split)
        masks[name], known[name] = picture.masks.copy(), np.ones_like(picture.masks)
    cases["A"] = dataclasses.replace(cases["A"], masks={**cases["A"].masks, "HE": None}, unknown=frozenset({"HE"}))
    known["A"][..., 0] = False
    known["B"][20:50, 30:77, 1] = False
    left_out = folder / "B_MA_ignore.png"
    cv2.imwrite(str(left_out), 255 * (~known["B"][..., 1]).astype(np.uint8))
    cases["B"] = dataclasses.replace(cases["B"], ignored={"MA": (left_out,)})
    write_hard_negatives(folder / "C.csv", BOXES)
    cases["C"] = dataclasses.replace(cases["C"], absent=frozenset(CLASSES), hard_negatives=folder / "C.csv")
    return Source(folder, cases, {name: masks[name] & known[name] for name in masks}, known)


@pytest.fixture(scope="module")
def records(source, shard) -> RecordSet:
    return RecordSet(source.folder / "records", shard(source.folder / "records", list(source.cases.values()), DATA))


def tile_part(planes: np.ndarray, y: int, x: int, *, beyond: bool | np.ndarray) -> np.ndarray:
    """Returns the part `[32, 32, C]` of a photograph's planes, with some value beyond it."""
    part = np.broadcast_to(beyond, (32, 32, planes.shape[2])).copy()
    inside = planes[y : y + 32, x : x + 32]
    part[: inside.shape[0], : inside.shape[1]] = inside
    return part


def bits(known: bytes) -> np.ndarray:
    """Returns bool `[32, 32, 2]` of what a record says is known."""
    pixels = np.full((32, 32), known[0]) if len(known) == 1 else np.asarray(Image.open(io.BytesIO(known)))
    return np.stack([pixels & 1, pixels >> 1 & 1], axis=-1).astype(bool)


def test_each_record_says_what_is_known_of_its_pixels_in_one_byte_where_it_is_the_same(source, records):
    sizes = {}
    for split in records.index.splits.values():
        for shard in split.shards:
            for tile in read_shard(records.folder / shard.name):
                known = source.known[tile.case]
                expected = tile_part(known, tile.y, tile.x, beyond=known.any(axis=(0, 1)))
                assert np.array_equal(bits(tile.known), expected)
                assert (len(tile.known) == 1) == (len(np.unique(expected.reshape(-1, 2), axis=0)) == 1)
                sizes.setdefault(tile.case, set()).add(len(tile.known) == 1)
    assert sizes == {"A": {True}, "B": {True, False}, "C": {True}, "D": {True}, "E": {True}}


def test_the_index_lists_what_is_known_and_counts_lesions_there_alone(source, records):
    cases = records.index.cases
    assert {name: case.known for name, case in cases.items()} == {
        key: ["MA"] if key == "A" else list(CLASSES) for key in "ABCDE"
    }
    assert cases["A"].unknown_pixels == {"HE": 9000} and cases["B"].unknown_pixels == {"MA": 30 * 47}
    assert not any(cases[name].unknown_pixels for name in "CDE")
    assert {name: case.absent for name, case in cases.items()} == {**{key: [] for key in "ABDE"}, "C": list(CLASSES)}
    for name, case in cases.items():
        counted = np.count_nonzero(source.masks[name], axis=(0, 1)).tolist()
        assert list(case.lesion_pixels.values()) == counted
        owned = [sum(part.pixels for part in case.lesions if part.class_index == c) for c in range(2)]
        assert owned == counted
    assert read_index(records.folder) == records.index


def test_all_tiles_of_a_healthy_photograph_that_show_it_are_stored_or_as_many_as_the_config_says(
    source, records, shard, tmp_path
):
    photograph = cv2.imread(str(source.cases["C"].photograph))[..., ::-1]
    inside = field_of_view(photograph)
    shown = [
        (y, x)
        for y, x in tile_origins(90, 100, 32, stride=24)
        if np.count_nonzero(inside[y : y + 32, x : x + 32]) >= 256
    ]
    assert [(place.y, place.x) for place in records.index.cases["C"].places] == shown
    few = shard(tmp_path / "few", [source.cases["C"], source.cases["D"]], dataclasses.replace(DATA, healthy_tiles=1))
    owners = {(box.tile) for box in few.cases["C"].hard_negatives}
    assert few.cases["C"].tiles == len(owners) + 1  # mistakes are kept in any case


def test_a_hard_negative_belongs_to_the_tile_whose_cell_holds_its_centre(records):
    entry = records.index.cases["C"]
    rows, columns = ((tile_starts(side, 32, 24), tile_cells(side, 32, 24)) for side in (90, 100))
    assert [box.class_index for box in entry.hard_negatives] == [1, 0]
    for found, box in zip(BOXES, entry.hard_negatives, strict=True):
        place = entry.places[box.tile]
        top, bottom = rows[1][rows[0].index(place.y)]
        left, right = columns[1][columns[0].index(place.x)]
        assert top <= found.y + found.height // 2 < bottom and left <= found.x + found.width // 2 < right
        assert (box.y + place.y, box.x + place.x) == (max(found.y, top), max(found.x, left))
        assert box.y + place.y + box.height == min(found.y + found.height, bottom)
        assert box.x + place.x + box.width == min(found.x + found.width, right)


@pytest.mark.parametrize("cache", ["none", "records", "decoded"])
def test_tiles_are_read_with_what_is_known_behind_the_masks(source, records, cache):
    reader = TileReader([records], "train", cache)
    for number in range(reader.count):
        stored = reader.locate(number)
        _, labels = reader.tile(tf.constant(number))
        masks, known = source.masks[stored.case], source.known[stored.case]
        beyond = known.any(axis=(0, 1))
        expected = [
            tile_part(masks, stored.y, stored.x, beyond=False),
            tile_part(known, stored.y, stored.x, beyond=beyond),
        ]
        assert np.array_equal(labels, np.concatenate(expected, axis=-1))


def test_labels_of_known_sets_are_masks_alone(source, shard, tmp_path):
    index = shard(tmp_path / "all", [source.cases["D"], source.cases["E"]], DATA)
    sets = [RecordSet(tmp_path / "all", index)]
    train = TrainConfig(batch_size=2)
    assert training_batches(sets, train, STILL).element_spec[1].shape == [2, 32, 32, 2]
    assert validation_batches(sets, train).element_spec[1].shape == [2, 32, 32, 2]


def test_masks_and_what_is_known_move_together(records):
    train = TrainConfig(batch_size=2, crop=16)
    for element in training_elements([records], train, TURNING).take(40).as_numpy_iterator():
        masks, known = element["labels"][..., :2], element["labels"][..., 2:]
        assert set(np.unique(element["labels"])) <= {0.0, 1.0}
        assert not (masks * (1 - known)).any()  # nothing unknown is a lesion, however it was turned


def test_a_lesion_is_targeted_only_where_its_class_is_known(source, records):
    sampler = make_sampler([records], TrainConfig(lesion_fraction=0.5, lesion_pixel_fraction=0.5, crop=16))
    reader = TileReader([records], "train")
    for tile, class_index, y, x, height, width in sampler.targets[np.diff(sampler.ends, prepend=0) > 0]:
        stored = reader.locate(int(tile))
        if class_index >= 0:
            box = source.masks[stored.case][stored.y + y : stored.y + y + height, stored.x + x : stored.x + x + width]
            assert box[..., class_index].any()
            assert (stored.case, class_index) != ("A", 0)


@pytest.mark.parametrize("balance", ["tile", "photograph"])
def test_healthy_photographs_and_mistakes_are_drawn_as_often_as_the_config_says(records, balance):
    train = TrainConfig(
        healthy_fraction=0.25, hard_negative_fraction=0.125, lesion_fraction=0.5, empty_fraction=0.0, balance=balance
    )
    sampler = make_sampler([records], train)
    weights = np.diff(sampler.ends, prepend=0)
    reader = TileReader([records], "train")
    cases = np.array([reader.locate(int(tile)).case for tile in sampler.targets[:, 0]])
    mistakes = sampler.targets[:, 1] <= MISTAKEN
    assert weights[mistakes].sum() == pytest.approx(0.125)
    assert weights[mistakes].tolist() == pytest.approx([1 / 16] * 2)  # each equally often
    assert (MISTAKEN - sampler.targets[mistakes, 1]).tolist() == [1, 0]
    assert weights[(cases == "C") & ~mistakes].sum() == pytest.approx(0.25)
    aimed = weights[sampler.targets[:, 1] >= 0].sum()
    assert aimed == pytest.approx(0.5 * 0.625)


def test_the_centre_of_a_crop_at_a_mistake_lies_in_its_box(records):
    train = TrainConfig(hard_negative_fraction=0.9, crop=16)
    seen = 0
    for element in training_elements([records], train, STILL).take(60).as_numpy_iterator():
        _, class_index, y, x, height, width = element["target"]
        if class_index <= MISTAKEN:
            seen += 1
            center = element["origin"] + 8
            clipped = (np.clip(center[0], y, y + height), np.clip(center[1], x, x + width))
            at_edge = (element["origin"] == 0) | (element["origin"] == 16)  # moved into the tile
            assert all((center == clipped) | at_edge)
    assert seen > 40


@pytest.mark.parametrize(
    ("field", "words"),
    [("healthy_fraction", "photographs that --healthy names"), ("hard_negative_fraction", "no hard negatives")],
)
def test_what_the_records_do_not_have_cannot_be_asked_for(source, shard, tmp_path, field, words):
    index = shard(tmp_path / "all", [source.cases["D"]], DATA)
    fraction: dict[str, float] = {field: 0.2}
    with pytest.raises(InputError, match=f"train.{field} is 0.2.*{words}"):
        make_sampler([RecordSet(tmp_path / "all", index)], TrainConfig(**fraction))


@pytest.fixture(scope="module")
def two_sets(source, shard, tmp_path_factory) -> tuple[list[RecordSet], list[RecordSet]]:
    """A and B of both classes beside C and D of MA alone; and all four as one set in which HE is unknown in C and D."""
    base = tmp_path_factory.mktemp("two")
    plain = {name: dataclasses.replace(case, absent=frozenset()) for name, case in source.cases.items()}
    one_class = dataclasses.replace(DATA, classes=("MA",))
    boxes = [HardNegative("MA", 30, 20, 9, 7, probability=0.9)]
    write_hard_negatives(base / "C.csv", boxes)
    plain["C"] = dataclasses.replace(plain["C"], hard_negatives=base / "C.csv")
    shard(base / "1", [plain["A"], plain["B"]], DATA)
    shard(
        base / "2",
        [dataclasses.replace(plain[name], masks={"MA": plain[name].masks["MA"]}) for name in "CD"],
        one_class,
    )
    unlabelled = [
        dataclasses.replace(plain[name], masks={**plain[name].masks, "HE": None}, unknown=frozenset({"HE"}))
        for name in "CD"
    ]
    shard(base / "both", [plain["A"], plain["B"], *unlabelled], DATA)
    config = Config(data=DATA)
    return open_records([base / "1", base / "2"], config), open_records([base / "both"], config)


def test_two_sets_of_different_classes_give_the_stream_of_one_in_which_classes_are_unknown(two_sets):
    train = TrainConfig(
        balance="photograph",
        lesion_fraction=0.4,
        lesion_pixel_fraction=0.2,
        hard_negative_fraction=0.1,
        crop=16,
        seed=3,
    )
    streams = [training_elements(sets, train, TURNING).take(50).as_numpy_iterator() for sets in two_sets]
    for one, other in zip(*streams, strict=True):
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_a_class_that_is_known_in_no_training_photograph_is_refused(two_sets, source, shard, tmp_path):
    folder = two_sets[0][1].folder
    with pytest.raises(InputError, match="class HE is known in no training photograph"):
        open_records([folder], Config(data=DATA))


def test_sets_of_earlier_versions_are_known_throughout(records, tmp_path):
    write_index(tmp_path, records.index)
    text = (tmp_path / "index.json").read_text().replace('"schema_version": 3', '"schema_version": 2')
    (tmp_path / "index.json").write_text(text)
    stripped = without_new_keys(read_index(tmp_path), tmp_path)
    assert stripped.known_throughout
    assert all(case.known == list(CLASSES) and not case.absent for case in stripped.cases.values())


def without_new_keys(index: Index, folder: Path) -> Index:
    """Returns an index as an earlier version wrote it, read from a file."""
    import json

    content = json.loads((folder / "index.json").read_text())
    for case in content["cases"].values():
        for key in ("known", "unknown_pixels", "absent", "hard_negatives"):
            del case[key]
    (folder / "index.json").write_text(json.dumps(content))
    return read_index(folder)


@pytest.fixture(scope="module")
def soft(tmp_path_factory, source, shard, fundus, write_case) -> tuple[RecordSet, np.ndarray]:
    """One photograph whose MA is soft, without HE, scaled by half; and its levels, uint8 `[H, W]`."""
    base = tmp_path_factory.mktemp("soft")
    case = write_case(base, "S", fundus(80, 90, seed=5), "train")
    levels = np.random.default_rng(0).integers(0, 256, (20, 18), dtype=np.uint8).repeat(4, 0).repeat(5, 1)
    cv2.imwrite(str(base / "levels.png"), levels)
    data = dataclasses.replace(DATA, soft_labels=True, scale=0.5)
    case = dataclasses.replace(case, masks={"HE": None, "MA": base / "levels.png"})
    return RecordSet(base / "records", shard(base / "records", [case], data)), levels


def test_soft_labels_are_levels_averaged_over_area(soft):
    records, levels = soft
    reader = TileReader([records], "train")
    halved = levels.reshape(40, 2, 45, 2).astype(float).mean(axis=(1, 3))
    for number in range(reader.count):
        stored = reader.locate(number)
        _, labels = reader.tile(tf.constant(number))
        part = halved[stored.y : stored.y + 32, stored.x : stored.x + 32]
        assert labels.shape == (32, 32, 2)
        assert np.abs(255 * labels[: part.shape[0], : part.shape[1], 1] - part).max() <= 0.5 + 1e-4
        assert not np.any(labels[..., 0])


def test_soft_and_hard_sets_are_trained_on_together(soft, source, shard, tmp_path):
    data = dataclasses.replace(DATA, scale=0.5)
    shard(tmp_path / "hard", [source.cases["D"]], data)
    folders = [soft[0].folder, tmp_path / "hard"]
    with pytest.raises(InputError, match="data.soft_labels is True in the records and False in the config"):
        open_records(folders, Config(data=data))
    sets = open_records(folders, Config(data=dataclasses.replace(data, soft_labels=True)))
    reader = TileReader(sets, "train")
    values = {}
    for number in range(reader.count):
        values.setdefault(reader.locate(number).case, set()).update(np.unique(reader.tile(tf.constant(number))[1]))
    assert values["D"] == {0.0, 1.0} and len(values["S"]) > 20
    train = TrainConfig(lesion_pixel_fraction=1.0, crop=16)
    for element in training_elements(sets, train, STILL).take(20).as_numpy_iterator():
        assert (element["labels"][..., element["target"][1]] >= 0.5).any()  # a lesion pixel has at least half


def test_a_set_may_have_no_validation_photographs_beside_one_that_has(records, source, shard, tmp_path):
    shard(tmp_path / "healthy", [source.cases["C"]], DATA)
    sets = open_records([tmp_path / "healthy", records.folder], Config(data=DATA))
    batches = list(validation_batches(sets, TrainConfig(batch_size=2)))
    assert len(batches) == -(-records.index.splits["validation"].records // 2)
