"""Losses for multi-label masks: one value a sample, so that strategies and sample weights scale them rightly.

Each is a thin `keras.losses.Loss` around a pure function of masks 0/1 and probabilities, both `[B, h, w, C]`.
"""

import difflib

import keras
from keras import ops

from configs import InputError
from models.metrics import dice_coefficient
from models.network import PACKAGE


def bce_dice(y_true, y_pred):
    """Returns (BCE + 1 - Dice) / 2 of every sample, `[B]`.

    BCE is the mean over pixels and classes of the binary cross-entropy; Dice is soft and smoothed, so that on an
    empty mask the loss falls to (almost) 0 with the predicted area and has a gradient. The earlier system's
    bce_dice_loss is the same with Dice over the whole batch.
    """
    bce = ops.mean(keras.losses.binary_crossentropy(y_true, y_pred), axis=(1, 2))
    return (bce + 1 - dice_coefficient(y_true, y_pred)) / 2


@keras.saving.register_keras_serializable(PACKAGE)
class BceDice(keras.losses.Loss):
    """Mean of binary cross-entropy and soft Dice loss, see `bce_dice`.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(BceDice()(mask, mask)), 6)
      0.0
    """

    def __init__(self, name: str = "bce_dice", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return bce_dice(y_true, y_pred)


LOSSES = {
    "bce_dice": BceDice,
}


def build_loss(name: str) -> keras.losses.Loss:
    """Returns the loss of that name.

    Raises:
      InputError: no loss of that name.
    """
    if name not in LOSSES:
        near = difflib.get_close_matches(name, LOSSES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(f"train.loss must be one of {', '.join(LOSSES)}; received {name!r}.{hint}")
    return LOSSES[name]()
