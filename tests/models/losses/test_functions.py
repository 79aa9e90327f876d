"""The losses' numbers, each held against an independent computation in NumPy, SciPy, TensorFlow or another package."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from sklearn.metrics import log_loss

from models import build_loss
from models.losses.functions import (
    bce,
    bce_batch_dice,
    bce_dice,
    bce_iou,
    bce_present_dice,
    bce_ssim_iou,
    cross_entropy,
    dice,
    focal,
    focal_tversky,
    iou,
    lesion_weighted,
)
from models.losses.lesion_weights import lesion_weights
from models.losses.lovasz import lovasz_hinge
from models.losses.ssim import ssim

GOLDEN = Path(__file__).parents[2] / "pipeline" / "data" / "addons_golden.npz"
CONNECTED = np.ones((3, 3))  # also over corners


@st.composite
def masks_and_probabilities(draw) -> tuple[np.ndarray, np.ndarray]:
    """Draws float32 masks 0/1 and probabilities, both `[B, h, w, C]`, the latter away from 0 and 1."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)))
    masks = draw(hnp.arrays(np.bool_, shape)).astype(np.float32)
    probabilities = draw(hnp.arrays(np.float32, shape, elements=st.floats(2**-10, 1 - 2**-10, width=32)))
    return masks, probabilities


@pytest.fixture
def batch():
    """Returns three masks of two classes with lesions of many sizes, and noisy probabilities."""
    rng = np.random.default_rng(0)
    masks = ndimage.gaussian_filter(rng.normal(size=(3, 40, 32, 2)), (0, 1.5, 1.5, 0)) > 0.12
    probabilities = np.clip(0.5 * masks + rng.uniform(0.001, 0.5, masks.shape), 0, 0.999)
    return masks.astype(np.float32), probabilities.astype(np.float32)


def of_samples_and_classes(function, masks, probabilities) -> np.ndarray:
    """Returns the mean over the classes of `function` of each sample and class in float64, `[B]`."""
    masks, probabilities = masks.astype(np.float64), probabilities.astype(np.float64)
    return np.array(
        [
            np.mean([function(mask[..., c], probability[..., c]) for c in range(mask.shape[-1])])
            for mask, probability in zip(masks, probabilities, strict=True)
        ]
    )


def bce_of(mask, probability):
    return -np.mean(np.where(mask > 0, np.log(probability), np.log1p(-probability)))


def dice_of(mask, probability):
    return (2 * np.sum(mask * probability) + 1) / (mask.sum() + probability.sum() + 1)


def iou_of(mask, probability):
    both = np.sum(mask * probability)
    return (both + 1) / (mask.sum() + probability.sum() - both + 1)


@given(masks_and_probabilities())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_cross_entropy_dice_and_iou_agree_with_numpy_in_every_sample(both):
    entropy, dices, ious = (of_samples_and_classes(function, *both) for function in (bce_of, dice_of, iou_of))
    for values, expected in (
        (bce(*both), entropy),
        (dice(*both), 1 - dices),
        (iou(*both), 1 - ious),
        (bce_dice(*both), (entropy + 1 - dices) / 2),
        (bce_iou(*both), (entropy + 1 - ious) / 2),
    ):
        np.testing.assert_allclose(values, expected, rtol=2e-5, atol=1e-6)


def test_bce_dice_of_a_batch_is_the_mean_of_its_samples(batch):
    expected = (of_samples_and_classes(bce_of, *batch) + 1 - of_samples_and_classes(dice_of, *batch)) / 2
    assert float(build_loss("bce_dice")(*batch)) == pytest.approx(expected.mean(), rel=1e-5)


@given(masks_and_probabilities())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_bce_batch_dice_has_the_dice_of_all_samples_and_the_cross_entropy_of_each(both):
    masks, probabilities = (array.astype(np.float64) for array in both)
    hits = (masks * probabilities).sum(axis=(0, 1, 2)) / len(masks)
    total = (masks + probabilities).sum(axis=(0, 1, 2)) / len(masks)
    expected = 4 * np.asarray(bce(*both)) + 1 - np.mean((2 * hits + 1) / (total + 1))
    np.testing.assert_allclose(bce_batch_dice(*both), expected, rtol=2e-5)


@given(masks_and_probabilities(), st.booleans(), st.booleans())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_bce_present_dice_has_the_dice_of_the_classes_that_the_batch_shows(both, empty_class, empty_batch):
    masks, probabilities = both
    masks = np.append(masks, np.zeros_like(masks), -1) * np.float32(not empty_batch)
    probabilities = np.append(probabilities, probabilities[::-1], -1)
    if not empty_class:
        masks[0, 0, 0, -1] = 1
    shown = [c for c in range(masks.shape[-1]) if masks[..., c].any()]
    entropy = 4 * np.asarray(bce(masks, probabilities))
    expected = entropy
    if shown:
        expected = entropy + np.asarray(bce_batch_dice(masks[..., shown], probabilities[..., shown]))
        expected = expected - 4 * np.asarray(bce(masks[..., shown], probabilities[..., shown]))
    np.testing.assert_allclose(bce_present_dice(masks, probabilities), expected, rtol=2e-5, atol=1e-6)


def test_cross_entropy_agrees_with_scikit_learn(batch):
    masks, probabilities = batch
    expected = [log_loss(m.ravel(), p.ravel().astype(np.float64)) for m, p in zip(masks, probabilities, strict=True)]
    np.testing.assert_allclose(bce(*batch), expected, rtol=1e-5)


def test_the_straight_through_term_of_the_cross_entropy_does_not_change_values():
    masks = np.float32([0, 0, 0, 1, 1, 1]).reshape(1, 1, 6, 1)
    probabilities = np.float32([0, 0.3, 1, 0, 0.3, 1]).reshape(1, 1, 6, 1)
    expected = keras.ops.binary_crossentropy(masks, probabilities)
    assert np.array_equal(cross_entropy(masks, probabilities), expected)


@pytest.mark.parametrize("shape", [(2, 11, 11, 1), (2, 16, 40, 3)])
@pytest.mark.parametrize("kind", ["lesions", "noise", "empty", "full", "equal"])
def test_ssim_is_that_of_tensorflow(shape, kind):
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), (0, 2, 2, 0)) > 0.1
    masks = {"noise": rng.integers(0, 2, shape), "empty": np.zeros(shape), "full": np.ones(shape)}.get(kind, smooth)
    masks = masks.astype(np.float32)
    probabilities = masks if kind == "equal" else rng.uniform(0, 1, shape).astype(np.float32)
    values = ssim(masks, probabilities)
    np.testing.assert_allclose(values, tf.image.ssim(masks, probabilities, max_val=1.0), rtol=1e-4, atol=1e-5)
    if kind == "equal":
        np.testing.assert_allclose(values, 1, atol=1e-5)


def test_bce_ssim_iou_is_the_mean_of_its_three_parts(batch):
    similarity = tf.image.ssim(*batch, max_val=1.0).numpy()
    entropy, ious = of_samples_and_classes(bce_of, *batch), of_samples_and_classes(iou_of, *batch)
    np.testing.assert_allclose(bce_ssim_iou(*batch), (entropy + 1 - similarity + 1 - ious) / 3, rtol=1e-4)


def test_a_tile_smaller_than_the_window_of_ssim_is_refused():
    small = np.zeros((1, 10, 64, 1), np.float32)
    with pytest.raises(ValueError, match=r"at least 11x11 pixels; received \(10, 64\)"):
        bce_ssim_iou(small, small)


def test_focal_is_that_of_tensorflow_addons():
    """The package returns one value per pixel, summed over classes: here each pixel is a sample."""
    with np.load(GOLDEN) as golden:
        options = json.loads(str(golden["options"]))
        cases = [case for case in options if case.startswith("focal_losses/")]
        assert len(cases) == 4
        for case in cases:
            truth, prediction = (golden[f"{case}/{name}"] for name in ("truth", "prediction"))
            pixels = (-1, 1, 1, truth.shape[-1])
            values = focal(truth.reshape(pixels), prediction.reshape(pixels), **options[case]).numpy()
            theirs = golden[f"{case}/answer"].ravel()
            # It clips to 1e-7 and adds 1e-7 inside the logarithm: log(2e-7) instead of our log(1e-7).
            certain = np.any(np.isin(prediction, (0, 1)), axis=-1).ravel()
            np.testing.assert_allclose(values[~certain], theirs[~certain], rtol=1e-5, atol=1e-7)
            np.testing.assert_allclose(values[certain], theirs[certain], rtol=0.05, atol=1e-6)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 0.0), (0.5, 0.5)])
def test_focal_is_that_of_keras_summed_over_classes(batch, alpha, gamma):
    values = focal(*batch, alpha=alpha, gamma=gamma)
    theirs = keras.losses.binary_focal_crossentropy(
        *map(tf.constant, batch), apply_class_balancing=True, alpha=alpha, gamma=gamma
    )
    np.testing.assert_allclose(values, 2 * np.mean(theirs, axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_has_a_finite_gradient_for_every_gamma(gamma):
    masks = np.float32([0, 0, 1, 1]).reshape(1, 2, 2, 1)
    predicted = tf.constant(np.float32([0, 1, 0, 1]).reshape(1, 2, 2, 1))
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        value = focal(masks, predicted, alpha=0.25, gamma=gamma)
    assert np.all(np.isfinite(tape.gradient(value, predicted)))


@given(masks_and_probabilities())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_focal_tversky_agrees_with_numpy_in_every_sample(both):
    def loss(mask, probability):
        right, missed, wrong = mask @ probability, mask @ (1 - probability), (1 - mask) @ probability
        return (1 - (right + 1) / (right + 0.7 * missed + 0.3 * wrong + 1)) ** 0.75

    expected = of_samples_and_classes(lambda mask, p: loss(mask.ravel(), p.ravel()), *both)
    np.testing.assert_allclose(focal_tversky(*both, alpha=0.7, beta=0.3, gamma=0.75), expected, rtol=1e-5, atol=1e-5)


def test_focal_tversky_weights_false_negatives_more_than_false_positives():
    mask = np.zeros((2, 10, 10, 1), np.float32)
    mask[:, 3:7, 3:7] = 1
    prediction = mask.copy()
    prediction[0, 3:5] = 0  # misses 8 pixels
    prediction[1, 7:9, 3:7] = 1  # 8 false positives
    missed, too_much = focal_tversky(mask, prediction, alpha=0.7, beta=0.3, gamma=0.75).numpy()
    assert missed == pytest.approx((5.6 / (8 + 5.6 + 1)) ** 0.75, rel=1e-4)
    assert too_much == pytest.approx((2.4 / (16 + 2.4 + 1)) ** 0.75, rel=1e-4)


def lovasz_extension_of(mask, errors):
    """Σ errors_i (Δ(S_i) - Δ(S_{i-1})), S_i the i largest errors, Δ(S) = 1 - smoothed IoU where S is wrong."""

    def delta(wrong):
        missed, too_much = np.sum(mask[wrong]), np.sum(1 - mask[wrong])
        return 1 - (mask.sum() - missed + 1) / (mask.sum() + too_much + 1)

    order = np.argsort(-errors, kind="stable")
    rises = np.diff([delta(order[:i]) for i in range(len(order) + 1)])
    return np.sum(errors[order] * rises)


@given(masks_and_probabilities())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_the_lovasz_hinge_agrees_with_its_definition_by_sets(both):
    def loss(mask, probability):
        mask, logits = mask.ravel(), np.log(probability.ravel()) - np.log1p(-probability.ravel())
        return lovasz_extension_of(mask, np.maximum(0, 1 - logits * (2 * mask - 1)))

    np.testing.assert_allclose(lovasz_hinge(*both), of_samples_and_classes(loss, *both), rtol=2e-5, atol=1e-6)


@given(hnp.arrays(np.bool_, (2, 3, 5, 2)), hnp.arrays(np.bool_, (2, 3, 5, 2)))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_where_every_error_is_0_or_2_the_lovasz_hinge_is_twice_the_iou_loss_of_the_wrong_pixels(masks, wrong):
    """A wrong pixel with a logit of 1 has the error 2; the extension of a set function equals it on its corners."""
    found = masks ^ wrong
    probabilities = np.where(found, 1 / (1 + np.exp(-1)), 1 / (1 + np.e))
    expected = 2 * (1 - of_samples_and_classes(iou_of, masks, found))
    np.testing.assert_allclose(lovasz_hinge(masks, probabilities), expected, rtol=1e-5, atol=1e-5)


def test_the_lovasz_hinge_of_a_large_tile_is_that_of_float64():
    rng = np.random.default_rng(0)
    masks = rng.random((1, 256, 256, 1)) < 0.01
    probabilities = rng.uniform(0.01, 0.99, masks.shape).astype(np.float32)
    mask = masks.ravel().astype(np.float64)
    logits = np.log(probabilities.ravel().astype(np.float64)) - np.log1p(-probabilities.ravel().astype(np.float64))
    errors = np.maximum(0, 1 - logits * (2 * mask - 1))
    order = np.argsort(-errors, kind="stable")
    intersection = mask.sum() + 1 - np.cumsum(mask[order])
    union = mask.sum() + 1 + np.cumsum(1 - mask[order])
    expected = np.sum(errors[order] * np.diff(1 - intersection / union, prepend=0))
    assert float(lovasz_hinge(masks, probabilities)[0]) == pytest.approx(expected, rel=1e-4)


def weights_by_labels(masks: np.ndarray) -> np.ndarray:
    """Returns the weights of `lesion_weights` from SciPy's connected components."""
    weights = np.ones(masks.shape)
    for sample, c in np.ndindex(masks.shape[0], masks.shape[-1]):
        labels, lesions = ndimage.label(masks[sample, ..., c], CONNECTED)
        for label in range(1, lesions + 1):
            lesion = labels == label
            weights[sample, ..., c][lesion] = np.sum(labels > 0) / lesions / np.sum(lesion)
    return weights


@pytest.mark.slow
@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 2), st.integers(1, 12), st.integers(1, 12), st.integers(1, 2))))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_lesion_weights_are_those_of_connected_components(masks):
    np.testing.assert_allclose(lesion_weights(masks), weights_by_labels(masks), rtol=1e-6)


@pytest.mark.parametrize("smoothness", [0, 0.7, 1.5, 4])
def test_lesion_weights_of_large_tiles_are_those_of_connected_components(smoothness):
    rng = np.random.default_rng(int(10 * smoothness))
    fields = ndimage.gaussian_filter(rng.normal(size=(2, 96, 130, 2)), (0, smoothness, smoothness, 0))
    masks = fields > np.quantile(fields, 0.6)  # 40 % of the pixels: lesions that wind through the whole tile
    np.testing.assert_allclose(lesion_weights(masks), weights_by_labels(masks), rtol=1e-6)


def test_a_lesion_that_winds_through_the_whole_tile_is_a_single_one():
    spiral = np.zeros((1, 33, 33, 1), bool)
    y, x, dy, dx = 0, 0, 0, 1
    spiral[0, y, x] = True
    for length in [32, 32, 32, *np.repeat(np.arange(30, 0, -2), 2)]:
        for _ in range(length):
            y, x = y + dy, x + dx
            spiral[0, y, x] = True
        dy, dx = dx, -dy
    assert ndimage.label(spiral[0, ..., 0], CONNECTED)[1] == 1
    assert np.array_equal(lesion_weights(spiral), np.ones(spiral.shape))


def test_every_lesion_has_the_same_total_weight_and_their_sum_is_unchanged(batch):
    masks = batch[0]
    weights = np.asarray(lesion_weights(masks))
    for sample, c in np.ndindex(masks.shape[0], masks.shape[-1]):
        labels, lesions = ndimage.label(masks[sample, ..., c], CONNECTED)
        assert lesions > 5
        sums = ndimage.sum_labels(weights[sample, ..., c], labels, range(1, lesions + 1))
        np.testing.assert_allclose(sums, masks[sample, ..., c].sum() / lesions, rtol=1e-5)
        assert np.all(weights[sample, ..., c][labels == 0] == 1)


def test_lesion_weighted_agrees_with_numpy(batch):
    masks, probabilities = (part.astype(np.float64) for part in batch)
    weights = weights_by_labels(masks)
    entropy = -weights * np.where(masks > 0, np.log(probabilities), np.log1p(-probabilities))
    both = np.sum(weights * masks * probabilities, axis=(1, 2))
    total = np.sum(weights * (masks + probabilities), axis=(1, 2))
    expected = (entropy.mean(axis=(1, 2, 3)) + 1 - np.mean((2 * both + 1) / (total + 1), axis=-1)) / 2
    np.testing.assert_allclose(lesion_weighted(*batch), expected, rtol=1e-5)


def test_lesion_weighted_is_bce_dice_where_lesions_are_of_one_size():
    rng = np.random.default_rng(0)
    masks = np.zeros((3, 16, 16, 2), np.float32)
    masks[0, 2:5, 2:5], masks[0, 9:12, 8:11], masks[1, 1:9, 3:5, 0] = 1, 1, 1  # two of nine pixels, one, none
    probabilities = rng.uniform(0.01, 0.99, masks.shape).astype(np.float32)
    np.testing.assert_allclose(lesion_weighted(masks, probabilities), bce_dice(masks, probabilities), rtol=1e-6)


def test_missing_a_small_lesion_costs_as_much_as_missing_a_large_one():
    mask = np.zeros((2, 32, 32, 1), np.float32)
    mask[:, 2:14, 2:14], mask[:, 20:22, 20:22] = 1, 1  # 144 and 4 pixels
    prediction = np.where(mask, 0.99, 0.01).astype(np.float32)
    prediction[0, 2:14, 2:14] = 0.01
    prediction[1, 20:22, 20:22] = 0.01
    large, small = np.asarray(lesion_weighted(mask, prediction))
    assert small == pytest.approx(large, rel=0.02)
    large, small = np.asarray(bce_dice(mask, prediction))
    assert small < 0.1 * large
