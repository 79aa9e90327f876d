"""Config files: presets and saved configs, what they must be, and the twin that the command line edits."""

import dataclasses
import json
from pathlib import Path

import pytest

from configs import Config, InputError, TrainConfig, loading

PRESETS = ("demo", "idrid_haemorrhages", "seed_haemorrhages")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads_and_survives_the_twin(name):
    config = loading.load_config(str(Path(loading.__file__).parent / f"{name}.py"))
    assert isinstance(config, Config)
    assert loading.freeze(loading.thaw(config)) == config


def test_a_saved_config_loads_as_it_was(tmp_path):
    config = Config(train=TrainConfig(epochs=3, steps_per_epoch=7))
    (tmp_path / "config.json").write_text(config.to_json())
    assert loading.load_config(str(tmp_path / "config.json")) == config


def test_the_twin_is_checked_as_a_whole_when_it_is_frozen():
    twin = loading.thaw(Config())
    twin.data.tile, twin.data.stride = 256, 256  # in either order, though stride 512 alone would not fit tile 256
    assert loading.freeze(twin).data.tile == 256
    twin.data.stride = 257
    with pytest.raises(InputError, match="data.stride must be 1 to data.tile"):
        loading.freeze(twin)


def test_the_twin_has_a_type_the_command_line_can_parse_for_every_field():
    def types(twin: object) -> list[object]:
        found = []
        for field in dataclasses.fields(twin):
            value = getattr(twin, field.name)
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
        ("list.json", "[]", "expected an object with the sections of a config"),
        ("empty.py", "x = 1", "a preset defines get_config() -> Config; this file does not"),
        ("wrong.py", "def get_config():\n    return 3", "get_config() must return a Config; it returned int"),
        ("syntax.py", "def get_config(:", "SyntaxError"),
        ("range.json", json.dumps({"train": {"epochs": 0}}), "train.epochs must be at least 1; received 0"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as error:
        loading.load_config(str(tmp_path / name))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
