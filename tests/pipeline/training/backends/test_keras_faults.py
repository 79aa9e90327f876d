"""Faults of Keras over several devices. A test that fails names the workaround that is no longer needed."""

import json

import pytest

pytestmark = pytest.mark.slow

# Prints what Keras does on two devices.
LOOK = """
import json
import keras, numpy as np, tensorflow as tf
from pipeline.training.backends.tensorflow_step import _let_replicas_differ

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
rng = np.random.default_rng(0)
data = tf.data.Dataset.from_tensors((rng.normal(size=(4, 3)).astype("float32"), np.ones((4, 1), "float32"))).repeat()


def weights(strategy, **options):
    with strategy.scope():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile(keras.optimizers.SGD(0.1, **options), "mse", jit_compile=False)
    model.fit(data, steps_per_epoch=2, shuffle=False, verbose=0)
    return model.get_weights()[0]


def apart(**options):
    return float(np.abs(weights(two, **options) - weights(tf.distribute.get_strategy(), **options)).max())


def masks(mend):
    with two.scope():
        model = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5)])
    if mend:
        _let_replicas_differ(model)
    drawn = two.run(tf.function(lambda: model(tf.ones([1, 64]), training=True)))
    one, other = (value.numpy() for value in two.experimental_local_results(drawn))
    again, _ = (v.numpy() for v in two.experimental_local_results(
        two.run(tf.function(lambda: model(tf.ones([1, 64]), training=True)))))
    return [bool((one == other).all()), bool((one == again).all())]


try:
    weights(two, gradient_accumulation_steps=2)
    accumulation = "works"
except Exception as error:
    accumulation = str(error)
print("RESULT", json.dumps({
    "plain": apart(), "clipvalue": apart(clipvalue=0.05), "clipnorm": apart(clipnorm=0.05),
    "global_clipnorm": apart(global_clipnorm=0.05), "accumulation": accumulation,
    "same_masks": masks(False), "mended_masks": masks(True)}))
"""


@pytest.fixture(scope="module")
def seen(forked) -> dict:
    done = forked(code=LOOK)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.split("RESULT")[1])


@pytest.mark.parametrize("clip", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_keras_still_clips_before_the_gradients_are_summed(seen, clip):
    """When this fails, the sum in `TrainStepModel.train_step`, and the optimizers that do not sum, may go."""
    assert seen["plain"] < 1e-6
    assert seen[clip] > 1e-4


def test_keras_still_cannot_accumulate_gradients_over_replicas(seen):
    """When this fails, Keras' `gradient_accumulation_steps` may take the place of `micro_batches`."""
    assert "merge_call" in seen["accumulation"]


def test_keras_still_draws_the_same_dropout_on_every_replica_and_ours_differs(seen):
    """When this fails, `_let_replicas_differ` may go."""
    equal, repeated = seen["same_masks"]
    assert equal
    assert not repeated
    assert seen["mended_masks"] == [False, False]
