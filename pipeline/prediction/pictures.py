"""Prediction: which photographs, and what is drawn, measured and outlined in each."""

from pathlib import Path

import numpy as np

from configs import InputError
from pipeline.inference import SegmenterSpec
from pipeline.panels import captioned, with_legend
from pipeline.prediction.outlines import outline
from records import (
    CLASS_COLORS,
    complete_file,
    contact_sheet,
    draw_contours,
    field_of_view,
    image_files,
    lesions,
    write_jpeg,
    write_png,
)

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


def picture_files(case: str, classes: tuple[str, ...], *, probabilities: bool) -> list[Path]:
    """Returns the files that `write_pictures` writes, within the output folder."""
    masks = [Path("masks", f"{case}_{name}.png") for name in classes]
    return [*masks, Path("overlays", f"{case}.jpg")] + [Path("probabilities", f"{case}.npz")] * probabilities


def write_pictures(
    spec: SegmenterSpec,
    case: str,
    photograph: np.ndarray,
    *,
    maps: np.ndarray,
    output: Path,
    truth: np.ndarray | None,
    probabilities: bool,
) -> None:
    """Writes `masks/CASE_CLASS.png`, `overlays/CASE.jpg`, and on request `probabilities/CASE.npz`.

    Args:
      spec: of the segmenter.
      case: the photograph's name.
      photograph: uint8 RGB `[H, W, 3]`.
      maps: its probabilities, float32 `[H, W, C]`.
      output: folder with the folders `masks`, `overlays` and, on request, `probabilities`.
      truth: bool `[H, W, C]`, which the overlay then shows on the left of what was found; None where it is not known.
      probabilities: whether the map is written, too.
    """
    found = _found(spec, maps)
    for index, name in enumerate(spec.classes):
        write_png(output / "masks" / f"{case}_{name}.png", found[..., index].astype(np.uint8) * 255)
    overlay = _overlay(photograph, found) if truth is None else _beside_truth(spec, photograph, truth, found=found)
    write_jpeg(output / "overlays" / f"{case}.jpg", overlay)
    if probabilities:
        with complete_file(output / "probabilities" / f"{case}.npz") as temporary:
            np.savez_compressed(temporary, probabilities=maps.astype(np.float16), classes=np.array(spec.classes))


def summary_columns(classes: tuple[str, ...]) -> list[str]:
    """Returns the columns of `predictions.csv`."""
    of_class = [f"{name}_{value}" for name in classes for value in ("lesions", "pixels", "share_of_retina", "maximum")]
    return ["case", "file", "height", "width", "retina_pixels", *of_class]


def summarize(
    spec: SegmenterSpec, case: str, file: Path, *, photograph: np.ndarray, maps: np.ndarray, features: list[dict]
) -> dict[str, object]:
    """Returns a photograph's row of `predictions.csv`; `features` are its `lesion_features`."""
    found, retina = _found(spec, maps), field_of_view(photograph)
    retina_pixels = int(np.count_nonzero(retina))
    row: dict[str, object] = {
        "case": case,
        "file": str(file),
        "height": photograph.shape[0],
        "width": photograph.shape[1],
        "retina_pixels": retina_pixels,
    }
    for index, name in enumerate(spec.classes):
        inside = int(np.count_nonzero(found[..., index] & retina))
        row[f"{name}_lesions"] = sum(one["properties"]["classification"]["name"] == name for one in features)
        row[f"{name}_pixels"] = int(np.count_nonzero(found[..., index]))
        row[f"{name}_share_of_retina"] = round(inside / retina_pixels, 6) if retina_pixels else ""
        row[f"{name}_maximum"] = round(float(maps[..., index].max()), 4)
    return row


def lesion_features(spec: SegmenterSpec, maps: np.ndarray) -> list[dict]:
    """Describes the lesions, 8-connected regions, as GeoJSON features that QuPath takes for annotations.

    Args:
      spec: of the segmenter.
      maps: float32 `[H, W, C]`.

    Returns:
      For each class in turn, its lesions from top to bottom. Their geometry is that of `outline`. Of the measurements,
      centres and probabilities are means over the pixels, of which the first in a photograph has the centre (0, 0).
    """
    found = _found(spec, maps)
    features = []
    for index, name in enumerate(spec.classes):
        for number, lesion in enumerate(sorted(lesions(found[..., index]), key=lambda one: (one.y, one.x)), start=1):
            height, width = lesion.pixels.shape
            values = maps[lesion.y : lesion.y + height, lesion.x : lesion.x + width, index][lesion.pixels]
            ys, xs = np.nonzero(lesion.pixels)
            measured = (
                number,
                round(lesion.x + float(xs.mean()), 1),
                round(lesion.y + float(ys.mean()), 1),
                len(values),
                round(float(values.mean(dtype=np.float64)), 4),
                round(float(values.max()), 4),
                lesion.x,
                lesion.y,
                width,
                height,
            )
            properties = {
                "objectType": "annotation",
                "name": f"{name} {number}",
                "classification": {"name": name, "color": CLASS_COLORS[index]},
                "measurements": dict(zip(MEASUREMENTS, measured, strict=True)),
            }
            closed = [[[*ring, ring[0]] for ring in polygon] for polygon in outline(lesion.pixels, lesion.x, lesion.y)]
            geometry: dict[str, object] = {"type": "MultiPolygon", "coordinates": closed}
            if len(closed) == 1:
                geometry = {"type": "Polygon", "coordinates": closed[0]}
            features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return features


def _found(spec: SegmenterSpec, maps: np.ndarray) -> np.ndarray:
    return maps >= np.array(spec.thresholds, np.float32)


def _overlay(photograph: np.ndarray, found: np.ndarray) -> np.ndarray:
    overlay = photograph.copy()
    thickness = max(round(max(photograph.shape) / 1500), 1)  # the same to the eye at every size
    for index in range(found.shape[-1]):
        draw_contours(overlay, found[..., index], CLASS_COLORS[index], thickness=thickness)
    return overlay


def _beside_truth(spec: SegmenterSpec, photograph: np.ndarray, truth: np.ndarray, *, found: np.ndarray) -> np.ndarray:
    letters = max(round(max(photograph.shape) / 90), 11)  # the same to the eye at every size
    panels = [
        captioned(_overlay(photograph, masks), [words], letters=letters)
        for words, masks in (("truth", truth), ("prediction", found))
    ]
    legend = [f"{name} from {threshold:.3g}" for name, threshold in zip(spec.classes, spec.thresholds, strict=True)]
    return with_legend(contact_sheet(panels), legend, letters=letters)
