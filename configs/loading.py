"""Reads a preset (`configs/NAME.py`) or a `config.json`, and lends it to the command line as something it can edit.

`ml_collections.config_flags` sets fields in place and calls `get_config(argument)` of the file that it is given.
Commands therefore give it this file with the preset's path as the argument, let it edit the unfrozen twin that
`get_config` returns, and freeze the twin afterwards, which checks all fields together whatever their order was.
"""

import dataclasses
import json
import re
import runpy
from pathlib import Path
from typing import Any, Literal, get_origin

from configs.schema import Config, from_dict
from configs.schema.errors import InputError


def load_config(path: str) -> Config:
    """Reads a preset or a `config.json` written by an earlier run.

    Raises:
      InputError: no such file, neither .py nor .json, a preset without `get_config() -> Config`, JSON that is broken
        or has fields that the schema does not know, or a field out of its range.
    """
    file = Path(path)
    if not file.is_file():
        presets = sorted(preset.name for preset in Path(__file__).parent.glob("*.py") if _is_preset(preset))
        raise InputError(f"--config={path}: no such file; the presets are configs/{{{', '.join(presets)}}}.")
    if file.suffix == ".json":
        try:
            values = json.loads(file.read_text())
        except ValueError as error:
            raise InputError(f"--config={path}: not valid JSON ({error}).") from error
        if not isinstance(values, dict):
            raise InputError(f"--config={path}: expected an object with the sections of a config.")
        config = from_dict(values)
    elif file.suffix == ".py":
        config = _run_preset(file)
    else:
        raise InputError(f"--config={path}: expected a preset (.py) or a config.json.")
    return config


def get_config(path: str) -> Any:
    """Returns the unfrozen twin of the config at `path`; called by `ml_collections.config_flags`."""
    return thaw(load_config(path))


def thaw(config: Any) -> Any:
    """Returns a mutable dataclass with the fields, types and values of a frozen one, sections included."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    twin = dataclasses.make_dataclass(
        type(config).__name__, [(field.name, _flag_type(field.type)) for field in dataclasses.fields(config)]
    )
    return twin(**{name: thaw(value) if dataclasses.is_dataclass(value) else value for name, value in values.items()})


def freeze(twin: Any) -> Config:
    """Returns the checked, frozen `Config` of a twin made by `thaw`.

    Raises:
      InputError: a field out of its range.
    """
    return from_dict(dataclasses.asdict(twin))


def _run_preset(file: Path) -> Config:
    try:
        names = runpy.run_path(str(file))
        if "get_config" not in names:
            raise InputError(f"--config={file}: a preset defines get_config() -> Config; this file does not.")
        config = names["get_config"]()
    except InputError:
        raise
    except Exception as error:  # whatever the user's file does wrong is named as such
        raise InputError(f"--config={file}: {type(error).__name__}: {error}") from error
    if not isinstance(config, Config):
        raise InputError(f"--config={file}: get_config() must return a Config; it returned {type(config).__name__}.")
    return config


def _is_preset(file: Path) -> bool:
    return re.search(r"^def get_config\(\)", file.read_text(), re.MULTILINE) is not None


def _flag_type(field_type: Any) -> Any:
    """config_flags has no parser for Literal; which word is allowed, the section checks when it is frozen."""
    return str if get_origin(field_type) is Literal else field_type
