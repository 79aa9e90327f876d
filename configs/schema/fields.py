"""The fields of a config by their dotted names, and configs from JSON."""

import dataclasses
import functools
import math
from typing import Any, Literal, get_args, get_origin

from configs.schema.checks import check
from configs.schema.config import Config
from configs.schema.errors import InputError
from configs.schema.old_names import new_name

# Fields that may change when a training is resumed: apart from rounding, they do not affect its results.
FREE_FIELDS = {
    "train.cache",
    "train.checkpoint_minutes",
    "train.previews",
    "train.preview_cases",
    "train.strategy",
    "train.xla",
}


def field_names(schema: type = Config) -> list[str]:
    """Returns the dotted names of all fields of a schema: `["data.classes", "data.scale", …]`."""
    names = []
    for field in dataclasses.fields(schema):
        if dataclasses.is_dataclass(field.type):
            names += [f"{field.name}.{name}" for name in field_names(field.type)]  # type: ignore[arg-type]
        else:
            names.append(field.name)
    return names


def differing_fields(before: Config, now: Config) -> list[str]:
    """Returns the differences of two configs except in `FREE_FIELDS`: `["data.seed was 0 and is 1", …]`."""

    def value(config: Config, name: str) -> object:
        return functools.reduce(getattr, name.split("."), config)

    pairs = [(name, value(before, name), value(now, name)) for name in field_names() if name not in FREE_FIELDS]
    return [f"{name} was {old!r} and is {new!r}" for name, old, new in pairs if old != new]


def optional_fields(schema: type = Config) -> list[str]:
    """Returns the dotted names of all fields that may be None."""
    names = []
    for field in dataclasses.fields(schema):
        if dataclasses.is_dataclass(field.type):
            names += [f"{field.name}.{name}" for name in optional_fields(field.type)]  # type: ignore[arg-type]
        elif type(None) in get_args(field.type):
            names.append(field.name)
    return names


def from_dict(values: dict[str, Any], schema: type = Config, prefix: str = "") -> Any:
    """Builds a config, or one of its sections, from nested dictionaries as read from JSON.

    Lists become tuples, and missing fields get their defaults.

    Args:
      values: fields by their names, current or old.
      schema: dataclass to build.
      prefix: what precedes the fields' names in messages, such as "data.".

    Raises:
      InputError: a field is unknown, given under its old and its new name, or has the wrong type or an invalid value.
    """
    fields = {field.name: field for field in dataclasses.fields(schema)}
    arguments = {}
    for given, value in values.items():
        name = (new_name(f"{prefix}{given}") or given).removeprefix(prefix)
        if name in values and name != given:
            raise InputError(f"{prefix}{given} is the old name of {prefix}{name}; both are given, remove one.")
        if name not in fields:
            raise InputError(f"unknown field {prefix}{name}; the known fields are {', '.join(fields)}.")
        field_type = fields[name].type
        if dataclasses.is_dataclass(field_type):
            if not isinstance(value, dict):
                raise InputError(f"{prefix}{name} must be a section with fields; received {value!r}.")
            arguments[name] = from_dict(value, field_type, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            arguments[name] = _typed(value, field_type, f"{prefix}{name}")
    return schema(**arguments)


def _typed(value: Any, field_type: Any, field: str) -> Any:
    value = tuple(value) if isinstance(value, list) else value
    check(_is_a(value, field_type), field, value, allowed=f"of type {_type_name(field_type)}")
    # A float written as 1 is the same setting as 1.0, and must have the same fingerprint.
    return float(value) if _is_a(1.5, field_type) and value is not None else value


def _is_a(value: object, field_type: Any) -> bool:
    origin, parts = get_origin(field_type), get_args(field_type)
    if origin is Literal:
        return isinstance(value, str)  # the section itself checks the choice
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_a(item, parts[0]) for item in value)
    if parts:
        return any(_is_a(value, part) for part in parts)
    if field_type is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, field_type) and not (field_type is int and isinstance(value, bool))


def _type_name(field_type: Any) -> str:
    return field_type.__name__ if isinstance(field_type, type) else str(field_type)
