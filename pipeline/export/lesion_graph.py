"""Lesions of a probability map, found and measured in the graph: the regions and numbers that `predict` finds.

The steps are those of `records.images.regions`: pixels form runs, and runs that touch those of the next row are joined.
They take time for positive pixels alone, which are few.
"""

import math
from typing import NamedTuple

import tensorflow as tf

DIRECTIONS = 16  # in which a contour has a point


class Pixels(NamedTuple):
    """The pixels of the detections in a photograph, class by class in reading order.

    Attributes:
      places: class, row and column, int64 `[P, 3]`.
      probabilities: float32 `[P]`.
      regions: number of the detection that the pixel belongs to, int64 `[P]`.
      areas: number of pixels of each detection, int64 `[N]`; class by class, from top to bottom by their first pixels.
    """

    places: tf.Tensor
    probabilities: tf.Tensor
    regions: tf.Tensor
    areas: tf.Tensor


def detect_pixels(places: tf.Tensor, probabilities: tf.Tensor, size: tf.Tensor, *, least_areas: tf.Tensor) -> Pixels:
    """Joins positive pixels to 8-connected regions, and drops regions that are too small.

    Args:
      places: class, row and column of each positive pixel, ascending, int64 `[P, 3]`.
      probabilities: float32 `[P]`.
      size: height and width of the photograph, int64 `[2]`.
      least_areas: least number of pixels of a detection of each class, int64 `[C]`.
    """
    regions = number_regions(places, size)
    areas = _sum(tf.ones_like(regions), regions, 1 + _last(regions))
    classes = tf.math.unsorted_segment_max(places[:, 0], regions, 1 + _last(regions))
    kept = areas >= tf.gather(least_areas, classes)
    stays = tf.gather(kept, regions)
    renumbered = tf.gather(tf.cumsum(tf.cast(kept, tf.int64)) - 1, tf.boolean_mask(regions, stays))
    return Pixels(
        tf.boolean_mask(places, stays),
        tf.boolean_mask(probabilities, stays),
        renumbered,
        tf.boolean_mask(areas, kept),
    )


def number_regions(places: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Returns the number of the 8-connected region of each pixel, int64 `[P]`; regions are numbered by first pixels.

    Args:
      places: class, row and column of each pixel, ascending, int64 `[P, 3]`; pixels of different classes do not touch.
      size: height and width of the photograph, int64 `[2]`.
    """
    stride = size[1] + 2  # so that a run at the end of a row does not touch the first run of the row after the next
    place = (places[:, 0] * (size[0] + 1) + places[:, 1]) * stride + places[:, 2]
    starts = tf.concat([tf.ones_like(place[:1], tf.bool), place[1:] - place[:-1] != 1], axis=0)  # of runs
    ends = tf.concat([starts[1:], tf.ones_like(starts[:1])], axis=0)
    left, right = tf.boolean_mask(place, starts), tf.boolean_mask(place, ends)
    begin = _bound(tf.raw_ops.LowerBound, right, left + stride - 1)  # first run of the next row that each run touches
    number = _bound(tf.raw_ops.UpperBound, left, right + stride + 1) - begin
    runs = tf.range(tf.size(left, tf.int64))
    upper = tf.repeat(runs, number)
    lower = tf.range(tf.size(upper, tf.int64)) + tf.repeat(begin - tf.cumsum(number, exclusive=True), number)
    run_of_pixel = tf.cumsum(tf.cast(starts, tf.int64)) - 1
    return tf.gather(_number_components(runs, upper, lower), run_of_pixel)


def measure(pixels: Pixels) -> dict[str, tf.Tensor]:
    """Measures detections, as `pipeline.prediction.measurements` does.

    Returns:
      `class` int32 `[N]`; `boxes` int32 `[N, 4]` (x, y, width, height) and `centers` float32 `[N, 2]` (x, y), in
      pixels, where the first pixel of the photograph has the centre (0, 0); `areas` int32 `[N]`, pixels;
      `mean_probabilities` and `maximum_probabilities` float32 `[N]`; `contours` int32 `[N, DIRECTIONS, 2]`: for each
      of equally spaced directions, from that of x to that of y and on, the pixel (x, y) that lies farthest in it.
    """
    regions, areas = pixels.regions, pixels.areas
    count = tf.size(areas, tf.int64)
    points = tf.reverse(pixels.places[:, 1:], axis=[1])  # x, y
    least = tf.math.unsorted_segment_min(points, regions, count)
    extent = tf.math.unsorted_segment_max(points, regions, count) - least + 1
    share = tf.cast(areas, tf.float64)
    angles = [2 * math.pi * number / DIRECTIONS for number in range(DIRECTIONS)]
    contours = tf.map_fn(
        lambda direction: _farthest(points, regions, count, direction=direction),
        tf.constant([[round(math.cos(angle), 12), round(math.sin(angle), 12)] for angle in angles], tf.float64),
        fn_output_signature=tf.TensorSpec([None, 2], tf.int64),
        parallel_iterations=1,
    )  # [DIRECTIONS, N, 2]
    measured = {
        "class": tf.math.unsorted_segment_max(pixels.places[:, 0], regions, count),
        "boxes": tf.concat([least, extent], axis=1),
        "areas": areas,
        "contours": tf.transpose(contours, [1, 0, 2]),
    }
    return {name: tf.cast(value, tf.int32) for name, value in measured.items()} | {
        "centers": tf.cast(_sum(tf.cast(points, tf.float64), regions, count) / share[:, None], tf.float32),
        "mean_probabilities": tf.cast(
            _sum(tf.cast(pixels.probabilities, tf.float64), regions, count) / share, tf.float32
        ),
        "maximum_probabilities": tf.math.unsorted_segment_max(pixels.probabilities, regions, count),
    }


def _number_components(nodes: tf.Tensor, upper: tf.Tensor, lower: tf.Tensor) -> tf.Tensor:
    """Returns the number of the connected component of each node of a graph, ascending by their least nodes.

    Each node has as its label another one of its component, at first itself. In each round the larger label of an edge
    gets the smaller one as its label, and labels are replaced by their labels, so that rounds are few (Shiloach and
    Vishkin 1982). If nothing changes, all nodes of a component have its least node as their label.

    Args:
      nodes: 0, 1, …, int64 `[n]`.
      upper: one node of each edge, int64 `[e]`.
      lower: the other one.
    """

    def join(labels: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        one, other = tf.gather(labels, upper), tf.gather(labels, lower)
        joined = tf.tensor_scatter_nd_min(labels, tf.maximum(one, other)[:, None], tf.minimum(one, other))
        joined = tf.gather(joined, joined)
        return joined, tf.reduce_any(joined != labels)

    labels, _ = tf.while_loop(
        lambda _, changed: changed,
        join,
        (nodes, tf.constant(True)),
        shape_invariants=(tf.TensorShape([None]), tf.TensorShape([])),
    )
    return tf.gather(tf.cumsum(tf.cast(labels == nodes, tf.int64)) - 1, labels)


def _farthest(points: tf.Tensor, regions: tf.Tensor, count: tf.Tensor, *, direction: tf.Tensor) -> tf.Tensor:
    """Returns the point (x, y) of each region that lies farthest in a direction (x, y), int64 `[N, 2]`."""
    reach = tf.reduce_sum(tf.cast(points, tf.float64) * direction, axis=1)
    is_farthest = reach == tf.gather(tf.math.unsorted_segment_max(reach, regions, count), regions)
    numbers = tf.range(tf.size(regions, tf.int64))
    first = tf.math.unsorted_segment_min(tf.where(is_farthest, numbers, numbers.dtype.max), regions, count)
    return tf.gather(points, first)


def _bound(operation, sorted_values: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Calls LowerBound or UpperBound, int64; `tf.searchsorted` cannot do it without values."""
    return operation(sorted_inputs=sorted_values[None], values=values[None], out_type=tf.int64)[0]


def _sum(values: tf.Tensor, regions: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    return tf.math.unsorted_segment_sum(values, regions, count)


def _last(regions: tf.Tensor) -> tf.Tensor:
    """Returns the largest number of a region, −1 if there is none."""
    return tf.reduce_max(tf.concat([tf.constant([-1], tf.int64), regions], axis=0))
