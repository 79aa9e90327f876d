"""Both ways of shrinking agree with OpenCV and exact sums, and enlarging with `tf.image.resize`."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.inference import scaling
from pipeline.inference.scaling import resize_maps, shrink, shrink_by_sums
from records import rescale_photograph, scaled_size

FORMS = {"area": shrink, "sums": shrink_by_sums}
ERROR = {"area": 1e-2, "sums": 1e-6}  # levels: TensorFlow's AREA counts pixels in float32


@pytest.fixture(scope="module")
def traced():
    """The forms, each traced once for all sizes."""
    signature = [tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([2], tf.int32)]
    return {name: tf.function(form, input_signature=signature, autograph=False) for name, form in FORMS.items()}


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng((height, width)).integers(0, 256, (height, width, 3), np.uint8)


def averages(photograph: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Averages in float64, with the share of each pixel in each shrunk one as a matrix: float64 `[h, w, 3]`."""
    shares = []
    for full, small in zip(photograph.shape[:2], size, strict=True):
        edges = np.arange(small + 1) * full / small
        pixels = np.arange(full)
        held = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        shares.append(np.clip(held, 0, None) * small / full)
    return np.einsum("yh,hwc,xw->yxc", shares[0], photograph.astype(np.float64), shares[1], optimize=True)


@given(
    st.sampled_from([*FORMS]),
    st.integers(1, 150),
    st.integers(1, 150),
    st.sampled_from([0.01, 0.13, 1 / 3, 0.5, 0.7, 0.99, 1.0]),
)
@example("area", 1, 700, 1 / 3)
@example("sums", 1, 700, 1 / 3)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_averages_are_rounded_to_the_nearest_level(traced, form, height, width, scale):
    photograph = noise(height, width)
    size = scaled_size(height, width, scale)
    shrunk = traced[form](photograph, size).numpy()
    assert shrunk.dtype == np.uint8
    assert shrunk.shape == (*size, 3)
    assert np.abs(shrunk - averages(photograph, size)).max() <= 0.5 + ERROR[form]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", [1 / 3, 0.5, 0.7, 0.9])
def test_both_forms_give_the_records_levels_but_for_ties(traced, form, scale):
    photograph = noise(321, 457)
    expected = rescale_photograph(photograph, scale)
    difference = traced[form](photograph, expected.shape[:2]).numpy().astype(int) - expected
    assert np.abs(difference).max() <= 1
    assert np.mean(difference != 0) < 0.005


def test_strips_join_without_a_trace(monkeypatch):
    photograph = noise(211, 90)
    whole = shrink_by_sums(tf.constant(photograph), tf.constant([70, 30])).numpy()
    for rows in (1, 7, 64):
        monkeypatch.setattr(scaling, "STRIP", rows)
        assert np.array_equal(shrink_by_sums(tf.constant(photograph), tf.constant([70, 30])), whole)


def test_sums_stay_exact_along_long_axes(traced):
    photograph = np.full((5_000, 3, 3), 255, np.uint8)  # which add up to a million
    photograph[::7] = 254
    shrunk = traced["sums"](photograph, (2_493, 3)).numpy()
    assert np.abs(shrunk - averages(photograph, (2_493, 3))).max() <= 0.5 + ERROR["sums"]


def test_a_gpu_gets_the_form_that_it_has_kernels_for(monkeypatch):
    def ops() -> set[str]:
        signature = [tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([2], tf.int32)]
        function = tf.function(shrink, input_signature=signature, autograph=False).get_concrete_function()
        graph = function.graph.as_graph_def()
        inside = [node for body in graph.library.function for node in body.node_def]  # branches of conditions
        return {node.op for node in [*graph.node, *inside]}

    assert "ResizeArea" in ops()
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["/device:GPU:0"] if kind == "GPU" else [])
    assert "ResizeArea" not in ops()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 150), st.integers(1, 150), st.integers(1, 3))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_enlarging_gives_the_numbers_of_resize(height, width, full_height, full_width, classes):
    maps = np.random.default_rng((height, width, classes)).random((height, width, classes), np.float32)
    size = (max(full_height, height), max(full_width, width))
    found = resize_maps(tf.constant(maps), tf.constant(size))
    assert found.shape == (*size, classes)
    np.testing.assert_allclose(found, tf.image.resize(maps, size), atol=2e-5)  # positions are rounded to float32


def test_enlarging_interpolates_between_the_middles_of_pixels():
    found = resize_maps(tf.constant([[[0.0], [3.0]]]), tf.constant([1, 6]))
    np.testing.assert_allclose(np.ravel(found), [0, 0, 1, 2, 3, 3], atol=1e-6)
