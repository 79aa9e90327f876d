"""The check of an export by a client's request, for photographs of several kinds."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models import in_precision
from pipeline.export.client_check import check_client
from pipeline.inference import TiledSegmenter
from tests.records.images import icc

ORIENTATION = 0x0112


@pytest.fixture(scope="module", autouse=True)
def _loaded_once():
    """Loading takes seconds, and the export is the same one for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.saved_model, "load", functools.cache(tf.saved_model.load))
        yield


@pytest.fixture
def photograph(fundus):
    return Image.fromarray(fundus(70, 70, seed=4).photograph)  # square: a rotated map has the same shape


def test_a_jpeg_gives_the_probability_map_and_detections_of_predict(exported, segmenter, photograph, tmp_path):
    photograph.save(tmp_path / "eye.jpg")
    check = check_client(exported, segmenter, tmp_path / "eye.jpg")
    assert check.same
    first, *classes, last = check.lines
    assert first.startswith("eye.jpg → serving_default → probabilities [70, 70, 2]; loading")
    maps = segmenter.segment(np.asarray(Image.open(tmp_path / "eye.jpg"))).numpy()
    for line, index, threshold in zip(classes, (0, 1), ("0.5", "0.25"), strict=True):
        above = np.count_nonzero(maps[..., index] >= float(threshold))
        assert f" {above} pixels at or above {threshold}, maximum {maps[..., index].max():.4f}" in line
    assert "the same map as predict's: largest difference" in last
    assert ", 0 pixels on the other side" in last


def test_an_orientation_tag_is_named_as_what_makes_another_map(exported, segmenter, photograph, tmp_path):
    tags = Image.Exif()
    tags[ORIENTATION] = 6
    photograph.save(tmp_path / "turned.jpg", exif=tags)
    check = check_client(exported, segmenter, tmp_path / "turned.jpg")
    assert not check.same
    assert "NOT the same map as predict's: largest difference" in check.lines[-1]
    assert "; the file has orientation tag 6, which serving_default leaves to the client" in check.lines[-1]


def test_a_colour_profile_is_named_as_what_makes_another_map(exported, segmenter, photograph, tmp_path):
    photograph.save(tmp_path / "wide.png", icc_profile=icc.rgb_profile("Adobe RGB"))
    check = check_client(exported, segmenter, tmp_path / "wide.png")
    assert not check.same
    assert "; the file has a colour profile other than sRGB, which serving_default leaves" in check.lines[-1]


def test_cmyk_is_named_where_its_rounding_shows(exported, segmenter, tmp_path):
    inks = np.random.default_rng(0).integers(0, 256, (70, 70, 4), np.uint8)
    Image.fromarray(inks, "CMYK").save(tmp_path / "print.jpg", quality=95)
    check = check_client(exported, segmenter, tmp_path / "print.jpg")
    assert not check.same
    assert check.lines[-1].endswith("; the file is in CMYK, which serving_default leaves to the client")


def test_a_format_that_serving_default_cannot_decode_is_sent_to_segment(exported, segmenter, photograph, tmp_path):
    tags = Image.Exif()
    tags[ORIENTATION] = 6
    photograph.save(tmp_path / "turned.tif", exif=tags)
    check = check_client(exported, segmenter, tmp_path / "turned.tif")
    assert check.same
    assert check.lines[0].startswith("serving_default cannot decode turned.tif")
    assert "turned.tif → segment → probabilities [70, 70, 2]" in check.lines[1]


def test_another_network_gives_another_map(exported, segmenter, photograph, tmp_path):
    photograph.save(tmp_path / "eye.png")
    other = TiledSegmenter(lambda images: segmenter.network(images) * 0.9, segmenter.spec)
    check = check_client(exported, other, tmp_path / "eye.png")
    assert not check.same
    assert "NOT the same map as predict's: largest difference" in check.lines[-1]


def test_another_precision_of_predict_is_allowed_its_rounding(exported, segmenter, photograph, tmp_path):
    photograph.save(tmp_path / "eye.png")
    rough = TiledSegmenter(in_precision(segmenter.network, "mixed_bfloat16"), segmenter.spec)
    check = check_client(exported, rough, tmp_path / "eye.png")
    assert check.same
    assert "the same map as predict's within the rounding of float32 and mixed_bfloat16" in check.lines[-1]
