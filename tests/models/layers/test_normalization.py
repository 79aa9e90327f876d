"""Batch normalisation by TensorFlow's kernel equals Keras' own, with one and two replicas, in every precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.layers.normalization import MOMENTUM, FusedBatchNormalization

SHAPE = (4, 6, 10, 5)
# Relative to the largest value; bfloat16 has 8 bits.
TOLERANCE = {"float32": 1e-5, "mixed_bfloat16": 2**-7, "mixed_float16": 2**-9, "float64": 1e-12}

every_policy = pytest.mark.parametrize("policy", TOLERANCE)


def maps(policy: str, seed: int = 0) -> tf.Tensor:
    """Returns `[4, 6, 10, 5]` in the policy's compute dtype; mean and variance differ between channels."""
    random = np.random.default_rng(seed)
    values = random.normal(random.uniform(-3, 3, SHAPE[-1]), random.uniform(0.5, 4, SHAPE[-1]), SHAPE)
    return tf.cast(values, keras.DTypePolicy(policy).compute_dtype)


def pair(policy: str, **options) -> tuple[keras.layers.Layer, keras.layers.Layer]:
    """Returns Keras' layer and ours with the same weights, none of which has its initial value."""
    layers = keras.layers.BatchNormalization(momentum=MOMENTUM, dtype=policy), FusedBatchNormalization(dtype=policy)
    random = np.random.default_rng(7)
    weights = [random.uniform(0.5, 2, SHAPE[-1]) for _ in range(4)]
    for layer in layers:
        layer.build(SHAPE)
        layer.set_weights(weights)
        for name, value in options.items():
            setattr(layer, name, value)
    return layers


def close(one, other, policy: str) -> None:
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    np.testing.assert_allclose(one, other, atol=TOLERANCE[policy] * np.abs(other).max())


def step(layer: keras.layers.Layer, policy: str, training: bool = True) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns the map and the gradients of its weighted sum with respect to input, gamma and beta."""
    x, weights = maps(policy), maps(policy, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, tf.float64) * tf.cast(weights, tf.float64))
    return y, tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])


@every_policy
@pytest.mark.parametrize("training", [True, False])
def test_map_gradients_and_statistics_equal_those_of_keras(policy, training):
    theirs, ours = pair(policy)
    (expected, expected_gradients), (y, gradients) = step(theirs, policy, training), step(ours, policy, training)
    assert y.dtype == expected.dtype == keras.DTypePolicy(policy).compute_dtype
    close(y, expected, policy)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        assert gradient.dtype == other.dtype
        close(gradient, other, policy)
    for ours_now, theirs_now in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(ours_now, theirs_now, rtol=1e-5)


def test_the_moving_averages_move_by_a_tenth_of_the_batch_statistics():
    x = np.random.default_rng(0).normal(3, 2, (2, 3, 4, 1)).astype(np.float32)
    layer = FusedBatchNormalization()
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, [0.1 * x.mean()], rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, [0.9 * 1 + 0.1 * x.var()], rtol=1e-5)  # divided by n, not n - 1


def test_a_frozen_layer_keeps_its_statistics_and_uses_them():
    theirs, ours = pair("float32", trainable=False)
    before = ours.get_weights()
    close(ours(maps("float32"), training=True), theirs(maps("float32"), training=True), "float32")
    assert all(np.array_equal(one, two) for one, two in zip(before, ours.get_weights(), strict=True))


def test_the_kernel_computes_and_not_keras():
    def operations(layer: keras.layers.Layer, training: bool) -> set[str]:
        function = tf.function(lambda x: layer(x, training=training))
        return {
            operation.type
            for operation in function.get_concrete_function(maps("mixed_bfloat16")).graph.get_operations()
        }

    theirs, ours = pair("mixed_bfloat16")
    for training in (True, False):
        assert "FusedBatchNormV3" in operations(ours, training)
        assert "FusedBatchNormV3" not in operations(theirs, training)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_without_tensorflow_the_computation_of_keras_gives_the_same(policy, monkeypatch):
    _, ours = pair(policy)
    _, plain = pair(policy)
    y = ours(maps(policy), training=True)
    monkeypatch.setattr(plain, "_kernel_serves", lambda training: False)
    close(plain(maps(policy), training=True), y, policy)
    for one, other in zip(plain.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


TWO_REPLICAS = """
import keras, numpy as np, tensorflow as tf
from models.layers.normalization import FusedBatchNormalization

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
x, y = np.random.default_rng(0).normal(0, 1, (2, 8, 4, 4, 3)).astype(np.float32)
x[4:] = 3 * x[4:] + 5  # the replicas see different distributions

def fit(strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras.Sequential([keras.Input((4, 4, 3)), FusedBatchNormalization(), keras.layers.Conv2D(3, 1)])
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    model.fit(tf.data.Dataset.from_tensors((x, y)), epochs=2, shuffle=False, verbose=0)
    return model.get_weights()

two, one = fit(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])), fit(tf.distribute.get_strategy())
for mirrored, single in zip(two, one, strict=True):
    np.testing.assert_allclose(mirrored, single, atol=1e-5)
print("equal")
"""


@pytest.mark.slow
def test_two_replicas_give_the_statistics_and_the_weights_of_one(forked):
    done = forked(code=TWO_REPLICAS)  # logical devices must be configured before TensorFlow starts
    assert done.stdout.strip().endswith("equal"), done.stderr


def test_the_layer_is_restored_from_its_config():
    layer = FusedBatchNormalization(
        momentum=0.8, epsilon=1e-5, gamma_initializer="zeros", name="norm", dtype="bfloat16"
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    assert (again.momentum, again.epsilon, again.name, again.compute_dtype) == (0.8, 1e-5, "norm", "bfloat16")
    assert isinstance(again.gamma_initializer, keras.initializers.Zeros)
