"""The circle of the field of view in ONNX: the same steps as `pipeline.inference.field_circle`."""

import numpy as np
import spox.opset.ai.onnx.v18 as op
from spox import Var

from pipeline.export.onnx_graph.operators import (
    END,
    ceil_divide,
    cut,
    largest,
    length_of,
    numbers,
    remainder,
    sum_of,
    to_float,
    to_int,
    vector,
    with_axes,
)
from records.images import field_circle as reference

Circle = tuple[Var, Var, Var]  # x and y of the centre, and the radius; float32 scalars


def field_diameter(photograph: Var) -> Var:
    """Returns the diameter of the field of view, pixels, float32 scalar; 0 if no reliable circle can be fitted.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.
    """
    step = ceil_divide(largest(cut(op.shape(photograph), 0, 2, axis=0)), reference.SAMPLES)
    middle = step // 2
    samples = op.slice(photograph, vector(middle, middle), op.const([END, END]), op.const([0, 1]), vector(step, step))
    brightness = to_float(largest(samples, 2))
    nothing = op.const(np.zeros(0, np.float32))
    x, y = op.if_(
        op.less(op.reduce_min(op.shape(brightness), keepdims=0), op.const(4)),
        then_branch=lambda: [op.identity(nothing), op.identity(nothing)],
        else_branch=lambda: _edge_points(brightness),
    )
    (diameter,) = op.if_(
        op.less(length_of(x, 0), op.const(reference.FEWEST)),
        then_branch=lambda: [op.const(np.float32(0))],
        else_branch=lambda: [_reliable_diameter(x, y, to_float(largest(op.shape(brightness))))],
    )
    return diameter * to_float(step)


def _reliable_diameter(x: Var, y: Var, side: Var) -> Var:
    """Returns the diameter in samples, or 0."""
    score, circle = _most_agreed(x, y, side)
    for near in reference.NEAR:
        on = to_float(_closer(_deviations(x, y, circle), near))
        enough = op.greater(sum_of(on), op.const(np.float32(2)))
        fitted = _least_squares(x, y, on)
        circle = tuple(op.where(enough, new, old) for new, old in zip(fitted, circle, strict=True))
    deviations = _deviations(x, y, circle)
    on = _closer(deviations, reference.NEAR[-1])
    number = op.max([sum_of(to_float(on)), op.const(np.float32(1))])
    squares = sum_of(deviations * deviations * to_float(on))
    conditions = [
        op.greater(score, op.const(np.float32(0))),
        _at_least(_sectors_seen(x, y, circle, on=on), reference.LEAST_VISIBLE * reference.SECTORS),
        op.greater_or_equal(number, to_float(length_of(x, 0)) * reference.LEAST_AGREEMENT),
        op.less_or_equal(op.sqrt(squares / number), op.const(np.float32(reference.LARGEST_DEVIATION))),
    ]
    reliable = conditions[0]
    for condition in conditions[1:]:
        reliable = op.and_(reliable, condition)
    return op.where(reliable, circle[2] * 2, op.const(np.float32(0)))


def _sectors_seen(x: Var, y: Var, circle: Circle, *, on: Var) -> Var:
    """Returns in how many sectors of the circle there are points with `on`, float32 scalar."""
    right, down = op.compress(x, on) - circle[0], op.compress(y, on) - circle[1]
    quarter = op.atan(down / right) / (2 * np.pi)  # there is no operator for the angle in all four quadrants
    angles = op.where(op.less(right, op.const(np.float32(0))), quarter + 0.5, quarter)
    sectors = remainder(to_int(op.floor((angles - op.floor(angles)) * reference.SECTORS)), reference.SECTORS)
    hits = op.equal(with_axes(numbers(reference.SECTORS), 1), with_axes(sectors, 0))  # [sectors, points]
    # One column more, so that there is a largest value without any point.
    return sum_of(largest(op.pad(to_float(hits), op.const([0, 0, 0, 1])), 1))


def _edge_points(brightness: Var) -> tuple[Var, Var]:
    """Returns x and y of the points where an edge may be, float32 `[points]`, in samples of `[h, w]`."""
    across, along = [], []
    for lines in (brightness, op.transpose(brightness, perm=[1, 0])):
        count = to_float(numbers(length_of(lines, 0)))
        kept_positions, kept_numbers = [], []
        for positions, steps in _steps(lines):
            kept = _at_least(steps, reference.LEAST_STEP)
            kept_positions.append(op.compress(positions, kept))
            kept_numbers.append(op.compress(count, kept))
        across.append(op.concat(kept_positions, axis=0))
        along.append(op.concat(kept_numbers, axis=0))
    return op.concat([across[0], along[1]], axis=0), op.concat([along[0], across[1]], axis=0)


def _steps(lines: Var) -> list[tuple[Var, Var]]:
    """Finds the largest rise and then the largest fall of each line: positions and sizes, float32 `[lines]`."""
    logarithms = op.log(lines + reference.BASE)
    one, two, three, four = (
        cut(logarithms, first, end, axis=1) for first, end in ((3, END), (2, -1), (1, -2), (0, -3))
    )
    rises = (one + two - three - four) / 2
    found = []
    for sign in (1, -1):
        first = op.arg_max(rises * sign, axis=1)  # [lines, 1]
        around = op.gather_elements(lines, first + op.const([[0, 1, 2, 3]]), axis=1)
        dark, bright = op.reduce_min(around, op.const([1])), op.reduce_max(around, op.const([1]))
        lit = sum_of((around - dark) / op.max([bright - dark, op.const(np.float32(1))]), 1)
        size = sum_of(op.gather_elements(rises, first, axis=1) * sign, 1)
        found.append((to_float(sum_of(first, 1)) + (lit * -1 + 3.5 if sign > 0 else lit - 0.5), size))
    return found


def _most_agreed(x: Var, y: Var, side: Var) -> tuple[Var, Circle]:
    """Returns the score, and the circle through three points that most points agree with."""
    chosen = op.const(2 * np.arange(reference.CHOSEN) + 1) * length_of(x, 0) // (2 * reference.CHOSEN)
    x, y = op.gather(x, chosen), op.gather(y, chosen)
    x0, x1, x2 = (op.gather(x, op.const(column)) for column in reference.TRIPLES.T)
    y0, y1, y2 = (op.gather(y, op.const(column)) for column in reference.TRIPLES.T)
    x1, x2, y1, y2 = x1 - x0, x2 - x0, y1 - y0, y2 - y0
    twice_area = (x1 * y2 - y1 * x2) * 2
    in_line = op.less(op.abs(twice_area), op.const(np.float32(1e-3)))
    twice_area = op.where(in_line, op.const(np.float32(np.inf)), twice_area)
    one, two = x1 * x1 + y1 * y1, x2 * x2 + y2 * y2
    from_x, from_y = (y2 * one - y1 * two) / twice_area, (x1 * two - x2 * one) / twice_area
    center_x, center_y, radius = x0 + from_x, y0 + from_y, op.sqrt(from_x * from_x + from_y * from_y)
    least, most = (side * fraction for fraction in reference.RADII)
    allowed = op.and_(op.greater_or_equal(radius, least), op.less_or_equal(radius, most))
    distances = _distances(x, y, (with_axes(center_x, 1), with_axes(center_y, 1)))  # [circles, points]
    off = (distances / with_axes(op.where(allowed, radius, op.const(np.float32(1))), 1) - 1) / reference.AGREES
    agreement = sum_of(op.max([off * off * -1 + 1, op.const(np.float32(0))]), 1)
    scores = op.where(allowed, agreement, op.const(np.float32(0)))
    best = op.arg_max(scores, axis=0, keepdims=0)
    return op.gather(scores, best), (op.gather(center_x, best), op.gather(center_y, best), op.gather(radius, best))


def _least_squares(x: Var, y: Var, on: Var) -> Circle:
    """Returns the circle with the least squared differences of x² + y² from its own, over the points with `on` 1."""
    number = op.max([sum_of(on), op.const(np.float32(1))])

    def mean(values: Var) -> Var:
        return sum_of(values * on) / number

    mean_x, mean_y = mean(x), mean(y)
    u, v = x - mean_x, y - mean_y
    uu, vv, uv = mean(u * u), mean(v * v), mean(u * v)
    squares = u * u + v * v
    right_u, right_v = mean(u * squares) / 2, mean(v * squares) / 2
    determinant = op.max([uu * vv - uv * uv, op.const(np.float32(1e-6))])
    from_u, from_v = (right_u * vv - right_v * uv) / determinant, (right_v * uu - right_u * uv) / determinant
    return mean_x + from_u, mean_y + from_v, op.sqrt(from_u * from_u + from_v * from_v + uu + vv)


def _deviations(x: Var, y: Var, circle: Circle) -> Var:
    """Returns the distance of points from a circle as a fraction of its radius, negative inside, `[points]`."""
    return _distances(x, y, circle[:2]) / circle[2] - 1


def _distances(x: Var, y: Var, center: tuple[Var, Var]) -> Var:
    right, down = x - center[0], y - center[1]
    return op.sqrt(right * right + down * down)


def _closer(deviations: Var, near: float) -> Var:
    return op.less(op.abs(deviations), op.const(np.float32(near)))


def _at_least(values: Var, limit: float) -> Var:
    return op.greater_or_equal(values, op.const(np.float32(limit)))
