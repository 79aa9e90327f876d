"""Metrics that show progress during fit; the scores that count are of whole photographs (`pipeline.evaluation.scores`).

Two kinds. `dice_coef` and `iou_coef` are soft and means over samples, as the losses are. `sensitivity`, `specificity`,
`ppv` and `aupr` are of pixels pooled over all samples so far, as a ratio of one tile says little: what they keep is
sums alone, which replicas add up rightly. The pixels of a sample are counted in whole numbers, weighed, and added up in
float64, which stays exact up to 2^53 pixels where float32 stands still at 2^24, eight batches of eight 512 tiles.

None is ever NaN. Where a class's denominator is zero (no lesion pixel seen, say), its value is 0, as Keras' and
scikit-learn's: a score of nothing must not look good, or training would keep those weights. A class of which nothing
was seen that the score is about is left out of the mean over classes.
"""

from collections.abc import Sequence

import keras
from keras import ops

from configs import InputError
from configs.suggestions import did_you_mean
from models.saving import PACKAGE

SMOOTH = 1.0  # pixels: makes the Dice of two empty masks 1, and is nothing beside a lesion
THRESHOLD = 0.5  # probability from which a pixel counts as found
BINS = 200  # of the probabilities behind AUPR


def dice_coefficient(y_true, y_pred, channels: Sequence[int] | None = None):
    """Returns the soft Dice coefficient of every sample, the mean over its classes.

    (2 Σ y p + 1) / (Σ y + Σ p + 1), sums over the pixels of one sample and class.

    Args:
      y_true: masks 0/1 `[B, h, w, C]`.
      y_pred: probabilities `[B, h, w, C]`.
      channels: the classes that count; None: all.

    Returns:
      `[B]`, in (0, 1].
    """
    y_true, y_pred = in_float32(y_true, y_pred)
    both = ops.sum(y_true * y_pred, axis=(1, 2))
    total = ops.sum(y_true, axis=(1, 2)) + ops.sum(y_pred, axis=(1, 2))
    return ops.mean(_chosen((2 * both + SMOOTH) / (total + SMOOTH), channels), axis=-1)


def iou_coefficient(y_true, y_pred, channels: Sequence[int] | None = None):
    """Returns the soft intersection over union of every sample, the mean over its classes.

    (Σ y p + 1) / (Σ y + Σ p - Σ y p + 1), sums over the pixels of one sample and class.

    Args:
      y_true: masks 0/1 `[B, h, w, C]`.
      y_pred: probabilities `[B, h, w, C]`.
      channels: the classes that count; None: all.

    Returns:
      `[B]`, in (0, 1].
    """
    y_true, y_pred = in_float32(y_true, y_pred)
    both = ops.sum(y_true * y_pred, axis=(1, 2))
    either = ops.sum(y_true, axis=(1, 2)) + ops.sum(y_pred, axis=(1, 2)) - both
    return ops.mean(_chosen((both + SMOOTH) / (either + SMOOTH), channels), axis=-1)


def in_float32(y_true, y_pred):
    """Returns both in float32: what calls a plain function may not have cast them."""
    return ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")


def _chosen(values, channels: Sequence[int] | None):
    """Takes the chosen of `[…, C]`.

    After the sums over pixels: metrics of one class each, and the loss, then add up the same, which a graph does once.
    """
    return values if channels is None else ops.take(values, channels, axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
class DiceCoefficient(keras.metrics.MeanMetricWrapper):
    """Mean over samples of `dice_coefficient`; a sample of weight 0 does not count.

    Args:
      channels: the classes that count; None: all.

    Example:
      >>> metric = DiceCoefficient()
      >>> metric.update_state(np.ones((1, 4, 4, 1)), np.ones((1, 4, 4, 1)))
      >>> float(metric.result())
      1.0
    """

    def __init__(self, channels: Sequence[int] | None = None, name: str = "dice_coef", dtype=None):
        super().__init__(dice_coefficient, name=name, dtype=dtype, channels=channels)
        self.channels = channels

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype, "channels": self.channels}


@keras.saving.register_keras_serializable(PACKAGE)
class IouCoefficient(keras.metrics.MeanMetricWrapper):
    """Mean over samples of `iou_coefficient`; a sample of weight 0 does not count.

    Args:
      channels: the classes that count; None: all.

    Example:
      >>> metric = IouCoefficient()
      >>> metric.update_state(np.ones((1, 4, 4, 1)), np.ones((1, 4, 4, 1)))
      >>> float(metric.result())
      1.0
    """

    def __init__(self, channels: Sequence[int] | None = None, name: str = "iou_coef", dtype=None):
        super().__init__(iou_coefficient, name=name, dtype=dtype, channels=channels)
        self.channels = channels

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype, "channels": self.channels}


class _Pooled(keras.metrics.Metric):
    """A score of pixels pooled over all samples so far, mean over the chosen classes.

    A child counts the pixels of each sample (`count`) and makes values of the sums (`values`).

    Args:
      channels: the classes whose mean it is, by their places in the mask.
      numbers: how many numbers `count` gives for each class.
    """

    def __init__(self, channels: Sequence[int], numbers: int, name: str, *, dtype):
        super().__init__(name=name, dtype=dtype)
        self.channels = tuple(channels)
        self.sums = self.add_variable((len(self.channels), numbers), "zeros", dtype="float64", name="sums")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = (_chosen(maps, self.channels) for maps in in_float32(y_true, y_pred))
        counts = ops.cast(self.count(y_true > 0.5, y_pred), "float64")  # [B, channels, numbers]
        if sample_weight is not None:
            counts = counts * ops.reshape(ops.cast(sample_weight, "float64"), (-1, 1, 1))
        self.sums.assign_add(ops.sum(counts, axis=0))

    def result(self):
        values, seen = self.values(ops.convert_to_tensor(self.sums))
        seen = ops.cast(seen, "float64")
        return ops.cast(ops.divide_no_nan(ops.sum(values * seen), ops.sum(seen)), self.dtype)

    def count(self, lesion, probability):
        """Returns counts of pixels `[B, channels, numbers]` of lesions bool and probabilities `[B, h, w, channels]`."""
        raise NotImplementedError

    def values(self, sums):
        """Returns values `[channels]` of sums float64 `[channels, numbers]`, and which classes count in the mean."""
        raise NotImplementedError

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


class _Outcomes(_Pooled):
    """A score of how many lesion and other pixels were found and not."""

    def __init__(self, channels: Sequence[int], name: str, dtype=None):
        super().__init__(channels, 4, name, dtype=dtype)

    def count(self, lesion, probability):
        found = probability >= THRESHOLD
        right = ops.logical_and(lesion, found)
        pixels = ops.ones_like(lesion)
        counted = [ops.sum(ops.cast(kind, "int32"), axis=(1, 2)) for kind in (right, found, lesion, pixels)]
        return ops.stack(counted, axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
class Sensitivity(_Outcomes):
    """Share of the lesion pixels that were found, at a probability of 0.5 or more.

    Example:
      >>> metric = Sensitivity(channels=(0,))
      >>> metric.update_state(np.ones((1, 2, 2, 1)), np.reshape([0.9, 0.5, 0.4, 0.8], (1, 2, 2, 1)))
      >>> float(metric.result())
      0.75
    """

    def __init__(self, channels: Sequence[int], name: str = "sensitivity", dtype=None):
        super().__init__(channels, name, dtype)

    def values(self, sums):
        right, _, lesion, _ = ops.unstack(sums, 4, axis=-1)
        return ops.divide_no_nan(right, lesion), lesion > 0


@keras.saving.register_keras_serializable(PACKAGE)
class Specificity(_Outcomes):
    """Share of the pixels outside of lesions that were not found, at a probability of 0.5 or more.

    Example:
      >>> metric = Specificity(channels=(0,))
      >>> metric.update_state(np.zeros((1, 2, 2, 1)), np.reshape([0.9, 0.1, 0.4, 0.2], (1, 2, 2, 1)))
      >>> float(metric.result())
      0.75
    """

    def __init__(self, channels: Sequence[int], name: str = "specificity", dtype=None):
        super().__init__(channels, name, dtype)

    def values(self, sums):
        right, found, lesion, pixels = ops.unstack(sums, 4, axis=-1)
        other = pixels - lesion
        return ops.divide_no_nan(other - (found - right), other), other > 0


@keras.saving.register_keras_serializable(PACKAGE)
class Ppv(_Outcomes):
    """Positive predictive value: share of the found pixels, at a probability of 0.5 or more, that are lesion.

    A class with lesions of which nothing was found counts as 0 in the mean.

    Example:
      >>> metric = Ppv(channels=(0,))
      >>> metric.update_state(np.reshape([1, 0, 1, 1], (1, 2, 2, 1)), np.full((1, 2, 2, 1), 0.7))
      >>> float(metric.result())
      0.75
    """

    def __init__(self, channels: Sequence[int], name: str = "ppv", dtype=None):
        super().__init__(channels, name, dtype)

    def values(self, sums):
        right, found, lesion, _ = ops.unstack(sums, 4, axis=-1)
        return ops.divide_no_nan(right, found), lesion + found > 0


@keras.saving.register_keras_serializable(PACKAGE)
class Aupr(_Pooled):
    """Area under the precision-recall curve of all pixels so far: Σ (R_i - R_{i-1}) P_i from the highest bin down.

    Average precision, in steps and not by trapezoids, which flatter; the same as `pipeline.evaluation.scores`'s, and as
    scikit-learn's `average_precision_score` of probabilities that are rounded down to 1/200.

    Example:
      >>> metric = Aupr(channels=(0,))
      >>> metric.update_state(np.reshape([1, 0, 1, 0], (1, 2, 2, 1)), np.reshape([0.9, 0.8, 0.7, 0.1], (1, 2, 2, 1)))
      >>> round(float(metric.result()), 4)  # (1 / 1 + 2 / 3) / 2
      0.8333
    """

    def __init__(self, channels: Sequence[int], name: str = "aupr", dtype=None):
        super().__init__(channels, 2 * BINS, name, dtype=dtype)

    def count(self, lesion, probability):
        levels = ops.clip(ops.cast(probability * BINS, "int32"), 0, BINS - 1)
        levels = ops.transpose(levels + BINS * ops.cast(lesion, "int32"), (0, 3, 1, 2))  # [B, channels, h, w]
        batch, channels = ops.shape(levels)[:2]
        rows = ops.reshape(ops.arange(batch * channels, dtype="int32"), (batch, channels, 1, 1))
        # One sum over all pixels: their row of numbers is that of their sample and class.
        places = ops.reshape(levels + 2 * BINS * rows, (-1,))
        ones = ops.ones_like(places, dtype="float32")
        return ops.reshape(
            ops.segment_sum(ones, places, num_segments=batch * channels * 2 * BINS), (batch, channels, 2 * BINS)
        )

    def values(self, sums):
        other, lesion = sums[:, :BINS], sums[:, BINS:]
        found, wrong = (ops.cumsum(ops.flip(bins, axis=-1), axis=-1) for bins in (lesion, other))
        precision = ops.divide_no_nan(found, found + wrong)
        lesions = found[:, -1]
        return ops.divide_no_nan(ops.sum(ops.flip(lesion, axis=-1) * precision, axis=-1), lesions), lesions > 0


METRICS = {
    "dice_coef": DiceCoefficient,
    "iou_coef": IouCoefficient,
    "sensitivity": Sensitivity,
    "specificity": Specificity,
    "ppv": Ppv,
    "aupr": Aupr,
}


def build_metrics(names: Sequence[str], classes: Sequence[str]) -> list[keras.metrics.Metric]:
    """Returns for each name its metric NAME, the mean over the classes, and one a class, NAME_CLASS.

    With a single class that would be the same twice: there is NAME alone.

    Raises:
      InputError: no metric of a name.

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
