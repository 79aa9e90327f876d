"""Reads presets (`configs/NAME.py`) and saved `config.json` files, and makes them editable for the command line.

`ml_collections.config_flags` sets fields in place and calls `get_config(argument)` of the file that it is given.
Commands therefore give it this file with the preset's path as the argument, let it edit the mutable copy that
`get_config` returns, and freeze the copy afterwards. That checks all fields together, whatever order they were set in.
"""

import dataclasses
import json
import re
import runpy
from pathlib import Path
from typing import Any, Literal, get_origin

from configs.schema import Config, InputError, from_dict


def load_config(path: str) -> Config:
    """Reads a preset or a `config.json` written by an earlier run.

    Raises:
      InputError: the file does not exist, is neither .py nor .json, is a preset without `get_config() -> Config` or
        invalid JSON, has unknown fields, or has a field out of range.
    """
    file = Path(path)
    if not file.is_file():
        presets = sorted(preset.name for preset in Path(__file__).parent.glob("*.py") if _is_preset(preset))
        raise InputError(f"--config={path}: no such file; the presets are configs/{{{', '.join(presets)}}}.")
    if file.suffix == ".json":
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"--config={path}: not valid JSON ({error}).") from error
        if not isinstance(values, dict):
            raise InputError(f"--config={path}: expected a JSON object with the sections of a config.")
        config = from_dict(values)
    elif file.suffix == ".py":
        config = _run_preset(file)
    else:
        raise InputError(f"--config={path}: expected a preset (.py) or a config.json.")
    return config


def get_config(path: str) -> Any:
    """Returns a mutable copy of the config at `path`; called by `ml_collections.config_flags`."""
    return thaw(load_config(path))


def thaw(config: Any) -> Any:
    """Returns a mutable copy of a frozen dataclass with the same fields, types and values, sections included."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    copy = dataclasses.make_dataclass(
        type(config).__name__, [(field.name, _flag_type(field.type)) for field in dataclasses.fields(config)]
    )
    return copy(**{name: thaw(value) if dataclasses.is_dataclass(value) else value for name, value in values.items()})


def freeze(copy: Any) -> Config:
    """Returns the checked, frozen `Config` of a mutable copy made by `thaw`.

    Raises:
      InputError: a field is out of range.
    """
    return from_dict(dataclasses.asdict(copy))


def _run_preset(file: Path) -> Config:
    try:
        names = runpy.run_path(str(file))
        if "get_config" not in names:
            raise InputError(f"--config={file}: a preset defines get_config() -> Config; this file does not.")
        config = names["get_config"]()
    except InputError:
        raise
    except Exception as error:  # any error in the user's file is reported with its path
        raise InputError(f"--config={file}: {type(error).__name__}: {error}") from error
    if not isinstance(config, Config):
        raise InputError(f"--config={file}: get_config() must return a Config; it returned {type(config).__name__}.")
    return config


def _is_preset(file: Path) -> bool:
    return re.search(r"^def get_config\(\)", file.read_text(encoding="utf-8"), re.MULTILINE) is not None


def _flag_type(field_type: Any) -> Any:
    """Returns `str` for a Literal, which config_flags cannot parse; the section checks the choice when it is frozen."""
    return str if get_origin(field_type) is Literal else field_type
