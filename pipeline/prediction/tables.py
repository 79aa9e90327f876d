"""The tables of predict: `predictions.csv`, `lesions.csv` and `lesions.json`, which COCO's tools read."""

import contextlib
import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from pipeline.prediction.measurements import LESION_COLUMNS, SPREAD, lesion_row, summary_columns
from pipeline.prediction.outlines import runs
from pipeline.prediction.sureness import sureness_columns
from records import complete_file


def write_tables(
    output: Path,
    classes: tuple[str, ...],
    records: Iterable[tuple[dict[str, Any], list[dict]]],
    *,
    with_spread: bool = False,
) -> list[dict[str, Any]]:
    """Writes the three tables, each whole or not at all.

    Args:
      output: folder of the tables.
      classes: names of the classes.
      records: of each photograph its row of `predictions.csv` and its `lesion_features`, in order; they are read one
        after the other.
      with_spread: whether there are columns for how sure the model is, which only some of the photographs may fill.

    Returns:
      The rows of `predictions.csv`.
    """
    written: list[dict[str, Any]] = []
    images: list[dict[str, object]] = []
    with contextlib.ExitStack() as stack:
        rows, lesion_rows, coco = (
            stack.enter_context(_complete_text(output / name))
            for name in ("predictions.csv", "lesions.csv", "lesions.json")
        )
        columns = summary_columns(classes) + (sureness_columns(classes) if with_spread else [])
        table = csv.DictWriter(rows, columns, lineterminator="\n")
        lesion_columns = (*LESION_COLUMNS, *((SPREAD,) if with_spread else ()))
        lesion_table = csv.DictWriter(lesion_rows, lesion_columns, lineterminator="\n")
        table.writeheader()
        lesion_table.writeheader()
        coco.write(f'{{"categories": {json.dumps(_categories(classes))},\n"annotations": [')
        number = 0
        for row, features in records:
            written.append(row)
            table.writerow(row)
            size = {"height": row["height"], "width": row["width"]}
            images.append({"id": len(written), "file_name": Path(row["file"]).name, **size})
            for feature in features:
                lesion = lesion_row(row["case"], feature)
                lesion_table.writerow(lesion)
                number += 1
                annotation = {
                    "id": number,
                    "image_id": len(written),
                    "category_id": classes.index(lesion["class"]) + 1,
                    **_coco(feature, **size),
                }
                coco.write((",\n" if number > 1 else "\n") + json.dumps(annotation, separators=(",", ":")))
        coco.write(f'],\n"images": {json.dumps(images)}}}\n')
    return written


@contextlib.contextmanager
def _complete_text(path: Path) -> Iterator[TextIO]:
    # Names of files need not be UTF-8.
    with (
        complete_file(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        yield file


def _categories(classes: tuple[str, ...]) -> list[dict[str, object]]:
    return [{"id": number, "name": name, "supercategory": "lesion"} for number, name in enumerate(classes, start=1)]


def _coco(feature: dict[str, Any], height: int, width: int) -> dict[str, object]:
    """Returns the part of a COCO annotation that follows from the lesion alone.

    Polygons in COCO have no holes, so a lesion with holes is run-length encoded, which COCO requires to be a "crowd".
    """
    geometry, measured = feature["geometry"], feature["properties"]["measurements"]
    closed = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    polygons = [[ring[:-1] for ring in polygon] for polygon in closed]
    with_holes = any(len(polygon) > 1 for polygon in polygons)
    return {
        "segmentation": {"counts": runs(polygons, height, width), "size": [height, width]}
        if with_holes
        else [[coordinate for corner in shell for coordinate in corner] for (shell,) in polygons],
        "area": measured["area_pixels"],
        "bbox": [measured[name] for name in ("box_x", "box_y", "box_width", "box_height")],
        "iscrowd": int(with_holes),
        "score": measured["mean_probability"],
    }
