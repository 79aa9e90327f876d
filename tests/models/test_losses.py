"""The losses, held against NumPy and against the traps that Keras' own fall into."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from configs import InputError
from models import build_loss
from models.losses import LOSSES, BceDice, bce_dice


@st.composite
def masks_and_probabilities(draw) -> tuple[np.ndarray, np.ndarray]:
    """Float32 masks 0/1 and probabilities, both `[B, h, w, C]`; the probabilities stay off 0 and 1, where logs end."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)))
    masks = draw(hnp.arrays(np.bool_, shape)).astype(np.float32)
    probabilities = draw(hnp.arrays(np.float32, shape, elements=st.floats(2**-10, 1 - 2**-10, width=32)))
    return masks, probabilities


def bce_dice_of_samples(masks: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(BCE + 1 - Dice) / 2 of each sample in float64, `[B]`; BCE and Dice are means over the classes."""
    values = []
    for mask, probability in zip(masks.astype(np.float64), probabilities.astype(np.float64), strict=True):
        bce = -np.mean(mask * np.log(probability) + (1 - mask) * np.log(1 - probability))
        both, total = (mask * probability).sum(axis=(0, 1)), mask.sum(axis=(0, 1)) + probability.sum(axis=(0, 1))
        values.append((bce + 1 - np.mean((2 * both + 1) / (total + 1))) / 2)
    return np.array(values)


@pytest.fixture
def batch():
    """Four samples of two classes."""
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (4, 8, 8, 2)).astype(np.float32)
    return masks, rng.uniform(0.01, 0.99, masks.shape).astype(np.float32)


@given(masks_and_probabilities())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_bce_dice_agrees_with_numpy_in_every_sample(both):
    values = bce_dice(*both).numpy()
    assert values.shape == (len(both[0]),)
    np.testing.assert_allclose(values, bce_dice_of_samples(*both), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_without_reduction_every_loss_has_one_value_a_sample(name, batch):
    loss = type(build_loss(name))(reduction=None)
    values = np.asarray(loss(*batch))
    assert values.shape == (4,)
    alone = [float(build_loss(name)(batch[0][i : i + 1], batch[1][i : i + 1])) for i in range(4)]
    np.testing.assert_allclose(values, alone, rtol=1e-5)  # what a sample costs depends on no other sample
    assert float(build_loss(name)(*batch)) == pytest.approx(np.mean(values), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_sample_weights_weigh_samples(name, batch):
    values = np.asarray(type(build_loss(name))(reduction=None)(*batch))
    weights = np.array([2, 0, 1, 0.5], np.float32)
    # Keras divides by the number of samples, those of weight 0 included.
    expected = np.sum(weights * values) / 4
    assert float(build_loss(name)(*batch, sample_weight=weights)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_on_an_empty_mask_the_loss_falls_to_nothing_with_the_prediction(name):
    empty = np.zeros((1, 16, 16, 1), np.float32)
    losses = [float(build_loss(name)(empty, np.full_like(empty, p))) for p in (0, 0.001, 0.1, 0.5, 0.99)]
    assert losses[0] == pytest.approx(0, abs=1e-5)
    assert losses == sorted(losses)
    assert losses[1] < losses[2] < losses[3] < losses[4]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("probability", [0.001, 0.3, 0.999])
def test_on_an_empty_mask_the_gradient_draws_every_pixel_down(name, probability):
    empty = tf.zeros([1, 16, 16, 1])
    predicted = tf.fill([1, 16, 16, 1], tf.constant(probability))
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        value = build_loss(name)(empty, predicted)
    gradient = tape.gradient(value, predicted).numpy()
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient > 0)


@pytest.mark.parametrize("name", LOSSES)
def test_on_a_full_mask_the_loss_rises_from_nothing_as_the_prediction_fades(name):
    full = np.ones((2, 16, 16, 1), np.float32)
    losses = [float(build_loss(name)(full, np.full_like(full, p))) for p in (1, 0.9, 0.5, 0.1, 0)]
    assert losses[0] == pytest.approx(0, abs=1e-5)
    assert losses == sorted(losses)
    assert np.isfinite(losses[-1])


@pytest.mark.parametrize("name", LOSSES)
def test_bfloat16_probabilities_are_reduced_in_float32(name):
    masks = np.random.default_rng(1).integers(0, 2, (2, 64, 64, 1)).astype(np.float32)
    rounded = keras.ops.cast(np.random.default_rng(0).uniform(0.05, 0.95, masks.shape), "bfloat16")
    value = build_loss(name)(masks, rounded)
    in_float32 = build_loss(name)(masks, keras.ops.cast(rounded, "float32"))
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    assert float(value) == float(in_float32)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_comes_back_from_its_config(name, batch):
    loss = type(build_loss(name))(name="ours", reduction="sum")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert (type(again), again.name, again.reduction) == (type(loss), "ours", "sum")
    assert float(again(*batch)) == float(loss(*batch))


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_called_by_its_name_in_the_registry(name):
    assert build_loss(name).name == name
    assert build_loss(name).reduction == "sum_over_batch_size"


def test_bce_dice_of_a_batch_is_the_mean_of_its_samples(batch):
    assert float(BceDice()(*batch)) == pytest.approx(bce_dice_of_samples(*batch).mean(), rel=1e-5)


def test_a_misspelt_loss_is_answered_with_the_nearest():
    expected = r"train\.loss must be one of .*bce_dice.*; received 'bce_dise'\. Did you mean 'bce_dice'\?"
    with pytest.raises(InputError, match=expected):
        build_loss("bce_dise")


def test_a_name_near_to_no_loss_is_answered_with_all_and_no_guess():
    with pytest.raises(InputError, match=r"must be one of .*bce_dice.*; received 'zzz'\.$"):
        build_loss("zzz")


def test_kerases_own_dice_still_has_the_trap_that_ours_avoids():
    """When this fails, Keras' Dice learns from empty masks, and a smooth term of our own may be unnecessary."""
    empty, predicted = tf.zeros([2, 8, 8, 1]), tf.fill([2, 8, 8, 1], 0.3)
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        value = keras.losses.Dice(reduction=None)(empty, predicted)
    assert value.shape == ()
    assert float(value) == pytest.approx(1)
    assert np.all(tape.gradient(value, predicted).numpy() == 0)
