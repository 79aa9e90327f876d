"""Which tiles may overlap the field of view, in ONNX: the same steps as `pipeline.inference.background`."""

import numpy as np
import spox.opset.ai.onnx.v18 as op
from spox import Var

from pipeline.export.onnx_graph.operators import (
    cut,
    largest,
    length_of,
    numbers,
    scalar,
    to_float,
    with_axes,
)
from pipeline.export.onnx_graph.scaling import scaled_length, shrink
from pipeline.inference import BACKGROUND_DISC
from records.images import MIN_BRIGHTNESS, WORKING_SIDE


def tiles_in_field_of_view(photograph: Var, size: tuple[Var, Var], starts: tuple[Var, Var], *, tile: int) -> Var:
    """Returns which tiles may influence the probability map within the field of view, bool `[rows, columns]`.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.
      size: height and width of the scaled photograph, which is cut.
      starts: first row of each row of tiles, and first column of each column, int64.
      tile: side of the tiles, pixels of the scaled photograph.
    """
    region = _possible_field_of_view(photograph)
    vertical, horizontal = (
        _pixels_of_tiles(starts[axis], tile, size[axis], small=length_of(region, axis)) for axis in (0, 1)
    )
    counts = op.matmul(op.matmul(vertical, to_float(region)), op.transpose(horizontal, perm=[1, 0]))
    return op.greater(counts, op.const(np.float32(0)))


def _possible_field_of_view(photograph: Var) -> Var:
    """Finds a superset of the field of view in a small copy of a photograph, bool `[h', w']`."""
    longest = op.cast(largest(cut(op.shape(photograph), 0, 2, axis=0)), to=np.float64)
    scale = op.min([op.const(np.float64(WORKING_SIDE)) / longest, op.const(np.float64(1))])
    small = shrink(photograph, *(scaled_length(length_of(photograph, axis), scale) for axis in (0, 1)))
    bright = op.greater_or_equal(to_float(largest(small, 2)), op.const(np.float32(MIN_BRIGHTNESS)))
    near, _ = op.max_pool(
        with_axes(to_float(bright), 0, 1),
        kernel_shape=[BACKGROUND_DISC, BACKGROUND_DISC],
        pads=[BACKGROUND_DISC // 2] * 4,
    )
    near = op.squeeze(near, op.const([0, 1]))
    return op.and_(_between(near, axis=0), _between(near, axis=1))


def _between(bright: Var, *, axis: int) -> Var:
    """Returns which pixels are bright or have bright ones on both sides along an axis, bool `[h', w']`."""
    zero = op.const(np.float32(0))
    before, behind = (op.greater(op.cum_sum(bright, scalar(axis), reverse=reverse), zero) for reverse in (False, True))
    return op.and_(before, behind)


def _pixels_of_tiles(starts: Var, tile: int, length: Var, *, small: Var) -> Var:
    """Marks with 1 the pixels of the small copy that each tile covers along one axis, float32 `[tiles, small]`."""
    ratio = to_float(small) / to_float(length)
    first = with_axes(op.floor(to_float(starts - 1) * ratio) - 1, 1)
    last = with_axes(op.floor(to_float(starts + (tile + 1)) * ratio) + 1, 1)
    pixels = to_float(numbers(small))
    return to_float(op.and_(op.less_or_equal(first, pixels), op.less_or_equal(pixels, last)))
