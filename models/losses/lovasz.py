"""The Lovász hinge (Berman et al. 2018, arXiv:1705.08790; Yu & Blaschko 2015, arXiv:1512.07797)."""

from keras import ops

from models.losses.loss_functions import cross_entropy
from models.metrics import SMOOTH, in_float32


def lovasz_hinge(y_true, y_pred):
    """Returns the Lovász hinge of every sample, the mean over its classes: a convex stand-in for 1 - IoU.

    A pixel's error is max(0, 1 - its logit towards the mask). Sorted by error, pixel i weighs what the loss 1 - IoU
    rises by when it becomes wrong after all with larger errors; the sum of weights times errors is the loss.

    It takes logits, which it recovers from the probabilities: on logits the hinge is convex and its slope on a wrong
    pixel is 1 however wrong it is, while errors in probability would pass through the sigmoid, which is flat just
    there. A pixel right with p >= 0.73 (a logit of 1) costs nothing more.

    IoU is smoothed by one pixel as elsewhere, (intersection + 1) / (union + 1): this is the IoU of a tile with one more
    lesion pixel that is always found, so all that holds of the Lovász extension still does. The published loss, without
    it, sees nothing but the single worst pixel of a tile without lesions.

    Args:
      y_true: masks 0/1 `[B, h, w, C]`.
      y_pred: probabilities `[B, h, w, C]`.

    Returns:
      `[B]`.
    """
    y_true, y_pred = in_float32(y_true, y_pred)
    y_true, logits = _pixels_last(y_true), _pixels_last(_logits(y_pred))  # [B, C, h w]
    errors = 1 - logits * (2 * y_true - 1)
    errors, order = ops.top_k(errors, ops.shape(errors)[-1])
    y_sorted = ops.take_along_axis(y_true, order, axis=-1)
    return ops.mean(ops.sum(ops.relu(errors) * _weights(y_sorted), axis=-1), axis=-1)


def _weights(y_sorted):
    """The rises of 1 - IoU `[B, C, n]` as the pixels become wrong in this order.

    A lesion pixel takes 1 from the intersection I: 1 / U. Another adds 1 to the union, which was U - 1 before:
    I / (U - 1) - I / U. Written so, nothing cancels, as would in differences of two IoUs near 1.
    """
    lesion = ops.sum(y_sorted, axis=-1, keepdims=True) + SMOOTH
    intersection = lesion - ops.cumsum(y_sorted, axis=-1)
    union = lesion + ops.cumsum(1 - y_sorted, axis=-1)
    return ops.where(y_sorted > 0, 1 / union, intersection / (union * ops.maximum(union - 1, SMOOTH)))


def _logits(probabilities):
    """log p - log (1 - p), the cross-entropies with an empty and with a full mask, which are finite for 0 and 1."""
    return cross_entropy(ops.zeros_like(probabilities), probabilities) - cross_entropy(
        ops.ones_like(probabilities), probabilities
    )


def _pixels_last(x):
    """`[B, h, w, C]` → `[B, C, h w]`."""
    shape = ops.shape(x)
    return ops.transpose(ops.reshape(x, (shape[0], -1, shape[3])), (0, 2, 1))
