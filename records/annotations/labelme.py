"""LabelMe: a JSON file per photograph, which may hold the photograph itself."""

import base64
import binascii
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from configs import InputError
from records.annotations.annotated import AnnotatedPhotograph, AnnotatedSet, Region, Shape, split_of_path
from records.annotations.files import PhotographFinder, files_below, folder_of, name_in_annotation
from records.annotations.json_files import LABELME, json_kind, member, naming, read_json, stated_size
from records.annotations.shapes import Bitmap, Disc, Polygons, ring

WITHOUT_AREA = ("point", "points", "line", "linestrip")
POLYGONS = ("polygon", "rotated_rectangle", "oriented_rectangle")


def read_labelme(source: Path, finder: PhotographFinder) -> AnnotatedSet:
    """Reads all LabelMe files below a folder, or a single one."""
    annotated = AnnotatedSet()
    folder = folder_of(source)
    for file in [source] if source.is_file() else files_below(folder):
        if file.suffix.lower() != ".json":
            continue
        try:
            with naming(file):
                content = read_json(file)
                if json_kind(content) != LABELME:
                    continue
                annotated.used.add(file)
                photograph = _photograph(content, file, finder, split=split_of_path(file.relative_to(folder)))
        except InputError as error:
            annotated.used.add(file)
            annotated.failures.append(str(error))
            continue
        if isinstance(photograph.photograph, Path):
            annotated.used.add(photograph.photograph)
        annotated.photographs.append(photograph)
        annotated.add_classes([region.name for region in photograph.annotations if isinstance(region, Region)])
        if without := [shape for shape in content["shapes"] if shape.get("shape_type") in WITHOUT_AREA]:
            annotated.notes.append(f"{file}: {len(without)} points or lines, which cover no pixels.")
    return annotated


def _photograph(content: Any, file: Path, finder: PhotographFinder, *, split: str | None) -> AnnotatedPhotograph:
    path = name_in_annotation(member(content, "imagePath", str))
    regions = tuple(_regions(member(content, "shapes", list)))
    try:
        photograph: Path | bytes = finder.find(path, beside=[file.parent])
    except InputError:
        if not isinstance(content.get("imageData"), str):
            raise
        photograph = _decoded(content["imageData"])
    return AnnotatedPhotograph(
        path,
        photograph,
        regions,
        str(file),
        size=stated_size(content, "imageHeight", "imageWidth"),
        split=split,
    )


def _regions(shapes: list[Any]) -> Iterator[Region]:
    for number, one in enumerate(shapes, start=1):
        with naming(f"shape {number}"):
            kind = one.get("shape_type") or "polygon"
            name, shape = member(one, "label", str), None if kind in WITHOUT_AREA else _shape(kind, one)
        if shape is not None:
            yield Region(name, shape, f"shape {number}")


def _shape(kind: str, one: dict[str, Any]) -> Shape:
    points = member(one, "points", list)
    if kind in POLYGONS:
        return Polygons([[ring(points)]])
    if kind not in ("rectangle", "circle", "mask"):
        raise InputError(f"a shape of the unknown type {kind!r}.")
    (x0, y0), (x1, y1) = _two(points)
    if kind == "circle":  # its middle and a point of its edge
        return Disc(x0, y0, math.hypot(x1 - x0, y1 - y0))
    if kind == "rectangle":
        return Polygons([[np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])]])
    with io.BytesIO(_decoded(member(one, "mask", str))) as encoded:
        try:
            return Bitmap(np.asarray(Image.open(encoded, formats=["PNG"]).convert("L")) > 0, int(x0), int(y0))
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"a mask that cannot be read ({error}).") from error


def _two(points: list[Any]) -> np.ndarray:
    try:
        corners = np.array(points, np.float64)
    except (TypeError, ValueError):
        corners = np.empty(0)
    if corners.shape != (2, 2) or not np.isfinite(corners).all():
        raise InputError("expected two points of two numbers each.")
    return corners


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"base64 that cannot be read ({error}).") from error
