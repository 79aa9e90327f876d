"""GeoJSON: a file per photograph, as predict writes it and QuPath reads and exports it.

https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html; in its code: QuPathTypeAdapters.java.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from configs import InputError
from records.annotations.annotated import UNCLASSIFIED, AnnotatedPhotograph, AnnotatedSet, Region, split_of_path
from records.annotations.files import PhotographFinder, files_below, folder_of
from records.annotations.json_files import GEOJSON, json_kind, member, naming, read_json, stated_size
from records.annotations.shapes import Polygons, ring

OURS = "fundus_tiles"  # the member that predict adds
COUNTED = "_lesions"  # the end of those columns of its row that name all classes


def geojson_files(source: Path) -> list[Path]:
    """Returns the files that are or may be GeoJSON: the source itself, or all below it."""
    files = [source] if source.is_file() else files_below(source)
    return [file for file in files if file.suffix.lower() in (".geojson", ".json")]


def read_geojson(source: Path, finder: PhotographFinder) -> AnnotatedSet:
    """Reads all GeoJSON files below a folder, or a single one; EYE7.geojson and EYE7.jpg belong together."""
    annotated = AnnotatedSet()
    folder = folder_of(source)
    for file in geojson_files(source):
        try:
            with naming(file):
                content = read_json(file)
                if json_kind(content) == GEOJSON or (content == [] and file.suffix.lower() == ".geojson"):
                    annotated.used.add(file)
                    split = split_of_path(file.relative_to(folder))
                    _add_photograph(annotated, content, file, finder=finder, split=split)
        except InputError as error:
            annotated.used.add(file)
            annotated.failures.append(str(error))
    return annotated


def _add_photograph(
    annotated: AnnotatedSet, content: Any, file: Path, *, finder: PhotographFinder, split: str | None
) -> None:
    row = _our_row(content)
    features = list(_features(content))
    regions = list(_regions(features))
    named = Path(row["file"]) if isinstance(row.get("file"), str) else Path(file.stem)
    if finder.folder is None and named.is_absolute() and named.is_file():
        photograph = named
    else:
        photograph = finder.find(PurePosixPath(named.name), beside=[file.parent])
    annotated.used.add(photograph)
    annotated.add_classes([name.removesuffix(COUNTED) for name in row if name.endswith(COUNTED)])
    annotated.add_classes([region.name for region in regions])
    if unclassified := sum(region.name == UNCLASSIFIED for region in regions):
        annotated.notes.append(
            f"{file}: {unclassified} regions without a class; --classes={UNCLASSIFIED}:NAME would take them."
        )
    if len(features) > len(regions):
        annotated.notes.append(f"{file}: {len(features) - len(regions)} points or lines, which cover no pixels.")
    annotated.photographs.append(
        AnnotatedPhotograph(
            PurePosixPath(photograph.name),
            photograph,
            regions,
            str(file),
            size=stated_size(row, "height", "width"),
            split=split,
        )
    )


def _our_row(content: Any) -> dict[str, Any]:
    """Returns the row of predictions.csv in a file of predict, else an empty one."""
    own = content.get(OURS) if isinstance(content, dict) else None
    row = own.get("row") if isinstance(own, dict) else None
    return row if isinstance(row, dict) else {}


def _features(content: Any) -> Iterator[dict[str, Any]]:
    """Yields all features of a collection, a list or a single one, with the objects inside of QuPath's objects."""
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = member(content, "features", list)
    for feature in content if isinstance(content, list) else [content]:
        yield feature
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if isinstance(properties, dict):
            yield from _features(properties.get("childObjects") or [])


def _regions(features: list[dict[str, Any]]) -> Iterator[Region]:
    for number, feature in enumerate(features, start=1):
        with naming(f"feature {number}"):
            polygons = _polygons(member(feature, "geometry", dict))
            shape = Polygons([[ring(corners) for corners in polygon] for polygon in polygons])
            if not all(shape.polygons):
                raise InputError("a polygon without corners.")
            name = _class(feature.get("properties"))
        if polygons:
            yield Region(name, shape, f"feature {number}")


def _polygons(geometry: dict[str, Any]) -> list[Any]:
    kind = geometry.get("type")
    if kind == "Polygon":
        return [member(geometry, "coordinates", list)]
    if kind == "MultiPolygon":
        return member(geometry, "coordinates", list)
    if kind == "GeometryCollection":
        return [polygon for part in member(geometry, "geometries", list) for polygon in _polygons(part)]
    if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        return []
    raise InputError(f"a geometry of the unknown type {kind!r}.")


def _class(properties: Any) -> str:
    """Returns the class of QuPath's properties: one name, or since version 0.4 several that it shows as "A: B"."""
    classification = properties.get("classification") if isinstance(properties, dict) else None
    if not isinstance(classification, dict):
        return UNCLASSIFIED
    names = classification.get("names")
    return ": ".join(map(str, names)) if names else str(classification.get("name") or UNCLASSIFIED)
