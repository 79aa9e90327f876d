"""The signatures `lesions`, `masks` and `map8` give what `predict` finds, of batches of photographs of any sizes."""

import io

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from pipeline.export.replies import NOTHING
from pipeline.operating_point import OperatingPoint
from records.images.regions import find_regions

SIZES = [(70, 81), (121, 60), (33, 33)]
OWN = OperatingPoint((0.5, 0.25))
OTHER = OperatingPoint((0.45, 0.55), (3, 9))


@pytest.fixture(scope="module")
def photographs(fundus):
    return [fundus(*size, seed=number).photograph for number, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def encoded(photographs):
    return tf.constant([cv2.imencode(".png", one[..., ::-1])[1].tobytes() for one in photographs])


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported))


def call(loaded, name, encoded, point: OperatingPoint | None = None) -> dict[str, np.ndarray]:
    options = {}
    if name != "map8":
        thresholds, areas = ([[0.0]], [[0]]) if point is None else ([point.thresholds], [point.least_areas])
        options = {"thresholds": tf.constant(thresholds, tf.float32), "min_areas": tf.constant(areas, tf.int32)}
    return {key: one.numpy() for key, one in loaded.signatures[name](encoded_photographs=encoded, **options).items()}


def read(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)))


@pytest.mark.parametrize("point", [None, OTHER])
def test_masks_and_lesions_are_those_of_the_operating_point(loaded, segmenter, photographs, encoded, point):
    masks = call(loaded, "masks", encoded, point)["masks_bytes"]
    lesions = call(loaded, "lesions", encoded, point)
    assert lesions["sizes"].tolist() == [list(size) for size in SIZES]
    assert lesions["boxes"].shape == (3, lesions["number"].max(), 4)
    for number, photograph in enumerate(photographs):
        probabilities = segmenter.segment(photograph).numpy()
        expected = (point or OWN).detect(probabilities)
        areas = []
        for index in range(2):
            np.testing.assert_array_equal(read(masks[number, index]), expected[..., index] * np.uint8(255))
            areas += find_regions(expected[..., index]).area.tolist()
        count = lesions["number"][number]
        assert lesions["areas"][number, :count].tolist() == areas
        for name in ("areas", "class", "boxes", "centers", "contours", "mean_probabilities", "maximum_probabilities"):
            assert (lesions[name][number, count:] == NOTHING).all()
        for place, value in zip(lesions["contours"][number, 0], lesions["class"][number, :1], strict=False):
            assert expected[place[1], place[0], value]
    assert point is None or lesions["number"].max() > lesions["number"].min()  # some are filled up


def test_maps_of_8_bits_have_the_networks_scale_and_say_the_factor(loaded, segmenter, photographs, encoded):
    found = call(loaded, "map8", encoded)
    assert found["sizes"].tolist() == [list(size) for size in SIZES]
    for number, photograph in enumerate(photographs):
        factor = float(segmenter.scale(tf.constant(photograph)))
        assert found["factors"][number] == np.float32(factor)
        expected = segmenter.segment_scaled(photograph, tf.constant(factor, tf.float64)).numpy()
        for index in range(2):
            level = read(found["map8_bytes"][number, index])
            assert level.dtype == np.uint8
            assert level.shape == expected.shape[:2]
            np.testing.assert_allclose(level / 255, expected[..., index], atol=0.5 / 255 + 1e-5)


def test_each_photograph_may_have_thresholds_of_its_own_and_0_means_the_models(loaded, encoded):
    options = {"min_areas": tf.constant([[0]])}
    thresholds = tf.constant([[0.0, 0.0], [0.999999, 0.999999], [0.45, 0.55]])
    found = loaded.signatures["lesions"](encoded_photographs=encoded, thresholds=thresholds, **options)
    own = call(loaded, "lesions", encoded)
    other = call(loaded, "lesions", encoded, OperatingPoint(OTHER.thresholds))
    assert found["number"].numpy().tolist() == [own["number"][0], 0, other["number"][2]]


def test_the_file_names_defaults_for_servers_that_know_them(exported):
    content = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    for name in ("lesions", "masks"):
        defaults = content.meta_graphs[0].signature_def[name].defaults
        assert {key: tf.make_ndarray(value).tolist() for key, value in defaults.items()} == {
            "thresholds": [[0.0]],
            "min_areas": [[0]],
        }
