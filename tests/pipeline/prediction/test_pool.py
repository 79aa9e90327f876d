"""Photographs are distributed over several segmenters, and batches that exceed the memory are halved."""

import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from configs import InputError
from pipeline.inference import MeasuredPhotograph, Segmented, TiledSegmenter
from pipeline.prediction.pool import SegmenterPool, all_devices
from records import PhotographScale

CPU = ["/device:CPU:0"]
UNSCALED = PhotographScale(1.0, "fixed")


def photographs(number: int, *, side: int = 40) -> list[tuple[str, MeasuredPhotograph]]:
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (side + k, side, 3), np.uint8) for k in range(number)]
    return [(f"eye{k}", MeasuredPhotograph(one, UNSCALED)) for k, one in enumerate(pixels)]


def limited(most: int):
    """Returns a network that runs out of memory with more tiles than this."""

    def in_python(images: np.ndarray) -> np.ndarray:
        if len(images) > most:
            raise MemoryError("so many tiles")  # which TensorFlow takes for its own ResourceExhaustedError
        return images[..., :1] / np.float32(255)

    def network(images: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(in_python, [images], tf.float32), [*images.shape[:3], 1])

    return network


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 3])
def test_results_come_in_order_and_are_those_of_the_segmenter(spec, said, devices):
    delays = iter([0.3, 0.0, 0.1, 0.0, 0.2, 0.0, 0.0])

    def load() -> TiledSegmenter:
        segmenter = TiledSegmenter(lambda images: images[..., :1] / 255, spec(overlap=0.5))
        right = segmenter.segment_measured

        def slowly(photograph: MeasuredPhotograph) -> Segmented:
            time.sleep(next(delays))
            return right(photograph)

        segmenter.segment_measured = slowly
        return segmenter

    pool = SegmenterPool(load, CPU * devices, say=said.append)
    given = photographs(7)
    found = list(pool.segment_all(iter(given)))
    assert [name for name, _, _ in found] == [name for name, _ in given]
    for (_, photograph), (_, same, segmented) in zip(given, found, strict=True):
        assert same is photograph
        result = segmented.result()
        np.testing.assert_allclose(result.probabilities, photograph.pixels[..., :1] / 255, atol=1e-6)
        assert result.scale == photograph.scale
        assert result.seconds > 0
    assert said == []


def test_as_many_are_at_work_as_there_are_segmenters_and_one_more_is_read(spec, said):
    together = threading.Barrier(2, timeout=20)  # it breaks where they run one after the other
    read: list[int] = []

    def load() -> TiledSegmenter:
        segmenter = TiledSegmenter(lambda images: images[..., :1], spec())
        segmenter.segment_measured = lambda photograph: together.wait()
        return segmenter

    def reading():
        for number, named in enumerate(photographs(6)):
            read.append(number)
            yield named

    pool = SegmenterPool(load, CPU * 2, say=said.append)
    for number, (_, _, segmented) in enumerate(pool.segment_all(reading())):
        segmented.result()
        assert len(read) <= number + 3


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_halved_and_that_is_said_once(spec, said):
    geometry = {"overlap": 0.5, "window": "hann"}
    expected = TiledSegmenter(limited(64), spec(tile_batch=1, **geometry))
    pool = SegmenterPool(lambda: TiledSegmenter(limited(3), spec(tile_batch=8, **geometry)), CPU * 2, say=said.append)
    pool.warm_up()
    for (_, photograph), (_, _, segmented) in zip(photographs(3), pool.segment_all(photographs(3)), strict=True):
        np.testing.assert_allclose(segmented.result().probabilities, expected.segment(photograph.pixels), atol=1e-6)
    assert said == [
        "out of memory with 8 tiles of 16 pixels at a time; continuing with 4.",
        "out of memory with 4 tiles of 16 pixels at a time; continuing with 2.",
    ]


def test_a_photograph_for_which_a_single_tile_is_too_much_is_an_error_of_its_own(spec, said):
    pool = SegmenterPool(lambda: TiledSegmenter(limited(0), spec(tile_batch=2)), CPU, say=said.append)
    results = [segmented for _, _, segmented in pool.segment_all(photographs(2))]
    for height, segmented in zip((40, 41), results, strict=True):
        with pytest.raises(InputError, match=rf"out of memory with a photograph of 40x{height} pixels, even with one"):
            segmented.result()
    assert len(said) == 1


def test_an_error_of_another_kind_is_no_reason_to_try_again(spec, said):
    def broken(images: tf.Tensor) -> tf.Tensor:
        return tf.debugging.check_numerics(images[..., :1] / 0.0, "not a number")

    pool = SegmenterPool(lambda: TiledSegmenter(broken, spec()), CPU, say=said.append)
    (_, _, segmented), *_ = pool.segment_all(photographs(1))
    with pytest.raises(tf.errors.InvalidArgumentError):
        segmented.result()
    assert said == []


def test_every_gpu_is_taken_and_else_the_cpu(monkeypatch):
    assert all_devices() == CPU or "GPU" in all_devices()[0]
    gpus = [tf.config.LogicalDevice(f"/device:GPU:{number}", "GPU") for number in (0, 1)]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: gpus)
    assert all_devices() == ["/device:GPU:0", "/device:GPU:1"]


TWO_DEVICES = """
import sys
from pathlib import Path
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from pipeline.prediction.pool import SegmenterPool
from pipeline.inference import TiledSegmenter, load_segmenter

devices = ["/device:CPU:0", "/device:CPU:1"]
segmenters = []

def load():
    segmenters.append(load_segmenter(Path(sys.argv[1])))
    return segmenters[-1]

pool = SegmenterPool(load, devices, say=print)
pool.warm_up()
for device, segmenter in zip(devices, segmenters, strict=True):
    assert {weight.value.device[-len(device):] for weight in segmenter.network.weights} == {device}
    assert segmenter.segment_scaled.experimental_get_tracing_count() == 1
    with tf.device(device):
        assert segmenter.segment(np.zeros((40, 50, 3), np.uint8)).device.endswith(device)
rng = np.random.default_rng(0)
pixels = [rng.integers(0, 256, (40, 40 + number, 3), np.uint8) for number in range(4)]
photographs = [(str(number), pool.measure(one)) for number, one in enumerate(pixels)]
found = list(pool.segment_all(photographs))
assert [name for name, _, _ in found] == [name for name, _ in photographs]
for _, photograph, segmented in found:
    expected = segmenters[0].segment(photograph.pixels)
    np.testing.assert_allclose(segmented.result().probabilities, expected, atol=1e-6)
assert [segmenter.segment_scaled.experimental_get_tracing_count() for segmenter in segmenters] == [1, 1]
five = (devices * 3)[:5]
many = SegmenterPool(lambda: TiledSegmenter(lambda images: images[..., :2], segmenters[0].spec), five, say=print)
many.warm_up()
print("held")
"""


@pytest.mark.slow
def test_two_devices_hold_their_own_weights_and_share_the_photographs(forked, model_folder):
    done = forked(code=TWO_DEVICES, arguments=[model_folder])
    assert done.returncode == 0, done.stderr
    assert done.stdout == "held\n"
    assert "retracing" not in done.stderr  # which TensorFlow says of the fifth segmenter whose first call traces it
