"""Properties of every loss: one float32 value per sample, gradients at the extremes, sample weights."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from configs import InputError
from models import LOSSES, build_loss

WITH_CROSS_ENTROPY = (
    "bce",
    "bce_dice",
    "bce_batch_dice",
    "bce_present_dice",
    "bce_iou",
    "bce_ssim_iou",
    "focal",
    "lovasz_hinge",
    "lesion_weighted",
)
OF_THE_BATCH = ("bce_batch_dice", "bce_present_dice")


@pytest.fixture
def batch():
    """Four samples of two classes."""
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (4, 16, 12, 2)).astype(np.float32)
    return masks, rng.uniform(0.01, 0.99, masks.shape).astype(np.float32)


@pytest.fixture
def mixed_bfloat16():
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_dtype_policy(before)


def gradient(name: str, masks: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    predicted = tf.constant(probabilities)
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        value = build_loss(name)(masks, predicted)
    return tape.gradient(value, predicted).numpy()


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_function_returns_one_value_per_sample_and_the_loss_their_mean(name, batch):
    values = np.asarray(LOSSES[name](*batch))
    assert (values.shape, values.dtype) == ((4,), np.float32)
    assert float(build_loss(name)(*batch)) == pytest.approx(np.mean(values), rel=1e-5)


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in OF_THE_BATCH])
def test_the_loss_of_a_sample_does_not_depend_on_other_samples(name, batch):
    values = np.asarray(LOSSES[name](*batch))
    alone = [float(build_loss(name)(batch[0][i : i + 1], batch[1][i : i + 1])) for i in range(4)]
    np.testing.assert_allclose(values, alone, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_sample_weights_multiply_the_losses_of_samples(name, batch):
    values = np.asarray(LOSSES[name](*batch))
    weights = np.array([2, 0, 1, 0.5], np.float32)
    # Keras divides by the number of samples, those of weight 0 included.
    expected = np.sum(weights * values) / 4
    assert float(build_loss(name)(*batch, sample_weight=weights)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_all_classes_count_equally_in_any_order(name, batch):
    swapped = (batch[0][..., ::-1], batch[1][..., ::-1])
    assert float(build_loss(name)(*swapped)) == pytest.approx(float(build_loss(name)(*batch)), rel=1e-5)
    of_classes = [float(build_loss(name)(batch[0][..., c : c + 1], batch[1][..., c : c + 1])) for c in (0, 1)]
    expected = np.sum(of_classes) if name == "focal" else np.mean(of_classes)
    assert float(build_loss(name)(*batch)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_better_prediction_has_a_lower_loss(name, batch):
    masks = batch[0]
    losses = [float(build_loss(name)(masks, 0.5 + way * (masks - 0.5))) for way in (0, 0.2, 0.4, 0.9, 1)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[1] > losses[2] > 0
    assert losses[-1] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_on_an_empty_mask_the_loss_falls_to_0_with_the_prediction(name):
    empty = np.zeros((1, 16, 16, 1), np.float32)
    losses = [float(build_loss(name)(empty, np.full_like(empty, p))) for p in (0, 0.001, 0.1, 0.5, 0.99, 1)]
    assert losses[0] == pytest.approx(0, abs=1e-5)
    assert losses == sorted(losses)
    assert losses[2] < losses[3] < losses[4] < losses[5]
    # The hinge has a margin: pixels that are correct by a logit of 1 have no loss.
    assert losses[1] < losses[2] or (name == "lovasz_hinge" and losses[2] == 0)


@pytest.mark.parametrize("name", LOSSES)
def test_on_a_full_mask_the_loss_rises_from_0_as_the_prediction_falls(name):
    full = np.ones((2, 16, 16, 1), np.float32)
    losses = [float(build_loss(name)(full, np.full_like(full, p))) for p in (1, 0.9, 0.5, 0.1, 0)]
    assert losses[0] == pytest.approx(0, abs=1e-5)
    assert losses == sorted(losses)
    assert losses[1] < losses[2] < losses[3] < losses[4]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("lesion", [0.0, 1.0])
@pytest.mark.parametrize("wrong_by", [0.3, 0.9, 1 - 2**-24, 1.0])  # 1 - 2^-24: within the clip of Keras' BCE
def test_on_empty_and_full_masks_the_gradient_of_every_wrong_pixel_points_to_the_mask(name, lesion, wrong_by):
    masks = np.full((1, 16, 16, 1), lesion, np.float32)
    slopes = gradient(name, masks, np.full_like(masks, abs(lesion - wrong_by)))
    assert np.all(np.isfinite(slopes))
    towards = 1 - 2 * lesion  # the sign of a gradient that points to the mask
    if name == "lovasz_hinge" and wrong_by < 0.7:
        towards = towards if wrong_by > 1 / (1 + np.e) else 0  # 0 within the margin
    assert np.all(np.sign(slopes) == towards)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("lesion", [0.0, 1.0])
def test_exactly_right_predictions_have_a_finite_gradient_that_does_not_point_away(name, lesion):
    masks = np.full((1, 16, 16, 1), lesion, np.float32)
    slopes = gradient(name, masks, masks)
    assert np.all(np.isfinite(slopes))
    assert np.all(slopes * (1 - 2 * lesion) >= 0)


@pytest.mark.parametrize("name", LOSSES)
def test_probabilities_of_exactly_0_and_1_have_finite_gradients_among_others(name, batch):
    masks, probabilities = batch
    probabilities[:, ::2] = np.round(probabilities[:, ::2])
    slopes = gradient(name, masks, probabilities)
    assert np.all(np.isfinite(slopes))
    assert np.mean(slopes * (1 - 2 * masks) > 0) > 0.4  # half of them wrong, or not certain
    certain_and_wrong = np.abs(masks - probabilities) == 1
    assert np.all((slopes * (1 - 2 * masks))[certain_and_wrong] > 0)


@pytest.mark.parametrize("name", WITH_CROSS_ENTROPY)
@pytest.mark.parametrize("in_graph", [False, True])
def test_a_wrong_sigmoid_that_is_saturated_in_float32_still_has_a_gradient(name, in_graph):
    masks = np.zeros((1, 16, 16, 1), np.float32)
    network = keras.Sequential([keras.layers.Activation("sigmoid", dtype="float32")])

    def slope(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = build_loss(name)(masks, network(logits))
        return tape.gradient(value, logits)

    slope = tf.function(slope, autograph=False) if in_graph else slope
    assert np.all(slope(tf.fill([1, 16, 16, 1], 40.0)).numpy() > 0)  # where the sigmoid is 1 and flat


@pytest.mark.parametrize("name", LOSSES)
def test_bfloat16_probabilities_are_reduced_in_float32(name):
    masks = np.random.default_rng(1).integers(0, 2, (2, 64, 64, 1)).astype(np.float32)
    rounded = keras.ops.cast(np.random.default_rng(0).uniform(0.05, 0.95, masks.shape), "bfloat16")
    in_float32 = build_loss(name)(masks, keras.ops.cast(rounded, "float32"))
    for value in (build_loss(name)(masks, rounded), keras.ops.mean(LOSSES[name](masks, rounded))):
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
        assert float(value) == float(in_float32)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32"])
def test_integer_masks_give_the_loss_of_float_masks(name, dtype, batch):
    masks, probabilities = batch
    assert float(build_loss(name)(masks.astype(dtype), probabilities)) == float(build_loss(name)(*batch))
    values = np.asarray(LOSSES[name](tf.constant(masks.astype(dtype)), tf.constant(probabilities)))
    np.testing.assert_array_equal(values, np.asarray(LOSSES[name](*batch)))


@pytest.mark.parametrize("name", LOSSES)
def test_sizes_may_be_unknown_when_the_graph_is_traced(name, batch):
    shape = tf.TensorSpec([None, None, None, 2])
    value = tf.function(build_loss(name), input_signature=[shape, shape], autograph=False)(*map(tf.constant, batch))
    assert float(value) == pytest.approx(float(build_loss(name)(*batch)), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains_under_mixed_bfloat16(name, mixed_bfloat16):
    keras.utils.set_random_seed(0)
    masks = np.zeros((4, 16, 16, 1), np.float32)
    masks[:, 4:9, 3:12] = 1
    image = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(1, 3, padding="same")(image)
    network = keras.Model(image, keras.layers.Activation("sigmoid", dtype="float32")(logits))
    network.compile(keras.optimizers.Adam(0.1), build_loss(name), run_eagerly=True)  # tracing takes longer
    images = masks + np.random.default_rng(0).normal(0, 0.1, (4, 16, 16, 3)).astype(np.float32)
    losses = []
    for _ in range(30):
        network.reset_metrics()
        losses.append(network.train_on_batch(images, masks))
    assert np.all(np.isfinite(losses))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_has_its_name_in_the_table(name):
    assert build_loss(name).name == name
    assert build_loss(name).reduction == "sum_over_batch_size"


def test_all_losses_differ(batch):
    masks, probabilities = batch
    masks[..., 1] = 0  # a class that the batch does not show
    values = [float(build_loss(name)(masks, probabilities)) for name in LOSSES]
    assert all(abs(one - other) > 1e-6 for one, other in itertools.combinations(values, 2))


def test_a_misspelled_loss_gets_a_suggestion():
    expected = r"train\.loss must be one of .*bce_dice.*; received 'bce_dise'\. Did you mean 'bce_dice'\?"
    with pytest.raises(InputError, match=expected):
        build_loss("bce_dise")


def test_a_name_unlike_any_loss_gets_all_names_and_no_suggestion():
    with pytest.raises(InputError, match=r"must be one of .*bce_dice.*; received 'zzz'\.$"):
        build_loss("zzz")


def test_keras_dice_still_has_no_gradient_on_empty_masks():
    """When this fails, Keras' Dice learns from empty masks, and a smooth term of our own may be unnecessary."""
    empty, predicted = tf.zeros([2, 8, 8, 1]), tf.fill([2, 8, 8, 1], 0.3)
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        value = keras.losses.Dice(reduction=None)(empty, predicted)
    assert value.shape == ()
    assert float(value) == pytest.approx(1)
    assert np.all(tape.gradient(value, predicted).numpy() == 0)


def test_keras_cross_entropy_still_has_no_gradient_at_a_probability_of_0():
    """When this fails, `cross_entropy` no longer needs its straight-through term."""
    predicted = tf.zeros([1, 4])
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        value = keras.losses.binary_crossentropy(tf.ones([1, 4]), predicted)
    assert np.all(tape.gradient(value, predicted).numpy() == 0)
