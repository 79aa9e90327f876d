"""The shared building blocks of networks."""

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from configs import InputError
from models.layers.blocks import Enlarge, check_activation, normalize


@pytest.fixture
def maps() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_enlarging_equals_bilinear_interpolation_of_opencv(maps, factor):
    expected = [cv2.resize(one, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR) for one in maps]
    np.testing.assert_allclose(Enlarge(factor)(maps), expected, atol=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 3, 16])
def test_enlarging_is_the_same_for_unknown_sizes(maps, factor):
    x = keras.Input((None, None, 3))
    model = keras.Model(x, Enlarge(factor)(x))
    assert model.output_shape == (None, None, None, 3)
    traced = tf.function(model, input_signature=[tf.TensorSpec([None, None, None, 3])])
    np.testing.assert_allclose(traced(maps), Enlarge(factor)(maps), atol=1e-5)


def test_enlarging_states_its_output_shape():
    assert Enlarge(4)(keras.Input((6, 8, 3))).shape == (None, 24, 32, 3)


def test_enlarging_keeps_its_precision(maps):
    layer = Enlarge(2, dtype="mixed_bfloat16")
    assert layer(maps).dtype == layer(keras.Input((None, None, 3))).dtype == "bfloat16"


def test_enlarging_is_restored_from_its_config():
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Enlarge(4, name="up")))
    assert (type(again), again.factor, again.name) == (Enlarge, 4, "up")


@pytest.mark.parametrize(("channels", "groups"), [(8, 1), (24, 3), (12, 3), (26, 13), (17, 17)])
def test_groups_have_8_channels_or_the_largest_smaller_power_of_2_that_divides(channels, groups):
    x = keras.Input((4, 4, channels))
    layer = keras.Model(x, normalize(x, "group", name="norm")).get_layer("norm")
    assert (type(layer), layer.groups) == (keras.layers.GroupNormalization, groups)


def test_batch_normalisation_has_a_momentum_for_short_trainings():
    x = keras.Input((4, 4, 3))
    layer = keras.Model(x, normalize(x, "batch", name="norm")).get_layer("norm")
    assert isinstance(layer, keras.layers.BatchNormalization)
    assert layer.momentum == 0.9


def test_normalisation_none_adds_no_layer():
    x = keras.Input((4, 4, 3))
    assert normalize(x, "none", name="norm") is x


def test_an_unknown_activation_is_refused_with_its_field():
    check_activation("model.unet.activation", "gelu")
    message = r"model\.unet\.activation must be one that Keras knows \(relu, gelu, …\); received 'rellu'"
    with pytest.raises(InputError, match=message):
        check_activation("model.unet.activation", "rellu")
