"""Pixel weights with which small lesions count as much as large ones; lesions are found inside the graph."""

from keras import ops

OUTSIDE = -1


def lesion_weights(masks):
    """Returns weights that give all lesions of a sample and class the same total weight.

    A lesion is an 8-connected region of one class in one sample. Its pixels have the weight (mean area of the lesions)
    / (its area); pixels outside of lesions have the weight 1. The weights of each lesion thus sum to the mean area and
    those of all lesions to their total area: lesions are balanced against each other, not against the background.

    Args:
      masks: 0/1 `[B, h, w, C]`, at most 2^31 elements.

    Returns:
      float32 `[B, h, w, C]`, without gradient.
    """
    masks = ops.cast(masks, "float32") > 0.5
    roots = _roots(masks)
    own = _indices(masks)
    pixels, lesions = (
        ops.sum(ops.cast(chosen, "float32"), axis=(1, 2), keepdims=True)
        for chosen in (masks, ops.equal(roots, own))  # exactly one pixel of a lesion is its own root
    )
    areas = _areas(masks, roots)
    mean_area = pixels / ops.maximum(lesions, 1)  # [B, 1, 1, C]
    return ops.stop_gradient(ops.where(masks, mean_area / areas, 1.0))


def _roots(masks):
    """Returns for each lesion pixel the largest index of its lesion, int32 `[B, h, w, C]`, and OUTSIDE elsewhere.

    Every pixel begins as a group of its own, labelled with its index. In each iteration a group takes the largest label
    among the neighbours of its pixels, then the new label of the group with that label, until nothing changes. This
    takes a handful of iterations for typical lesions, and fewer than twenty for one that winds through a tile of 512.
    """

    def merge(roots, _):
        neighbours = ops.where(masks, _largest_neighbour(roots), OUTSIDE)
        largest = ops.segment_max(ops.reshape(neighbours, (-1,)), _places(roots), num_segments=ops.size(masks))
        merged = ops.where(masks, _at(largest, roots), OUTSIDE)
        followed = ops.where(masks, _at(merged, merged), OUTSIDE)
        return followed, ops.any(ops.not_equal(followed, roots))

    start = ops.where(masks, _indices(masks), OUTSIDE)
    roots, _ = ops.while_loop(lambda _, changed: changed, merge, (start, ops.any(masks)))
    return roots


def _largest_neighbour(x):
    """Returns the maximum over the 3x3 pixels around each: over three rows, then over three columns."""
    for rows, columns in (((1, 1), (0, 0)), ((0, 0), (1, 1))):
        padded = ops.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=OUTSIDE)
        first, last = (padded[:, :-2], padded[:, 2:]) if rows[0] else (padded[:, :, :-2], padded[:, :, 2:])
        x = ops.maximum(x, ops.maximum(first, last))
    return x


def _areas(masks, roots):
    """Returns the area of each pixel's lesion, float32 `[B, h, w, C]`; outside of lesions some number above 0."""
    lesion = ops.reshape(ops.cast(masks, "float32"), (-1,))
    counts = ops.segment_sum(lesion, _places(roots), num_segments=ops.size(masks))
    return ops.maximum(_at(counts, roots), 1)


def _at(values, indices):
    """Returns `values`, flattened, at each of `indices`; OUTSIDE reads the first."""
    return ops.take(ops.reshape(values, (-1,)), ops.maximum(indices, 0))


def _places(roots):
    """Returns the roots as flat segment numbers; OUTSIDE becomes 0."""
    return ops.reshape(ops.maximum(roots, 0), (-1,))


def _indices(x):
    """Returns the flat index of each element, int32 in the shape of x."""
    return ops.reshape(ops.arange(ops.size(x), dtype="int32"), ops.shape(x))
