"""What is unknown changes no loss: every loss of the table, against NumPy and by what must not depend on what."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from configs import InputError
from models import LOSSES, TAKES_HARD_LABELS_ONLY, build_loss, check_soft_labels

CLASSES = 3


@pytest.fixture
def labels() -> np.ndarray:
    """Returns labels of five samples, `[5, 18, 15, 6]`: masks, then known.

    Of the third sample nothing is known, of the fourth one class; of the last class nothing in any sample; of the rest
    there are regions.
    """
    rng = np.random.default_rng(0)
    masks = ndimage.gaussian_filter(rng.normal(size=(5, 18, 15, CLASSES)), (0, 1, 1, 0)) > 0.15
    known = np.ones(masks.shape, bool)
    known[0, 12:, 4:9, 0] = known[1, :3] = known[4, :6, :, 1] = False
    known[2] = known[3, ..., 0] = known[..., 2] = False
    return np.concatenate([masks & known, known], axis=-1).astype(np.float32)


@pytest.fixture
def probabilities() -> np.ndarray:
    return np.random.default_rng(1).uniform(0.02, 0.98, (5, 18, 15, CLASSES)).astype(np.float32)


def value_and_gradient(name: str, labels: np.ndarray, probabilities: np.ndarray) -> tuple[float, np.ndarray]:
    predicted = tf.constant(probabilities)
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        value = build_loss(name)(labels, predicted)
    return float(value), tape.gradient(value, predicted).numpy()


def entropy(m: np.ndarray, p: np.ndarray) -> np.ndarray:
    return -(m * np.log(p) + (1 - m) * np.log1p(-p))


def dice(m: np.ndarray, p: np.ndarray) -> float:
    return (2 * np.sum(m * p) + 1) / (m.sum() + p.sum() + 1)


def iou(m: np.ndarray, p: np.ndarray) -> float:
    return (np.sum(m * p) + 1) / (m.sum() + p.sum() - np.sum(m * p) + 1)


def tversky(m: np.ndarray, p: np.ndarray) -> float:
    right, missed, wrong = np.sum(m * p), np.sum(m * (1 - p)), np.sum((1 - m) * p)
    return 1 - (1 - (right + 1) / (right + 0.7 * missed + 0.3 * wrong + 1)) ** 0.75


def lovasz(m: np.ndarray, p: np.ndarray) -> float:
    """Returns 1 - the extension of 1 - IoU at the errors, by the sets of the largest errors."""
    errors = np.maximum(0, 1 - (np.log(p) - np.log1p(-p)) * (2 * m - 1))
    order = np.argsort(-errors, kind="stable")
    wrong = [order[:i] for i in range(len(order) + 1)]
    ious = [(m.sum() - m[some].sum() + 1) / (m.sum() + np.sum(1 - m[some]) + 1) for some in wrong]
    return 1 + np.sum(errors[order] * np.diff(ious))


def of_known(function: Callable, sample: tuple[np.ndarray, ...]) -> float:
    """Returns 1 - the mean of a function of the known pixels of each class, over classes with any."""
    return 1 - np.mean([function(m[k], p[k]) for m, p, k in by_class(sample) if k.any()])


def by_class(sample: tuple[np.ndarray, ...]) -> list[tuple[np.ndarray, ...]]:
    return [tuple(part[..., c] for part in sample) for c in range(CLASSES)]


def bce(sample: tuple[np.ndarray, ...]) -> float:
    m, p, k = sample
    return np.mean(entropy(m, p)[k])


def focal(sample: tuple[np.ndarray, ...]) -> float:
    m, p, k = sample
    values = (m * 0.25 + (1 - m) * 0.75) * np.abs(m - p) ** 2 * entropy(m, p)
    return np.sum(values[k]) / np.sum(k.any(axis=-1))


def ssim(sample: tuple[np.ndarray, ...]) -> float:
    """Returns the mean over the windows that are known, each computed by itself."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    window = np.outer(line, line) / line.sum() ** 2
    values = []
    for m, p, k in by_class(sample):
        for y, x in np.ndindex(m.shape[0] - 10, m.shape[1] - 10):
            a, b, all_known = (part[y : y + 11, x : x + 11] for part in (m, p, k))
            if all_known.all():
                (u, v), squares, both = ((window * a).sum(), (window * b).sum()), a**2 + b**2, a * b
                structure = 2 * ((window * both).sum() - u * v) + 0.03**2
                structure /= (window * squares).sum() - u**2 - v**2 + 0.03**2
                values.append(structure * (2 * u * v + 0.01**2) / (u**2 + v**2 + 0.01**2))
    return float(np.mean(values)) if values else 1.0


def lesion_weighted(sample: tuple[np.ndarray, ...]) -> float:
    entropies, dices = [], []
    for m, p, k in by_class(sample):
        weights = np.ones(m.shape)
        regions, number = ndimage.label(m, np.ones((3, 3)))
        for region in range(1, number + 1):
            weights[regions == region] = m.sum() / number / np.sum(regions == region)
        if k.any():
            entropies.append((weights * entropy(m, p))[k])
            both, total = np.sum((weights * m * p)[k]), np.sum((weights * (m + p))[k])
            dices.append((2 * both + 1) / (total + 1))
    return (np.concatenate(entropies).mean() + 1 - np.mean(dices)) / 2


REFERENCES: dict[str, Callable] = {
    "bce": bce,
    "dice": lambda one: of_known(dice, one),
    "iou": lambda one: of_known(iou, one),
    "bce_dice": lambda one: (bce(one) + of_known(dice, one)) / 2,
    "bce_iou": lambda one: (bce(one) + of_known(iou, one)) / 2,
    "bce_ssim_iou": lambda one: (bce(one) + 1 - ssim(one) + of_known(iou, one)) / 3,
    "focal": focal,
    "focal_tversky": lambda one: of_known(tversky, one),
    "lovasz_hinge": lambda one: of_known(lovasz, one),
    "lesion_weighted": lesion_weighted,
}


def samples(labels: np.ndarray, probabilities: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    """Returns mask, probability and known of each sample of which anything is known."""
    masks, known = labels[..., :CLASSES].astype(np.float64), labels[..., CLASSES:] > 0
    parts = zip(masks, probabilities.astype(np.float64), known, strict=True)
    return [sample for sample in parts if sample[2].any()]


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_the_mean_of_numpys_over_samples_of_which_anything_is_known(name, labels, probabilities):
    value, _ = value_and_gradient(name, labels, probabilities)
    known = samples(labels, probabilities)
    assert len(known) == 4
    if name in ("bce_batch_dice", "bce_present_dice"):  # this batch shows both classes
        dices = []
        for c in range(CLASSES):
            pixels = [(m[k], p[k]) for m, p, k in (by_class(one)[c] for one in known) if k.any()]
            if pixels:
                both = np.mean([np.sum(m * p) for m, p in pixels])
                dices.append((2 * both + 1) / (np.mean([m.sum() + p.sum() for m, p in pixels]) + 1))
        assert len(dices) == 2
        expected = 4 * np.mean([bce(one) for one in known]) + 1 - np.mean(dices)
    else:
        expected = np.mean([REFERENCES[name](one) for one in known])
    assert value == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_predictions_where_the_masks_are_unknown_change_neither_the_loss_nor_its_gradient(name, labels, probabilities):
    known = labels[..., CLASSES:] > 0
    others = np.where(known, probabilities, np.random.default_rng(2).integers(0, 2, known.shape)).astype(np.float32)
    value, slopes = value_and_gradient(name, labels, probabilities)
    other_value, other_slopes = value_and_gradient(name, labels, others)
    assert value == other_value
    np.testing.assert_array_equal(slopes, other_slopes)
    assert np.all(slopes[~known] == 0)
    # The hinge has no slope beyond its margin, SSIM and Dice have one everywhere.
    assert np.mean(slopes[known] != 0) > (0.6 if name == "lovasz_hinge" else 0.99)


@pytest.mark.parametrize("name", LOSSES)
def test_masks_that_are_known_throughout_have_the_loss_of_plain_masks(name, labels, probabilities):
    masks = labels[..., :CLASSES]
    value, slopes = value_and_gradient(name, masks, probabilities)
    other_value, other_slopes = value_and_gradient(name, np.append(masks, np.ones_like(masks), -1), probabilities)
    assert value == pytest.approx(other_value, rel=1e-6)
    np.testing.assert_allclose(slopes, other_slopes, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_samples_and_classes_of_which_nothing_is_known_are_as_if_they_were_not_there(name, labels, probabilities):
    value, slopes = value_and_gradient(name, labels, probabilities)
    kept, channels = [0, 1, 3, 4], [0, 1]
    alone = labels[kept][..., [0, 1, 3, 4]], probabilities[kept][..., channels]
    other_value, other_slopes = value_and_gradient(name, *alone)
    assert value == pytest.approx(other_value, rel=1e-6)
    np.testing.assert_allclose(slopes[kept][..., channels], other_slopes, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_of_which_nothing_is_known_has_no_loss_and_no_gradient(name, labels):
    certain = np.random.default_rng(3).integers(0, 2, (5, 18, 15, CLASSES)).astype(np.float32)
    value, slopes = value_and_gradient(name, np.zeros_like(labels), certain)
    assert value == 0
    assert np.all(slopes == 0)


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in TAKES_HARD_LABELS_ONLY])
def test_soft_labels_have_a_finite_loss_between_those_of_their_extremes(name, probabilities):
    soft = np.random.default_rng(4).uniform(0, 1, probabilities.shape).astype(np.float32)
    value, slopes = value_and_gradient(name, soft, probabilities)
    assert np.isfinite(value) and np.all(np.isfinite(slopes))
    best, worst = (float(build_loss(name)(m, probabilities)) for m in (probabilities > 0.5, probabilities < 0.5))
    assert best < value < worst
    check_soft_labels(name)


def test_the_cross_entropy_of_soft_labels_is_least_at_their_level_and_dice_at_0_or_1():
    soft = np.full((1, 4, 4, 1), 0.4, np.float32)
    levels = np.linspace(0, 1, 11).astype(np.float32)
    for name, least in (("bce", 0.4), ("dice", 1.0)):
        losses = [float(build_loss(name)(soft, np.full_like(soft, level))) for level in levels]
        assert levels[np.argmin(losses)] == pytest.approx(least)


@pytest.mark.parametrize("name", TAKES_HARD_LABELS_ONLY)
def test_a_loss_of_sets_of_pixels_refuses_soft_labels_and_names_those_that_take_them(name):
    with pytest.raises(InputError, match=rf"train\.loss '{name}' .*data\.soft_labels\).*bce, dice, bce_dice.*"):
        check_soft_labels(name)
