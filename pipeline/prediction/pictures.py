"""Finds the photographs, and draws, measures and outlines what was detected in each."""

from pathlib import Path

import numpy as np

from configs import InputError
from pipeline.inference import SegmenterSpec
from pipeline.panels import captioned, with_legend
from pipeline.prediction.outlines import outline
from records import (
    CLASS_COLORS,
    contact_sheet,
    draw_contours,
    field_of_view,
    image_files,
    lesions,
    write_jpeg,
    write_png,
)
from records.images import Lesion

MEASUREMENTS = (
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
)


def photographs_of(arguments: list[str]) -> dict[str, Path]:
    """Finds the photographs that command line arguments name.

    Args:
      arguments: image files, and folders whose image files are taken.

    Returns:
      Files by case name, which is a file's stem, in order.

    Raises:
      InputError: a file or folder does not exist, a folder contains no images, or two files have the same stem.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        path = Path(argument)
        if not path.exists():
            raise InputError(f"{path}: no such file or folder.")
        files = image_files(path) if path.is_dir() else {path.stem: path}
        if not files:
            raise InputError(f"{path}: contains no photographs; name the folder that does.")
        for case, file in files.items():
            if case in found:
                raise InputError(
                    f"{file}: {found[case]} has the same name, and its output would be overwritten; rename one."
                )
            found[case] = file
    return found


def output_files(case: str, classes: tuple[str, ...]) -> list[Path]:
    """Returns the files that `write_pictures` writes, relative to the output folder."""
    return [*(Path("masks", f"{case}_{name}.png") for name in classes), Path("overlays", f"{case}.jpg")]


def write_pictures(
    spec: SegmenterSpec,
    case: str,
    photograph: np.ndarray,
    *,
    probabilities: np.ndarray,
    output: Path,
    masks: np.ndarray | None,
) -> None:
    """Writes `masks/CASE_CLASS.png` and `overlays/CASE.jpg`.

    Args:
      spec: the segmenter's spec.
      case: name of the photograph.
      photograph: uint8 RGB `[H, W, 3]`.
      probabilities: the photograph's probability map, float32 `[H, W, C]`.
      output: folder that contains the folders `masks` and `overlays`.
      masks: ground truth that the overlay shows to the left of the detections, bool `[H, W, C]`; None if unknown.
    """
    detected = _thresholded(spec, probabilities)
    for index, name in enumerate(spec.classes):
        write_png(output / "masks" / f"{case}_{name}.png", detected[..., index].astype(np.uint8) * 255)
    if masks is None:
        overlay = _overlay(photograph, detected)
    else:
        overlay = _side_by_side(spec, photograph, masks, detected=detected)
    write_jpeg(output / "overlays" / f"{case}.jpg", overlay)


def summary_columns(classes: tuple[str, ...]) -> list[str]:
    """Returns the columns of `predictions.csv`."""
    of_class = [f"{name}_{value}" for name in classes for value in ("lesions", "pixels", "share_of_retina", "maximum")]
    return ["case", "file", "height", "width", "retina_pixels", *of_class]


def summarize(
    spec: SegmenterSpec,
    case: str,
    file: Path,
    *,
    photograph: np.ndarray,
    probabilities: np.ndarray,
    features: list[dict],
) -> dict[str, object]:
    """Returns the row of a photograph in `predictions.csv`.

    Args:
      spec: the segmenter's spec.
      case: name of the photograph.
      file: its file.
      photograph: uint8 RGB `[H, W, 3]`.
      probabilities: its probability map, float32 `[H, W, C]`.
      features: its `lesion_features`.
    """
    detected, visible = _thresholded(spec, probabilities), field_of_view(photograph)
    visible_pixels = int(np.count_nonzero(visible))
    row: dict[str, object] = {
        "case": case,
        "file": str(file),
        "height": photograph.shape[0],
        "width": photograph.shape[1],
        "retina_pixels": visible_pixels,
    }
    for index, name in enumerate(spec.classes):
        inside = int(np.count_nonzero(detected[..., index] & visible))
        row[f"{name}_lesions"] = sum(one["properties"]["classification"]["name"] == name for one in features)
        row[f"{name}_pixels"] = int(np.count_nonzero(detected[..., index]))
        row[f"{name}_share_of_retina"] = round(inside / visible_pixels, 6) if visible_pixels else ""
        row[f"{name}_maximum"] = round(float(probabilities[..., index].max()), 4)
    return row


def lesion_features(spec: SegmenterSpec, probabilities: np.ndarray) -> list[dict]:
    """Describes the detections, 8-connected regions, as GeoJSON features that QuPath reads as annotations.

    Args:
      spec: the segmenter's spec.
      probabilities: a probability map, float32 `[H, W, C]`.

    Returns:
      The detections of each class in turn, from top to bottom, with the geometry of `outline`. In the measurements,
      centres and mean probabilities are averages over pixels; the first pixel of a photograph has the centre (0, 0).
    """
    detected = _thresholded(spec, probabilities)
    features = []
    for index, name in enumerate(spec.classes):
        regions = sorted(lesions(detected[..., index]), key=lambda one: (one.y, one.x))
        for number, region in enumerate(regions, start=1):
            properties = {
                "objectType": "annotation",
                "name": f"{name} {number}",
                "classification": {"name": name, "color": CLASS_COLORS[index]},
                "measurements": _measurements(region, number, probabilities[..., index]),
            }
            features.append({"type": "Feature", "geometry": _geometry(region), "properties": properties})
    return features


def _measurements(region: Lesion, number: int, probabilities: np.ndarray) -> dict[str, float]:
    height, width = region.pixels.shape
    values = probabilities[region.y : region.y + height, region.x : region.x + width][region.pixels]
    ys, xs = np.nonzero(region.pixels)
    measured = (
        number,
        round(region.x + float(xs.mean()), 1),
        round(region.y + float(ys.mean()), 1),
        len(values),
        round(float(values.mean(dtype=np.float64)), 4),
        round(float(values.max()), 4),
        region.x,
        region.y,
        width,
        height,
    )
    return dict(zip(MEASUREMENTS, measured, strict=True))


def _geometry(region: Lesion) -> dict[str, object]:
    closed = [[[*ring, ring[0]] for ring in polygon] for polygon in outline(region.pixels, region.x, region.y)]
    if len(closed) == 1:
        return {"type": "Polygon", "coordinates": closed[0]}
    return {"type": "MultiPolygon", "coordinates": closed}


def _thresholded(spec: SegmenterSpec, probabilities: np.ndarray) -> np.ndarray:
    return probabilities >= np.array(spec.thresholds, np.float32)


def _overlay(photograph: np.ndarray, masks: np.ndarray) -> np.ndarray:
    overlay = photograph.copy()
    thickness = max(round(max(photograph.shape) / 1500), 1)  # looks the same at every size
    for index in range(masks.shape[-1]):
        draw_contours(overlay, masks[..., index], CLASS_COLORS[index], thickness=thickness)
    return overlay


def _side_by_side(
    spec: SegmenterSpec, photograph: np.ndarray, masks: np.ndarray, *, detected: np.ndarray
) -> np.ndarray:
    letters = max(round(max(photograph.shape) / 90), 11)  # looks the same at every size
    panels = [
        captioned(_overlay(photograph, shown), [title], letters=letters)
        for title, shown in (("ground truth", masks), ("prediction", detected))
    ]
    legend = [f"{name} from {threshold:.3g}" for name, threshold in zip(spec.classes, spec.thresholds, strict=True)]
    return with_legend(contact_sheet(panels), legend, letters=letters)
