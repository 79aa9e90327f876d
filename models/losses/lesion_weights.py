"""Weights of pixels by which small lesions count as much as large ones; lesions are found inside the graph."""

from keras import ops

OUTSIDE = -1


def lesion_weights(masks):
    """Weighs every lesion of a sample and class alike, and all of them together as much as before.

    A lesion is what hangs together in one class of one sample, also over corners (8-connected). Its pixels weigh
    (mean area of the lesions) / (its area); pixels outside of lesions weigh 1. So every lesion's weights sum to the
    same, and those of all lesions to their area: lesions are balanced against each other, not against the rest.

    Args:
      masks: 0/1 `[B, h, w, C]`; with at most 2^31 numbers.

    Returns:
      float32 `[B, h, w, C]`, without gradient.
    """
    masks = ops.cast(masks, "float32") > 0.5
    roots = _roots(masks)
    own = _indices(masks)
    pixels, lesions = (
        ops.sum(ops.cast(chosen, "float32"), axis=(1, 2), keepdims=True)
        for chosen in (masks, ops.equal(roots, own))  # a lesion has one pixel that is its own root
    )
    areas = _areas(masks, roots)
    mean_area = pixels / ops.maximum(lesions, 1)  # [B, 1, 1, C]
    return ops.stop_gradient(ops.where(masks, mean_area / areas, 1.0))


def _roots(masks):
    """Returns for each lesion pixel the largest index of its lesion, int32 `[B, h, w, C]`, OUTSIDE elsewhere.

    Every pixel begins as a group of its own, named by its index. In each turn a group takes the largest name that any
    of its pixels meets beside it, or rather that one's own new name, until nothing changes: a handful of turns for
    lesions as they are, fewer than twenty for what winds through a whole tile of 512.
    """

    def turn(roots, _):
        met = ops.where(masks, _largest_neighbour(roots), OUTSIDE)
        names = ops.segment_max(ops.reshape(met, (-1,)), _places(roots), num_segments=ops.size(masks))
        named = ops.where(masks, _at(names, roots), OUTSIDE)
        further = ops.where(masks, _at(named, named), OUTSIDE)
        return further, ops.any(ops.not_equal(further, roots))

    start = ops.where(masks, _indices(masks), OUTSIDE)
    roots, _ = ops.while_loop(lambda _, changed: changed, turn, (start, ops.any(masks)))
    return roots


def _largest_neighbour(x):
    """The maximum over the 3x3 pixels around each: of three rows, then of three columns."""
    for rows, columns in (((1, 1), (0, 0)), ((0, 0), (1, 1))):
        padded = ops.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=OUTSIDE)
        first, last = (padded[:, :-2], padded[:, 2:]) if rows[0] else (padded[:, :, :-2], padded[:, :, 2:])
        x = ops.maximum(x, ops.maximum(first, last))
    return x


def _areas(masks, roots):
    """The number of pixels of each pixel's lesion, float32 `[B, h, w, C]`; outside of lesions any number above 0."""
    lesion = ops.reshape(ops.cast(masks, "float32"), (-1,))
    counts = ops.segment_sum(lesion, _places(roots), num_segments=ops.size(masks))
    return ops.maximum(_at(counts, roots), 1)


def _at(values, indices):
    """`values`, in the order of memory, at each of `indices`; OUTSIDE reads what is at 0."""
    return ops.take(ops.reshape(values, (-1,)), ops.maximum(indices, 0))


def _places(roots):
    return ops.reshape(ops.maximum(roots, 0), (-1,))


def _indices(x):
    """The place of each number in the order of memory, int32 in the shape of x."""
    return ops.reshape(ops.arange(ops.size(x), dtype="int32"), ops.shape(x))
