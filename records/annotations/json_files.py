"""JSON files of annotation tools: reading them, telling whose they are, and taking them apart with messages."""

import contextlib
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from configs import InputError
from records.disk_errors import one_line

# What taking JSON apart raises where it is not as a format has it, also where names are none that files can have.
MALFORMED = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError)
COCO, LABELME, LABEL_STUDIO, GEOJSON = "coco", "labelme", "label_studio", "geojson"


@contextlib.contextmanager
def naming(origin: object) -> Iterator[None]:
    """Turns what JSON of an unexpected form raises into an InputError, and puts a name before the message of any.

    Args:
      origin: the file, or the part of it, that is read in the `with` block.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{origin}: {error}") from error
    except MALFORMED as error:
        raise InputError(f"{origin}: not as the format has it ({one_line(error)}); export it again.") from error


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
      InputError: it cannot be read; the message does not name it.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON, or cut short ({one_line(error)}); export it again.") from error


def json_kind(content: Any) -> str | None:
    """Returns the format whose JSON this is, or None."""
    if isinstance(content, list):
        first = content[0] if content and isinstance(content[0], dict) else {}
        if first.get("type") == "Feature":
            return GEOJSON
        return (
            LABEL_STUDIO if "id" in first and ({"annotations", "data"} & first.keys() or "annotator" in first) else None
        )
    if not isinstance(content, dict):
        return None
    if content.get("type") in ("FeatureCollection", "Feature"):
        return GEOJSON
    if {"shapes", "imagePath"} <= content.keys():
        return LABELME
    return COCO if {"images", "annotations", "categories"} <= content.keys() else None


def kind_of_file(path: Path) -> str | None:
    """Returns the format whose JSON a file holds, or None, also of a file that cannot be read."""
    try:
        state = path.stat()
        return _kind(path, state.st_mtime_ns, state.st_size)
    except (OSError, InputError):
        return None


@functools.lru_cache(maxsize=1024)  # every format asks for itself; large files take seconds
def _kind(path: Path, modified: int, size: int) -> str | None:
    return json_kind(read_json(path))


def stated_size(content: dict[str, Any], height: str, width: str) -> tuple[int, int] | None:
    """Returns (H, W) from two members of a JSON object, or None if they are not both there."""
    size = content.get(height), content.get(width)
    return size if isinstance(size[0], int) and isinstance(size[1], int) else None  # type: ignore[return-value]


def member(content: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """Returns a member of a JSON object.

    Raises:
      InputError: the object is none, or lacks the member, or it is of another kind.
    """
    if not isinstance(content, dict) or not isinstance(content.get(name), kind):
        raise InputError(f"no {name!r}, or not as it should be.")
    return content[name]
