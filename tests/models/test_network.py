"""The parts that all networks share: the check of the stride, the input, the float32 head."""

import doctest
import importlib
from pathlib import Path

import keras
import numpy as np
import pytest

import configs
import models
from configs import InputError, PreprocessConfig
from models.network import NO_PREPROCESSING, Network, StrideCheck, image_input, probability_head

MODELS = Path(models.__file__).parent
MODULES = sorted(
    "models." + ".".join(path.relative_to(MODELS).with_suffix("").parts)
    for path in MODELS.rglob("*.py")
    if ">>>" in path.read_text()
)


@pytest.fixture
def network():
    image, x = image_input(NO_PREPROCESSING, stride=8)
    return Network(image, probability_head(x, classes=2), name="bare")


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")  # Keras
def test_the_network_knows_its_stride_before_and_after_saving(network, tmp_path):
    network.save(tmp_path / "bare.keras")
    loaded = keras.models.load_model(tmp_path / "bare.keras")
    assert (network.stride, loaded.stride) == (8, 8)


def test_without_preprocessing_the_network_sees_the_image_unchanged():
    image, x = image_input(NO_PREPROCESSING, stride=1)
    levels = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    assert np.array_equal(keras.Model(image, x)(levels), levels)


def test_the_network_sees_the_image_preprocessed():
    image, x = image_input(PreprocessConfig(color_space="green", gamma=2), stride=1)
    levels = np.arange(3 * 256, dtype=np.float32).reshape(1, 16, 16, 3) % 256
    expected = np.repeat(255 * (levels[..., 1:2] / 255) ** 2, 3, axis=-1)
    np.testing.assert_allclose(keras.Model(image, x)(levels), expected, atol=1e-4)


def test_the_input_has_no_fixed_size(network):
    assert network.input_shape == (None, None, None, 3)
    assert network(np.zeros((3, 8, 40, 3), np.float32)).shape == (3, 8, 40, 2)


def test_the_head_is_a_sigmoid_of_a_1x1_convolution(network):
    image = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    kernel, bias = (np.asarray(weight, np.float64) for weight in network.get_layer("logits").get_weights())
    expected = 1 / (1 + np.exp(-(image.astype(np.float64) @ kernel[0, 0] + bias)))
    np.testing.assert_allclose(network(image), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(12, 8), (8, 12), (7, 7)])
def test_the_stride_check_names_stride_and_size(height, width):
    expected = f"stride 8 takes tiles whose sides are multiples of 8; received {width}x{height}. Change data.tile or"
    with pytest.raises(InputError, match=expected):
        StrideCheck(8)(np.zeros((1, height, width, 3), np.float32))


def test_the_stride_check_returns_images_that_fit():
    image = np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 3)).astype(np.float32)
    assert np.array_equal(StrideCheck(8)(image), image)


def test_the_stride_check_is_restored_from_its_config():
    layer = StrideCheck(16, name="check")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (type(again), again.stride, again.name) == (StrideCheck, 16, "check")


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_the_docstrings_are_correct(module):
    builders = {build.__name__: build for build in models.NETWORKS.values()}
    names = {"np": np, "keras": keras, **{name: getattr(configs, name) for name in configs.__all__}, **builders}
    done = doctest.testmod(importlib.import_module(module), extraglobs=names)
    assert done.attempted > 0
    assert done.failed == 0
