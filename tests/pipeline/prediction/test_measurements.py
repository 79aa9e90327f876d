"""Sizes and places of lesions, in pixels and by the optic disc, and their numbers by quadrant."""

import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.inference import MeasuredPhotograph, ProbabilityMap
from pipeline.operating_point import OperatingPoint
from pipeline.prediction.detections import detect
from pipeline.prediction.landmarks import QUADRANTS, find_landmarks
from pipeline.prediction.measurements import (
    LESION_COLUMNS,
    lesion_features,
    lesion_row,
    summarize,
    summary_columns,
)
from records import MEASURES, PhotographScale

OUTPUTS = Path(__file__).parents[3] / "docs" / "outputs.md"
CLASSES = ("HE", "OD")


def square(mask: np.ndarray, y: int, x: int, side: int) -> None:
    mask[y : y + side, x : x + side] = True


@pytest.fixture
def detected() -> np.ndarray:
    """Squares in 100 x 200 pixels: lesions in three quadrants, two of them in one; a disc of 20 x 20 and a speck."""
    detected = np.zeros((100, 200, 2), bool)
    for y, x, side in ((10, 20, 3), (30, 60, 5), (20, 150, 4), (80, 180, 6)):
        square(detected[..., 0], y, x, side)
    square(detected[..., 1], 5, 5, 2)
    square(detected[..., 1], 60, 100, 20)
    return detected


def measure(detected: np.ndarray, *, classes=CLASSES, visible: bool = True) -> tuple[list[dict], dict[str, object]]:
    """Returns features and summary of a photograph that shows retina everywhere or nowhere."""
    seen = np.full(detected.shape[:2], visible)
    pixels = np.zeros((*seen.shape, 3), np.uint8)
    measured = MeasuredPhotograph(pixels, PhotographScale(1 / 3, "fixed"), dict.fromkeys(MEASURES, 0.5))
    landmarks = find_landmarks(measured, seen, classes=classes, detected=detected)
    maps = ProbabilityMap(detected.astype(np.float32), seen.shape, resized=False)
    detections = detect(maps, OperatingPoint((0.5,) * len(classes)))
    features = lesion_features(classes, detections, landmarks=landmarks)
    arrays = {"visible": seen, "detections": detections}
    told = {"quality": measured.quality, "scale": measured.scale, "warnings": ["dark", "blurred"]}
    return features, summarize(classes, "eye", Path("eye.png"), features=features, **arrays, **told)


def test_lesions_are_measured_in_pixels_and_in_disc_diameters(detected):
    features, _ = measure(detected)
    rows = [lesion_row("eye", feature) for feature in features]
    disc = 2 * np.sqrt(400 / np.pi)
    for row, (y, x, side) in zip(rows, ((11, 21, 3), (21.5, 151.5, 4), (32, 62, 5), (82.5, 182.5, 6)), strict=False):
        assert (row["center_y"], row["center_x"]) == (y, x)
        assert row["equivalent_diameter"] == pytest.approx(2 * np.sqrt(side**2 / np.pi), abs=0.005)
        assert row["equivalent_diameter_dd"] == pytest.approx(side / 20, abs=1e-4)
        assert row["disc_distance_dd"] == pytest.approx(np.hypot(y - 69.5, x - 109.5) / disc, abs=1e-4)
    assert [row["quadrant"] for row in rows[:4]] == ["upper_left", "upper_right", "upper_left", "lower_right"]
    speck, itself = rows[4:]
    assert (itself["equivalent_diameter_dd"], itself["disc_distance_dd"]) == (1, 0)
    assert speck["equivalent_diameter_dd"] == 0.1
    assert all(set(row) == set(LESION_COLUMNS) for row in rows)


def test_numbers_by_quadrant_add_up_and_the_scale_is_there(detected):
    _, summary = measure(detected)
    assert [summary[f"HE_{quadrant}"] for quadrant in QUADRANTS] == [2, 1, 0, 1]
    assert [summary[f"OD_{quadrant}"] for quadrant in QUADRANTS] == [1, 0, 0, 1]
    assert summary["scale"] == pytest.approx(1 / 3, abs=1e-6)
    assert (summary["quality_sharpness"], summary["warnings"]) == (0.5, "dark; blurred")
    assert list(summary) == summary_columns(CLASSES)


def test_what_is_unknown_is_left_out(detected):
    features, _ = measure(detected[..., :1], classes=("HE",))
    for feature in features:
        row = lesion_row("eye", feature)
        assert set(LESION_COLUMNS) - set(row) == {"equivalent_diameter_dd", "disc_distance_dd"}
    features, summary = measure(detected, visible=False)
    assert not any("quadrant" in feature["properties"] for feature in features)
    assert {summary[f"HE_{quadrant}"] for quadrant in QUADRANTS} == {""}
    _, summary = measure(np.zeros_like(detected), visible=False)
    assert {summary[f"HE_{quadrant}"] for quadrant in QUADRANTS} == {0}


def test_columns_of_earlier_versions_keep_their_names_and_come_first():
    columns = summary_columns(("HE",))
    assert columns[:5] == ["case", "file", "height", "width", "retina_pixels"]
    assert columns[5:9] == ["HE_lesions", "HE_pixels", "HE_share_of_retina", "HE_maximum"]
    assert LESION_COLUMNS[:7] == ("case", "class", "lesion", "center_x", "center_y", "area_pixels", "mean_probability")
    assert LESION_COLUMNS[7:12] == ("maximum_probability", "box_x", "box_y", "box_width", "box_height")


def test_every_column_is_described():
    described = set(re.findall(r"`(\w+)`", OUTPUTS.read_text()))
    columns = {column.replace("XX_", "CLASS_") for column in summary_columns(("XX",))}
    assert {*LESION_COLUMNS, *columns} <= described
