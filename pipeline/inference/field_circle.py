"""The circle of the field of view as TensorFlow ops: the same steps as `records.images.field_circle`."""

import numpy as np
import tensorflow as tf

from records.images import field_circle as reference

Circle = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # x and y of the centre, and the radius; float32 scalars


def field_diameter(photograph: tf.Tensor) -> tf.Tensor:
    """Returns the diameter of the field of view, pixels, float32 scalar; 0 if no reliable circle can be fitted.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.
    """
    step = -(-tf.reduce_max(tf.shape(photograph)[:2]) // reference.SAMPLES)
    # Two gathers would take some milliseconds less on a CPU, but have no kernel for uint8 on a GPU.
    samples = tf.cast(photograph[step // 2 :: step, step // 2 :: step], tf.float32)
    brightness = tf.ensure_shape(tf.reduce_max(samples, axis=-1), [None, None])
    x, y = tf.cond(
        tf.reduce_min(tf.shape(brightness)) < 4,
        lambda: (tf.zeros([0]), tf.zeros([0])),
        lambda: _edge_points(brightness),
    )
    diameter = tf.cond(
        tf.size(x) < reference.CHOSEN // 8,
        lambda: tf.constant(0.0),
        lambda: _reliable_diameter(x, y, tf.reduce_max(tf.shape(brightness))),
    )
    return diameter * tf.cast(step, tf.float32)


def _reliable_diameter(x: tf.Tensor, y: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Returns the diameter in samples, or 0."""
    score, circle = _most_agreed(x, y, side)
    for near in reference.NEAR:
        on = tf.cast(tf.abs(_deviations(x, y, circle)) < near, tf.float32)
        fitted = _least_squares(x, y, on)
        enough = tf.reduce_sum(on) > 2
        circle = tuple(tf.where(enough, new, old) for new, old in zip(fitted, circle, strict=True))
    deviations = _deviations(x, y, circle)
    on = tf.abs(deviations) < reference.NEAR[-1]
    number = tf.maximum(tf.math.count_nonzero(on, dtype=tf.float32), 1)
    center_x, center_y, radius = circle
    angles = tf.boolean_mask(tf.atan2(y - center_y, x - center_x), on) / (2 * np.pi) % 1
    sectors = tf.cast(angles * reference.SECTORS, tf.int32) % reference.SECTORS
    seen = tf.math.count_nonzero(tf.math.bincount(sectors, minlength=reference.SECTORS), dtype=tf.float32)
    squares = tf.where(on, deviations**2, 0)
    reliable = (
        (score > 0)
        & (seen >= reference.LEAST_VISIBLE * reference.SECTORS)
        & (number >= reference.LEAST_AGREEMENT * tf.cast(tf.size(x), tf.float32))
        & (tf.sqrt(tf.reduce_sum(squares) / number) <= reference.LARGEST_DEVIATION)
    )
    return tf.where(reliable, 2 * radius, 0)


def _edge_points(brightness: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns x and y of the points where an edge may be, float32 `[points]`, in samples of `[h, w]`."""
    across, along = [], []
    for lines in (brightness, tf.transpose(brightness)):
        positions, steps = _steps(lines)  # [2, lines]
        numbers = tf.broadcast_to(tf.range(tf.cast(tf.shape(lines)[0], tf.float32)), tf.shape(steps))
        kept = steps >= reference.LEAST_STEP
        across.append(tf.boolean_mask(positions, kept))
        along.append(tf.boolean_mask(numbers, kept))
    return tf.concat([across[0], along[1]], axis=0), tf.concat([along[0], across[1]], axis=0)


def _steps(lines: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds the largest rise and the largest fall of each line: positions and sizes, both float32 `[2, lines]`."""
    logarithms = tf.math.log(lines + reference.BASE)
    rises = (logarithms[:, 3:] + logarithms[:, 2:-1] - logarithms[:, 1:-2] - logarithms[:, :-3]) / 2
    positions, sizes = [], []
    for sign in (1, -1):
        first = tf.argmax(sign * rises, axis=1, output_type=tf.int32)
        four = tf.gather(lines, first[:, None] + tf.range(4), batch_dims=1)
        dark, bright = tf.reduce_min(four, axis=1), tf.reduce_max(four, axis=1)
        lit = tf.reduce_sum((four - dark[:, None]) / tf.maximum(bright - dark, 1)[:, None], axis=1)
        positions.append(tf.cast(first, tf.float32) + (3.5 - lit if sign > 0 else lit - 0.5))
        sizes.append(sign * tf.gather(rises, first, batch_dims=1))
    return tf.stack(positions), tf.stack(sizes)


def _most_agreed(x: tf.Tensor, y: tf.Tensor, side: tf.Tensor) -> tuple[tf.Tensor, Circle]:
    """Returns the score, and the circle through three points that most points agree with."""
    chosen = (2 * tf.range(reference.CHOSEN) + 1) * tf.size(x) // (2 * reference.CHOSEN)
    x, y = tf.gather(x, chosen), tf.gather(y, chosen)
    (x0, x1, x2), (y0, y1, y2) = (tf.unstack(tf.gather(values, reference.TRIPLES.T)) for values in (x, y))
    x1, x2, y1, y2 = x1 - x0, x2 - x0, y1 - y0, y2 - y0
    twice_area = 2 * (x1 * y2 - y1 * x2)
    twice_area = tf.where(tf.abs(twice_area) < 1e-3, np.inf, twice_area)  # three points in a line
    one, two = x1**2 + y1**2, x2**2 + y2**2
    from_x, from_y = (y2 * one - y1 * two) / twice_area, (x1 * two - x2 * one) / twice_area
    center_x, center_y, radius = x0 + from_x, y0 + from_y, tf.sqrt(from_x**2 + from_y**2)
    side = tf.cast(side, tf.float32)
    allowed = (radius >= reference.RADII[0] * side) & (radius <= reference.RADII[1] * side)
    distances = tf.sqrt((x - center_x[:, None]) ** 2 + (y - center_y[:, None]) ** 2)  # [circles, points]
    off = (distances / tf.where(allowed, radius, 1)[:, None] - 1) / reference.AGREES
    scores = tf.where(allowed, tf.reduce_sum(tf.maximum(1 - off**2, 0), axis=1), 0)
    best = tf.argmax(scores)
    return scores[best], (center_x[best], center_y[best], radius[best])


def _least_squares(x: tf.Tensor, y: tf.Tensor, on: tf.Tensor) -> Circle:
    """Returns the circle with the least squared differences of x² + y² from its own, over the points with `on` 1."""
    number = tf.maximum(tf.reduce_sum(on), 1)

    def mean(values: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(values * on) / number

    mean_x, mean_y = mean(x), mean(y)
    u, v = x - mean_x, y - mean_y
    uu, vv, uv = mean(u * u), mean(v * v), mean(u * v)
    squares = u * u + v * v
    right_u, right_v = mean(u * squares) / 2, mean(v * squares) / 2
    determinant = tf.maximum(uu * vv - uv * uv, 1e-6)
    from_u, from_v = (right_u * vv - right_v * uv) / determinant, (right_v * uu - right_u * uv) / determinant
    return mean_x + from_u, mean_y + from_v, tf.sqrt(from_u**2 + from_v**2 + uu + vv)


def _deviations(x: tf.Tensor, y: tf.Tensor, circle: Circle) -> tf.Tensor:
    """Returns the distance of points from a circle as a fraction of its radius, negative inside, `[points]`."""
    center_x, center_y, radius = circle
    return tf.sqrt((x - center_x) ** 2 + (y - center_y) ** 2) / radius - 1
