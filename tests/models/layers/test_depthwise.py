"""The depthwise convolution: Keras' own in inference; in training, gradients in float32 of what the policy rounds."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.layers import DepthwiseConvolution

OPTIONS = [
    {"kernel_size": 3, "padding": "same", "use_bias": False},
    {"kernel_size": 5, "strides": 2, "padding": "same", "depth_multiplier": 2, "activation": "relu6"},
    {"kernel_size": 3, "padding": "valid", "dilation_rate": 2},
]
each = pytest.mark.parametrize("options", OPTIONS, ids=str)


def pair(options: dict, policy: str) -> tuple[keras.layers.Layer, keras.layers.Layer, np.ndarray]:
    """Returns our layer and Keras' with the same weights, and maps that bfloat16 holds exactly."""
    random = np.random.default_rng(0)
    maps = tf.cast(tf.cast(random.normal(0, 3, (2, 11, 14, 3)), "bfloat16"), "float32").numpy()
    layers = DepthwiseConvolution(dtype=policy, **options), keras.layers.DepthwiseConv2D(dtype=policy, **options)
    for layer in layers:
        layer.build(maps.shape)
    layers[0].set_weights([random.normal(0, 0.5, one.shape) for one in layers[0].get_weights()])
    layers[1].set_weights(layers[0].get_weights())
    return *layers, maps


def step(layer: keras.layers.Layer, maps: np.ndarray) -> list[np.ndarray]:
    """Returns the map in training, and its sum's gradients by input and weights."""
    x = tf.constant(maps)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        total = tf.reduce_sum(tf.cast(y, "float32"))
    gradients = tape.gradient(total, [x, *(weight.value for weight in layer.trainable_weights)])
    return [np.asarray(tf.cast(one, "float32")) for one in (y, *gradients)]


@each
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_in_inference_it_is_the_layer_of_keras_bit_for_bit(options, policy):
    ours, other, maps = pair(options, policy)
    np.testing.assert_array_equal(ours(maps), other(maps))


@each
def test_in_float32_a_training_step_is_that_of_keras(options):
    ours, other, maps = pair(options, "float32")
    for one, expected in zip(step(ours, maps), step(other, maps), strict=True):
        np.testing.assert_array_equal(one, expected)


@each
def test_in_bfloat16_a_training_step_is_that_of_float32_with_rounded_weights(options):
    ours, _, maps = pair(options, "mixed_bfloat16")
    _, other, _ = pair(options, "float32")
    other.set_weights([np.asarray(tf.cast(tf.cast(one, "bfloat16"), "float32")) for one in ours.get_weights()])
    for one, expected in zip(step(ours, maps), step(other, maps), strict=True):
        np.testing.assert_allclose(one, expected, rtol=2**-6, atol=2**-6 * np.abs(expected).max())


def test_it_is_saved_and_loaded_with_its_arguments(tmp_path):
    image = keras.Input((None, None, 3))
    network = keras.Model(image, DepthwiseConvolution(5, strides=2, padding="same", name="depthwise")(image))
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras").get_layer("depthwise")
    assert type(loaded) is DepthwiseConvolution
    assert loaded.get_config() == network.get_layer("depthwise").get_config()
