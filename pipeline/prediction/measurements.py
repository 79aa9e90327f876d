"""Measures what was detected in a photograph: each lesion as a GeoJSON feature, and a row of `predictions.csv`.

`docs/outputs.md` says what each column is.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.prediction.detections import Detections
from pipeline.prediction.landmarks import QUADRANTS, Landmarks
from pipeline.prediction.outlines import outline
from records import CLASS_COLORS, MEASURES, PhotographScale, equivalent_diameter, lesions
from records.images import Lesion

# Of a lesion, in a GeoJSON file and in lesions.csv. Those from the optic disc's on are absent where there is none.
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
    "equivalent_diameter",
    "equivalent_diameter_dd",
    "disc_distance_dd",
)
QUADRANT = "quadrant"
SPREAD = "spread"  # only with --uncertainty
LESION_COLUMNS = ("case", "class", *MEASUREMENTS, QUADRANT)


def lesion_features(
    classes: tuple[str, ...],
    detections: Detections,
    *,
    landmarks: Landmarks,
    spreads: Sequence[np.ndarray] | None = None,
) -> list[dict]:
    """Describes the detections, 8-connected regions, as GeoJSON features that QuPath reads as annotations.

    Args:
      classes: names of the C classes.
      detections: the detections.
      landmarks: what their places are measured by.
      spreads: for each class, the spread of the probabilities of `detections`, float32 `[n]`; None: unknown.

    Returns:
      The detections of each class in turn, from top to bottom, with the geometry of `outline`. In the measurements,
      centres and mean probabilities are averages over pixels; the first pixel of a photograph has the centre (0, 0).
    """
    features = []
    for index, name in enumerate(classes):
        mask, probabilities = detections.masks[..., index], detections.probabilities[index]
        places = np.flatnonzero(mask)
        for number, region in enumerate(sorted(lesions(mask), key=lambda one: (one.y, one.x)), start=1):
            ys, xs = np.nonzero(region.pixels)
            of_region = np.searchsorted(places, (ys + region.y) * mask.shape[1] + xs + region.x)
            measured = _measurements(region, number, probabilities[of_region], landmarks=landmarks)
            if spreads is not None:
                measured[SPREAD] = round(float(spreads[index][of_region].mean(dtype=np.float64)), 4)
            quadrant = landmarks.quadrant(measured["center_x"], measured["center_y"])
            properties = {
                "objectType": "annotation",
                "name": f"{name} {number}",
                "classification": {"name": name, "color": CLASS_COLORS[index]},
                "measurements": measured,
                **({} if quadrant is None else {QUADRANT: quadrant}),
            }
            features.append({"type": "Feature", "geometry": _geometry(region), "properties": properties})
    return features


def lesion_row(case: str, feature: dict) -> dict[str, object]:
    """Returns the row of a feature in `lesions.csv`; what is unknown is left out."""
    properties = feature["properties"]
    row = {"case": case, "class": properties["classification"]["name"], **properties["measurements"]}
    return row | ({QUADRANT: properties[QUADRANT]} if QUADRANT in properties else {})


def summary_columns(classes: tuple[str, ...]) -> list[str]:
    """Returns the columns of `predictions.csv`."""
    of_class = [f"{name}_{value}" for name in classes for value in ("lesions", "pixels", "share_of_retina", "maximum")]
    of_quadrant = [f"{name}_{quadrant}" for name in classes for quadrant in QUADRANTS]
    quality = [f"quality_{name}" for name in MEASURES]
    return ["case", "file", "height", "width", "retina_pixels", *of_class, *of_quadrant, "scale", *quality, "warnings"]


def summarize(
    classes: tuple[str, ...],
    case: str,
    file: Path,
    *,
    quality: Mapping[str, float],
    scale: PhotographScale,
    warnings: Sequence[str],
    visible: np.ndarray,
    detections: Detections,
    features: list[dict],
) -> dict[str, object]:
    """Returns the row of a photograph in `predictions.csv`.

    Args:
      classes: names of the C classes.
      case: name of the photograph.
      file: its file.
      quality: its measures, see `records.measure_quality`.
      scale: how it was scaled.
      warnings: what a reader must know of it.
      visible: its field of view, bool `[H, W]`.
      detections: its detections.
      features: its `lesion_features`.
    """
    visible_pixels = int(np.count_nonzero(visible))
    row: dict[str, object] = {
        "case": case,
        "file": str(file),
        "height": visible.shape[0],
        "width": visible.shape[1],
        "retina_pixels": visible_pixels,
    }
    in_class = Counter(_class(feature) for feature in features)
    in_quadrant = Counter((_class(feature), feature["properties"].get(QUADRANT)) for feature in features)
    for index, name in enumerate(classes):
        detected = detections.masks[..., index]
        inside = int(np.count_nonzero(detected & visible))
        row[f"{name}_lesions"] = in_class[name]
        row[f"{name}_pixels"] = int(np.count_nonzero(detected))
        row[f"{name}_share_of_retina"] = round(inside / visible_pixels, 6) if visible_pixels else ""
        row[f"{name}_maximum"] = round(detections.maxima[index], 4)
    for name in classes:
        for quadrant in QUADRANTS:
            row[f"{name}_{quadrant}"] = "" if in_quadrant[name, None] else in_quadrant[name, quadrant]
    row["scale"] = round(scale.factor, 6)
    row |= {f"quality_{name}": round(value, 5) for name, value in quality.items()}
    row["warnings"] = "; ".join(warnings)
    return row


def _class(feature: dict) -> str:
    return feature["properties"]["classification"]["name"]


def _measurements(region: Lesion, number: int, values: np.ndarray, *, landmarks: Landmarks) -> dict[str, float]:
    height, width = region.pixels.shape
    ys, xs = np.nonzero(region.pixels)
    x, y = region.x + float(xs.mean()), region.y + float(ys.mean())
    diameter = equivalent_diameter(len(values))
    known: tuple[float, ...] = (
        number,
        round(x, 1),
        round(y, 1),
        len(values),
        round(float(values.mean(dtype=np.float64)), 4),
        round(float(values.max()), 4),
        region.x,
        region.y,
        width,
        height,
        round(diameter, 2),
    )
    if (disc := landmarks.disc) is not None:
        distance = math.hypot(x - disc.center[0], y - disc.center[1])
        known += (round(diameter / disc.diameter, 4), round(distance / disc.diameter, 4))
    return dict(zip(MEASUREMENTS, known, strict=False))


def _geometry(region: Lesion) -> dict[str, object]:
    closed = [[[*ring, ring[0]] for ring in polygon] for polygon in outline(region.pixels, region.x, region.y)]
    if len(closed) == 1:
        return {"type": "Polygon", "coordinates": closed[0]}
    return {"type": "MultiPolygon", "coordinates": closed}
