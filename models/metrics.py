"""Metrics that show progress during training; scores of whole photographs come from `pipeline.evaluation.scores`.

There are two kinds. `dice_coef` and `iou_coef` are soft and are means over samples, as the losses are. `sensitivity`,
`specificity`, `ppv` and `aupr` pool the pixels of all samples so far, since the ratios of single tiles mean little.
Their state is sums only, which can be added up over replicas. The pixels of each sample are counted in integers,
weighted, and added up in float64, which is exact up to 2^53 pixels; float32 stops at 2^24, which is eight batches of
eight tiles of 512 pixels.

Pixels that are unknown (`models.labels`) count nowhere: means over samples leave out the samples of which nothing is
known. Of soft labels, a pixel of at least 0.5 counts as lesion.

No metric is ever NaN. Where the denominator of a class is zero (no lesion pixel so far, say), its value is 0, as in
Keras and scikit-learn: otherwise a score of nothing would look good, and training would keep those weights. The mean
over classes leaves out classes of which no relevant pixel was seen.
"""

import functools
from collections.abc import Callable, Sequence

import keras
from keras import ops

from configs import InputError
from configs.suggestions import did_you_mean
from models.labels import known_classes, mean_of_known, split_labels

SMOOTH = 1.0  # pixels: makes the Dice of two empty masks 1 and is negligible beside a lesion
THRESHOLD = 0.5  # probability at and above which a pixel is predicted as lesion
LESION = 0.5  # soft label at and above which a pixel is lesion
OUTCOMES = 4  # numbers per class of `count_outcomes`
BINS = 200  # of the probabilities for AUPR


def dice_coefficient(masks, probabilities, known=None, *, channels: Sequence[int] | None = None):
    """Returns the soft Dice coefficient of every sample, the mean over its classes.

    (2 Σ y p + 1) / (Σ y + Σ p + 1), with sums over the pixels of one sample and class.

    Args:
      masks: 0 to 1, `[B, h, w, C]`.
      probabilities: `[B, h, w, C]`.
      known: float32 0/1 `[B, h, w, C]`, which pixels count; None: all.
      channels: indices of the classes to average; None: all.

    Returns:
      float32 `[B]`, in (0, 1]; 1 where nothing is known. Classes of which nothing is known are left out of the mean.
    """
    masks, probabilities = known_pixels(masks, probabilities, known)
    intersection = ops.sum(masks * probabilities, axis=(1, 2))
    total = ops.sum(masks, axis=(1, 2)) + ops.sum(probabilities, axis=(1, 2))
    return _mean_of_classes((2 * intersection + SMOOTH) / (total + SMOOTH), known, channels)


def iou_coefficient(masks, probabilities, known=None, *, channels: Sequence[int] | None = None):
    """Returns the soft intersection over union of every sample, the mean over its classes.

    (Σ y p + 1) / (Σ y + Σ p - Σ y p + 1), with sums over the pixels of one sample and class.

    Args:
      masks: 0 to 1, `[B, h, w, C]`.
      probabilities: `[B, h, w, C]`.
      known: float32 0/1 `[B, h, w, C]`, which pixels count; None: all.
      channels: indices of the classes to average; None: all.

    Returns:
      float32 `[B]`, in (0, 1]; 1 where nothing is known. Classes of which nothing is known are left out of the mean.
    """
    masks, probabilities = known_pixels(masks, probabilities, known)
    intersection = ops.sum(masks * probabilities, axis=(1, 2))
    union = ops.sum(masks, axis=(1, 2)) + ops.sum(probabilities, axis=(1, 2)) - intersection
    return _mean_of_classes((intersection + SMOOTH) / (union + SMOOTH), known, channels)


def in_float32(masks, probabilities):
    """Returns both cast to float32, for functions that are called outside of a Keras loss or metric."""
    return ops.cast(masks, "float32"), ops.cast(probabilities, "float32")


def known_pixels(masks, probabilities, known):
    """Returns both in float32, with 0 where they are unknown: sums over pixels leave these out."""
    masks, probabilities = in_float32(masks, probabilities)
    return (masks, probabilities) if known is None else (masks * known, probabilities * known)


def _mean_of_classes(coefficients, known, channels: Sequence[int] | None):
    """Returns the mean `[B]` of coefficients `[B, C]` over the chosen classes of which anything is known."""
    coefficients = _chosen(coefficients, channels)
    if known is None:
        return ops.mean(coefficients, axis=-1)
    return 1 - mean_of_known(1 - coefficients, _chosen(known_classes(known), channels), axis=-1)


def _chosen(values, channels: Sequence[int] | None):
    """Returns the chosen classes of `[…, C]`.

    It is applied after the sums over pixels: the loss and the metrics of single classes then need the same sums, which
    a graph computes once.
    """
    return values if channels is None else ops.take(values, channels, axis=-1)


class SampleMean(keras.metrics.Mean):
    """The mean of a function over all samples so far of which anything is known.

    Args:
      function: masks, probabilities and known (or None), all `[B, h, w, C]` → float32 `[B]`.
      channels: indices of the classes that the function looks at; None: all.
      name: name of the metric.
    """

    def __init__(self, function: Callable, *, channels: Sequence[int] | None = None, name: str):
        super().__init__(name=name)
        self.function = function
        self.channels = channels

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the samples of a batch of labels and probabilities `[B, h, w, C]`, weighted by `[B]`."""
        masks, known = split_labels(y_true, y_pred)
        values = self.function(masks, y_pred, known)
        if known is not None:
            counted = ops.max(_chosen(known_classes(known), self.channels), axis=-1)
            sample_weight = counted if sample_weight is None else counted * ops.cast(sample_weight, "float32")
        super().update_state(values, sample_weight)


def _of_lesions(coefficient: Callable, *, channels: Sequence[int], name: str) -> SampleMean:
    """Returns the mean of a coefficient over samples, with soft labels rounded to lesion or not."""

    def function(masks, probabilities, known):
        return coefficient(ops.cast(masks, "float32") >= LESION, probabilities, known, channels=channels)

    return SampleMean(function, channels=channels, name=name)


class PooledScore(keras.metrics.Metric):
    """A score of the pixels of all samples so far, the mean over classes.

    Args:
      count: (lesion bool, probability, known bool or None), all `[B, h, w, channels]` → counts of pixels `[B, channels,
        numbers]`.
      score: sums float64 `[channels, numbers]` → (values `[channels]`, whether the class counts in the mean
        `[channels]`).
      numbers: how many numbers `count` returns per class.
      channels: indices of the classes to average.
      name: name of the metric.

    Example:
      >>> metric = build_metrics(["sensitivity"], classes=["HE"])[0]
      >>> metric.update_state(np.ones((1, 2, 2, 1)), np.reshape([0.9, 0.5, 0.4, 0.8], (1, 2, 2, 1)))
      >>> float(metric.result())
      0.75
    """

    def __init__(self, count: Callable, score: Callable, *, numbers: int, channels: Sequence[int], name: str):
        super().__init__(name=name)
        self.count = count
        self.score = score
        self.channels = tuple(channels)
        self.sums = self.add_variable((len(self.channels), numbers), "zeros", dtype="float64", name="sums")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the pixels of a batch of labels and probabilities `[B, h, w, C]`, weighted by `[B]`."""
        masks, known = split_labels(y_true, y_pred)
        masks, probabilities = (_chosen(values, self.channels) for values in in_float32(masks, y_pred))
        known = None if known is None else _chosen(known, self.channels) > 0
        counts = ops.cast(self.count(masks >= LESION, probabilities, known), "float64")  # [B, channels, numbers]
        if sample_weight is not None:
            counts = counts * ops.reshape(ops.cast(sample_weight, "float64"), (-1, 1, 1))
        self.sums.assign_add(ops.sum(counts, axis=0))

    def result(self):
        """Returns the mean over the classes, a scalar."""
        values, counted = self.score(ops.convert_to_tensor(self.sums))
        counted = ops.cast(counted, "float64")
        return ops.cast(ops.divide_no_nan(ops.sum(values * counted), ops.sum(counted)), self.dtype)


def count_outcomes(lesion, probability, known):
    """Counts true positives, positives (probability of 0.5 or more), lesion pixels and all pixels that are known."""
    positive = probability >= THRESHOLD
    counted = (ops.logical_and(lesion, positive), positive, lesion, ops.ones_like(lesion))
    if known is not None:
        counted = tuple(ops.logical_and(kind, known) for kind in counted)
    return ops.stack([ops.sum(ops.cast(kind, "int32"), axis=(1, 2)) for kind in counted], axis=-1)


def sensitivity(sums):
    """Returns the fraction of lesion pixels that are positive; classes with lesion pixels count."""
    true_positives, _, lesion, _ = ops.unstack(sums, OUTCOMES, axis=-1)
    return ops.divide_no_nan(true_positives, lesion), lesion > 0


def specificity(sums):
    """Returns the fraction of pixels outside of lesions that are negative; classes with such pixels count."""
    true_positives, positives, lesion, pixels = ops.unstack(sums, OUTCOMES, axis=-1)
    background = pixels - lesion
    return ops.divide_no_nan(background - (positives - true_positives), background), background > 0


def positive_predictive_value(sums):
    """Returns the fraction of positive pixels that are lesion; classes with lesion or positive pixels count.

    A class with lesions but no positive pixel counts as 0.
    """
    true_positives, positives, lesion, _ = ops.unstack(sums, OUTCOMES, axis=-1)
    return ops.divide_no_nan(true_positives, positives), lesion + positives > 0


def count_bins(lesion, probability, known):
    """Counts known pixels in bins of probability: `BINS` numbers outside of lesions, then `BINS` within lesions."""
    bins = ops.clip(ops.cast(probability * BINS, "int32"), 0, BINS - 1)
    bins = ops.transpose(bins + BINS * ops.cast(lesion, "int32"), (0, 3, 1, 2))  # [B, channels, h, w]
    batch, channels = ops.shape(bins)[:2]
    rows = ops.reshape(ops.arange(batch * channels, dtype="int32"), (batch, channels, 1, 1))
    # A single segment sum over all pixels, with segments of their own for each sample and class.
    segments = ops.reshape(bins + 2 * BINS * rows, (-1,))
    ones = ops.ones_like(segments, dtype="float32")
    if known is not None:
        ones = ops.reshape(ops.cast(ops.transpose(known, (0, 3, 1, 2)), "float32"), (-1,))
    counts = ops.segment_sum(ones, segments, num_segments=batch * channels * 2 * BINS)
    return ops.reshape(counts, (batch, channels, 2 * BINS))


def average_precision(sums):
    """Returns the area under the precision-recall curve, Σ (R_i - R_{i-1}) P_i from the highest bin down.

    The sum is over steps: trapezoids overestimate the area. It equals that of `pipeline.evaluation.scores`, and
    scikit-learn's `average_precision_score` of probabilities rounded down to 1/200. Classes with lesion pixels count.
    """
    background, lesion = sums[:, :BINS], sums[:, BINS:]
    true_positives, false_positives = (ops.cumsum(ops.flip(bins, axis=-1), axis=-1) for bins in (lesion, background))
    precision = ops.divide_no_nan(true_positives, true_positives + false_positives)
    lesions = true_positives[:, -1]
    return ops.divide_no_nan(ops.sum(ops.flip(lesion, axis=-1) * precision, axis=-1), lesions), lesions > 0


METRICS: dict[str, Callable[..., keras.metrics.Metric]] = {
    "dice_coef": functools.partial(_of_lesions, dice_coefficient),
    "iou_coef": functools.partial(_of_lesions, iou_coefficient),
    "sensitivity": functools.partial(PooledScore, count_outcomes, sensitivity, numbers=OUTCOMES),
    "specificity": functools.partial(PooledScore, count_outcomes, specificity, numbers=OUTCOMES),
    "ppv": functools.partial(PooledScore, count_outcomes, positive_predictive_value, numbers=OUTCOMES),
    "aupr": functools.partial(PooledScore, count_bins, average_precision, numbers=2 * BINS),
}


def build_metrics(names: Sequence[str], classes: Sequence[str]) -> list[keras.metrics.Metric]:
    """Returns for each name the metric NAME, the mean over the classes, and NAME_CLASS of each class.

    With a single class both would be the same, so there is only NAME.

    Raises:
      InputError: there is no metric with one of the names.

    Example:
      >>> [metric.name for metric in build_metrics(["dice_coef", "aupr"], classes=["HE", "EX"])]
      ['dice_coef', 'dice_coef_HE', 'dice_coef_EX', 'aupr', 'aupr_HE', 'aupr_EX']
    """
    metrics = []
    for name in names:
        if name not in METRICS:
            raise InputError(
                f"train.metrics must be of {', '.join(METRICS)}; received {name!r}.{did_you_mean(name, METRICS)}"
            )
        metrics.append(METRICS[name](channels=tuple(range(len(classes))), name=name))
        if len(classes) > 1:
            metrics += [METRICS[name](channels=(c,), name=f"{name}_{lesion}") for c, lesion in enumerate(classes)]
    return metrics
