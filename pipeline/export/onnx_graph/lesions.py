"""Masks and a table of lesions in ONNX: the regions of `records.images.regions`, with what `predict` measures of them.

Runs of pixels are joined to those of the next row that they touch. Each run then takes over the least number of all
runs that it is connected with, in few steps, as numbers are also passed on to the run whose number one has (Zhang, Azad
and Buluç, FastSV, 2020, arXiv:1910.05971).
"""

from typing import NamedTuple

import numpy as np
import spox.opset.ai.onnx.v18 as op
from spox import Var

from pipeline.export.onnx_graph.operators import (
    END,
    cut,
    length_of,
    numbers,
    remainder,
    repeat,
    sum_of,
    to_float,
    to_int,
    vector,
    with_axes,
    zeros,
)

# Of the table: number of the class, bounding box, number of pixels, centre, mean and largest probability.
COLUMNS = ("class", "y", "x", "height", "width", "area", "center_y", "center_x", "mean", "maximum")
STEPS = 40  # of a binary search, enough for any photograph


class Runs(NamedTuple):
    """Unbroken rows of positive pixels, class by class and in reading order; all int64 `[runs]`."""

    number: Var  # of the class
    y: Var
    x: Var
    length: Var


def find_lesions(probabilities: Var, thresholds: Var, least_areas: Var) -> tuple[Var, Var]:
    """Finds the detections in a probability map.

    Args:
      probabilities: float32 `[H, W, C]`.
      thresholds: least probability of a positive pixel, float32 `[C]`.
      least_areas: least number of pixels of a detection, int64 `[C]`.

    Returns:
      The pixels of the detections, bool `[H, W, C]`, and their table, float32 `[lesions, COLUMNS]`.
    """
    positive = op.greater_or_equal(probabilities, thresholds)
    planes = op.reshape(op.transpose(positive, perm=[2, 0, 1]), op.const([-1]))
    places = op.squeeze(op.non_zero(planes), op.const([0]))  # int64 `[pixels]`
    masks, table = op.if_(
        op.equal(length_of(places, 0), op.const(0)),
        then_branch=lambda: [op.identity(positive), op.const(np.zeros((0, len(COLUMNS)), np.float32))],
        else_branch=lambda: _measure(probabilities, positive, places, least_areas=least_areas),
    )
    return masks, table


def _measure(probabilities: Var, positive: Var, places: Var, *, least_areas: Var) -> list[Var]:
    """Returns what `find_lesions` does; `places` are those of the positive pixels in `[C, H, W]`."""
    height, width, classes = (length_of(probabilities, axis) for axis in range(3))
    starts = op.or_(
        op.not_(op.equal(places - op.concat([op.const([-2]), cut(places, 0, -1, axis=0)], axis=0), op.const(1))),
        op.equal(remainder(places, width), op.const(0)),
    )
    run_of_pixel = op.cum_sum(to_int(starts), op.const(0)) - 1
    first = op.compress(numbers(length_of(places, 0)), starts)
    length = op.concat([cut(first, 1, END, axis=0), op.shape(places)], axis=0) - first
    place = op.compress(places, starts)
    line = place // width
    runs = Runs(line // height, remainder(line, height), remainder(place, width), length)
    label = _connect(runs, *_touching(runs, height, width))

    count = length_of(place, 0)
    area = op.gather(_of_regions(label, length, count, reduction="add"), label)
    kept = op.greater_or_equal(area, op.gather(least_areas, runs.number))
    roots = op.and_(op.equal(label, numbers(count)), kept)
    region = op.gather(op.cum_sum(to_int(roots), op.const(0)) - 1, label)  # -1 or another's number if not kept

    # The places of the pixels in `[H, W, C]`.
    pixel_line = places // width
    where = (remainder(pixel_line, height) * width + remainder(places, width)) * classes + pixel_line // height
    kept_pixels = op.gather(kept, run_of_pixel)
    dropped = op.compress(where, op.not_(kept_pixels))
    false = op.expand(op.const(np.zeros(1, bool)), op.shape(dropped))
    masks = op.scatter_elements(op.reshape(positive, op.const([-1])), dropped, false)
    probability = op.gather(op.reshape(probabilities, op.const([-1])), op.compress(where, kept_pixels))
    table = _table(
        Runs(*(op.compress(values, kept) for values in runs)),
        op.compress(region, kept),
        op.compress(op.gather(region, run_of_pixel), kept_pixels),
        probability=probability,
        count=sum_of(to_int(roots)),
    )
    return [op.reshape(masks, op.shape(positive)), table]


def _table(runs: Runs, region: Var, region_of_pixel: Var, *, probability: Var, count: Var) -> Var:
    """Returns the table of the regions, `count` of them, that runs and pixels of some probability belong to."""

    def extreme(values: Var, reduction: str) -> Var:
        return _of_regions(region, values, count, reduction=reduction)

    def mean(values: Var, regions: Var, number: Var) -> Var:
        total = _of_regions(regions, op.cast(values, to=np.float64), count, reduction="add")
        return total / op.cast(number, to=np.float64)

    area = extreme(runs.length, "add")
    top, left = extreme(runs.y, "min"), extreme(runs.x, "min")
    bottom, right = extreme(runs.y + 1, "max"), extreme(runs.x + runs.length, "max")
    halves = op.cast(runs.x * 2 + runs.length - 1, to=np.float64)  # twice the centre of each run
    lengths = op.cast(runs.length, to=np.float64)
    columns = [
        extreme(runs.number, "max"),
        top,
        left,
        bottom - top,
        right - left,
        area,
        mean(op.cast(runs.y, to=np.float64) * lengths, region, area),
        mean(halves * lengths / 2, region, area),
        mean(probability, region_of_pixel, area),
        _of_regions(region_of_pixel, probability, count, reduction="max"),
    ]
    return op.concat([with_axes(to_float(column), 1) for column in columns], axis=1)


def _touching(runs: Runs, height: Var, width: Var) -> tuple[Var, Var]:
    """Returns the pairs of runs that touch, above and below each other, int64 `[pairs]`."""
    stride = width + 2  # so that a run at the end of a row does not touch the first run of the row after the next
    row = (runs.number * (height + 1) + runs.y) * stride
    left, right = row + runs.x, row + runs.x + runs.length - 1
    begin = _search(right, left + stride - 1)  # first run of the next row that each run touches
    touched = _search(left, right + stride + 2) - begin
    ends = op.cum_sum(touched, op.const(0))
    pairs = numbers(sum_of(touched))
    above = _search(ends, pairs + 1)
    return above, op.gather(begin - ends + touched, above) + pairs


def _search(ascending: Var, values: Var) -> Var:
    """Returns how many of some ascending numbers are less than each value, int64, by binary search."""
    count = length_of(ascending, 0)

    def halve(number: Var, low: Var, high: Var) -> list[Var]:
        middle = (low + high) // 2
        beyond = op.less(op.gather(ascending, op.min([middle, count - 1])), values)
        beyond = op.and_(beyond, op.less(low, high))
        return [op.where(beyond, middle + 1, low), op.where(beyond, high, middle)]

    nothing = zeros([length_of(values, 0)], np.int64)
    low, _ = repeat(op.const(STEPS), halve, nothing, nothing + count)
    return low


def _connect(runs: Runs, above: Var, below: Var) -> Var:
    """Returns the least number of all runs that each run is connected with, int64 `[runs]`."""

    def pass_on(number: Var, condition: Var, label: Var) -> list[Var]:
        one, other = op.gather(label, above), op.gather(label, below)
        least = op.min([one, other])
        takers, given = op.concat([one, other, above, below], axis=0), op.concat([least] * 4, axis=0)
        passed = op.scatter_elements(label, takers, given, reduction="min")
        passed = op.gather(passed, op.gather(passed, passed))
        return [op.cast(op.reduce_max(to_int(op.not_(op.equal(passed, label))), keepdims=1), to=np.bool_), passed]

    own = numbers(length_of(runs.y, 0))
    (label,) = op.loop(None, op.const([True]), [own], body=pass_on)
    return label


def _of_regions(region: Var, values: Var, count: Var, *, reduction: str) -> Var:
    """Returns the sum, or the least or the largest, of the values of each region, `[count]`."""
    dtype = values.unwrap_tensor().dtype.type
    limits = np.finfo(dtype) if issubclass(dtype, np.floating) else np.iinfo(dtype)
    start = {"add": 0, "min": limits.max, "max": limits.min}[reduction]
    initial = op.constant_of_shape(vector(count), value=np.full(1, start, dtype))
    return op.scatter_elements(initial, region, values, reduction=reduction)
