"""Metrics that show progress during fit; the scores that count are of whole photographs (`pipeline.evaluation`)."""

import keras
from keras import ops

from models.network import PACKAGE

SMOOTH = 1.0  # pixels: makes the Dice of two empty masks 1, and is nothing beside a lesion


def dice_coefficient(y_true, y_pred):
    """Returns the soft Dice coefficient of every sample, the mean over its classes.

    (2 Σ y p + 1) / (Σ y + Σ p + 1), sums over the pixels of one sample and class.

    Args:
      y_true: masks 0/1 `[B, h, w, C]`.
      y_pred: probabilities `[B, h, w, C]`.

    Returns:
      `[B]`, in (0, 1].
    """
    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")  # MeanMetricWrapper does not cast
    both = ops.sum(y_true * y_pred, axis=(1, 2))
    total = ops.sum(y_true, axis=(1, 2)) + ops.sum(y_pred, axis=(1, 2))
    return ops.mean((2 * both + SMOOTH) / (total + SMOOTH), axis=-1)


@keras.saving.register_keras_serializable(PACKAGE)
class DiceCoefficient(keras.metrics.MeanMetricWrapper):
    """Mean over samples of `dice_coefficient`; a sample of weight 0 does not count.

    Example:
      >>> metric = DiceCoefficient()
      >>> metric.update_state(np.ones((1, 4, 4, 1)), np.ones((1, 4, 4, 1)))
      >>> float(metric.result())
      1.0
    """

    def __init__(self, name: str = "dice_coef", dtype=None):
        super().__init__(dice_coefficient, name=name, dtype=dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}
