"""Losses as pure functions of masks 0/1 and probabilities, both `[B, h, w, C]`: one value a sample, float32 `[B]`.

What a sample costs depends on no other sample, but for `bce_batch_dice`. All are smoothed or clipped so that empty and
full masks, and probabilities of exactly 0 and 1, have finite values and gradients. Dice, IoU and Tversky alone pull
weakly, with the inverse square of the area, where much of an empty tile is predicted: there it is the cross-entropy
that helps.
"""

import keras
from keras import ops

from models.losses.lesion_weights import lesion_weights
from models.losses.ssim import ssim
from models.metrics import SMOOTH, dice_coefficient, in_float32, iou_coefficient


def bce(y_true, y_pred):
    """Returns the binary cross-entropy of every sample, `[B]`: the mean over pixels and classes."""
    return ops.mean(cross_entropy(y_true, y_pred), axis=(1, 2, 3))


def bce_dice(y_true, y_pred):
    """Returns (BCE + 1 - Dice) / 2 of every sample, `[B]`.

    BCE is the mean over pixels and classes of the binary cross-entropy; Dice is soft and smoothed, so that on an
    empty mask the loss falls to (almost) 0 with the predicted area and has a gradient. The earlier system's
    bce_dice_loss is the same with Dice over the whole batch.
    """
    return (bce(y_true, y_pred) + 1 - dice_coefficient(y_true, y_pred)) / 2


def bce_batch_dice(y_true, y_pred):
    """Returns 4 BCE + 1 - Dice of every sample, with its own BCE and the Dice of the whole batch, `[B]`.

    Dice is soft, of each class over the pixels of all samples, then the mean over classes: (2 mean Σ y p + 1) /
    (mean (Σ y + Σ p) + 1) with means over samples. So an empty tile costs what it adds to a batch that holds lesions,
    and not a Dice of its own, which would be all or nothing. On several devices the batch is that of all of them;
    with `train.micro_batches` it is the part that a step works on.
    """
    entropy = bce(y_true, y_pred)
    y_true, y_pred = in_float32(y_true, y_pred)
    both = _mean_over_batch(ops.sum(y_true * y_pred, axis=(1, 2)))
    total = _mean_over_batch(ops.sum(y_true, axis=(1, 2)) + ops.sum(y_pred, axis=(1, 2)))
    dice = ops.mean((2 * both + SMOOTH) / (total + SMOOTH))
    return 4 * entropy + 1 - dice


def bce_iou(y_true, y_pred):
    """Returns (BCE + 1 - IoU) / 2 of every sample, `[B]`; IoU is soft and smoothed, see `iou_coefficient`."""
    return (bce(y_true, y_pred) + 1 - iou_coefficient(y_true, y_pred)) / 2


def bce_ssim_iou(y_true, y_pred):
    """Returns (BCE + 1 - SSIM + 1 - IoU) / 3 of every sample, `[B]`: pixel, patch and map at once.

    The hybrid loss of BASNet (Qin et al. 2019, arXiv:2101.04704), there the sum. Tiles of 11x11 pixels or more.
    """
    return (bce(y_true, y_pred) + 2 - ssim(y_true, y_pred) - iou_coefficient(y_true, y_pred)) / 3


def focal(y_true, y_pred, *, alpha: float, gamma: float):
    """Returns the focal loss (Lin et al. 2017, arXiv:1708.02002) of every sample, `[B]`.

    Σ_classes α_t (1 - p_t)^γ BCE, mean over the pixels; p_t = p and α_t = alpha where the mask is 1, else 1 - p and
    1 - alpha. As tensorflow-addons' SigmoidFocalCrossEntropy, but that a pixel which is wrong with a probability of
    exactly 0 or 1 costs 4 % more (it clips twice).

    Args:
      alpha: weight of lesion pixels, 0 to 1.
      gamma: 0 or more: how far pixels that are right already are let go.
    """
    y_true, y_pred = in_float32(y_true, y_pred)
    wrong = y_true * (1 - y_pred) + (1 - y_true) * y_pred
    weight = y_true * alpha + (1 - y_true) * (1 - alpha)
    # A power below 1 has no slope at 0; pixels that are this right are let go anyway.
    modulated = weight * ops.maximum(wrong, keras.config.epsilon()) ** gamma * cross_entropy(y_true, y_pred)
    return ops.mean(ops.sum(modulated, axis=-1), axis=(1, 2))


def focal_tversky(y_true, y_pred, *, alpha: float, beta: float, gamma: float):
    """Returns the focal Tversky loss (Abraham & Khan 2018, arXiv:1810.07842) of every sample, `[B]`.

    (1 - T)^γ, mean over classes; T = (TP + 1) / (TP + α FN + β FP + 1) with soft counts of pixels. In the paper's text
    the exponent is 1/γ with γ = 4/3; as in its published code, it is γ = 0.75 here. Note that Salehi et al., who used
    the index first, have α and β the other way round.

    Args:
      alpha: weight of missed lesion pixels.
      beta: weight of wrongly found pixels.
      gamma: exponent; below 1 makes more of the errors that are left at the end, above 1 less.
    """
    y_true, y_pred = in_float32(y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=(1, 2))
    wrong = alpha * ops.sum(y_true * (1 - y_pred), axis=(1, 2)) + beta * ops.sum((1 - y_true) * y_pred, axis=(1, 2))
    one_minus_index = wrong / (right + wrong + SMOOTH)  # [B, C]
    # The slope of x^γ at 0 is infinite for γ < 1: the power begins a little beside it.
    beside = keras.config.epsilon()
    return ops.mean((one_minus_index + beside) ** gamma - beside**gamma, axis=-1)


def lesion_weighted(y_true, y_pred):
    """Returns (BCE + 1 - Dice) / 2 of every sample with pixels weighed so that small lesions count as much as large.

    Within a sample and class, a pixel of a lesion weighs (mean area of the lesions) / (area of its own lesion), and
    all other pixels 1: each lesion has the same weight in all, and the lesions together as much as before (see
    `lesion_weights`). BCE is the mean of the weighted pixels, and Dice = (2 Σ w y p + 1) / (Σ w y + Σ w p + 1). With
    one lesion, none, or lesions of one size it is `bce_dice`. Shirokikh et al. 2020 (arXiv:2007.10033) weigh lesions
    alike in the same way, but also against the background.

    Returns:
      `[B]`.
    """
    y_true, y_pred = in_float32(y_true, y_pred)
    weights = lesion_weights(y_true)  # [B, h, w, C]
    entropy = ops.mean(weights * cross_entropy(y_true, y_pred), axis=(1, 2, 3))
    both = ops.sum(weights * y_true * y_pred, axis=(1, 2))
    total = ops.sum(weights * (y_true + y_pred), axis=(1, 2))
    dice = ops.mean((2 * both + SMOOTH) / (total + SMOOTH), axis=-1)
    return (entropy + 1 - dice) / 2


def cross_entropy(y_true, y_pred):
    """Returns the binary cross-entropy of every pixel and class, `[B, h, w, C]`.

    Where probabilities come straight from a sigmoid, it is that of their logits z, softplus(z) - y z, so that a pixel
    that is wrong beyond float32's resolution still learns. Bare probabilities Keras clips to 1e-7 … 1 - 1e-7, beyond
    which they would have no gradient: there it is 1, towards the mask.
    """
    logits = getattr(y_pred, "_keras_logits", None)  # where Keras' own losses look for them
    y_true, y_pred = in_float32(y_true, y_pred)
    if logits is not None:
        # Keras' own formula says the same in several times as many passes over the map.
        logits = ops.cast(logits, "float32")
        return ops.softplus(logits) - y_true * logits
    clipped = ops.clip(y_pred, keras.config.epsilon(), 1 - keras.config.epsilon())
    # Its value is 0 everywhere, its gradient 1 beyond the clip.
    way_back = ops.where(ops.equal(clipped, y_pred), 0.0, y_pred - ops.stop_gradient(y_pred))
    return ops.binary_crossentropy(y_true, y_pred) + (1 - 2 * y_true) * way_back


def _mean_over_batch(values):
    """Maps `[B, C]` to `[C]`, over the samples of all devices."""
    # JAX computes with whole batches, wherever their parts lie, and has no `synchronized`.
    mean, _ = ops.moments(values, axes=[0], synchronized=keras.backend.backend() == "tensorflow")
    return mean
