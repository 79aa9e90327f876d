"""A few plain measures of a photograph, by which it is compared with those that a model was trained on.

They are taken within the field of view, from samples (`field_circle`) and, where fine detail matters, from patches at
the model's scale, so that they cost a small part of the time that decoding takes.
"""

import itertools
import math

import cv2
import numpy as np

from records.images.field_circle import FieldCircle, sampling_step
from records.images.field_of_view import MIN_BRIGHTNESS, MIN_BRIGHTNESS_FRACTION
from records.images.regions import find_regions

MEASURES = (
    "sharpness",  # contrast of details of about 1 pixel at the model's scale, relative to that of twice the size
    "isotropy",  # contrast of such details along the direction where it is lowest, relative to the highest
    "brightness",  # mean of the brightest channel, 0 to 1
    "evenness",  # brightness of the darkest tenth of the field, relative to that of the brightest tenth
    "red_to_green",  # ratio of the channels' means
    "blue_to_green",
    "saturation",  # mean of (largest - smallest channel) / largest channel, 0 to 1
    "clipped",  # fraction of pixels with a channel of 255
    "field_fraction",  # fraction of the frame that is field of view
    "circle_visible",  # of the circle of the field of view, see `FieldCircle`
    "circle_agreement",
    "circle_deviation",
)
DISC = "OD"  # the class of this name, IDRiD's, is the optic disc if a data set or a model has it
DISC_DIAMETER = "disc_diameter"  # a measure that only a mask or a probability map of the disc tells
PATCHES = 3  # along each axis, evenly spread over the square inside the field of view
PATCH = 96  # side of a patch at the model's scale, pixels
SIGMAS = (0.7, 1.4, 2.8)  # of the Gaussians whose differences are finer and coarser detail, pixels at the model's scale
NOISE = 0.05  # squared grey levels that count as nothing
LIGHT = 15  # side of the neighbourhoods over which light is averaged, samples
INSET = 0.95  # of the radius: pixels this near the centre count, not the rim itself
DARK = 10.0  # grey levels added to brightnesses that something is divided by, so that noise in the dark is no detail


def measure_quality(photograph: np.ndarray, circle: FieldCircle | None, factor: float) -> dict[str, float]:
    """Measures a photograph.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.
      circle: circle of its field of view; None, or one that is not reliable: the whole frame is taken for the field.
      factor: factor by which it is scaled for the model.

    Returns:
      The values of MEASURES by name.
    """
    field = circle
    if field is None or not field.is_reliable:
        height, width = photograph.shape[:2]
        field = FieldCircle(width / 2, height / 2, math.hypot(height, width) / INSET, 0.0, 0.0, 1.0)
    values = _colors(photograph, field) | _details(photograph, field, factor) | _fit(circle or field)
    return {name: values[name] for name in MEASURES}


def measure_disc(masks: np.ndarray, classes: tuple[str, ...], *, factor: float = 1.0) -> dict[str, float]:
    """Measures the optic disc in masks, bool `[H, W, C]`.

    Args:
      masks: masks of the classes.
      classes: names of the C classes.
      factor: factor by which the photograph is scaled, if the masks are not scaled themselves.

    Returns:
      DISC_DIAMETER, that of a circle as large as the largest region, pixels at the model's scale; nothing without one.
    """
    areas = find_regions(masks[..., classes.index(DISC)]).area if DISC in classes else np.zeros(0)
    return {DISC_DIAMETER: factor * equivalent_diameter(areas.max())} if len(areas) else {}


def equivalent_diameter(area: float) -> float:
    """Returns the diameter of a circle of an area."""
    return math.sqrt(4 * area / math.pi)


def _fit(circle: FieldCircle) -> dict[str, float]:
    return {
        "circle_visible": circle.visible,
        "circle_agreement": circle.agreement,
        "circle_deviation": circle.deviation,
    }


def _colors(photograph: np.ndarray, circle: FieldCircle) -> dict[str, float]:
    """Returns what samples of the field of view tell."""
    step = sampling_step(*photograph.shape[:2])
    samples = photograph[step // 2 :: step, step // 2 :: step]
    y, x = (step * np.arange(length, dtype=np.float32) + step / 2 for length in samples.shape[:2])
    inside = (y[:, None] - circle.y) ** 2 + (x - circle.x) ** 2 <= (INSET * circle.diameter / 2) ** 2
    brightness = samples.max(axis=-1)
    if inside.any():  # without what the frame, or a border around it, cuts off the circle
        inside &= brightness > max(MIN_BRIGHTNESS, MIN_BRIGHTNESS_FRACTION * np.quantile(brightness[inside], 0.95))
    pixels = samples[inside].astype(np.float32)  # [n, 3]
    if not len(pixels):
        pixels = np.zeros((1, 3), np.float32)
    largest, smallest = pixels.max(axis=1), pixels.min(axis=1)
    red, green, blue = pixels.mean(axis=0) + DARK
    low, high = _quantiles_of_light(brightness, inside)
    return {
        "brightness": float(largest.mean() / 255),
        "evenness": (low + DARK) / (high + DARK),
        "red_to_green": float(red / green),
        "blue_to_green": float(blue / green),
        "saturation": float(((largest - smallest) / (largest + DARK)).mean()),
        "clipped": float((largest == 255).mean()),
        "field_fraction": float(inside.mean() / INSET**2),
    }


def _quantiles_of_light(brightness: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """Returns the 5 % and 95 % quantiles of the light in the field of view, averaged over neighbourhoods in it."""
    if not inside.any():
        return 0.0, 0.0
    weights = inside.astype(np.float32)
    total = cv2.blur(brightness * weights, (LIGHT, LIGHT))[inside] / cv2.blur(weights, (LIGHT, LIGHT))[inside]
    low, high = np.quantile(total, (0.05, 0.95))
    return float(low), float(high)


def _details(photograph: np.ndarray, circle: FieldCircle, factor: float) -> dict[str, float]:
    """Returns what patches at the model's scale tell."""
    side = max(round(PATCH / factor), 4)
    height, width = photograph.shape[:2]
    reach = max(circle.diameter / 2 / math.sqrt(2) - side / 2, 0)  # from the field's centre to those of outer patches
    ratios, tensor = [], np.zeros((2, 2))
    for across in np.linspace(-reach, reach, PATCHES):
        for down in np.linspace(-reach, reach, PATCHES):
            top, left = (round(center + offset - side / 2) for center, offset in ((circle.y, down), (circle.x, across)))
            top, left = min(max(top, 0), max(height - side, 0)), min(max(left, 0), max(width - side, 0))
            ratio, directions = _detail(photograph[top : top + side, left : left + side, 1])
            ratios.append(ratio)
            tensor += directions
    lowest, highest = np.linalg.eigvalsh(tensor)
    return {
        "sharpness": float(np.median(ratios)),
        "isotropy": math.sqrt(max(lowest, 0) / highest) if highest > 0 else 1.0,
    }


def _detail(patch: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns how much finer detail a green patch has than coarser, and the structure tensor of the finer `[2, 2]`.

    A photograph's detail falls off with its size in about the same way whatever it shows; blur takes the finer part.
    The tensor's eigenvalues are the mean squared slopes along the sharpest and the blurriest direction.
    """
    small = cv2.resize(patch, (PATCH, PATCH), interpolation=cv2.INTER_AREA).astype(np.float32)
    levels = [cv2.GaussianBlur(small, (0, 0), sigma) for sigma in SIGMAS]
    fine, coarse = ((one - other) ** 2 for one, other in itertools.pairwise(levels))
    slopes = cv2.GaussianBlur(small, (0, 0), 1.0) - cv2.GaussianBlur(small, (0, 0), 2.0)
    across, down = np.diff(slopes, axis=1)[:-1].ravel(), np.diff(slopes, axis=0)[:, :-1].ravel()
    tensor = np.cov(np.stack([across, down]), bias=True)
    return math.sqrt(fine.mean() / (coarse.mean() + NOISE)), tensor / max(np.trace(tensor), NOISE)
