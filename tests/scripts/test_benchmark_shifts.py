"""The benchmark of shifts on synthetic photographs: those as they are have the scores of eval."""

import json

import cv2
import numpy as np
import pytest

from configs import Config, DataConfig
from pipeline.evaluation import PhotographCounts, count_photograph
from pipeline.operating_point import OperatingPoint
from records import KnownRules
from scripts.benchmarks import shifts as benchmark
from scripts.benchmarks.scoring import mean_of_lesions, pooled_aupr

NAMES = ("as they are", "haze")


@pytest.mark.slow
def test_photographs_as_they_are_have_the_scores_of_eval_and_healthy_ones_are_counted(way, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, "SHIFTS", NAMES)
    healthy = tmp_path / "healthy"
    healthy.mkdir()
    photographs = way.source / "A. Segmentation" / "1. Original Images" / "b. Testing Set"
    # It is said to be healthy, so that whatever is found in it counts as a false detection.
    (healthy / "eye.jpg").write_bytes((photographs / "SYN_06.jpg").read_bytes())
    result = benchmark.measure(
        Config(data=DataConfig(classes=("HE",))),
        model=way.workdir / "model",
        source=way.source,
        split="test",
        healthy=KnownRules(healthy=str(healthy)),
        sheet=tmp_path / "sheet.png",
    )
    scores = json.loads((way.workdir / "scores.json").read_text())["scores"]["frame"]["HE"]
    keys = result.keys
    assert keys["aupr"]["as they are"]["HE"] == pytest.approx(scores["aupr"])
    assert keys["mean_aupr"] == {name: keys["aupr"][name]["HE"] for name in NAMES}
    assert keys["falls"]["haze"] == pytest.approx(keys["mean_aupr"]["as they are"] - keys["mean_aupr"]["haze"])
    assert keys["worst_fall"] == max(keys["falls"].values())
    assert keys["healthy_photographs"] == ["eye"]
    assert keys["most_false_detections"]["HE"] == max(keys["false_detections"][name]["HE"] for name in NAMES)
    assert 0 < keys["shifting_fraction"] < 0.9
    assert result.columns == ["", "HE", "mean", "falls", "false HE"]
    assert [row[0] for row in result.rows] == list(NAMES)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] > 1000


def counts(lesions: int, *, known: bool) -> PhotographCounts:
    """The counts of a photograph with two detections of each class, the first of which is a lesion if there are any."""
    probabilities, masks = np.zeros((40, 40, 2), np.float32), np.zeros((40, 40, 2), bool)
    probabilities[2:6, 2:6] = probabilities[20:24, 2:6] = 0.9
    masks[2:6, 2:6, :lesions] = True
    everywhere = np.ones((40, 40, 2), bool)
    everywhere[..., 1] = known
    return count_photograph(
        "EYE7",
        probabilities,
        masks,
        field_of_view=np.ones((40, 40), bool),
        classes=("HE", "OD"),
        operating_point=OperatingPoint((0.5, 0.5)),
        bins=32,
        known=everywhere,
    )


def test_false_detections_are_means_over_the_photographs_that_know_the_class():
    many = [counts(0, known=False), counts(1, known=True)]
    assert benchmark._false_detections(many) == {"HE": 1.5, "OD": 2.0}
    assert benchmark._false_detections(many[:1]) == {"HE": 2.0}


def test_the_mean_is_of_the_lesions_that_are_shown_and_the_disc_is_none():
    assert set(pooled_aupr([counts(1, known=True)])) == {"HE"}
    assert mean_of_lesions({"MA": 0.2, "HE": 0.4, "OD": 0.9}) == pytest.approx(0.3)
    assert mean_of_lesions({"OD": 0.9}) == 0.9
