"""Photographs that a process of a cluster predicts become the same files as here."""

import functools
import pickle
import re

import cv2
import numpy as np
import pytest

from configs import InputError
from pipeline.inference import load_segmenter
from pipeline.prediction import PredictionFolder, predicting
from records import UNKNOWN_CAMERA


def test_a_pickled_folder_and_a_model_of_its_own_write_the_same_files(model_folder, segmenter, tmp_path):
    rng = np.random.default_rng(3)
    photographs = {name: tmp_path / f"{name}.png" for name in ("a", "b")}
    for path in photographs.values():
        cv2.imwrite(str(path), rng.integers(60, 256, (40, 50, 3), np.uint8))

    def folder(name: str) -> PredictionFolder:
        made = PredictionFolder(
            tmp_path / name, segmenter.spec, model="0", measure=segmenter.measure,
            operating_point=segmenter.spec.operating_point, camera=UNKNOWN_CAMERA, annotated={}, map_forms=("scaled",),
        )  # fmt: skip
        assert made.begin(photographs, overwrite=False) == photographs
        return made

    here, there = folder("here"), folder("there")
    for name, path in photographs.items():
        measured = here.read(name, path)
        here.write(name, path, measured, segmented=segmenter.segment_measured(measured))
    sent = pickle.loads(
        pickle.dumps(functools.partial(predicting, functools.partial(load_segmenter, model_folder), there))
    )
    predict = sent()
    for one in photographs.items():
        predict(one)
    for each in (here, there):
        assert len(each.write_tables()) == 2
    files = sorted(path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*.*"))
    assert files == sorted(path.relative_to(tmp_path / "there") for path in (tmp_path / "there").rglob("*.*"))
    for file in files:
        one, other = ((tmp_path / name / file).read_bytes() for name in ("here", "there"))
        assert without_seconds(one) == without_seconds(other), file
    (tmp_path / "c.png").write_bytes(b"no photograph")
    with pytest.raises(InputError, match=r"c\.png"):
        predict(("c", tmp_path / "c.png"))


def without_seconds(content: bytes) -> bytes:
    return re.sub(rb'"segment_seconds":[\d.]+', b"", content)
