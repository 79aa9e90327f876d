"""COCO: a JSON file of images, categories and annotations, as CVAT, Roboflow and predict write it."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from configs import InputError
from records.annotations.annotated import SPLITS, AnnotatedPhotograph, AnnotatedSet, Region, Shape
from records.annotations.files import PhotographFinder, folder_of, name_in_annotation
from records.annotations.json_files import COCO, kind_of_file, member, naming, read_json, stated_size
from records.annotations.shapes import Polygons, RunLengths, Unoutlined, ring


def coco_files(source: Path) -> list[Path]:
    """Returns the COCO files of a source: the file itself, or those in the folder, annotations/, train/ and so on."""
    if source.is_file():
        return [source] if kind_of_file(source) == COCO else []
    inside = [file for file in source.glob("*/[!.]*.json") if file.parent.name.lower() in ("annotations", *SPLITS)]
    return sorted(file for file in [*source.glob("[!.]*.json"), *inside] if kind_of_file(file) == COCO)


def read_coco(source: Path, finder: PhotographFinder) -> AnnotatedSet:
    """Reads the COCO files of a source; of several, each is the split that its folder (as Roboflow's) or name says."""
    files = coco_files(source)
    folder = folder_of(source)
    if finder.folder is None and (folder / "images").is_dir():
        finder = PhotographFinder(folder / "images")
    annotated = AnnotatedSet()
    for file in files:
        annotated.used.add(file)
        with naming(file):
            _add_file(annotated, file, finder, split=_split(file) if len(files) > 1 else None)
    return annotated


def _add_file(annotated: AnnotatedSet, file: Path, finder: PhotographFinder, *, split: str | None) -> None:
    content = read_json(file)
    categories = {one["id"]: str(one["name"]) for one in member(content, "categories", list)}
    entries = {one["id"]: one for one in member(content, "images", list)}
    annotations = defaultdict(list)
    for one in member(content, "annotations", list):
        annotations[one["image_id"]].append(one)
    annotated.add_classes(list(categories.values()))
    for number in annotations.keys() - entries.keys():
        annotated.failures.append(
            f"{file}: {len(annotations[number])} annotations of image {number}, which is not listed."
        )
    for number, entry in entries.items():
        try:
            with naming(f"{file}: image {number} ({entry.get('file_name')})"):
                path = name_in_annotation(member(entry, "file_name", str))
                photograph = finder.find(path, beside=[file.parent])
                annotated.used.add(photograph)
                regions = tuple(_regions(annotations[number], categories))
        except InputError as error:
            annotated.failures.append(str(error))
            continue
        annotated.photographs.append(
            AnnotatedPhotograph(
                path,
                photograph,
                regions,
                str(file),
                size=stated_size(entry, "height", "width"),
                split=split,
            )
        )


def _regions(annotations: list[dict[str, Any]], categories: dict[Any, str]) -> Iterator[Region]:
    for one in annotations:
        origin = f"annotation {one.get('id')}"
        with naming(origin):
            if one.get("category_id") not in categories:
                raise InputError(f"category {one.get('category_id')!r} is not listed.")
            shape = _shape(one.get("segmentation"))
        yield Region(categories[one["category_id"]], shape, origin)


def _shape(segmentation: Any) -> Shape:
    if isinstance(segmentation, dict):
        return RunLengths(segmentation.get("size"), segmentation.get("counts"))
    if not isinstance(segmentation, list) or not segmentation:
        return Unoutlined()
    return Polygons([[ring(_pairs(polygon))] for polygon in segmentation])


def _pairs(numbers: Any) -> Any:
    return np.reshape(numbers, (-1, 2)) if isinstance(numbers, list) and len(numbers) % 2 == 0 else numbers


def _split(file: Path) -> str:
    if file.parent.name.lower() in SPLITS:
        return SPLITS[file.parent.name.lower()]
    splits = {SPLITS[word] for word in re.split(r"[^a-z]+", file.stem.lower()) if word in SPLITS}
    if len(splits) != 1:
        raise InputError(
            "one of several COCO files, whose names or folders must say train, validation or test; name a single one "
            "by --source."
        )
    return splits.pop()
