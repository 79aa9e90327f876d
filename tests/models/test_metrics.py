"""The Dice coefficient that is shown during fit, held against NumPy."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models import DiceCoefficient
from models.metrics import dice_coefficient


@st.composite
def masks_and_probabilities(draw) -> tuple[np.ndarray, np.ndarray]:
    """Float32 masks 0/1 and probabilities, both `[B, h, w, C]`."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)))
    masks = draw(hnp.arrays(np.bool_, shape)).astype(np.float32)
    probabilities = draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    return masks, probabilities


def dice_of_samples(masks: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """(2 Σ y p + 1) / (Σ y + Σ p + 1) of each sample and class in float64, mean over classes; `[B]`."""
    values = []
    for mask, probability in zip(masks.astype(np.float64), probabilities.astype(np.float64), strict=True):
        of_classes = [
            (2 * np.sum(mask[..., c] * probability[..., c]) + 1) / (mask[..., c].sum() + probability[..., c].sum() + 1)
            for c in range(mask.shape[-1])
        ]
        values.append(np.mean(of_classes))
    return np.array(values)


@given(masks_and_probabilities())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_dice_agrees_with_numpy_in_every_sample(both):
    values = dice_coefficient(*both).numpy()
    assert values.shape == (len(both[0]),)
    np.testing.assert_allclose(values, dice_of_samples(*both), rtol=1e-5)
    assert np.all((values > 0) & (values <= 1 + 1e-6))


def test_dice_of_small_masks_is_what_one_computes_by_hand():
    mask = np.zeros((3, 2, 2, 1), np.float32)
    mask[0, 0, :, 0] = 1  # two of four pixels are lesion
    mask[2] = 1
    probability = np.zeros_like(mask)
    probability[0, :, 0, 0] = 0.5  # one of them half found, and half of a wrong one
    np.testing.assert_allclose(dice_coefficient(mask, probability), [(2 * 0.5 + 1) / (2 + 1 + 1), 1, 1 / 5])


def test_the_metric_is_the_mean_over_all_samples_of_all_batches():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (5, 8, 8, 2)).astype(np.float32)
    probabilities = rng.random((5, 8, 8, 2), np.float32)
    metric = DiceCoefficient()
    metric.update_state(masks[:3], probabilities[:3])
    metric.update_state(masks[3:], probabilities[3:])
    assert float(metric.result()) == pytest.approx(dice_of_samples(masks, probabilities).mean(), rel=1e-5)
    metric.reset_state()
    metric.update_state(masks[:1], probabilities[:1])
    assert float(metric.result()) == pytest.approx(dice_of_samples(masks, probabilities)[0], rel=1e-5)


def test_samples_of_weight_0_do_not_count():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (4, 8, 8, 1)).astype(np.float32)
    probabilities = rng.random((4, 8, 8, 1), np.float32)
    metric = DiceCoefficient()
    metric.update_state(masks, probabilities, sample_weight=np.array([1, 0, 3, 0], np.float32))
    expected = np.average(dice_of_samples(masks, probabilities), weights=[1, 0, 3, 0])
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_bfloat16_probabilities_are_summed_in_float32():
    masks = np.ones((1, 64, 64, 1), np.float32)
    rounded = keras.ops.cast(np.random.default_rng(0).random((1, 64, 64, 1)), "bfloat16")
    metric = DiceCoefficient()
    metric.update_state(masks, rounded)
    expected = dice_of_samples(masks, keras.ops.convert_to_numpy(keras.ops.cast(rounded, "float32")))
    assert metric.dtype == "float32"
    assert float(metric.result()) == pytest.approx(expected[0], rel=1e-5)  # sums in bfloat16 are off by 1e-3


def test_the_metric_comes_back_from_its_config():
    metric = DiceCoefficient(name="overlap")
    again = keras.metrics.deserialize(keras.metrics.serialize(metric))
    assert (type(again), again.name, again.dtype) == (DiceCoefficient, "overlap", "float32")
    again.update_state(np.ones((1, 4, 4, 1), np.float32), np.ones((1, 4, 4, 1), np.float32))
    assert float(again.result()) == 1
