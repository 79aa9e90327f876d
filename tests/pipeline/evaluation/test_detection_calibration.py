"""Reliability and Brier score of detections agree with scikit-learn; what is unknown is left out."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from pipeline.evaluation import bootstrap
from pipeline.evaluation.detection_calibration import detection_calibration
from pipeline.evaluation.lesion_matching import LESION, match_lesions


def detections(seed: int, number: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.zeros(number, LESION)
    rows["maximum"] = rng.uniform(0.3, 1, number)
    rows["matched"] = rng.random(number) < rows["maximum"] ** 2
    return rows


def test_reliability_and_brier_score_are_those_of_scikit_learn():
    photographs = [detections(seed, number) for seed, number in enumerate((30, 0, 55))]
    found = detection_calibration(photographs, bootstrap.draw_photographs(3))
    rows = np.concatenate(photographs)
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(rows["matched"], rows["maximum"]))
    rate = np.full(len(rows), rows["matched"].mean())
    assert found["brier_of_ppv"] == pytest.approx(metrics.brier_score_loss(rows["matched"], rate))
    share, mean = calibration_curve(rows["matched"], rows["maximum"], n_bins=10)
    filled = [row for row in found["ranges"] if row["detections"]]
    np.testing.assert_allclose([row["matched_fraction"] for row in filled], share)
    np.testing.assert_allclose([row["mean_probability"] for row in filled], mean, rtol=1e-6)
    assert sum(row["detections"] for row in found["ranges"]) == len(rows)


def test_the_interval_is_over_photographs():
    photographs = [detections(seed, 20 + seed) for seed in range(5)]
    draws = bootstrap.draw_photographs(5)
    drawn = []
    for times in draws:
        rows = np.concatenate([row for row, count in zip(photographs, times, strict=True) for _ in range(count)])
        drawn.append(np.mean((rows["maximum"].astype(np.float64) - rows["matched"]) ** 2))
    np.testing.assert_allclose(
        detection_calibration(photographs, draws)["interval"], bootstrap.interval(np.array(drawn))
    )
    assert detection_calibration(photographs, None)["interval"] is None


def test_a_class_without_detections_has_no_score():
    found = detection_calibration([np.zeros(0, LESION)] * 2, bootstrap.draw_photographs(2))
    assert (found["brier"], found["interval"], found["brier_of_ppv"]) == (None, None, None)
    assert [row["detections"] for row in found["ranges"]] == [0] * 10


def test_a_detection_that_may_be_right_does_not_count():
    probability = np.zeros((9, 9), np.float32)
    probability[2:4, 2:4], probability[6:8, 5:9] = 0.9, 0.7
    known = np.ones((9, 9), bool)
    known[:, 7:] = False
    nothing = np.zeros((9, 9), bool)
    _, counted = match_lesions(probability, nothing, (probability > 0) & known, known=known)
    found = detection_calibration([counted], None)
    assert [row["detections"] for row in found["ranges"]] == [0] * 9 + [1]
    assert found["brier"] == pytest.approx(0.81)
