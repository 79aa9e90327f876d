"""The losses by name, each a thin `keras.losses.Loss` around a pure function (`models.losses.loss_functions`).

One value a sample, so that strategies and sample weights scale them rightly. To add one: its function, its shell here,
its line in `LOSSES`.
"""

import keras

from configs import InputError
from configs.suggestions import did_you_mean
from models.losses.loss_functions import (
    bce,
    bce_batch_dice,
    bce_dice,
    bce_iou,
    bce_ssim_iou,
    focal,
    focal_tversky,
    lesion_weighted,
)
from models.losses.lovasz import lovasz_hinge
from models.metrics import dice_coefficient, iou_coefficient
from models.saving import PACKAGE


@keras.saving.register_keras_serializable(PACKAGE)
class Bce(keras.losses.Loss):
    """Binary cross-entropy, see `bce`.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(Bce()(mask, 0.5 * mask)), 4)
      0.6931
    """

    def __init__(self, name: str = "bce", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return bce(y_true, y_pred)


@keras.saving.register_keras_serializable(PACKAGE)
class Dice(keras.losses.Loss):
    """1 - soft Dice, see `models.metrics.dice_coefficient`.

    Keras' own has one value a batch, and no gradient on an empty mask.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(Dice()(mask, mask)), 6)
      0.0
    """

    def __init__(self, name: str = "dice", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return 1 - dice_coefficient(y_true, y_pred)


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


@keras.saving.register_keras_serializable(PACKAGE)
class BceBatchDice(keras.losses.Loss):
    """Binary cross-entropy, four times, and soft Dice loss of the whole batch, see `bce_batch_dice`.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(BceBatchDice()(mask, mask)), 6)
      0.0
    """

    def __init__(self, name: str = "bce_batch_dice", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return bce_batch_dice(y_true, y_pred)


@keras.saving.register_keras_serializable(PACKAGE)
class Iou(keras.losses.Loss):
    """1 - soft intersection over union, see `models.metrics.iou_coefficient`.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(Iou()(mask, mask)), 6)
      0.0
    """

    def __init__(self, name: str = "iou", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return 1 - iou_coefficient(y_true, y_pred)


@keras.saving.register_keras_serializable(PACKAGE)
class BceIou(keras.losses.Loss):
    """Mean of binary cross-entropy and soft IoU loss, see `bce_iou`.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(BceIou()(mask, mask)), 6)
      0.0
    """

    def __init__(self, name: str = "bce_iou", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return bce_iou(y_true, y_pred)


@keras.saving.register_keras_serializable(PACKAGE)
class BceSsimIou(keras.losses.Loss):
    """Mean of binary cross-entropy, structural dissimilarity and soft IoU loss, see `bce_ssim_iou`.

    Example:
      >>> mask = np.ones((1, 16, 16, 1), "float32")
      >>> round(float(BceSsimIou()(mask, mask)), 6)
      0.0
    """

    def __init__(self, name: str = "bce_ssim_iou", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return bce_ssim_iou(y_true, y_pred)


@keras.saving.register_keras_serializable(PACKAGE)
class Focal(keras.losses.Loss):
    """Focal loss, see `focal`.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(Focal()(mask, 0.5 * mask)), 4)  # 0.25 * 0.5^2 * log 2
      0.0433
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, name: str = "focal", **kwargs):
        super().__init__(name=name, **kwargs)
        self.alpha, self.gamma = alpha, gamma

    def call(self, y_true, y_pred):
        return focal(y_true, y_pred, alpha=self.alpha, gamma=self.gamma)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "gamma": self.gamma}


@keras.saving.register_keras_serializable(PACKAGE)
class FocalTversky(keras.losses.Loss):
    """Focal Tversky loss, see `focal_tversky`.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(FocalTversky(gamma=1.0)(mask, 0.5 * mask)), 4)  # 0.7 * 8 / (8 + 0.7 * 8 + 1)
      0.3836
    """

    def __init__(
        self, alpha: float = 0.7, beta: float = 0.3, gamma: float = 0.75, *, name: str = "focal_tversky", **kwargs
    ):
        super().__init__(name=name, **kwargs)
        self.alpha, self.beta, self.gamma = alpha, beta, gamma

    def call(self, y_true, y_pred):
        return focal_tversky(y_true, y_pred, alpha=self.alpha, beta=self.beta, gamma=self.gamma)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta, "gamma": self.gamma}


@keras.saving.register_keras_serializable(PACKAGE)
class LovaszHinge(keras.losses.Loss):
    """Lovász hinge, see `models.losses.lovasz.lovasz_hinge`.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(LovaszHinge()(mask, 0.5 * mask)), 4)  # every logit is 0 and misses the margin by 1: 16 / 17
      0.9412
    """

    def __init__(self, name: str = "lovasz_hinge", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return lovasz_hinge(y_true, y_pred)


@keras.saving.register_keras_serializable(PACKAGE)
class LesionWeighted(keras.losses.Loss):
    """Binary cross-entropy and soft Dice loss to which every lesion counts alike, see `lesion_weighted`.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(LesionWeighted()(mask, mask)), 6)
      0.0
    """

    def __init__(self, name: str = "lesion_weighted", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return lesion_weighted(y_true, y_pred)


LOSSES = {
    "bce": Bce,
    "dice": Dice,
    "bce_dice": BceDice,
    "bce_batch_dice": BceBatchDice,
    "iou": Iou,
    "bce_iou": BceIou,
    "bce_ssim_iou": BceSsimIou,
    "focal": Focal,
    "focal_tversky": FocalTversky,
    "lovasz_hinge": LovaszHinge,
    "lesion_weighted": LesionWeighted,
}


def build_loss(name: str) -> keras.losses.Loss:
    """Returns the loss of that name.

    Raises:
      InputError: no loss of that name.
    """
    if name not in LOSSES:
        raise InputError(
            f"train.loss must be one of {', '.join(LOSSES)}; received {name!r}.{did_you_mean(name, LOSSES)}"
        )
    return LOSSES[name]()
