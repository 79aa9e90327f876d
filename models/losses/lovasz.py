"""The Lovász hinge (Berman et al. 2018, arXiv:1705.08790; Yu & Blaschko 2015, arXiv:1512.07797)."""

from keras import ops

from models.losses.functions import mean_of_classes, recover_logits
from models.metrics import SMOOTH, in_float32


def lovasz_hinge(masks, probabilities, known=None):
    """Returns the Lovász hinge of every sample, the mean over its classes: a convex surrogate of 1 - IoU.

    The error of a pixel is max(0, 1 - its logit towards the mask). Pixels are sorted by descending error. The weight
    of pixel i is the increase of 1 - IoU when pixel i becomes wrong in addition to the pixels before it; the loss is
    the sum of weights times errors.

    The logits are recovered from the probabilities. In logits the hinge is convex, and its slope is 1 for every wrong
    pixel; errors in probability would pass through the sigmoid, which is flat for very wrong pixels. A correct pixel
    with p >= 0.73 (a logit of 1) has no loss.

    IoU is smoothed by one pixel, (intersection + 1) / (union + 1), as in the other losses. This is the IoU of a tile
    with one additional lesion pixel that is always detected, so the properties of the Lovász extension still hold. On
    a tile without lesions, the published loss depends on the single worst pixel only.

    Args:
      masks: 0/1 `[B, h, w, C]`.
      probabilities: `[B, h, w, C]`.
      known: float32 0/1 `[B, h, w, C]`, which pixels count; None: all.

    Returns:
      float32 `[B]`.

    Example:
      >>> mask = np.ones((1, 4, 4, 1), "float32")
      >>> round(float(lovasz_hinge(mask, 0.5 * mask)[0]), 4)  # every logit is 0 and misses the margin by 1: 16 / 17
      0.9412
    """
    masks, probabilities = in_float32(masks, probabilities)
    masks = masks if known is None else masks * known
    masks, logits = _pixels_last(masks), _pixels_last(recover_logits(probabilities))  # [B, C, h w]
    errors = 1 - logits * (2 * masks - 1)
    if known is not None:
        errors = errors * _pixels_last(known)  # without an error, a pixel changes no weight of those that have one
    errors, order = ops.top_k(errors, ops.shape(errors)[-1])
    sorted_masks = ops.take_along_axis(masks, order, axis=-1)
    return mean_of_classes(ops.sum(ops.relu(errors) * _weights(sorted_masks), axis=-1), known)


def _weights(sorted_masks):
    """Returns the increases of 1 - IoU, `[B, C, n]`, as the pixels become wrong in this order.

    A lesion pixel lowers the intersection I by 1: the increase is 1 / U. Any other pixel raises the union from U - 1
    to U: I / (U - 1) - I / U. Differences of two IoUs near 1 would lose precision; these expressions do not.
    """
    lesion = ops.sum(sorted_masks, axis=-1, keepdims=True) + SMOOTH
    intersection = lesion - ops.cumsum(sorted_masks, axis=-1)
    union = lesion + ops.cumsum(1 - sorted_masks, axis=-1)
    return ops.where(sorted_masks > 0, 1 / union, intersection / (union * ops.maximum(union - 1, SMOOTH)))


def _pixels_last(x):
    """Returns `[B, C, h w]` of `[B, h, w, C]`."""
    shape = ops.shape(x)
    return ops.transpose(ops.reshape(x, (shape[0], -1, shape[3])), (0, 2, 1))
