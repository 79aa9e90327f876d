"""The table of losses. To add one: write its function, then add a line to `LOSSES`."""

from collections.abc import Callable

import keras
from keras import ops

from configs import InputError
from configs.suggestions import did_you_mean
from models.labels import known_samples, split_labels
from models.losses.functions import (
    bce,
    bce_batch_dice,
    bce_dice,
    bce_iou,
    bce_present_dice,
    bce_ssim_iou,
    dice,
    focal,
    focal_tversky,
    iou,
    lesion_weighted,
    mean_over_batch,
)
from models.losses.lovasz import lovasz_hinge
from models.metrics import SampleMean

# masks, probabilities and known (or None), all `[B, h, w, C]` → float32 `[B]`
LOSSES: dict[str, Callable] = {
    "bce": bce,
    "dice": dice,
    "bce_dice": bce_dice,
    "bce_batch_dice": bce_batch_dice,
    "bce_present_dice": bce_present_dice,
    "iou": iou,
    "bce_iou": bce_iou,
    "bce_ssim_iou": bce_ssim_iou,
    "focal": focal,
    "focal_tversky": focal_tversky,
    "lovasz_hinge": lovasz_hinge,
    "lesion_weighted": lesion_weighted,
}
TAKES_HARD_LABELS_ONLY = ("lovasz_hinge", "lesion_weighted")  # those that need sets of pixels


class SampleLoss(keras.losses.Loss):
    """The weighted mean over the samples of a function that returns one value per sample.

    `keras.Model.compile` would wrap a plain function in the same way, but code that calls `model.loss` itself needs the
    mean, which is also scaled for the replicas of a distribution strategy. Samples of which nothing is known have no
    loss, and the mean is over the others, those of all devices; with `train.micro_batches` over those of a micro-batch.

    Args:
      function: masks, probabilities and known (or None), all `[B, h, w, C]` → float32 `[B]`.
      name: name of the loss.
    """

    def __init__(self, function: Callable, name: str):
        super().__init__(name=name)
        self.function = function

    def call(self, y_true, y_pred):
        """Returns one value per sample, float32 `[B]`, of labels (see `models.labels`) and probabilities."""
        masks, known = split_labels(y_true, y_pred)
        if known is None:
            return self.function(masks, y_pred)
        counted = known_samples(known)
        # Keras divides the sum by the number of all samples.
        return self.function(masks, y_pred, known) * ops.divide_no_nan(counted, mean_over_batch(counted))

    def metric(self) -> SampleMean:
        """Returns the mean of the loss over the samples of several batches, as a metric of the same name."""
        return SampleMean(self.function, name=self.name)


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


def check_soft_labels(name: str) -> None:
    """Raises InputError if the loss with this name cannot learn from soft labels."""
    if name in TAKES_HARD_LABELS_ONLY:
        able = ", ".join(other for other in LOSSES if other not in TAKES_HARD_LABELS_ONLY)
        raise InputError(
            f"train.loss {name!r} needs masks of lesion or not, but the records have soft labels (data.soft_labels); "
            f"choose one of {able}."
        )
