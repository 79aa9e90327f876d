"""The circle of the field of view, fitted to the visible parts of its edge.

Its diameter is a ruler: a camera's angle of view is known, so it tells how large a photograph shows the retina,
whatever its resolution and however much of the circle the frame cuts off. `pipeline/inference/field_circle.py` computes
the same in the graph.

1. The photograph is sampled at every k-th pixel. In each row and each column of the samples, the edge may be where the
   logarithm of the brightness rises most, and where it falls most: a rim is a step from the retina to almost nothing,
   so even a dark rim is a larger step than any vessel, and a crop without surround has no such step.
2. Of circles through three such points, drawn at random, the one that most points agree with is chosen (RANSAC with the
   score of Torr and Zisserman, MLESAC, 2000), so that notches, letters and flares have no say.
3. It is fitted by least squares to the points near it (Kåsa, A circle fitting procedure and its error analysis, 1976).
"""

import dataclasses

import numpy as np

SAMPLES = 256  # largest number of samples along the longer side
BASE = 10.0  # grey levels added before taking logarithms, so that noise of the dark surround is no step
LEAST_STEP = 0.5  # of the logarithm, at the edge
FEWEST = 32  # points that are enough for a circle
CHOSEN = 256  # points that the circles are drawn from and compared with
# Which of these points each circle goes through, int `[circles, 3]`.
TRIPLES = np.random.default_rng(0).permuted(np.tile(np.arange(CHOSEN), (256, 1)), axis=1)[:, :3]
RADII = (0.15, 1.5)  # least and largest radius, as a fraction of the photograph's longer side
AGREES = 0.01  # of the radius: distance from the circle at which a point no longer counts
NEAR = (0.015, 0.01, 0.0075, 0.0075)  # of the radius: distances within which points are fitted, step by step
SECTORS = 72  # the visible part of the circle is counted in sectors of 5 degrees
LEAST_VISIBLE, LEAST_AGREEMENT, LARGEST_DEVIATION = 0.15, 0.4, 0.0032  # of a circle that is reliable


@dataclasses.dataclass(frozen=True)
class FieldCircle:
    """The circle of a field of view.

    Attributes:
      x: centre, pixels of the photograph from its left border.
      y: centre, pixels from its upper border.
      diameter: pixels.
      visible: fraction of the circle's edge that is seen, 0 to 1.
      agreement: fraction of all edge points that lie on the circle, 0 to 1.
      deviation: standard deviation of these points from the circle, as a fraction of the radius.
    """

    x: float
    y: float
    diameter: float
    visible: float
    agreement: float
    deviation: float

    @property
    def is_reliable(self) -> bool:
        """Whether enough of the edge is seen, and fits well enough, for the diameter to be trusted."""
        return (
            self.visible >= LEAST_VISIBLE and self.agreement >= LEAST_AGREEMENT and self.deviation <= LARGEST_DEVIATION
        )


def fit_field_circle(photograph: np.ndarray) -> FieldCircle | None:
    """Fits the circle of the field of view.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.

    Returns:
      The circle, which may not be reliable, or None if the photograph shows too little of an edge for any.
    """
    step = sampling_step(*photograph.shape[:2])
    samples = photograph[step // 2 :: step, step // 2 :: step].max(axis=-1).astype(np.float32)
    x, y = _edge_points(samples)
    if len(x) < FEWEST:
        return None
    circle = _most_agreed(x, y, max(samples.shape))
    if circle is None:
        return None
    for near in NEAR:
        on = np.abs(_deviations(x, y, circle)) < near
        circle = _least_squares(x[on], y[on]) if np.count_nonzero(on) > 2 else circle
    deviations = _deviations(x, y, circle)
    on = np.abs(deviations) < NEAR[-1]
    if not on.any():
        return None
    center_x, center_y, radius = circle
    angles = np.arctan2(y[on] - center_y, x[on] - center_x) / (2 * np.pi) % 1
    offset = step // 2 + 0.5  # of a sample's centre in the photograph
    return FieldCircle(
        x=float(center_x * step + offset),
        y=float(center_y * step + offset),
        diameter=float(2 * radius * step),
        visible=len(np.unique((angles * SECTORS).astype(int))) / SECTORS,
        agreement=float(on.mean()),
        deviation=float(np.sqrt(np.mean(deviations[on] ** 2))),
    )


def sampling_step(height: int, width: int) -> int:
    """Returns k: every k-th pixel of a photograph, H x W, is looked at."""
    return -(-max(height, width) // SAMPLES)


def _edge_points(brightness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns x and y of the points where an edge may be, float32 `[points]`, in samples of `[h, w]`."""
    if min(brightness.shape) < 4:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    across, along = [], []
    for lines in (brightness, brightness.T):
        positions, steps = _steps(lines)  # [2, lines]
        numbers = np.broadcast_to(np.arange(len(lines), dtype=np.float32), steps.shape)
        kept = steps >= LEAST_STEP
        across.append(positions[kept])
        along.append(numbers[kept])
    return np.concatenate([across[0], along[1]]), np.concatenate([along[0], across[1]])


def _steps(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the largest rise and the largest fall of each line, float32 `[lines, n]`.

    Returns:
      Positions of rises and falls, and their sizes as steps of the logarithm, both float32 `[2, lines]`. A position is
      where a sharp edge would be that leaves as many of the four samples around it bright.
    """
    logarithms = np.log(lines + np.float32(BASE))
    rises = (logarithms[:, 3:] + logarithms[:, 2:-1] - logarithms[:, 1:-2] - logarithms[:, :-3]) / 2
    positions, sizes = [], []
    for sign in (1, -1):
        first = (sign * rises).argmax(axis=1)  # of the four samples
        four = np.take_along_axis(lines, first[:, None] + np.arange(4), axis=1)
        dark, bright = four.min(axis=1), four.max(axis=1)
        lit = ((four - dark[:, None]) / np.maximum(bright - dark, 1)[:, None]).sum(axis=1)
        positions.append(first + (3.5 - lit if sign > 0 else lit - 0.5))
        sizes.append(sign * np.take_along_axis(rises, first[:, None], axis=1)[:, 0])
    return np.stack(positions).astype(np.float32), np.stack(sizes)


def _most_agreed(x: np.ndarray, y: np.ndarray, side: int) -> tuple[float, float, float] | None:
    """Returns centre and radius of the circle through three points that most points agree with, or None."""
    chosen = (2 * np.arange(CHOSEN) + 1) * len(x) // (2 * CHOSEN)
    x, y = x[chosen], y[chosen]
    (x0, x1, x2), (y0, y1, y2) = x[TRIPLES.T], y[TRIPLES.T]
    x1, x2, y1, y2 = x1 - x0, x2 - x0, y1 - y0, y2 - y0
    twice_area = 2 * (x1 * y2 - y1 * x2)
    twice_area = np.where(np.abs(twice_area) < 1e-3, np.float32(np.inf), twice_area)  # three points in a line
    one, two = x1**2 + y1**2, x2**2 + y2**2
    from_x, from_y = (y2 * one - y1 * two) / twice_area, (x1 * two - x2 * one) / twice_area
    center_x, center_y, radius = x0 + from_x, y0 + from_y, np.hypot(from_x, from_y)
    allowed = (radius >= RADII[0] * side) & (radius <= RADII[1] * side)
    distances = np.hypot(x - center_x[:, None], y - center_y[:, None])  # [circles, points]
    off = (distances / np.where(allowed, radius, 1)[:, None] - 1) / AGREES
    scores = np.where(allowed, np.maximum(1 - off**2, 0).sum(axis=1), 0)
    best = int(scores.argmax())
    return (center_x[best], center_y[best], radius[best]) if scores[best] > 0 else None


def _least_squares(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Returns centre and radius of the circle with the least squared differences of x² + y² from its own."""
    mean_x, mean_y = x.mean(), y.mean()
    u, v = x - mean_x, y - mean_y
    uu, vv, uv = (u * u).mean(), (v * v).mean(), (u * v).mean()
    squares = u * u + v * v
    right_u, right_v = (u * squares).mean() / 2, (v * squares).mean() / 2
    determinant = max(uu * vv - uv * uv, 1e-6)
    from_u, from_v = (right_u * vv - right_v * uv) / determinant, (right_v * uu - right_u * uv) / determinant
    return mean_x + from_u, mean_y + from_v, np.sqrt(from_u**2 + from_v**2 + uu + vv)


def _deviations(x: np.ndarray, y: np.ndarray, circle: tuple[float, float, float]) -> np.ndarray:
    """Returns the distance of points from a circle as a fraction of its radius, negative inside, `[points]`."""
    center_x, center_y, radius = circle
    return np.hypot(x - center_x, y - center_y) / radius - 1
