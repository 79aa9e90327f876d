"""The table of losses. To add one: write its function, then add a line to `LOSSES`."""

from collections.abc import Callable

import keras

from configs import InputError
from configs.suggestions import did_you_mean
from models.losses.functions import (
    bce,
    bce_batch_dice,
    bce_dice,
    bce_iou,
    bce_ssim_iou,
    dice,
    focal,
    focal_tversky,
    iou,
    lesion_weighted,
)
from models.losses.lovasz import lovasz_hinge

# masks 0/1 and probabilities, both `[B, h, w, C]` → float32 `[B]`
LOSSES: dict[str, Callable] = {
    "bce": bce,
    "dice": dice,
    "bce_dice": bce_dice,
    "bce_batch_dice": bce_batch_dice,
    "iou": iou,
    "bce_iou": bce_iou,
    "bce_ssim_iou": bce_ssim_iou,
    "focal": focal,
    "focal_tversky": focal_tversky,
    "lovasz_hinge": lovasz_hinge,
    "lesion_weighted": lesion_weighted,
}


class SampleLoss(keras.losses.Loss):
    """The weighted mean over the samples of a function that returns one value per sample.

    `keras.Model.compile` would wrap a plain function in the same way, but code that calls `model.loss` itself needs the
    mean, which is also scaled for the replicas of a distribution strategy.

    Args:
      function: masks and probabilities, both `[B, h, w, C]` → float32 `[B]`.
      name: name of the loss.
    """

    def __init__(self, function: Callable, name: str):
        super().__init__(name=name)
        self.function = function

    def call(self, y_true, y_pred):
        """Returns one value per sample, float32 `[B]`."""
        return self.function(y_true, y_pred)


def build_loss(name: str) -> SampleLoss:
    """Returns the loss with the given name, for `keras.Model.compile`.

    Raises:
      InputError: there is no loss with that name.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(build_loss("bce")(mask, 0.5 * mask)), 4)
      0.6931
    """
    if name not in LOSSES:
        raise InputError(
            f"train.loss must be one of {', '.join(LOSSES)}; received {name!r}.{did_you_mean(name, LOSSES)}"
        )
    return SampleLoss(LOSSES[name], name)
