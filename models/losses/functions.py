"""Losses as functions of masks and probabilities, both `[B, h, w, C]`; each returns float32 `[B]`, one per sample.

Masks are 0/1 or, but for the losses of `TAKES_HARD_LABELS_ONLY`, soft labels between. `known`, float32 0/1 of the same
shape, says which pixels count (None: all): means over pixels are over the known ones, sums over pixels as well, and
means over classes are over those of which anything is known in the sample.

The loss of a sample does not depend on the other samples, except for those with a Dice of the batch. All losses are
smoothed or clipped, so that empty and full masks, and probabilities of exactly 0 and 1, have finite values and
gradients. If much of an empty tile is predicted as lesion, the gradients of Dice, IoU and Tversky are small (they fall
with the square of the area); the cross-entropy then drives the learning.
"""

import keras
from keras import ops

from models.labels import known_classes, mean_of_known
from models.losses.lesion_weights import lesion_weights
from models.losses.ssim import ssim
from models.metrics import SMOOTH, dice_coefficient, in_float32, iou_coefficient, known_pixels


def bce(masks, probabilities, known=None):
    """Returns the binary cross-entropy of every sample, the mean over pixels and classes.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(bce(mask, 0.5 * mask)[0]), 4)
      0.6931
    """
    return _mean_of_pixels(cross_entropy(masks, probabilities), known)


def dice(masks, probabilities, known=None):
    """Returns 1 - soft Dice of every sample, see `models.metrics.dice_coefficient`.

    `keras.losses.Dice` has one value per batch and no gradient on an empty mask.
    """
    return 1 - dice_coefficient(masks, probabilities, known)


def iou(masks, probabilities, known=None):
    """Returns 1 - soft intersection over union of every sample, see `models.metrics.iou_coefficient`."""
    return 1 - iou_coefficient(masks, probabilities, known)


def bce_dice(masks, probabilities, known=None):
    """Returns (BCE + 1 - Dice) / 2 of every sample.

    BCE is the mean binary cross-entropy over pixels and classes. Dice is soft and smoothed: on an empty mask the loss
    has a gradient and falls to almost 0 with the predicted area. The earlier system's bce_dice_loss is the same, with
    Dice over the whole batch.
    """
    return (bce(masks, probabilities, known) + 1 - dice_coefficient(masks, probabilities, known)) / 2


def bce_batch_dice(masks, probabilities, known=None):
    """Returns 4 BCE + 1 - Dice of every sample, with the BCE of the sample and the Dice of the whole batch.

    Dice is soft, computed for each class over the pixels of all samples and averaged over classes:
    (2 mean Σ y p + 1) / (mean (Σ y + Σ p) + 1), with means over samples. An empty tile thus costs what it adds to a
    batch with lesions; a Dice of its own would be all or nothing. With several devices the batch is that of all
    devices; with `train.micro_batches` it is one micro-batch. The means over samples are over those in which anything
    is known of the class.
    """
    entropy = bce(masks, probabilities, known)
    batch_dice, of_known = _dice_of_batch(masks, probabilities, known)
    if known is None:
        return 4 * entropy + 1 - ops.mean(batch_dice)
    return 4 * entropy + mean_of_known(1 - batch_dice, of_known, axis=-1)


def bce_present_dice(masks, probabilities, known=None):
    """Returns the same as `bce_batch_dice`, with the mean of Dice over the classes that the batch shows.

    The Dice of a class that a batch does not show is almost 1 if nothing is predicted, and almost 0 as soon as a few
    pixels are. A class that many batches lack, such as with healthy eyes, therefore costs least if it is never
    predicted, as long as its Dice in the others is low, and training may not get beyond that. Here the cross-entropy
    alone says what absence is. Tilborghs et al. 2022 (arXiv:2207.09521) study Dice losses of empty masks.

    A class is shown if a pixel of the batch, on any device, has a mask of at least 0.5. A batch that shows none has no
    Dice.
    """
    entropy = bce(masks, probabilities, known)
    batch_dice, _ = _dice_of_batch(masks, probabilities, known)
    lesion = ops.max(known_pixels(masks, probabilities, known)[0], axis=(1, 2)) >= 0.5  # [B, C]
    shown = ops.cast(mean_over_batch(ops.cast(lesion, "float32")) > 0, "float32")
    return 4 * entropy + mean_of_known(1 - batch_dice, shown, axis=-1)


def bce_iou(masks, probabilities, known=None):
    """Returns (BCE + 1 - IoU) / 2 of every sample; IoU is soft and smoothed, see `iou_coefficient`."""
    return (bce(masks, probabilities, known) + 1 - iou_coefficient(masks, probabilities, known)) / 2


def bce_ssim_iou(masks, probabilities, known=None):
    """Returns (BCE + 1 - SSIM + 1 - IoU) / 3 of every sample, for tiles of at least 11x11 pixels.

    It compares pixels, neighbourhoods and regions, as the hybrid loss of BASNet does (Qin et al. 2019,
    arXiv:2101.04704), which is the sum instead of the mean.
    """
    similarities = ssim(masks, probabilities, known), iou_coefficient(masks, probabilities, known)
    return (bce(masks, probabilities, known) + 2 - similarities[0] - similarities[1]) / 3


def focal(masks, probabilities, known=None, *, alpha: float = 0.25, gamma: float = 2.0):
    """Returns the focal loss of every sample (Lin et al. 2017, arXiv:1708.02002).

    Σ_classes α_t (1 - p_t)^γ BCE, mean over pixels (those of which any class is known); p_t = p and α_t = alpha where
    the mask is 1, else 1 - p and 1 - alpha. It equals tensorflow-addons' SigmoidFocalCrossEntropy, except that a wrong
    pixel with a probability of exactly 0 or 1 costs 4 % more (tensorflow-addons clips twice).

    Args:
      masks: 0/1 `[B, h, w, C]`.
      probabilities: `[B, h, w, C]`.
      known: float32 0/1 `[B, h, w, C]`, which pixels count; None: all.
      alpha: weight of lesion pixels, 0 to 1.
      gamma: focusing exponent, at least 0; down-weights well-classified pixels.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(focal(mask, 0.5 * mask)[0]), 4)  # 0.25 * 0.5^2 * log 2
      0.0433
    """
    masks, probabilities = in_float32(masks, probabilities)
    error = masks * (1 - probabilities) + (1 - masks) * probabilities
    weight = masks * alpha + (1 - masks) * (1 - alpha)
    # For exponents below 1 the power has an infinite slope at 0; such pixels have almost no weight anyway.
    modulated = weight * ops.maximum(error, keras.config.epsilon()) ** gamma * cross_entropy(masks, probabilities)
    if known is None:
        return ops.mean(ops.sum(modulated, axis=-1), axis=(1, 2))
    return mean_of_known(ops.sum(known * modulated, axis=-1), ops.max(known, axis=-1), axis=(1, 2))


def focal_tversky(masks, probabilities, known=None, *, alpha: float = 0.7, beta: float = 0.3, gamma: float = 0.75):
    """Returns the focal Tversky loss of every sample (Abraham & Khan 2018, arXiv:1810.07842).

    (1 - T)^γ, mean over classes; T = (TP + 1) / (TP + α FN + β FP + 1) with soft counts of pixels. The paper's text
    has the exponent 1/γ with γ = 4/3; here, as in its published code, the exponent is γ = 0.75. Salehi et al., who
    introduced the index, swap α and β.

    Args:
      masks: 0/1 `[B, h, w, C]`.
      probabilities: `[B, h, w, C]`.
      known: float32 0/1 `[B, h, w, C]`, which pixels count; None: all.
      alpha: weight of false negatives.
      beta: weight of false positives.
      gamma: exponent; below 1 it emphasises small remaining errors, above 1 large ones.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(focal_tversky(mask, 0.5 * mask, gamma=1.0)[0]), 4)  # 0.7 * 8 / (8 + 0.7 * 8 + 1)
      0.3836
    """
    masks, probabilities = known_pixels(masks, probabilities, known)
    true_positives = ops.sum(masks * probabilities, axis=(1, 2))
    false_negatives = ops.sum(masks * (1 - probabilities), axis=(1, 2))
    false_positives = ops.sum((1 - masks) * probabilities, axis=(1, 2))
    errors = alpha * false_negatives + beta * false_positives
    one_minus_index = errors / (true_positives + errors + SMOOTH)  # [B, C]
    # For γ < 1 the slope of x^γ at 0 is infinite: the curve is shifted by a small offset.
    offset = keras.config.epsilon()
    return mean_of_classes((one_minus_index + offset) ** gamma - offset**gamma, known)


def lesion_weighted(masks, probabilities, known=None):
    """Returns (BCE + 1 - Dice) / 2 of every sample, weighted so that small lesions count as much as large ones.

    Within a sample and class, a lesion pixel has the weight (mean area of the lesions) / (area of its own lesion), and
    any other pixel the weight 1: every lesion has the same total weight, and the sum over all lesions does not change
    (see `lesion_weights`). BCE is the mean over the weighted pixels, and
    Dice = (2 Σ w y p + 1) / (Σ w y + Σ w p + 1). With no lesion, a single one, or lesions of equal size, the result is
    that of `bce_dice`. Shirokikh et al. 2020 (arXiv:2007.10033) weight lesions in the same way, and also balance them
    against the background.
    """
    entropy = cross_entropy(masks, probabilities)
    masks, probabilities = known_pixels(masks, probabilities, known)
    weights = lesion_weights(masks)  # [B, h, w, C]
    entropy = _mean_of_pixels(weights * entropy, known)
    intersection = ops.sum(weights * masks * probabilities, axis=(1, 2))
    total = ops.sum(weights * (masks + probabilities), axis=(1, 2))
    weighted_dice = (2 * intersection + SMOOTH) / (total + SMOOTH)
    if known is None:
        return (entropy + 1 - ops.mean(weighted_dice, axis=-1)) / 2
    return (entropy + mean_of_classes(1 - weighted_dice, known)) / 2


def cross_entropy(masks, probabilities):
    """Returns the binary cross-entropy of every pixel and class, float32 `[B, h, w, C]`.

    For probabilities that come directly from a sigmoid, it is computed from their logits z as softplus(z) - y z, so
    that pixels whose sigmoid saturates in float32 still have a gradient. Other probabilities are clipped by Keras to
    1e-7 … 1 - 1e-7, outside of which the gradient would vanish: there it is set to 1, towards the mask.
    """
    logits = getattr(probabilities, "_keras_logits", None)  # set by Keras' sigmoid
    masks, probabilities = in_float32(masks, probabilities)
    if logits is not None:
        # Keras' own formula is equivalent, but reads and writes the map several times as often.
        logits = ops.cast(logits, "float32")
        return ops.softplus(logits) - masks * logits
    clipped = ops.clip(probabilities, keras.config.epsilon(), 1 - keras.config.epsilon())
    # The value is 0 everywhere; the gradient is 1 where the clipping takes effect.
    straight_through = ops.where(
        ops.equal(clipped, probabilities), 0.0, probabilities - ops.stop_gradient(probabilities)
    )
    return ops.binary_crossentropy(masks, probabilities) + (1 - 2 * masks) * straight_through


def recover_logits(probabilities):
    """Returns log p - log (1 - p): the difference of the cross-entropies with 0 and with 1, finite for any p."""
    return cross_entropy(ops.zeros_like(probabilities), probabilities) - cross_entropy(
        ops.ones_like(probabilities), probabilities
    )


def mean_of_classes(losses, known):
    """Returns the mean `[B]` of losses `[B, C]` over the classes of which anything is known in the sample, or all."""
    if known is None:
        return ops.mean(losses, axis=-1)
    return mean_of_known(losses, known_classes(known), axis=-1)


def mean_over_batch(values):
    """Returns the mean of `[B, …]` over the samples of all devices."""
    # `synchronized` exists on TensorFlow only; JAX computes with whole batches, however they are distributed.
    mean, _ = ops.moments(values, axes=[0], synchronized=keras.backend.backend() == "tensorflow")
    return mean


def _dice_of_batch(masks, probabilities, known):
    """Returns the soft Dice of each class over all samples, `[C]`, and which classes are known in any, 0/1 or None."""
    masks, probabilities = known_pixels(masks, probabilities, known)
    intersection = mean_over_batch(ops.sum(masks * probabilities, axis=(1, 2)))
    total = mean_over_batch(ops.sum(masks, axis=(1, 2)) + ops.sum(probabilities, axis=(1, 2)))
    if known is None:
        return (2 * intersection + SMOOTH) / (total + SMOOTH), None
    fraction = mean_over_batch(known_classes(known))  # [C] of the samples: those that the means are to be over
    intersection, total = (ops.divide_no_nan(mean, fraction) for mean in (intersection, total))
    return (2 * intersection + SMOOTH) / (total + SMOOTH), ops.cast(fraction > 0, "float32")


def _mean_of_pixels(values, known):
    """Returns the mean `[B]` of `[B, h, w, C]` over the pixels and classes that are known, or all."""
    if known is None:
        return ops.mean(values, axis=(1, 2, 3))
    return mean_of_known(values, known, axis=(1, 2, 3))
