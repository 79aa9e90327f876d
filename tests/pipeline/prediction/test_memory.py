"""What a photograph is said to take grows with its pixels, classes and files, and needs only its header."""

import cv2
import numpy as np

from pipeline.prediction.memory import photograph_bytes


def test_the_estimate_grows_with_pixels_classes_and_files(tmp_path):
    for name, shape in (("small", (40, 50)), ("large", (80, 50))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((*shape, 3), np.uint8))
    small, large = (tmp_path / f"{name}.png" for name in ("small", "large"))
    one = photograph_bytes(small, 1, max_pixels=10**6)
    assert one >= 2000 * (3 + 1 + 4)  # at least itself, a mask and a strip of the map
    assert photograph_bytes(large, 1, max_pixels=10**6) == 2 * one
    assert photograph_bytes(small, 5, max_pixels=10**6) > one
    more = (
        {"annotated": True},
        {"unscaled": True},
        {"map_forms": ("full_size",)},
        {"map_forms": ("full_size", "tiff")},
    )
    estimates = [photograph_bytes(small, 1, max_pixels=10**6, **options) for options in more]
    assert min(estimates) > one and estimates[3] > estimates[2]
    assert photograph_bytes(small, 1, max_pixels=10**6, map_forms=("scaled",)) == one


def test_what_cannot_be_read_takes_nothing(tmp_path):
    (tmp_path / "damaged.jpg").write_bytes(b"no image")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 50, 3), np.uint8))
    for file, pixels in (("damaged.jpg", 10**6), ("none.jpg", 10**6), ("a.png", 1999)):
        assert photograph_bytes(tmp_path / file, 5, max_pixels=pixels) == 0
