"""What a request asks for: JSON of TensorFlow Serving's REST interface, checked and made into arrays.

Columns: `{"signature_name": S, "inputs": {NAME: VALUE, …}}`, or `"inputs": VALUE` of a signature with one input.
Rows: `{"signature_name": S, "instances": [{NAME: VALUE, …}, …]}`, or a list of values of the only input; each row is
one element along the first axis. Bytes are `{"b64": TEXT}`.
"""

import base64
import binascii
import dataclasses
import io
import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from configs import InputError
from pipeline.serving.photographs import check_encoded

URL_SAFE = str.maketrans("-_", "+/")
DEFAULT_SIGNATURE = "serving_default"
MOST_NESTED = 8  # lists in lists


@dataclasses.dataclass(frozen=True)
class InputForm:
    """What a signature takes under a name.

    Attributes:
      shape: sizes of the axes, None where any size is allowed.
      dtype: type of the array; bytes are `object`.
      default: value if a request leaves it out; None: it must be given.
    """

    shape: tuple[int | None, ...]
    dtype: np.dtype
    default: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """A request whose values fit to a signature.

    Attributes:
      signature: its name.
      inputs: arrays by the names of the signature's inputs.
      rows: whether the reply is to be in rows.
      photographs: number of photographs.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]
    rows: bool
    photographs: int


def parse_request(
    body: bytes, signatures: Mapping[str, Mapping[str, InputForm]], *, max_pixels: int, max_photographs: int
) -> PredictRequest:
    """Reads a request.

    Args:
      body: its content.
      signatures: what each signature takes.
      max_pixels: largest number of pixels of all its photographs together.
      max_photographs: largest number of its photographs.

    Raises:
      InputError: the content is not what a signature takes, or exceeds a limit; the message is for the client.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body is not JSON ({type(error).__name__}).") from error
    if not isinstance(content, dict):
        raise InputError('the body must be a JSON object with "instances" or "inputs".')
    name = content.get("signature_name") or DEFAULT_SIGNATURE
    if not isinstance(name, str) or name not in signatures:
        raise InputError(f"there is no signature {str(name)[:50]!r}; the model has {', '.join(signatures)}.")
    forms = signatures[name]
    if ("instances" in content) == ("inputs" in content):
        raise InputError('give either "instances" (rows) or "inputs" (columns).')
    rows = "instances" in content
    given = _columns_of_rows(content["instances"], forms) if rows else _columns(content["inputs"], forms)
    inputs = {
        key: _array(given[key], form, name=key) if key in given else _default(key, form) for key, form in forms.items()
    }
    encoded = [one for array in inputs.values() if array.dtype == object for one in array.ravel()]
    if len(encoded) > max_photographs:
        raise InputError(
            f"{len(encoded)} photographs, but a request may have {max_photographs}; send several requests."
        )
    pixels = sum(check_encoded(one, max_pixels=max_pixels) for one in encoded)
    pixels += sum(math.prod(array.shape[:-1]) for array in inputs.values() if array.ndim >= 3)
    if pixels > max_pixels:
        raise InputError(f"{pixels} pixels, but the photographs of a request may have {max_pixels} together.")
    return PredictRequest(name, inputs, rows, max(len(encoded), 1))


def encode_reply(outputs: Mapping[str, np.ndarray], *, rows: bool) -> bytes:
    """Writes a reply as TensorFlow Serving does: columns under `outputs`, rows under `predictions`.

    Raises:
      InputError: rows are asked for, but the outputs do not have one first axis.
    """
    if not rows:
        columns = {name: _plain(array) for name, array in outputs.items()}
        return _json({"outputs": next(iter(columns.values())) if len(columns) == 1 else columns})
    lengths = {array.shape[:1] for array in outputs.values()}
    if len(lengths) != 1 or lengths == {()}:
        raise InputError('this signature does not reply in rows; send "inputs" in place of "instances".')
    listed = {name: _plain(array) for name, array in outputs.items()}
    count = next(iter(lengths))[0]
    if len(listed) == 1:
        return _json({"predictions": next(iter(listed.values()))})
    return _json({"predictions": [{name: values[row] for name, values in listed.items()} for row in range(count)]})


def _columns(given: Any, forms: Mapping[str, InputForm]) -> dict[str, Any]:
    """Returns values by the names of inputs."""
    if isinstance(given, dict) and not _is_bytes(given):
        unknown = [str(name)[:50] for name in given if name not in forms]
        if unknown:
            raise InputError(f"there is no input {unknown[0]!r}; the signature takes {', '.join(forms)}.")
        return given
    return {_only(forms): given}


def _columns_of_rows(rows: Any, forms: Mapping[str, InputForm]) -> dict[str, Any]:
    """Returns lists of values by the names of inputs."""
    if not isinstance(rows, list) or not rows:
        raise InputError('"instances" must be a list of at least one row.')
    if any(not form.shape for form in forms.values()):
        raise InputError('this signature takes one photograph and no rows; send "inputs" in place of "instances".')
    columns = [_columns(row, forms) for row in rows]
    if any(column.keys() != columns[0].keys() for column in columns):
        raise InputError("all rows must have the same names.")
    return {name: [column[name] for column in columns] for name in columns[0]}


def _only(forms: Mapping[str, InputForm]) -> str:
    needed = [name for name, form in forms.items() if form.default is None]
    if len(needed) != 1:
        raise InputError(f"name the inputs: the signature takes {', '.join(forms)}.")
    return needed[0]


def _default(name: str, form: InputForm) -> np.ndarray:
    if form.default is None:
        raise InputError(f"the input {name!r} is missing.")
    return form.default


def _array(value: Any, form: InputForm, *, name: str) -> np.ndarray:
    """Returns a value as an array of an input's type and shape."""
    shape = _shape(value)
    fits = len(shape) == len(form.shape) and all(
        size in (None, found) for size, found in zip(form.shape, shape, strict=True)
    )
    if not fits:
        axes = ", ".join("any" if size is None else str(size) for size in form.shape)
        raise InputError(f"{name} has the shape {list(shape)}; expected [{axes}].")
    if 0 in shape:
        raise InputError(f"{name} is empty.")
    if form.dtype == object:
        array = np.empty(shape, object)
        for index in np.ndindex(shape):
            array[index] = _decode(_at(value, index), name)
        return array
    # NumPy would make arrays of text, too, of which each element takes as much memory as the longest.
    if not _types(value, depth=len(shape), name=name) <= {int, float}:
        raise InputError(f"{name}: expected numbers.")
    try:
        array = np.array(value)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name}: lists of different lengths.") from error
    if array.dtype.kind not in "iuf":
        raise InputError(f"{name}: numbers are too large.")
    if form.dtype.kind in "iu":
        limits = np.iinfo(form.dtype)
        if array.dtype.kind == "f" or (array.size and not limits.min <= array.min() <= array.max() <= limits.max):
            raise InputError(f"{name}: expected whole numbers from {limits.min} to {limits.max}.")
    elif not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers.")
    return array.astype(form.dtype)


def _types(value: Any, *, depth: int, name: str) -> set[type]:
    """Returns the types of what lists in lists of some depth contain."""
    flat: Any = [value]
    for _ in range(depth):
        flat = itertools.chain.from_iterable(flat)
    try:
        return set(map(type, flat))
    except TypeError as error:
        raise InputError(f"{name}: lists of different depths.") from error


def _shape(value: Any) -> tuple[int, ...]:
    """Returns the lengths of lists in lists, of each the first one."""
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > MOST_NESTED:
            raise InputError(f"lists are nested more than {MOST_NESTED} times.")
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _at(value: Any, index: tuple[int, ...]) -> Any:
    for number in index:
        if not isinstance(value, list) or number >= len(value):
            raise InputError("lists of different lengths.")
        value = value[number]
    return value


def _is_bytes(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"}


def _decode(value: Any, name: str) -> bytes:
    """Returns the bytes of `{"b64": TEXT}`, in the standard alphabet or that of URLs, with or without padding."""
    if not _is_bytes(value) or not isinstance(value["b64"], str):
        raise InputError(f'{name}: expected the bytes of a file as {{"b64": TEXT}}.')
    text = value["b64"].translate(URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{name}: the text is not base64.") from error


def _plain(array: np.ndarray) -> Any:
    """Returns lists of Python's numbers, and of `{"b64": TEXT}` for bytes."""
    if array.dtype != object:
        return array.tolist()
    flat = [{"b64": base64.b64encode(one).decode()} for one in array.ravel()]
    lists = np.empty(len(flat), object)
    lists[:] = flat
    return lists.reshape(array.shape).tolist()


def _json(content: Any) -> bytes:
    stream = io.StringIO()
    json.dump(content, stream, separators=(",", ":"))
    return stream.getvalue().encode()
