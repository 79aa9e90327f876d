"""The inference graph stays on its device: no op calls Python, and each has a GPU kernel."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from configs import FastConfig, ModelConfig
from models import build_network, precision_policy
from pipeline.inference import TiledSegmenter

KERNELS = json.loads((Path(__file__).parents[1] / "data" / "gpu_kernels.json").read_text())


@pytest.fixture
def gpu(monkeypatch):
    """What is chosen by the device is chosen as on a machine with a GPU."""
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["/device:GPU:0"] if kind == "GPU" else [])


def nodes_of(segmenter: TiledSegmenter) -> Iterator[tf.compat.v1.NodeDef]:
    """Lists all ops of the graph and of all functions that it calls."""
    graph = segmenter.segment.get_concrete_function().graph.as_graph_def()
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def has_gpu_kernel(node: tf.compat.v1.NodeDef) -> bool:
    """Looks the op up in what TensorFlow's CUDA build registers, with the types that it has here."""

    def fits(kernel: str) -> bool:
        wanted = [word.split("=") for word in kernel.split()]
        return all(tf.as_dtype(node.attr[name].type).name in types.split("|") for name, types in wanted)

    assert node.op in KERNELS, f"tools/gpu_kernels/README.md says how {node.op} gets into the file"
    return any(fits(kernel) for kernel in KERNELS[node.op])


def leaving(segmenter: TiledSegmenter) -> set[str]:
    return {node.op for node in nodes_of(segmenter) if not has_gpu_kernel(node)}


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields", [{"scale": 0.5}, {"scale": 0.5, "trim": True}, {"scale": None, "field_diameter": 100.0}]
)
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_every_op_has_a_kernel_for_a_gpu(gpu, spec, precision, fields):
    with precision_policy(precision):
        network = build_network(ModelConfig(network="fast", fast=FastConfig(widths=(8, 8))), classes=2)
    options = {"overlap": 0.3, "window": "hann", "flips": 8, "skip_background": True, "xla": "off", **fields}
    assert leaving(TiledSegmenter(network, spec(classes=("a", "b"), **options))) == set()


def test_the_list_of_kernels_tells_what_has_none(spec):
    geometry = spec(classes=("a",), scale=0.5)
    assert leaving(TiledSegmenter(lambda images: images[..., :1], geometry)) == {"ResizeArea"}  # the form for a CPU

    def with_uint8(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.slice(tf.cast(images, tf.uint8), [0, 0, 0, 0], [2, 16, 16, 1]), tf.float32)

    assert leaving(TiledSegmenter(with_uint8, spec())) == {"Slice"}


@pytest.mark.slow
def test_the_graph_never_leaves_for_python(network, spec):
    scaling = {"scale": None, "field_diameter": 100.0}
    options = {"overlap": 0.5, "window": "hann", "flips": 4, "skip_background": True, **scaling}
    graph = TiledSegmenter(network, spec(classes=("a", "b"), **options))
    assert not [node.op for node in nodes_of(graph) if "PyFunc" in node.op]

    def in_python(images):
        return tf.numpy_function(lambda pixels: pixels[..., :1], [images], tf.float32)

    caught = TiledSegmenter(in_python, spec())  # the search does find one where there is one
    assert {node.op for node in nodes_of(caught) if "PyFunc" in node.op} == {"PyFunc"}


@pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="no GPU here")
def test_a_gpu_runs_it_all_with_no_op_placed_elsewhere(network, spec, fundus):
    photograph = fundus(120, 150, seed=1).photograph
    options = {"scale": 0.7, "overlap": 0.5, "window": "hann", "flips": 8, "skip_background": True}
    with tf.device("/device:CPU:0"):
        expected = TiledSegmenter(network, spec(classes=("a", "b"), **options)).segment(photograph).numpy()
    tf.config.set_soft_device_placement(False)
    try:
        with tf.device("/device:GPU:0"):
            found = TiledSegmenter(network, spec(classes=("a", "b"), **options)).segment(photograph).numpy()
    finally:
        tf.config.set_soft_device_placement(True)
    assert abs(found - expected).max() < 1e-2  # TensorFloat-32 in the convolutions
