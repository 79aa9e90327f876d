"""Which photographs and tiles come first in `review.csv`."""

import csv

import pytest

from pipeline.looking import DETECTION, OPENING, TILE
from pipeline.prediction.review import Reviewed, write_review


def reviewed(case: str, tiles: list[tuple[int, float]]) -> Reviewed:
    """Makes a photograph of tiles in a row, each with some detections and expected wrong pixels."""
    row = {"case": case, "file": f"/{case}.jpg", "height": 10, "width": 10 * len(tiles)}
    return Reviewed(row, [[0, 10 * place, 10, 10, found, wrong] for place, (found, wrong) in enumerate(tiles)])


def test_photographs_come_first_and_both_are_ranked_by_what_a_minute_corrects(tmp_path):
    many = reviewed("many", [(30, 500.0), (0, 20.0)])
    few = reviewed("few", [(0, 400.0), (1, 90.0)])
    write_review(tmp_path, [many, few, reviewed("none", [])])
    with open(tmp_path / "review.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["kind"], row["rank"], row["case"]) for row in rows] == [
        ("photograph", "1", "few"),
        ("photograph", "2", "many"),
        ("photograph", "3", "none"),
        ("tile", "1", "few"),
        ("tile", "2", "many"),
        ("tile", "3", "few"),
        ("tile", "4", "many"),
    ]
    first, full = rows[0], rows[4]
    assert (first["expected_wrong_pixels"], first["detections"], first["width"]) == ("490.0", "1", "20")
    seconds = OPENING + 2 * TILE + DETECTION
    assert float(first["seconds"]) == seconds
    assert float(first["wrong_pixels_per_minute"]) == pytest.approx(490 / seconds * 60, abs=0.06)
    assert (full["x"], full["y"], full["width"], full["height"], full["file"]) == ("0", "0", "10", "10", "/many.jpg")
    assert float(full["seconds"]) == OPENING + TILE + 30 * DETECTION
