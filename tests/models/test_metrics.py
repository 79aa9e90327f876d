"""The metrics of training compared with NumPy and scikit-learn, over batches, classes and replicas."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, confusion_matrix

from configs import InputError
from models import METRICS, build_loss, build_metrics
from models.metrics import BINS, dice_coefficient, iou_coefficient

POOLED = ("sensitivity", "specificity", "ppv", "aupr")
CLASSES = ("HE", "EX", "MA")


@st.composite
def masks_and_probabilities(draw) -> tuple[np.ndarray, np.ndarray]:
    """Draws float32 masks 0/1 and probabilities, both `[B, h, w, C]`."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3)))
    masks = draw(hnp.arrays(np.bool_, shape)).astype(np.float32)
    probabilities = draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    return masks, probabilities


@pytest.fixture
def tiles() -> tuple[np.ndarray, np.ndarray]:
    """Returns nine masks of three classes, the last of which is rare, and correlated probabilities."""
    rng = np.random.default_rng(0)
    masks = (rng.random((9, 16, 12, 3)) < (0.3, 0.1, 0.02)).astype(np.float32)
    return masks, np.clip(0.4 * masks + rng.uniform(0, 0.7, masks.shape), 0, 1).astype(np.float32)


def of_samples(function, masks: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns the mean over the classes of `function` of each sample and class in float64, `[B]`."""
    masks, probabilities = masks.astype(np.float64), probabilities.astype(np.float64)
    return np.array(
        [
            np.mean([function(mask[..., c], probability[..., c]) for c in range(mask.shape[-1])])
            for mask, probability in zip(masks, probabilities, strict=True)
        ]
    )


def dice(mask, probability) -> float:
    return (2 * np.sum(mask * probability) + 1) / (mask.sum() + probability.sum() + 1)


def iou(mask, probability) -> float:
    both = np.sum(mask * probability)
    return (both + 1) / (mask.sum() + probability.sum() - both + 1)


def pooled(name: str, mask: np.ndarray, probability: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Returns the score of one class over all pixels, by scikit-learn."""
    weight = np.ones(len(mask)) if weight is None else weight
    weight = np.broadcast_to(weight[:, None, None], mask.shape).ravel()
    mask, probability = mask.ravel() > 0, probability.ravel()
    if name == "aupr":
        return float(
            average_precision_score(mask, np.minimum(np.floor(probability * BINS), BINS - 1), sample_weight=weight)
        )
    ((tn, fp), (fn, tp)) = confusion_matrix(mask, probability >= 0.5, labels=[False, True], sample_weight=weight)
    return float({"sensitivity": tp / (tp + fn), "specificity": tn / (tn + fp), "ppv": tp / (tp + fp)}[name])


def make(name: str, channels: tuple[int, ...] = (0,)) -> keras.metrics.Metric:
    return METRICS[name](channels=channels, name=name)


def results(metrics: list[keras.metrics.Metric]) -> dict[str, float]:
    return {metric.name: float(metric.result()) for metric in metrics}


@pytest.mark.slow
@given(masks_and_probabilities())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_dice_and_iou_agree_with_numpy_in_every_sample(both):
    for function, reference in ((dice_coefficient, dice), (iou_coefficient, iou)):
        values = function(*both).numpy()
        assert values.shape == (len(both[0]),)
        np.testing.assert_allclose(values, of_samples(reference, *both), rtol=1e-5)
        assert np.all((values > 0) & (values <= 1 + 1e-6))


def test_dice_and_iou_of_small_masks_equal_hand_computed_values():
    mask = np.zeros((3, 2, 2, 1), np.float32)
    mask[0, 0, :, 0] = 1  # two of four pixels are lesion
    mask[2] = 1
    probability = np.zeros_like(mask)
    probability[0, :, 0, 0] = 0.5  # half of one of them, and half of a wrong pixel
    np.testing.assert_allclose(dice_coefficient(mask, probability), [(2 * 0.5 + 1) / (2 + 1 + 1), 1, 1 / 5])
    np.testing.assert_allclose(iou_coefficient(mask, probability), [(0.5 + 1) / (2 + 1 - 0.5 + 1), 1, 1 / 5])


@pytest.mark.parametrize(("name", "reference"), [("dice_coef", dice), ("iou_coef", iou)])
def test_dice_and_iou_are_means_over_all_samples_of_all_batches(name, reference, tiles):
    masks, probabilities = tiles
    metrics = build_metrics([name], CLASSES)
    for metric in metrics:
        metric.update_state(masks[:5], probabilities[:5])
        metric.update_state(masks[5:], probabilities[5:])
    found = results(metrics)
    assert found[name] == pytest.approx(of_samples(reference, *tiles).mean(), rel=1e-5)
    for c, lesion in enumerate(CLASSES):
        expected = of_samples(reference, masks[..., c : c + 1], probabilities[..., c : c + 1]).mean()
        assert found[f"{name}_{lesion}"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", POOLED)
def test_pooled_scores_agree_with_scikit_learn_over_all_batches(name, tiles):
    masks, probabilities = tiles
    metrics = build_metrics([name], CLASSES)
    for metric in metrics:
        for first in range(0, 9, 4):
            metric.update_state(masks[first : first + 4], probabilities[first : first + 4])
    found = results(metrics)
    expected = [pooled(name, masks[..., c], probabilities[..., c]) for c in range(3)]
    assert [found[f"{name}_{lesion}"] for lesion in CLASSES] == pytest.approx(expected, rel=1e-6)
    assert found[name] == pytest.approx(np.mean(expected), rel=1e-6)
    assert len(set(expected)) == 3


@given(masks_and_probabilities())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_aupr_agrees_with_scikit_learn_on_any_pixels(both):
    masks, probabilities = (part[..., :1] for part in both)
    metric = make("aupr")
    metric.update_state(masks, probabilities)
    expected = pooled("aupr", masks[..., 0], probabilities[..., 0]) if masks.any() else 0
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)


def test_a_probability_of_exactly_one_half_is_positive():
    masks, probabilities = np.ones((1, 2, 2, 1), np.float32), np.full((1, 2, 2, 1), 0.5, np.float32)
    metric = make("sensitivity")
    metric.update_state(masks, probabilities)
    metric.update_state(masks, np.nextafter(probabilities, np.float32(0)))
    assert float(metric.result()) == 0.5


@pytest.mark.parametrize("name", METRICS)
def test_samples_have_their_weights(name, tiles):
    masks, probabilities = tiles
    weights = np.array([1, 0, 3, 0, 0.5, 1, 1, 2, 0], np.float32)
    metrics = build_metrics([name], CLASSES)
    for metric in metrics:
        metric.update_state(masks, probabilities, sample_weight=weights)
    found = results(metrics)
    for c, lesion in enumerate(CLASSES):
        mask, probability = masks[..., c], probabilities[..., c]
        if name in POOLED:
            expected = pooled(name, mask, probability, weights)
        else:
            reference = {"dice_coef": dice, "iou_coef": iou}[name]
            expected = np.average(of_samples(reference, mask[..., None], probability[..., None]), weights=weights)
        assert found[f"{name}_{lesion}"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_samples_of_weight_0_do_not_count(name, tiles):
    masks, probabilities = tiles
    weights = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0], np.float32)
    padded, alone = (build_metrics([name], CLASSES) for _ in range(2))
    for one, other in zip(padded, alone, strict=True):
        one.update_state(masks, probabilities, sample_weight=weights)
        other.update_state(masks[:4], probabilities[:4])
    assert results(padded) == pytest.approx(results(alone), rel=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_reset_state_forgets_all_samples(name, tiles):
    masks, probabilities = tiles
    metric, fresh = build_metrics([name], CLASSES)[0], build_metrics([name], CLASSES)[0]
    metric.update_state(masks[:4], probabilities[:4])
    metric.reset_state()
    for one in (metric, fresh):
        one.update_state(masks[4:], probabilities[4:])
    assert float(metric.result()) == float(fresh.result())


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("mask_value", [0, 1])
@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_batches_with_a_single_kind_of_pixel_do_not_give_nan(name, mask_value, probability):
    metric = make(name, channels=(0, 1))
    shape = (2, 8, 8, 2)
    assert float(metric.result()) == 0  # nothing seen
    metric.update_state(np.full(shape, mask_value, np.float32), np.full(shape, probability, np.float32))
    value = float(metric.result())
    assert 0 <= value <= 1
    expected = {
        "sensitivity": float(mask_value and probability >= 0.5),
        "specificity": float(not mask_value and probability < 0.5),
        "ppv": float(mask_value and probability >= 0.5),
        "aupr": float(mask_value),
    }
    assert name not in expected or value == expected[name]


def test_a_class_without_relevant_pixels_is_left_out_of_the_mean():
    masks = np.zeros((1, 2, 2, 3), np.float32)
    masks[0, 0, :, :2] = 1  # two lesion pixels in each of two classes, none in the third
    probabilities = np.zeros_like(masks)
    probabilities[0, 0, 0, 0] = 0.9  # one of the first class is detected
    for name, expected in (
        ("sensitivity", np.mean([1 / 2, 0])),
        ("specificity", 1),
        ("ppv", np.mean([1, 0])),  # a class without any detection counts
        ("aupr", np.mean([1 / 2 + 1 / 2 * 2 / 4, 2 / 4])),
    ):
        metric = make(name, channels=(0, 1, 2))
        metric.update_state(masks, probabilities)
        assert float(metric.result()) == pytest.approx(expected), name


@pytest.mark.parametrize("name", POOLED)
def test_counts_are_exact_beyond_the_range_of_float32(name):
    """2^24 + 1 is the first integer that float32 cannot represent."""
    metric = make(name)
    sums = np.zeros(metric.sums.shape)
    sums[..., :] = 2.0**40
    metric.sums.assign(sums)
    masks, probabilities = np.ones((1, 1, 3, 1), np.float32), np.ones((1, 1, 3, 1), np.float32)
    for _ in range(5):
        metric.update_state(masks, probabilities)
    added = np.asarray(metric.sums) - sums
    assert keras.backend.standardize_dtype(metric.sums.dtype) == "float64"
    assert added.max() == 15
    assert np.all(np.isin(added, (0, 15)))


@pytest.mark.parametrize("name", POOLED)
def test_a_batch_with_more_pixels_than_float32_can_count_is_counted_exactly(name):
    """Nine tiles of 1,408x1,409 are 17,855,... pixels, more than 2^24, and an odd number of them."""
    shape = (9, 1408, 1409, 1)
    masks = tf.ones(shape, tf.uint8)
    metric = make(name)
    metric.update_state(masks, tf.fill(shape, tf.constant(0.75, tf.bfloat16)))
    assert np.asarray(metric.sums).max() == np.prod(shape) > 2**24


def test_bfloat16_probabilities_are_summed_in_float32():
    masks = np.ones((1, 64, 64, 1), np.float32)
    rounded = keras.ops.cast(np.random.default_rng(0).random((1, 64, 64, 1)), "bfloat16")
    metric = make("dice_coef")
    metric.update_state(masks, rounded)
    expected = of_samples(dice, masks, keras.ops.convert_to_numpy(keras.ops.cast(rounded, "float32")))
    assert metric.dtype == "float32"
    assert float(metric.result()) == pytest.approx(expected[0], rel=1e-5)  # sums in bfloat16 are off by 1e-3


def test_the_metrics_of_single_classes_follow_the_mean_over_classes():
    assert [metric.name for metric in build_metrics(["dice_coef", "aupr"], CLASSES)] == [
        *("dice_coef", "dice_coef_HE", "dice_coef_EX", "dice_coef_MA"),
        *("aupr", "aupr_HE", "aupr_EX", "aupr_MA"),
    ]
    assert [metric.name for metric in build_metrics(METRICS, ["HE"])] == list(METRICS)


def test_a_misspelled_metric_gets_a_suggestion():
    expected = r"train\.metrics must be of dice_coef, .*aupr; received 'sensitivty'\. Did you mean 'sensitivity'\?"
    with pytest.raises(InputError, match=expected):
        build_metrics(["sensitivty"], CLASSES)


@pytest.mark.parametrize("name", METRICS)
def test_pixels_samples_and_classes_that_are_unknown_count_nowhere(name, tiles):
    masks, probabilities = tiles
    known = np.random.default_rng(1).random(masks.shape) < 0.7
    known[2] = known[4:6, ..., 0] = known[..., 2] = False
    weights = np.array([1, 0, 3, 0, 0.5, 1, 1, 2, 0], np.float32)
    labels = np.concatenate([masks * known, known], axis=-1).astype(np.float32)
    metrics = build_metrics([name], CLASSES)
    for metric in metrics:
        for part in (slice(0, 3), slice(3, 9)):
            metric.update_state(labels[part], probabilities[part], sample_weight=weights[part])
    found = results(metrics)
    expected = []
    for c in (0, 1):
        k = known[..., c]
        if name in POOLED:
            weight = np.broadcast_to(weights[:, None, None], k.shape)[k]
            mask, probability = (values[..., c][k][:, None, None] for values in tiles)
            expected.append(pooled(name, mask, probability, weight))
        else:
            reference, anything = {"dice_coef": dice, "iou_coef": iou}[name], k.any(axis=(1, 2))
            values = [
                reference(masks[i, ..., c][k[i]].astype(float), probabilities[i, ..., c][k[i]]) if anything[i] else 0
                for i in range(9)
            ]
            expected.append(np.average(values, weights=weights * anything))
    assert [found[f"{name}_HE"], found[f"{name}_EX"]] == pytest.approx(expected, rel=1e-5)
    assert found[f"{name}_MA"] == 0  # of which nothing was seen
    if name in POOLED:
        assert found[name] == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_a_soft_label_of_at_least_one_half_is_lesion(name, tiles):
    masks, probabilities = tiles
    soft = np.where(masks > 0, 128 / 255, 127 / 255).astype(np.float32)
    (one, *_), (other, *_) = build_metrics([name], CLASSES), build_metrics([name], CLASSES)
    one.update_state(masks, probabilities)
    other.update_state(soft, probabilities)
    assert float(one.result()) == float(other.result())


@pytest.mark.parametrize("name", ["bce_dice", "bce_batch_dice"])
def test_the_loss_as_a_metric_is_the_mean_over_the_samples_of_all_batches_of_which_anything_is_known(name, tiles):
    masks, probabilities = tiles
    known = np.ones_like(masks)
    known[0] = known[4:] = 0  # one sample of the first batch, all of the second
    loss = build_loss(name)
    metric = loss.metric()
    labels = np.concatenate([masks * known, known], axis=-1)
    for part in (slice(0, 4), slice(4, 9)):
        metric.update_state(labels[part], probabilities[part])
    assert metric.name == name
    assert float(metric.result()) == pytest.approx(float(loss(masks[1:4], probabilities[1:4])), rel=1e-6)


REPLICAS = """
import json
import keras, numpy as np, tensorflow as tf
from models import build_loss, build_metrics
from models.metrics import METRICS

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
rng = np.random.default_rng(0)
images = rng.normal(size=(10, 16, 16, 3)).astype("float32")
masks = (images[..., :2] > (0.8, 1.9)).astype("float32")
weights = np.float32([1, 1, 0, 1, 2, 1, 1, 1, 0, 0.5])
data = tf.data.Dataset.from_tensor_slices((images, masks, weights)).batch(4, drop_remainder=False)
padded = data.map(lambda *parts: tuple(tf.pad(part, [[0, 4 - tf.shape(part)[0]]] + [[0, 0]] * (len(part.shape) - 1))
                                       for part in parts))

def fit(strategy):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        image = keras.Input((16, 16, 3))
        network = keras.Model(image, keras.layers.Conv2D(2, 3, padding="same", activation="sigmoid")(image))
        network.compile(
            keras.optimizers.SGD(0.5),
            build_loss("bce_dice"),
            # Means over classes; the metrics of single classes are computed alike, and take time to trace.
            weighted_metrics=[one for one in build_metrics(list(METRICS), ["HE", "EX"]) if one.name in METRICS],
            jit_compile=False,
        )
    history = network.fit(padded, epochs=2, shuffle=False, verbose=0, validation_data=padded).history
    return {name: values[-1] for name, values in history.items()}

strategies = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
print("RESULT", json.dumps([fit(strategy) for strategy in strategies]))
"""


@pytest.mark.slow
def test_two_replicas_report_the_values_of_one(forked):
    done = forked(code=REPLICAS)  # logical devices must be configured before TensorFlow starts
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout.split("RESULT")[1])
    names = [name for name in one if "loss" not in name]
    assert len(names) == 2 * len(METRICS)  # in training and in validation
    assert {name: two[name] for name in names} == pytest.approx({name: one[name] for name in names}, rel=1e-5)
    assert all(0 < one[name] < 1 for name in names)
