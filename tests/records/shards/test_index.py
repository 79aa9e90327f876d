"""The index is read back unchanged, and compared with shards and configs."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs import Config, DataConfig, InputError, TrainConfig
from records import (
    LabelledBy,
    PhotographIdentity,
    SeenPhotographs,
    check_config,
    files,
    locate_records,
    read_index,
    write_index,
)
from records.shards.index import INDEX, Shard, shard_name
from records.shards.record import decode_record
from records.shards.sharding import read_shard


@pytest.fixture
def folder(records_set, tmp_path) -> Path:
    """A folder with an index alone."""
    write_index(tmp_path, records_set.index)
    return tmp_path


def refusal(folder: Path) -> str:
    """Returns the line by which an index is refused."""
    with pytest.raises(InputError) as error:
        read_index(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def changed(folder: Path, change) -> Path:
    """Applies `change` to the content of the index's file."""
    content = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    change(content)
    (folder / INDEX).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_an_index_is_read_back_unchanged(records_set, folder):
    assert read_index(records_set.folder) == records_set.index
    assert read_index(folder) == records_set.index


def test_the_models_that_labelled_the_photographs_are_read_back(records_set, tmp_path):
    seen = SeenPhotographs(("A",), (PhotographIdentity("A", "sha", "0f"),))
    labelled = dataclasses.replace(records_set.index, labelled_by=LabelledBy(("0123",), seen, SeenPhotographs(("B",))))
    write_index(tmp_path, labelled)
    assert read_index(tmp_path) == labelled
    written_by_people = changed(tmp_path, lambda content: content.pop("labelled_by"))  # as earlier versions have it
    assert read_index(written_by_people).labelled_by is None


@given(
    classes=st.lists(st.sampled_from(["HE", "MA", "眼", "ö"]), min_size=1, unique=True),
    scale=st.floats(0.01, 1),
    empty=st.floats(0, 10),
    patient=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9),
)
def test_any_config_and_any_name_are_read_back(records_set, tmp_path_factory, classes, scale, empty, patient):
    data = DataConfig(classes=tuple(classes), scale=scale, tile=64, stride=64, empty_per_nonempty=empty)
    cases = {
        f"眼 {name}": dataclasses.replace(entry, patient=patient, lesion_pixels=dict.fromkeys(classes, 3))
        for name, entry in records_set.index.cases.items()
    }
    index = dataclasses.replace(records_set.index, data=data, cases=cases)
    place = tmp_path_factory.mktemp("index")
    write_index(place, index)
    assert read_index(place) == index


def test_the_file_holds_what_other_software_needs(records_set):
    content = json.loads((records_set.folder / INDEX).read_text(encoding="utf-8"))
    data = records_set.data
    assert content["schema_version"] == 3
    assert content["fingerprint"] == Config(data=data).fingerprint("data") == records_set.index.fingerprint
    assert content["classes"] == ["HE", "MA"] == list(records_set.index.classes)
    assert (content["data"]["tile"], content["data"]["stride"], content["data"]["scale"]) == (32, 24, 0.5)
    assert set(content["splits"]["train"]["shards"][0]) == {"name", "records", "bytes", "sha256"}
    for name, (photograph, masks) in records_set.photographed.items():
        case = content["cases"][name]
        assert (case["height"], case["width"]) == photograph.shape[:2]
        assert case["lesion_pixels"] == {key: int(masks[key].sum()) if key in masks else 0 for key in data.classes}


def test_the_index_is_the_last_file_that_is_written(records_set, tmp_path, monkeypatch):
    renamed = []
    replace = files.os.replace
    monkeypatch.setattr(files.os, "replace", lambda *names: (renamed.append(Path(names[1]).name), replace(*names)))
    write_index(tmp_path, records_set.index)
    assert sorted(renamed) == ["dataset_info.json", "features.json", "index.json"]
    assert renamed[-1] == "index.json"


def test_a_missing_index_or_folder_is_reported_with_the_remedy(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        line = refusal(place)
        assert str(place) in line and "scripts.shard" in line


@pytest.mark.parametrize("content", [b"", b'{"schema_version": 2', b"[]", b"null", b"3", b"\xff\xfe\x00", b"{}"])
def test_a_damaged_index_is_reported(tmp_path, content):
    (tmp_path / INDEX).write_bytes(content)
    line = refusal(tmp_path)
    assert str(tmp_path / INDEX) in line and "shard" in line


def test_an_index_cut_short_anywhere_is_reported(folder):
    content = (folder / INDEX).read_bytes()
    for end in range(0, len(content) - 2, 97):
        (folder / INDEX).write_bytes(content[:end])
        assert str(folder / INDEX) in refusal(folder)


@pytest.mark.parametrize("version", [0, 1, 5, "2", None])
def test_an_index_of_another_schema_version_is_refused_with_both_versions(folder, version):
    line = refusal(changed(folder, lambda content: content.update(schema_version=version)))
    assert str(folder / INDEX) in line and f"version {version}" in line and "reads 2" in line


@pytest.mark.parametrize("key", ["schema_version", "source", "data", "splits", "cases"])
def test_a_missing_key_is_reported(folder, key):
    line = refusal(changed(folder, lambda content: content.pop(key)))
    assert str(folder / INDEX) in line and key in line


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("shards", lambda content: content["splits"]["train"].pop("shards")),
        ("sha256", lambda content: content["splits"]["train"]["shards"][0].pop("sha256")),
        ("color", lambda content: content["splits"]["train"]["shards"][0].update(color="red")),
        ("height", lambda content: content["cases"]["P1"].pop("height")),
        ("list", lambda content: content.update(cases=["P1"])),
    ],
)
def test_a_nested_key_that_is_missing_or_unknown_is_reported(folder, words, change):
    line = refusal(changed(folder, change))
    assert str(folder / INDEX) in line and words in line


@pytest.mark.parametrize(
    ("words", "change"),
    [
        ("data.tyle", lambda content: content["data"].update(tyle=3)),
        ("data.tile", lambda content: content["data"].update(tile="512")),
        ("data.stride", lambda content: content["data"].update(stride=0)),
    ],
)
def test_an_invalid_data_config_is_reported_with_its_file(folder, words, change):
    line = refusal(changed(folder, change))
    assert words in line and str(folder / INDEX) in line


def test_records_made_with_the_same_data_config_are_accepted(records_set):
    check_config(records_set.index, Config(data=records_set.data, train=TrainConfig(epochs=1)), records_set.folder)


def test_records_made_with_another_data_config_are_refused_with_every_field_that_differs(records_set):
    data = dataclasses.replace(records_set.data, tile=48, classes=("HE",))
    with pytest.raises(InputError) as error:
        check_config(records_set.index, Config(data=data), records_set.folder)
    line = str(error.value)
    assert f"--records={records_set.folder}" in line and "\n" not in line
    assert "data.tile is 32 in the records and 48 in the config" in line
    assert "data.classes is ('HE', 'MA') in the records and ('HE',) in the config" in line
    assert "data.stride" not in line and "data.scale" not in line


# The sets of one training may differ in these.
FREE = {"soft_labels", "validation_fraction", "empty_per_nonempty", "healthy_tiles", "seed"}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(DataConfig) if field.name not in FREE])
def test_a_difference_in_any_single_field_is_found(records_set, field):
    others = {
        "classes": ("HE", "EX"),
        "scale": 0.25,
        "tile": 40,
        "stride": 16,
        "validation_fraction": 0.4,
        "colors": ("ff0000", "00ff00"),
        "codec": "jpeg",
        "jpeg_quality": 90,
        "field_degrees": 45.0,
    }
    value = others[field] if field in others else (getattr(records_set.data, field) or 999) + 1
    one_scale = {"scale": None} if field == "field_diameter" else {}
    data = dataclasses.replace(records_set.data, **{field: value, **one_scale})
    with pytest.raises(InputError, match=rf"data\.{field} is .* in the records"):
        check_config(records_set.index, Config(data=data), records_set.folder)


def test_an_index_of_version_0_1_is_read_with_the_scale_of_its_config_for_all(records_set, folder):
    def as_it_was(content: dict) -> None:
        del content["data"]["field_diameter"], content["data"]["field_degrees"]
        for case in content["cases"].values():
            del case["scale"]

    index = read_index(changed(folder, as_it_was))
    assert index == records_set.index
    assert {entry.scale for entry in index.cases.values()} == {0.5}


def test_the_shards_of_a_split_are_listed_in_order(records_set):
    located = locate_records(records_set.index, "train", records_set.folder)
    assert [path.name for path, _ in located] == [shard.name for shard in records_set.index.splits["train"].shards]
    assert len(located) > 1 and all(path.is_file() for path, _ in located)


def test_every_record_begins_where_it_is_said_to(records_set):
    for path, starts in locate_records(records_set.index, "train", records_set.folder):
        content = path.read_bytes()
        ends = [*starts[1:], len(content)]
        tiles = [decode_record(content[start + 12 : end - 4]) for start, end in zip(starts, ends, strict=True)]
        assert tiles == list(read_shard(path))


def test_a_shard_with_a_changed_byte_or_of_another_set_is_refused(records_set, tmp_path):
    shards = records_set.index.splits["train"].shards
    for shard in shards:
        (tmp_path / shard.name).write_bytes((records_set.folder / shard.name).read_bytes())
    content = bytearray((tmp_path / shards[0].name).read_bytes())
    for place in (0, 9, len(content) // 2, len(content) - 1):
        changed_byte = bytearray(content)
        changed_byte[place] ^= 1
        (tmp_path / shards[0].name).write_bytes(changed_byte)
        with pytest.raises(
            InputError, match=rf"{shards[0].name}: its sha256 differs from the index.*of another set.*--verify"
        ):
            locate_records(records_set.index, "train", tmp_path)


def test_a_shard_that_is_missing_shorter_or_longer_is_refused(records_set, tmp_path):
    shards = records_set.index.splits["train"].shards
    for shard in shards:
        (tmp_path / shard.name).write_bytes((records_set.folder / shard.name).read_bytes())
    assert len(locate_records(records_set.index, "train", tmp_path)) == len(shards)
    last = shards[-1]
    for size in (last.bytes - 1, last.bytes + 1, 0):
        (tmp_path / last.name).write_bytes(bytes(size))
        with pytest.raises(InputError, match=f"{last.name}: {size} bytes, but the index says {last.bytes}"):
            locate_records(records_set.index, "train", tmp_path)
    (tmp_path / last.name).unlink()
    with pytest.raises(InputError, match=f"{last.name}: missing") as error:
        locate_records(records_set.index, "train", tmp_path)
    assert "\n" not in str(error.value)


def test_a_shard_with_a_different_number_of_records_is_refused_with_the_remedy(records_set):
    split = records_set.index.splits["train"]
    wrong = dataclasses.replace(split.shards[0], records=split.shards[0].records + 1)
    index = dataclasses.replace(
        records_set.index, splits={"train": dataclasses.replace(split, shards=[wrong, *split.shards[1:]])}
    )
    with pytest.raises(InputError, match=f"{wrong.name}: {wrong.records - 1} records, but the index says") as error:
        locate_records(index, "train", records_set.folder)
    assert f"scripts.shard --verify --records={records_set.folder}" in str(error.value)


def test_a_split_counts_the_records_of_its_shards(records_set):
    split = records_set.index.splits["train"]
    more = dataclasses.replace(split, shards=[*split.shards, Shard("another", 7, 1, "")])
    assert more.records == split.records + 7


def test_shards_are_named_as_tensorflow_datasets_names_them():
    assert shard_name("train", 3, 12) == "fundus_tiles-train.tfrecord-00003-of-00012"
