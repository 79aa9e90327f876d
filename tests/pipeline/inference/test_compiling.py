"""Whether XLA compiles the network, and only the network."""

import time

import numpy as np
import pytest
import tensorflow as tf

from pipeline.inference import TiledSegmenter, compiling
from pipeline.inference.compiling import compiles, is_faster_compiled

SHAPE = (2, 16, 16, 3)


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["/device:GPU:0"] if kind == "GPU" else [])


def pixelwise(images: tf.Tensor) -> tf.Tensor:
    return images[..., :1] / 255


def test_on_and_off_are_taken_at_their_word(gpu):
    assert compiles("on", pixelwise, SHAPE)
    assert not compiles("off", pixelwise, SHAPE)


def test_auto_leaves_a_cpu_without_xla_and_without_a_trial():
    def never(images: tf.Tensor) -> tf.Tensor:
        raise AssertionError

    assert not compiles("auto", never, SHAPE)


@pytest.mark.parametrize("faster", [False, True])
def test_auto_takes_what_a_trial_on_a_gpu_says(gpu, monkeypatch, faster):
    monkeypatch.setattr(compiling, "is_faster_compiled", lambda predict, shape: faster)
    assert compiles("auto", pixelwise, SHAPE) == faster


def test_a_trial_takes_the_faster_one(monkeypatch):
    seconds = iter([0.2, 0.1, 0.1, 0.2])
    monkeypatch.setattr(compiling, "_seconds", lambda function, images: next(seconds))
    assert is_faster_compiled(pixelwise, SHAPE)
    assert not is_faster_compiled(pixelwise, SHAPE)


def test_a_trial_runs_on_this_machine_in_both_ways():
    runs = tf.Variable(0)

    def network(images: tf.Tensor) -> tf.Tensor:
        runs.assign_add(1)
        return pixelwise(images)

    assert is_faster_compiled(network, SHAPE) in (False, True)
    assert int(runs) == 2 * (1 + compiling.RUNS)


def test_what_xla_cannot_compile_stays_as_it_is():
    def with_python(images: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(lambda pixels: pixels, [images], tf.float32)

    assert not is_faster_compiled(with_python, SHAPE)


def test_a_trial_waits_for_its_runs():
    def slow(images: tf.Tensor) -> tf.Tensor:
        return tf.numpy_function(lambda pixels: (time.sleep(0.02), pixels)[1], [images], tf.float32)

    assert compiling._seconds(slow, tf.zeros(SHAPE)) >= 0.02


@pytest.mark.slow
@pytest.mark.parametrize("xla", ["on", "off"])
def test_a_segmenter_compiles_its_network_alone(network, spec, xla):
    geometry = spec(classes=("a", "b"), xla=xla, scale=0.5, overlap=0.5, window="hann", flips=4, skip_background=True)
    segmenter = TiledSegmenter(network, geometry)
    library = segmenter.segment.get_concrete_function().graph.as_graph_def().library.function
    compiled = [function for function in library if function.attr["_XlaMustCompile"].b]
    assert bool(compiled) == (xla == "on")
    ops = {node.op for function in compiled for node in function.node_def}
    assert ops.isdisjoint({"InplaceAdd", "While", "ResizeArea", "ResizeBilinear"})
    assert xla == "off" or "Conv2D" in ops


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_map(network, spec, fundus):
    photograph = fundus(60, 90, seed=2).photograph
    maps = [
        TiledSegmenter(network, spec(classes=("a", "b"), xla=xla, overlap=0.5, window="hann")) for xla in ("off", "on")
    ]
    usual, compiled = (segmenter.segment(photograph).numpy() for segmenter in maps)
    np.testing.assert_allclose(compiled, usual, atol=1e-5)
    assert np.ptp(usual) > 0.01
