"""Files of probability maps hold the map that was made, and eval reads them as it was."""

import cv2
import hypothesis.extra.numpy as arrays_of
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from pipeline.evaluation.external_maps import classes_of, find_maps, read_map
from pipeline.inference import ProbabilityMap
from pipeline.prediction.map_files import _halved, map_files, write_maps

CLASSES = ("HE", "MA", "EX", "SE", "OD")
SIZES = {"reduced": (30, 41), "as it is": (90, 130), "enlarged": (113, 160)}
HALF_ULP = 2.0**-12  # of float16 just below 1


@pytest.fixture
def segmented():
    """Makes the maps of a photograph of 90x130 pixels, from below 1e-7 to nearly 1, at some size."""

    def make(height: int, width: int, classes: int = len(CLASSES)) -> ProbabilityMap:
        logits = cv2.GaussianBlur(np.random.default_rng(5).normal(size=(height, width, 5)), (5, 5), 0) * 40
        scaled = (1 / (1 + np.exp(-logits)))[..., :classes].astype(np.float32)
        return ProbabilityMap(scaled, (90, 130))

    return make


@pytest.mark.parametrize("form", ["scaled", "full_size"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_an_npz_is_the_map_in_float16_with_its_classes_and_the_photographs_size(segmented, tmp_path, form, size):
    (tmp_path / "probabilities").mkdir()
    maps = segmented(*size)
    write_maps(tmp_path, "eye", maps, classes=CLASSES, forms=(form,))
    (file,) = tmp_path.rglob("*.*")
    assert [file.relative_to(tmp_path)] == map_files("eye", CLASSES, (form,))
    with np.load(file) as kept:
        assert set(kept.files) == {"probabilities", "classes", "size"}
        assert kept["classes"].tolist() == list(CLASSES)
        assert kept["size"].tolist() == [90, 130]
        assert kept["probabilities"].dtype == np.float16
        expected = maps.scaled if form == "scaled" else maps.whole()
        assert np.array_equal(kept["probabilities"], expected.astype(np.float16))


@pytest.mark.parametrize("classes", [1, 5])
@pytest.mark.parametrize("form", ["scaled", "full_size", "tiff"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_eval_reads_the_map_of_the_graph_from_every_form(segmented, tmp_path, form, size, classes):
    (tmp_path / "probabilities").mkdir()
    maps, names = segmented(*size, classes), CLASSES[:classes]
    write_maps(tmp_path, "eye", maps, classes=names, forms=(form,))
    files = find_maps(tmp_path)
    assert set(classes_of(files)) == set(names)
    found = read_map(files, "eye", (90, 130), classes=names)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, maps.whole(), rtol=0, atol=HALF_ULP + 2e-5)
    if classes > 1:
        fewer = read_map(files, "eye", (90, 130), classes=("EX", "HE"))
        assert np.array_equal(fewer, found[..., [2, 0]])


def test_a_tiff_per_class_holds_16_bit_grey_that_opencv_opens(segmented, tmp_path):
    (tmp_path / "probabilities").mkdir()
    maps = segmented(30, 41)
    write_maps(tmp_path, "eye", maps, classes=CLASSES, forms=("tiff",))
    written = sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*.*"))
    assert written == sorted(map_files("eye", CLASSES, ("tiff",)))
    for index, name in enumerate(CLASSES):
        plane = cv2.imread(str(tmp_path / "probabilities" / f"eye_{name}.tif"), cv2.IMREAD_UNCHANGED)
        assert (plane.dtype, plane.shape) == (np.uint16, (90, 130))
        np.testing.assert_allclose(plane / 65535, maps.whole()[..., index], rtol=0, atol=0.51 / 65535)


def test_without_a_form_nothing_is_written(segmented, tmp_path):
    write_maps(tmp_path, "eye", segmented(30, 41), classes=CLASSES, forms=())
    assert list(tmp_path.iterdir()) == map_files("eye", CLASSES, ()) == []


@settings(max_examples=50, deadline=None)
@given(arrays_of.arrays(np.float32, (2, 3), elements=st.floats(0, 1, width=32)))
def test_float16_is_what_numpy_rounds_to(probabilities):
    expected = probabilities.astype(np.float16)
    assert np.array_equal(_halved(probabilities).view(np.uint16), expected.view(np.uint16))
