"""Copies of a photograph as other cameras might have taken it: white balance, gamma, haze, noise and the like.

Each shift has one strength, which is the same for all photographs, so that scores of two models under it can be
compared. Lengths are fractions of the diameter of the field of view, so that photographs of any size are shifted alike
(except by JPEG). Strengths were chosen by eye and by what the 54 photographs of one camera (IDRiD) differ by among
themselves: most shifts move a typical photograph to where the most unusual of them are, as another camera would do with
all of its photographs.

Only the field of view is changed, and the surround stays as it is, since the mask of a camera is black whatever its
colours are. Noise and JPEG are of the whole frame, as in a camera.
"""

import zlib
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from records import field_of_view

LEVELS = np.arange(256) / 255
LUMA = np.array([0.299, 0.587, 0.114])  # of ITU-R BT.601

# Numbers of IDRiD are measures of `records.measure_quality`: the median and the range of its 54 photographs. What
# shifts make of them was measured in two typical ones.

# Gains of red, green and blue. Mean red to mean green: 1.9, from 1.6 to 2.8; "warm" makes 2.3 of it, "cool" 1.5. Blue
# to green: 0.3, from 0.2 to 0.8; it becomes 0.2 and 0.4.
WARM = (1.1, 0.85, 0.6)
COOL = (0.85, 1.05, 1.9)
# Exponents of values in 0..1. Mean of the brightest channel: 0.66, from 0.46 to 0.88; "darker" takes 0.1 of it,
# "brighter" adds 0.07. A green of 0.3, as retinas have, becomes 0.16 and 0.43.
DARKER = 1.5
BRIGHTER = 0.7
# Factors of the distance from grey. Saturation, (largest - smallest channel) / largest: 0.85, from 0.52 to 0.92; it
# becomes 0.6 and 0.95. More of it makes blue 0 in most pixels.
LESS_SATURATED = 0.6
MORE_SATURATED = 1.3
# Fraction of the light that is scattered, by a cataract or a lens that is not clean, and its colour, a pale yellow.
# Lesions keep two thirds of their contrast, and saturation becomes 0.63.
HAZE = 0.35
VEIL = (205, 190, 150)
# Light that is lost at the rim, and half of that at 0.7 of the radius. Light of the darkest tenth relative to that of
# the brightest tenth: 0.68, from 0.44 to 0.78; it becomes 0.46, as through a small pupil.
VIGNETTE = 0.6
# Standard deviation in grey levels, of each channel by itself, in pixels of which the field's diameter has 1500, those
# of a small camera: at finer pixels, networks would average it away. After the gamma of a camera, the noise of photons
# is about equal at all levels. Noise counts as sharpness, which is 0.8 (from 0.67 to 1.04) and becomes 1.36: no
# photograph of IDRiD has so much, as a dim one at a raised sensitivity would.
NOISE = 8.0
GRAIN = 1 / 1500
# Of 100; networks look at a third of the size of IDRiD's photographs, which averages some of it away.
JPEG_QUALITY = 30
# Unsharp masking: how much of the difference to the photograph blurred by a Gaussian is added, and its standard
# deviation, three pixels of a small camera. Vessels and the rims of exudates become harder; sharpness becomes 1.0.
SHARPENING = 1.2
SHARPENING_SIGMA = 1 / 500
RIM = 1 / 200  # width over which a shift sets in at the border of the field of view


class Field(NamedTuple):
    """The field of view that shifts are in.

    Attributes:
      weight: 1 within, 0 outside, float32 `[H, W]`, with a soft border.
      y: centre, pixels.
      x: centre, pixels.
      diameter: of its circle, also where the frame cuts off parts above and below, pixels.
    """

    weight: np.ndarray
    y: float
    x: float
    diameter: float


Shift = Callable[[np.ndarray, Field], np.ndarray]


def find_field(photograph: np.ndarray) -> Field:
    """Finds the field of view of a photograph, uint8 RGB `[H, W, 3]`; the whole frame if nothing is bright."""
    inside = field_of_view(photograph)
    if not inside.any():
        inside[:] = True
    x, y, width, height = cv2.boundingRect(inside.view(np.uint8))
    diameter = max(width, height)
    side = max(round(RIM * diameter), 1)
    weight = cv2.blur(inside.astype(np.float32), (side, side))
    return Field(weight, y + (height - 1) / 2, x + (width - 1) / 2, diameter)


def shift_camera(photograph: np.ndarray, name: str, *, case: str, field: Field) -> np.ndarray:
    """Returns a photograph under a shift; the same name and case always give the same pixels.

    Args:
      photograph: uint8 RGB `[H, W, 3]`.
      name: one of `SHIFTS`.
      case: name of the photograph, which decides the noise.
      field: of `find_field`.

    Returns:
      uint8 RGB `[H, W, 3]`.
    """
    if name in FRAME_SHIFTS:
        return FRAME_SHIFTS[name](photograph, field, np.random.default_rng(zlib.crc32(f"{name} {case}".encode())))
    if name == UNSHIFTED:
        return photograph
    return cv2.blendLinear(FIELD_SHIFTS[name](photograph, field), photograph, field.weight, 1 - field.weight)


def _map_levels(*curves: np.ndarray) -> Shift:
    """Returns the shift that maps each channel by its curve, values 0..1 of LEVELS."""
    table = _as_levels(255 * np.stack(curves, axis=-1))[None]  # [1, 256, channels]
    return lambda photograph, _: cv2.LUT(photograph, table)


def _balance(gains: tuple[float, float, float]) -> Shift:
    return _map_levels(*(gain * LEVELS for gain in gains))


def _gamma(exponent: float) -> Shift:
    return _map_levels(LEVELS**exponent, LEVELS**exponent, LEVELS**exponent)


def _saturate(factor: float) -> Shift:
    """Returns the shift that multiplies the distance from the grey of the same luma."""
    matrix = factor * np.eye(3) + (1 - factor) * np.tile(LUMA, (3, 1))
    return lambda photograph, _: cv2.transform(photograph, matrix)


def _haze(fraction: float, veil: tuple[int, int, int]) -> Shift:
    return _map_levels(*((1 - fraction) * LEVELS + fraction * level / 255 for level in veil))


def _vignette(photograph: np.ndarray, field: Field) -> np.ndarray:
    y, x = (
        np.square((np.arange(length, dtype=np.float32) - center) / (field.diameter / 2))
        for length, center in zip(photograph.shape, (field.y, field.x), strict=False)
    )
    lost = np.minimum(VIGNETTE * (y[:, None] + x), VIGNETTE)
    return cv2.blendLinear(np.zeros_like(photograph), photograph, lost, 1 - lost)


def _sharpen(photograph: np.ndarray, field: Field) -> np.ndarray:
    blurred = cv2.GaussianBlur(photograph, (0, 0), SHARPENING_SIGMA * field.diameter)
    return cv2.addWeighted(photograph, 1 + SHARPENING, blurred, -SHARPENING, 0)


def _add_noise(photograph: np.ndarray, field: Field, rng: np.random.Generator) -> np.ndarray:
    height, width, _ = photograph.shape
    pixel = max(GRAIN * field.diameter, 1.0)  # a photograph of a smaller camera has noise in each of its own pixels
    coarse = (max(round(height / pixel), 1), max(round(width / pixel), 1), 3)
    noise = np.rint(NOISE * rng.standard_normal(coarse, np.float32)).astype(np.int16)
    enlarged = cv2.resize(noise, (width, height), interpolation=cv2.INTER_NEAREST)
    return cv2.add(photograph, enlarged, dtype=cv2.CV_8U)


def _compress(photograph: np.ndarray, _: Field, rng: np.random.Generator) -> np.ndarray:
    encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(photograph, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )[1]
    return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _as_levels(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


UNSHIFTED = "as they are"
FIELD_SHIFTS: dict[str, Shift] = {
    "warm": _balance(WARM),
    "cool": _balance(COOL),
    "darker": _gamma(DARKER),
    "brighter": _gamma(BRIGHTER),
    "less saturated": _saturate(LESS_SATURATED),
    "more saturated": _saturate(MORE_SATURATED),
    "haze": _haze(HAZE, VEIL),
    "vignette": _vignette,
    "sharpened": _sharpen,
}
FRAME_SHIFTS: dict[str, Callable[[np.ndarray, Field, np.random.Generator], np.ndarray]] = {
    "noise": _add_noise,
    "JPEG": _compress,
}
SHIFTS = (UNSHIFTED, *FIELD_SHIFTS, *FRAME_SHIFTS)
