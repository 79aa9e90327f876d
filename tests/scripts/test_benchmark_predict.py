"""The predict benchmark: every form of probability maps beside the segmentation alone."""

import cv2
import numpy as np

from configs import Config
from scripts.benchmarks import predict as benchmark


def test_a_small_run_leaves_the_keys_that_other_programs_read(way, disc, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, "REPEATS", 1)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / "images" / name), disc(200, 260, diameter=190))
        cv2.imwrite(str(tmp_path / "masks" / name), np.zeros((200, 260), np.uint8))
    result = benchmark.measure(Config(), model=way.workdir / "model", source=tmp_path)
    assert [row[0] for row in result.rows] == ["segmentation alone", "measuring alone", *benchmark.FORMS]
    for key in ("predict_over_segmentation_alone", "predict_over_segmenting"):
        assert all(ratio > 0 for ratio in result.keys[key].values())
        assert benchmark.FORMS.keys() <= result.keys[key].keys()
    assert result.keys["measuring_over_segmentation_alone"] > 0
    assert all(len(row) <= len(result.columns) for row in result.rows)
    megabytes = {row[0]: float(row[-1]) for row in result.rows[2:]}
    assert megabytes["no maps"] < megabytes["--probabilities"] <= megabytes["--probabilities --full_size"]
