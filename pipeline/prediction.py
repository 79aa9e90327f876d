"""Prediction: photographs in, masks, overlays and tables out."""

import csv
import dataclasses
import io
from pathlib import Path

import cv2
import numpy as np

from configs import InputError
from pipeline.pool import Segmented
from pipeline.segmenter import SegmenterSpec
from records import (
    CLASS_COLORS,
    complete_file,
    draw_contours,
    field_of_view,
    image_files,
    write_jpeg,
    write_png,
    write_text,
)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One photograph's rows for `predictions.csv` and `lesions.csv`."""

    summary: dict[str, object]
    lesions: list[dict[str, object]]


def photographs_of(arguments: list[str]) -> dict[str, Path]:
    """Finds the photographs that the arguments name: files, or folders whose image files are taken.

    Returns:
      Files by their case names (stems), in order.

    Raises:
      InputError: nothing of that name, a folder without images, or two files of one stem.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        path = Path(argument)
        if not path.exists():
            raise InputError(f"{path}: no such file or folder.")
        files = image_files(path) if path.is_dir() else {path.stem: path}
        if not files:
            raise InputError(f"{path}: no photographs in this folder; name the folder that holds them.")
        for case, file in files.items():
            if case in found:
                raise InputError(
                    f"{file}: {found[case]} has the same name; the output of one would replace the other's."
                )
            found[case] = file
    return found


def write_prediction(
    spec: SegmenterSpec,
    case: str,
    path: Path,
    photograph: np.ndarray,
    segmented: Segmented,
    output: Path,
    *,
    probabilities: bool,
) -> Prediction:
    """Writes `masks/CASE_CLASS.png`, `overlays/CASE.jpg`, and on request `probabilities/CASE.npz`.

    Args:
      spec: of the segmenter.
      case: the photograph's name.
      path: its file.
      photograph: uint8 RGB `[H, W, 3]`.
      segmented: what the segmenter found in it.
      output: folder with the folders `masks`, `overlays` and, on request, `probabilities`.
      probabilities: whether the map is written, too.
    """
    maps = segmented.probabilities
    found = maps >= np.array(spec.thresholds, np.float32)
    for index, name in enumerate(spec.classes):
        write_png(output / "masks" / f"{case}_{name}.png", found[..., index].astype(np.uint8) * 255)
    write_jpeg(output / "overlays" / f"{case}.jpg", _overlay(photograph, found))
    if probabilities:
        with complete_file(output / "probabilities" / f"{case}.npz") as temporary:
            np.savez_compressed(temporary, probabilities=maps.astype(np.float16), classes=np.array(spec.classes))
    lesions = [row for index in range(len(spec.classes)) for row in _lesion_rows(case, spec, index, found, maps)]
    retina = field_of_view(photograph)
    retina_pixels = int(np.count_nonzero(retina))
    summary: dict[str, object] = {
        "case": case,
        "file": str(path),
        "height": photograph.shape[0],
        "width": photograph.shape[1],
        "retina_pixels": retina_pixels,
        "segment_seconds": round(segmented.seconds, 3),
    }
    for index, name in enumerate(spec.classes):
        inside = int(np.count_nonzero(found[..., index] & retina))
        summary[f"{name}_lesions"] = sum(row["class"] == name for row in lesions)
        summary[f"{name}_pixels"] = int(np.count_nonzero(found[..., index]))
        summary[f"{name}_share_of_retina"] = round(inside / retina_pixels, 6) if retina_pixels else ""
        summary[f"{name}_maximum"] = round(float(maps[..., index].max()), 4)
    return Prediction(summary, lesions)


def write_table(path: Path, rows: list[dict[str, object]], columns: list[str]) -> None:
    """Writes a CSV file, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _overlay(photograph: np.ndarray, found: np.ndarray) -> np.ndarray:
    overlay = photograph.copy()
    thickness = max(round(max(photograph.shape) / 1500), 1)  # the same to the eye at every size
    for index in range(found.shape[-1]):
        draw_contours(overlay, found[..., index], CLASS_COLORS[index], thickness=thickness)
    return overlay


LESION_COLUMNS = [
    "case",
    "class",
    "lesion",
    "center_x",
    "center_y",
    "area_pixels",
    "mean_probability",
    "maximum_probability",
    "box_x",
    "box_y",
    "box_width",
    "box_height",
]


def _lesion_rows(
    case: str, spec: SegmenterSpec, index: int, found: np.ndarray, maps: np.ndarray
) -> list[dict[str, object]]:
    """Describes every 8-connected region of one class."""
    count, labels, boxes, centers = cv2.connectedComponentsWithStats(found[..., index].astype(np.uint8), connectivity=8)
    rows = []
    for lesion in range(1, count):
        x, y, width, height, area = (int(value) for value in boxes[lesion])
        box = slice(y, y + height), slice(x, x + width)
        values = maps[..., index][box][labels[box] == lesion]
        row = (
            case,
            spec.classes[index],
            lesion,
            round(float(centers[lesion, 0]), 1),
            round(float(centers[lesion, 1]), 1),
            area,
            round(float(values.mean()), 4),
            round(float(values.max()), 4),
            x,
            y,
            width,
            height,
        )
        rows.append(dict(zip(LESION_COLUMNS, row, strict=True)))
    return rows
