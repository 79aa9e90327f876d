"""Each photograph gets its own scale in the graph: that of the records, with one trace for all sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inference import TiledSegmenter
from records import LARGEST_SCALE, UNKNOWN_CAMERA, Camera, rescale_photograph, scaled_size

DIAMETER = 100.0


@pytest.fixture(scope="module")
def measuring(spec):
    """Makes a segmenter without a network that brings fields of view to 100 pixels; its map is the photograph."""

    def make(camera: Camera = UNKNOWN_CAMERA, **fields: object) -> TiledSegmenter:
        made = spec(scale=None, field_diameter=DIAMETER, classes=("R", "G", "B"), **{"tile": 64, **fields})
        return TiledSegmenter(lambda images: images / 255, made, made.rule(camera))

    return make


@pytest.fixture(scope="module")
def plain(measuring) -> TiledSegmenter:
    return measuring()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng((height, width)).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.slow
@given(
    height=st.integers(1, 700),
    aspect=st.floats(0.5, 2),
    size=st.floats(0.3, 1.4),
    shift=st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2)),
    rim=st.floats(0.1, 1),
    noise=st.floats(0, 9),
    marks=st.fixed_dictionaries({"notch": st.booleans(), "flare": st.booleans(), "letters": st.booleans()}),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_graph_scales_a_photograph_as_the_records_do(disc, plain, height, aspect, size, shift, rim, noise, marks):
    width = max(int(height * aspect), 1)
    y, x = height * (0.5 + shift[0]), width * (0.5 + shift[1])
    photograph = disc(height, width, diameter=height * size, y=y, x=x, rim=rim, noise=noise, **marks)
    assert plain.scale(photograph).numpy() == pytest.approx(plain.rule.measure(photograph).factor, rel=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (3, 3), (4, 4), (40, 60), (700, 500)])
def test_a_photograph_without_a_circle_is_scaled_alike_as_if_it_were_as_wide_as_the_diagonal(plain, size):
    for photograph in (noise(*size), np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)):
        scale = plain.rule.measure(photograph)
        assert scale.ruler == "frame"
        assert scale.factor == pytest.approx(min(DIAMETER / np.hypot(*size), LARGEST_SCALE))
        assert plain.scale(photograph).numpy() == pytest.approx(scale.factor, rel=1e-9)


@pytest.mark.slow
def test_the_map_has_the_photographs_size_with_one_trace_for_all(disc, plain):
    for photograph in (disc(300, 420, diameter=260), disc(90, 120, diameter=80), noise(1, 1), noise(50, 1)):
        measured = plain.measure(photograph)
        found = plain.segment_measured(measured)
        assert found.scale is measured.scale
        assert found.probabilities.shape == photograph.shape
        assert found.scaled.shape[:2] == scaled_size(*photograph.shape[:2], measured.scale.factor)
        np.testing.assert_allclose(plain.segment(photograph), found.probabilities, atol=2 / 255)
    assert plain.segment.experimental_get_tracing_count() == 1
    assert plain.segment_scaled.experimental_get_tracing_count() == 1
    assert plain.scale.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("diameter", [300, 64, 52])  # shrunk; enlarged 1.6 and 1.9 times
def test_the_network_sees_the_photograph_that_the_records_hold(disc, plain, diameter):
    photograph = disc(int(1.1 * diameter), int(1.3 * diameter), diameter=diameter, noise=1)
    measured = plain.measure(photograph)
    assert measured.scale.factor == pytest.approx(DIAMETER / diameter, rel=0.01)
    seen = 255 * plain.segment_measured(measured).scaled
    expected = rescale_photograph(photograph, measured.scale.factor)
    np.testing.assert_allclose(seen, expected, atol=1.01)


def test_a_photograph_is_enlarged_at_most_twice(disc, plain):
    photograph = disc(45, 50, diameter=38, noise=0)
    scale = plain.rule.measure(photograph)
    assert (scale.factor, scale.limited) == (LARGEST_SCALE, True)
    assert plain.scale(photograph) == LARGEST_SCALE
    assert plain.segment_measured(plain.measure(photograph)).scaled.shape == (90, 100, 3)


def test_the_users_scale_is_for_photographs_without_a_circle_alone(disc, measuring):
    segmenter = measuring(Camera(scale=0.25))
    assert segmenter.scale(noise(80, 90)) == segmenter.rule.measure(noise(80, 90)).factor == 0.25
    photograph = disc(220, 300, diameter=200)
    assert segmenter.scale(photograph).numpy() == pytest.approx(0.5, rel=0.005)


def test_the_users_angle_of_view_scales_all_photographs(disc, measuring):
    segmenter = measuring(Camera(degrees=25))
    for photograph in (disc(220, 300, diameter=200), noise(80, 90)):
        half = segmenter.rule.measure(photograph)
        assert half.factor == pytest.approx(measuring().rule.measure(photograph).factor / 2)
        assert segmenter.scale(photograph).numpy() == pytest.approx(half.factor, rel=1e-5)


def test_a_files_angle_of_view_reaches_the_scale(disc, plain):
    photograph = disc(220, 300, diameter=200)
    assert plain.measure(photograph, 25).scale.factor == pytest.approx(0.25, rel=0.005)


def test_a_fixed_scale_is_the_same_for_all(spec, disc):
    made = spec(scale=0.5)
    for camera, expected in ((UNKNOWN_CAMERA, 0.5), (Camera(scale=0.75), 0.75)):
        segmenter = TiledSegmenter(lambda images: images[..., :1] / 255, made, made.rule(camera))
        photograph = disc(120, 150, diameter=100)
        assert segmenter.scale(photograph) == segmenter.measure(photograph).scale.factor == expected
