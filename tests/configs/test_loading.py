"""Presets and saved configs, also of earlier versions, and the mutable copy that the command line edits."""

import dataclasses
import json
from pathlib import Path

import pytest

from configs import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluateConfig,
    InputError,
    ModelConfig,
    SegmentConfig,
    TrainConfig,
    UNetConfig,
    loading,
)
from configs.schema.old_names import OLD_NAMES

PRESETS = ("demo", "idrid_haemorrhages", "idrid_lesions", "seed_haemorrhages")
EARLIER = Path(__file__).parent / "data" / "config_0.1.json"  # as version 0.1 saved it, under the old names


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads_and_equals_its_frozen_copy(name):
    config = loading.load_config(str(Path(loading.__file__).parent / f"{name}.py"))
    assert isinstance(config, Config)
    assert loading.freeze(loading.thaw(config)) == config


def test_a_saved_config_is_read_back_unchanged(tmp_path):
    config = Config(train=TrainConfig(epochs=3, steps_per_epoch=7))
    (tmp_path / "config.json").write_text(config.to_json())
    assert loading.load_config(str(tmp_path / "config.json")) == config


def test_a_config_of_an_earlier_version_is_read_and_keeps_its_fingerprint():
    config = loading.load_config(str(EARLIER))
    assert config == Config(
        data=DataConfig(classes=("HE",), tile=256, stride=192, empty_per_nonempty=0.3),
        model=ModelConfig(network="unet", unet=UNetConfig(width=16, levels=4)),
        augment=AugmentConfig(brightness=1.0, brightness_fraction=0.1, color=1.0, color_fraction=0.05),
        train=TrainConfig(epochs=8, batch_size=8, learning_rate=3e-3),
        segment=SegmentConfig(overlap=0.25, window="hann"),
        evaluate=EvaluateConfig(threshold=0.5),
    )
    assert config.fingerprint() == "d5d08be527fdb1e7"


def test_every_renamed_field_is_read_under_its_old_name(tmp_path):
    values = json.loads(EARLIER.read_text())
    path = tmp_path / "config.json"
    for new, old in OLD_NAMES.items():
        section, name = new.split(".")
        assert old in values[section] and name not in values[section]
        given = [2.0] if name == "class_sampling" else 0.25 if "distortion" not in name else 0.0625
        path.write_text(json.dumps({section: {old: given}}))
        value = getattr(getattr(loading.load_config(str(path)), section), name)
        assert value == (tuple(given) if isinstance(given, list) else given)


def test_a_field_given_under_its_old_and_its_new_name_is_refused(tmp_path):
    values = json.loads(EARLIER.read_text())
    values["train"]["warmup_fraction"] = 0.1
    (tmp_path / "config.json").write_text(json.dumps(values))
    message = "train.warmup_share is the old name of train.warmup_fraction; both are given, remove one."
    with pytest.raises(InputError, match=message):
        loading.load_config(str(tmp_path / "config.json"))


def test_the_mutable_copy_is_checked_as_a_whole_when_it_is_frozen():
    copy = loading.thaw(Config())
    copy.data.tile, copy.data.stride = 256, 256  # in either order, though stride 512 alone would not fit tile 256
    assert loading.freeze(copy).data.tile == 256
    copy.data.stride = 257
    with pytest.raises(InputError, match="data.stride must be 1 to data.tile"):
        loading.freeze(copy)


def test_every_field_of_the_mutable_copy_has_a_type_that_the_command_line_can_parse():
    def types(copy: object) -> list[object]:
        found = []
        for field in dataclasses.fields(copy):
            value = getattr(copy, field.name)
            found += types(value) if dataclasses.is_dataclass(value) else [field.type]
        return found

    assert set(types(loading.thaw(Config()))) <= {
        int,
        float,
        str,
        bool,
        tuple[str, ...],
        tuple[float, ...],
        tuple[int, ...],
        int | None,
        float | None,
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.py", None, "no such file; the presets are configs/{demo.py, idrid_haemorrhages.py"),
        ("preset.txt", "x", "expected a preset (.py) or a config.json"),
        ("broken.json", "{", "not valid JSON"),
        ("list.json", "[]", "expected a JSON object with the sections of a config"),
        ("empty.py", "x = 1", "a preset defines get_config() -> Config; this file does not"),
        ("wrong.py", "def get_config():\n    return 3", "get_config() must return a Config; it returned int"),
        ("syntax.py", "def get_config(:", "SyntaxError"),
        ("range.json", json.dumps({"train": {"epochs": 0}}), "train.epochs must be at least 1; received 0"),
    ],
)
def test_a_file_that_is_not_a_config_is_refused_with_a_reason(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as error:
        loading.load_config(str(tmp_path / name))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
