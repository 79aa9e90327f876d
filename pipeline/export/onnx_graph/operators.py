"""What the graph is written with: opset 18 of ONNX, and operations that are composed of its operators.

Sizes and positions are int64 scalars, never negative. Within `arithmetic()`, `+ - * / //` take values of one type, or
a value and a Python number. `//` rounds to zero, so that the usual -(-a // b) would be wrong: see `ceil_divide`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
import spox.opset.ai.onnx.v18 as op
from spox import Var

# Private, as spox sends users to ndonnx, which has no loops and branches.
from spox._future import _operator_overloading

OPSET = 18
END = np.iinfo(np.int64).max
Size: TypeAlias = Var | int


def arithmetic():
    """Returns a context in which values have Python's arithmetic operators."""
    return _operator_overloading(op)


def scalar(size: Size) -> Var:
    """Returns an int64 scalar."""
    return size if isinstance(size, Var) else op.const(size, np.int64)


def vector(*sizes: Size) -> Var:
    """Returns int64 `[n]` of n scalars."""
    return op.concat([op.unsqueeze(scalar(size), op.const([0])) for size in sizes], axis=0)


def length_of(x: Var, axis: int) -> Var:
    """Returns the length of an axis."""
    return op.gather(op.shape(x), op.const(axis))


def numbers(count: Size) -> Var:
    """Returns 0, 1, …, count - 1, int64 `[count]`."""
    return op.range(op.const(0), scalar(count), op.const(1))


def ceil_divide(a: Var, b: Size) -> Var:
    """Returns a / b rounded up."""
    return (a + b - 1) // b


def remainder(a: Var, b: Size) -> Var:
    """Returns a modulo b."""
    return op.mod(a, scalar(b))


def cut(x: Var, start: Size, stop: Size, *, axis: int, step: Size = 1) -> Var:
    """Returns x[start:stop:step] along an axis."""
    return op.slice(x, vector(start), vector(stop), op.const([axis]), vector(step))


def reversed_along(x: Var, axis: int) -> Var:
    """Returns x in reverse order along an axis."""
    return op.slice(x, op.const([-1]), op.const([-END]), op.const([axis]), op.const([-1]))


def with_axes(x: Var, *axes: int) -> Var:
    """Returns x with further axes of length 1."""
    return op.unsqueeze(x, op.const(axes, np.int64))


def sum_of(x: Var, *axes: int) -> Var:
    """Returns the sum over some axes, or over all."""
    return op.reduce_sum(x, op.const(axes, np.int64) if axes else None, keepdims=0)


def largest(x: Var, *axes: int) -> Var:
    """Returns the largest value over some axes, or over all."""
    return op.reduce_max(x, op.const(axes, np.int64) if axes else None, keepdims=0)


def zeros(sizes: Iterable[Size], dtype: type = np.float32) -> Var:
    """Returns zeros of a shape."""
    return op.constant_of_shape(vector(*sizes), value=np.zeros(1, dtype))


def repeat(count: Var, body: Callable[..., list[Var]], *initial: Var) -> Sequence[Var]:
    """Repeats a function of the number of the repetition and of values; returns the last values.

    Args:
      count: number of repetitions.
      body: int64 scalar, values → new values of the same types.
      initial: the values at the beginning.
    """

    def iteration(number: Var, condition: Var, *values: Var) -> list[Var]:
        return [op.identity(condition), *body(op.squeeze(number), *values)]

    return op.loop(op.unsqueeze(count, op.const([0])), op.const([True]), initial, body=iteration)


def to_float(x: Var) -> Var:
    """Returns x as float32."""
    return op.cast(x, to=np.float32)


def to_int(x: Var) -> Var:
    """Returns x as int64, rounded to zero."""
    return op.cast(x, to=np.int64)
