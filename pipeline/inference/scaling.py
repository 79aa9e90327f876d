"""Resizes photographs, as `records.rescale_photograph` does with OpenCV, and probability maps, in the graph.

Shrinking has two implementations with the same result. `tf.image.resize(AREA)` is the fastest on a CPU but has no GPU
kernel; on a GPU, areas are averaged by differences of running sums, which are exact in float64.
"""

import tensorflow as tf

from records import SCALE_ROWS

MAP_STRIPS = 8  # of a resized map, computed on as many cores
STRIP = 256  # rows of the result computed at once, which limits the memory of the sums


def resize_photograph(photograph: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Resizes a photograph, uint8 `[H, W, 3]`, to uint8 `[h, w, 3]`: `shrink`, or bilinearly to a larger size.

    Args:
      photograph: uint8 RGB.
      size: (h, w), int32 `[2]`.
    """
    return tf.cond(
        tf.reduce_any(size > tf.shape(photograph)[:2]),
        lambda: _rounded(tf.image.resize(tf.cast(photograph, tf.float32), size)),
        lambda: shrink(photograph, size),
    )


def shrink(photograph: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Shrinks a photograph, uint8 `[H, W, 3]`, to uint8 `[h, w, 3]`; `size` is (h, w), int32 `[2]`."""
    if tf.config.list_logical_devices("GPU"):
        return shrink_by_sums(photograph, size)
    full, strips = tf.shape(photograph)[0], SCALE_ROWS
    return tf.cond(
        (full % strips == 0) & (size[0] % strips == 0),
        lambda: _shrink_strips(photograph, size),
        lambda: _rounded(tf.image.resize(photograph, size, tf.image.ResizeMethod.AREA)),
    )


def _shrink_strips(photograph: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Shrinks strips of equally many rows on several cores; TensorFlow's kernel works on one."""
    rows, size = tf.shape(photograph)[0] // SCALE_ROWS, tf.stack([size[0] // SCALE_ROWS, size[1]])
    strips = [photograph[number * rows : (number + 1) * rows] for number in range(SCALE_ROWS)]
    return tf.concat([_rounded(tf.image.resize(strip, size, tf.image.ResizeMethod.AREA)) for strip in strips], axis=0)


def shrink_by_sums(photograph: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Computes the same as `shrink`, with ops that have kernels for CPU and GPU."""
    full_size, height = tf.shape(photograph)[:2], size[0]
    strip = tf.minimum(STRIP, height)
    columns, column_fractions = _edges(tf.range(size[1] + 1), full_size[1], size[1])
    area = tf.reduce_prod(tf.cast(full_size, tf.float64) / tf.cast(size, tf.float64))  # pixels per pixel of the result

    def compute_strip(first: tf.Tensor, shrunk: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        wanted = tf.minimum(first, height - strip) + tf.range(strip + 1)  # the last strip ends at the border
        rows, row_fractions = _edges(wanted, full_size[0], height)
        pixels = tf.cast(photograph[rows[0] : rows[-1] + 1], tf.float64)
        sums = _sums_up_to(rows - rows[0], row_fractions[:, None, None], pixels, axis=0)
        sums = _sums_up_to(columns, column_fractions[:, None], sums[1:] - sums[:-1], axis=1)
        averages = (sums[:, 1:] - sums[:, :-1]) / area
        return first + strip, tf.raw_ops.InplaceUpdate(x=shrunk, i=wanted[:-1], v=_rounded(averages))

    nothing = tf.raw_ops.Empty(shape=[height, size[1], 3], dtype=tf.uint8)
    _, shrunk = tf.while_loop(
        lambda first, _: first < height,
        compute_strip,
        (tf.constant(0), nothing),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None, 3])),
        parallel_iterations=1,
    )
    return shrunk


def resize_maps(maps: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Resizes probability maps, float32 `[h, w, C]`, to `[H, W, C]` bilinearly with half-pixel centres.

    Args:
      maps: probabilities, float32 `[h, w, C]`.
      size: (H, W), int32 `[2]`.
    """
    return resize_strips(maps, size, tf.range(MAP_STRIPS))[: size[0]]


def strip_rows(height: tf.Tensor | int) -> tf.Tensor | int:
    """Returns how many rows each of the MAP_STRIPS strips of a map of some height has."""
    return -(-height // MAP_STRIPS)


def resize_strips(maps: tf.Tensor, size: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Resizes some of the MAP_STRIPS strips of `resize_maps`, with the same numbers.

    A single call of `tf.image.resize` gives the same numbers, to 1e-4, in 1.7 times the time on two cores. Here it is
    called for the columns alone; for the rows, which make most of the work, `crop_and_resize` computes strips of the
    result on several cores, and treats each row as one pixel of W * C channels, which it interpolates together.

    Args:
      maps: probabilities, float32 `[h, w, C]`.
      size: (H, W) of the whole result, int32 `[2]`.
      numbers: the strips, ascending from 0 at the top, int32 `[n]`.

    Returns:
      float32 `[n * strip_rows(H), W, C]`; the rows of the last strips that are below the result have no meaning.
    """
    height, classes, count = tf.shape(maps)[0], tf.shape(maps)[2], tf.size(numbers)
    wide = tf.image.resize(maps, [height, size[1]])  # [h, W, C]
    padded = tf.concat([wide[:1], wide, wide[-1:]], axis=0)  # the first and last rows of the result lie beyond a centre
    rows = strip_rows(size[0])
    first = tf.cast(numbers * rows, tf.float32)

    def position(row: tf.Tensor) -> tf.Tensor:
        """Returns where a row of the result lies in the padded map, as a fraction of its height."""
        return ((row + 0.5) * tf.cast(height / size[0], tf.float32) + 0.5) / tf.cast(height + 1, tf.float32)

    nothing = tf.zeros_like(first)
    strips = tf.image.crop_and_resize(
        tf.reshape(padded, [1, height + 2, 1, size[1] * classes]),
        tf.stack([position(first), nothing, position(first + tf.cast(rows - 1, tf.float32)), nothing], axis=1),
        tf.zeros([count], tf.int32),
        tf.stack([rows, 1]),
    )
    return tf.reshape(strips, [count * rows, size[1], classes])


def _edges(pixels: tf.Tensor, full: tf.Tensor, shrunk: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where pixels of the shrunk axis begin in the full one: whole pixels, int64, and the fraction, float64."""
    scaled = tf.cast(pixels, tf.int64) * tf.cast(full, tf.int64)
    shrunk = tf.cast(shrunk, tf.int64)
    return scaled // shrunk, tf.cast(scaled % shrunk, tf.float64) / tf.cast(shrunk, tf.float64)


def _sums_up_to(edges: tf.Tensor, fractions: tf.Tensor, values: tf.Tensor, *, axis: int) -> tf.Tensor:
    """Sums `[n, m, 3]` along an axis up to each edge, with a fraction of the value that the edge cuts."""
    values = tf.pad(values, [[0, int(along == axis)] for along in range(3)])  # the last edge may be at the end
    whole = tf.gather(tf.cumsum(values, axis, exclusive=True), edges, axis=axis)
    return whole + fractions * tf.gather(values, edges, axis=axis)


def _rounded(averages: tf.Tensor) -> tf.Tensor:
    """Rounds to uint8, halves up, as OpenCV mostly does (`tf.round` rounds halves to even)."""
    return tf.cast(averages + 0.5, tf.uint8)
