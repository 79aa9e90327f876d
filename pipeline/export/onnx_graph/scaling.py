"""Scales photographs and maps in ONNX: the same numbers as `pipeline.inference.scaling`, to float32's rounding."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import spox.opset.ai.onnx.v18 as op
from spox import Var

from pipeline.export.onnx_graph.field_circle import field_diameter
from pipeline.export.onnx_graph.operators import (
    ceil_divide,
    cut,
    largest,
    length_of,
    numbers,
    remainder,
    repeat,
    to_float,
    to_int,
    vector,
    with_axes,
)
from records import LARGEST_SCALE, LEAST_SCALE_ROWS, SCALE_ROWS, ScaleRule

STRIP = 16  # rows of a shrunk photograph that are computed at once


def scale_of(photograph: Var, rule: ScaleRule) -> Var:
    """Computes the factor of a photograph, uint8 `[H, W, 3]`, as `ScaleRule.measure` does; float64 scalar."""
    if rule.diameter is None:
        return op.const(np.float64(rule.scale))
    rows, columns = (op.cast(length_of(photograph, axis), to=np.float64) for axis in (0, 1))
    diameter = op.cast(field_diameter(photograph), to=np.float64)
    found = op.greater(diameter, op.const(np.float64(0)))
    fitted = op.where(found, diameter, op.sqrt(rows * rows + columns * columns))
    factor = op.min([op.const(np.float64(rule.diameter)) / fitted, op.const(np.float64(LARGEST_SCALE))])
    whole = op.round(rows * factor / SCALE_ROWS) * SCALE_ROWS / rows
    even = op.equal(remainder(length_of(photograph, 0), SCALE_ROWS), op.const(0))
    large = op.greater_or_equal(rows * factor, op.const(np.float64(LEAST_SCALE_ROWS)))
    factor = op.where(op.and_(even, large), whole, factor)
    return factor if rule.camera.scale is None else op.where(found, factor, op.const(np.float64(rule.camera.scale)))


def scaled_length(length: Var, scale: Var) -> Var:
    """Returns the length of an axis that is scaled, as `records.scaled_size` does."""
    return op.max([to_int(op.round(op.cast(length, to=np.float64) * scale)), op.const(1)])


def resize_photograph(photograph: Var, height: Var, width: Var) -> Var:
    """Resizes a photograph, uint8 `[H, W, 3]`, to uint8 `[h, w, 3]`: `shrink`, or bilinearly to a larger size."""
    larger = op.greater(vector(height, width), cut(op.shape(photograph), 0, 2, axis=0))
    (resized,) = op.if_(
        op.cast(largest(to_int(larger)), to=np.bool_),
        then_branch=lambda: [_rounded(resize_map(to_float(photograph), height, width))],
        else_branch=lambda: [shrink(photograph, height, width)],
    )
    return resized


def shrink(photograph: Var, height: Var, width: Var) -> Var:
    """Shrinks a photograph, uint8 `[H, W, 3]`, to uint8 `[h, w, 3]` by averaging areas.

    It is computed in strips of the result, which stay in the processor's cache.
    """
    full_height, full_width = length_of(photograph, 0), length_of(photograph, 1)
    even = op.equal(remainder(full_height, SCALE_ROWS) + remainder(height, SCALE_ROWS), op.const(0))
    parts = op.where(even, op.const(SCALE_ROWS), op.const(1))  # which TensorFlow's graph shrinks one by one
    vertical, horizontal = _Areas.along(full_height, height, parts), _Areas.along(full_width, width, op.const(1))
    factor = op.const(np.float32(1)) / (vertical.step * horizontal.step)
    channel_weights = op.reshape(op.expand(with_axes(horizontal.weights, 2), op.const([1, 1, 3])), op.const([0, -1]))

    def shrink_strip(number: Var) -> list[Var]:
        places = op.min([number * STRIP + numbers(STRIP), height - 1])  # the last strip is filled with its last row
        pixels = op.gather(vertical.pixels, places, axis=1)  # [most, STRIP]
        first = op.reduce_min(pixels, keepdims=0)
        rows = cut(photograph, first, largest(pixels) + 1, axis=0)  # [n, W, 3]

        def of_columns(number: Var) -> Var:
            columns = op.gather(rows, op.gather(horizontal.pixels, number), axis=1)  # [n, w, 3]
            return op.reshape(to_float(columns), op.const([0, -1])) * op.gather(channel_weights, number)

        def of_rows(number: Var) -> Var:
            chosen = op.gather(averaged, op.gather(pixels, number) - first)  # [STRIP, w * 3]
            return chosen * with_axes(op.gather(op.gather(vertical.weights, number), places), 1)

        averaged = _sum_of(of_columns, horizontal.most)  # [n, w * 3]
        return [op.cast(_sum_of(of_rows, vertical.most) * factor + 0.5, to=np.uint8)]

    (strips,) = repeat(ceil_divide(height, STRIP), shrink_strip)  # [strips, STRIP, w * 3]
    return cut(op.reshape(strips, vector(-1, width, 3)), 0, height, axis=0)


def resize_map(values: Var, height: Var, width: Var) -> Var:
    """Resizes float32 `[h, w, C]` to `[H, W, C]` bilinearly with half-pixel centres."""
    sizes = vector(1, height, width, length_of(values, 2))
    sizes = op.reshape(sizes, op.const([4]))  # onnxruntime before 1.23 must be told how many these are
    return op.squeeze(op.resize(with_axes(values, 0), sizes=sizes, mode="linear"), op.const([0]))


def at_full_size(scaled: Var, size: tuple[Var, Var], rule: ScaleRule) -> Var:
    """Enlarges the map of a scaled photograph, float32 `[h, w, C]`, to the photograph's height and width."""
    return scaled if rule.scale == 1 else resize_map(scaled, *size)


class _Areas(NamedTuple):
    """The pixels that each place of a shrunk axis covers, with the same numbers as in TensorFlow's kernel.

    Attributes:
      step: how many pixels a place covers, float32 scalar.
      most: largest number of pixels that a place touches, int64 scalar.
      pixels: the pixels that each place touches, int64 `[most, places]`.
      weights: how much of each of them is covered, 0 to 1, float32 `[most, places]`.
    """

    step: Var
    most: Var
    pixels: Var
    weights: Var

    @classmethod
    def along(cls, length: Var, shrunk: Var, parts: Var) -> "_Areas":
        """Returns the areas of an axis that is shrunk in some number of equal parts, which have the same weights."""
        part, whole_part = shrunk // parts, length // parts
        step = to_float(whole_part) / to_float(part)
        places = numbers(shrunk)
        local = remainder(places, part)
        begin, end = to_float(local) * step, to_float(local + 1) * step
        first = op.floor(begin)
        most = to_int(largest(op.ceil(end) - first))
        pixels = first + with_axes(to_float(numbers(most)), 1)  # within the part
        covered = op.min([end, pixels + 1]) - op.max([begin, pixels])
        whole = op.min([to_int(pixels) + places // part * whole_part, length - 1])
        return cls(step, most, whole, op.max([covered, op.const(np.float32(0))]))


def _sum_of(term: Callable[[Var], Var], count: Var) -> Var:
    """Returns term(0) + term(1) + … + term(count - 1), added in this order."""
    (total,) = repeat(count - 1, lambda number, total: [total + term(number + 1)], term(op.const(0)))
    return total


def _rounded(averages: Var) -> Var:
    """Rounds to uint8, halves up, as OpenCV mostly does."""
    return op.cast(averages + 0.5, to=np.uint8)
