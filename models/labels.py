"""Labels of a batch: masks, and which of their pixels are known.

Labels are the masks `[B, h, w, C]` if everything is known; otherwise they are `[B, h, w, 2 C]`, the masks followed by
`known`, 1 where it is known whether a pixel shows the class, else 0. What is unknown is left out of losses and metrics:
the prediction there changes nothing.
"""

from keras import ops


def split_labels(labels, probabilities):
    """Splits labels by the number of their channels, which must be static.

    Args:
      labels: masks `[B, h, w, C]`, 0 to 1, or `[B, h, w, 2 C]`, followed by what is known, 0/1.
      probabilities: `[B, h, w, C]`.

    Returns:
      The masks `[B, h, w, C]`, and known, float32 0/1 of the same shape; None if everything is known.
    """
    classes = probabilities.shape[-1]
    if labels.shape[-1] != 2 * classes:
        return labels, None
    return labels[..., :classes], ops.cast(labels[..., classes:], "float32")


def known_classes(known):
    """Returns float32 0/1 `[B, C]`: whether anything is known of a class in a sample, from known `[B, h, w, C]`."""
    return ops.max(known, axis=(1, 2))


def known_samples(known):
    """Returns float32 0/1 `[B]`: whether anything is known of a sample, from known `[B, h, w, C]`."""
    return ops.max(known, axis=(1, 2, 3))


def mean_of_known(values, known, axis):
    """Returns Σ known values / Σ known over some axes; 0 where nothing is known."""
    return ops.sum(known * values, axis=axis) / ops.maximum(ops.sum(known, axis=axis), 1)
