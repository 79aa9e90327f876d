"""Damaged JSON: whatever a value is replaced by, the error is one line that names the file, or the rest is read."""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs import InputError
from records.annotations import read_annotations
from records.annotations.annotated import Canvas

NASTY = (
    None,
    True,
    -1,
    10**30,
    1e308,
    float("nan"),
    "",
    "x",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    [[1, 2], [3]],
    {"a": 1},
    "..",
)


def places(content: Any, above: tuple = ()) -> Iterator[tuple]:
    """Yields the place of every value in JSON, as keys and indices."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*above, key)
        yield from places(value, (*above, key))


def replaced(content: Any, place: tuple, value: Any) -> Any:
    changed = copy.deepcopy(content)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed


@pytest.mark.parametrize("form", ["coco, runs", "coco, compressed runs", "labelme", "label_studio", "geojson"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_of_json_may_be_damaged(form, write, photographs, tmp_path, data):
    source = tmp_path / "source"
    shutil.rmtree(source, ignore_errors=True)
    pixels, masks = photographs["EYE.7"]
    small = np.s_[19:28, 19:30]  # one lesion with a hole in which lies another one
    write(
        form,
        source,
        {
            "eye": photographs["EYE.7"]._replace(
                photograph=pixels[small], masks={name: mask[small] for name, mask in masks.items()}
            )
        },
    )
    (file,) = [*source.rglob("*.json"), *source.rglob("*.geojson")]
    content = json.loads(file.read_text())
    place = data.draw(st.sampled_from(list(places(content))))
    changed = replaced(content, place, data.draw(st.sampled_from(NASTY)))
    file.write_text(json.dumps(changed))
    lines = read_all(source, form.partition(",")[0])
    for line in lines:
        assert "\n" not in line
        assert str(source) in line


def read_all(source: Path, form: str) -> list[str]:
    """Reads a source and paints its masks; returns all lines about what was left out."""
    try:
        _, annotated = read_annotations(source, chosen=form)
    except InputError as error:
        return [str(error)]
    lines = [*annotated.failures, *annotated.notes]
    for photograph in annotated.photographs:
        canvas = Canvas((9, 11), dict.fromkeys(annotated.classes, "all"))
        try:
            for annotation in photograph.annotations:
                annotation.paint(canvas)
        except InputError as error:
            lines.append(f"{photograph.origin}: {error}")
    return lines
