"""Draws synthetic fundus photographs: a healthy retina, haemorrhages, and look-alikes of haemorrhages."""

import math
from typing import NamedTuple

import cv2
import numpy as np

from records.synthetic.retina import Eye, place_eye, retina_light, vessel_density
from records.synthetic.shapes import blob, nearest_window, smooth_noise

# Percentiles of the equivalent diameters, pixels, of the 1,365 lesions (8-connected, 4 pixels or more) in IDRiD:
#   1 %: 14, 5 %: 20, 10 %: 23, 25 %: 31, 50 %: 44, 75 %: 68, 90 %: 106, 95 %: 132, 99 %: 214, largest 1265;
# the standard deviation of their natural logarithm is 0.60. Half of these sizes are drawn, because the demo's tiles
# have 256 pixels where IDRiD's have 512, with less spread, because few photographs cannot teach a network rare giants.
MEDIAN_DIAMETER = 22.0
LOG_DIAMETER_SPREAD = 0.5
DIAMETER_RANGE = (7.0, 70.0)
LESIONS_RANGE = (5, 40)  # per photograph, uniform on a logarithmic scale; 17 on average

# Absorption of red, green and blue light per unit of density.
FLOWING_BLOOD = np.array([0.28, 1.0, 0.9], np.float32)
SPILT_BLOOD = np.array([0.42, 1.0, 0.9], np.float32)  # slightly browner; red is 0.35 to 0.5 in IDRiD's photographs
PIGMENT = np.array([0.80, 1.0, 0.9], np.float32)


class SyntheticPhotograph(NamedTuple):
    """A drawn photograph, uint8 RGB `[H, W, 3]`, and the masks of its haemorrhages and exudates, bool `[H, W]`."""

    photograph: np.ndarray
    haemorrhages: np.ndarray
    exudates: np.ndarray


def synthetic_photograph(
    rng: np.random.Generator, height: int, width: int, *, haemorrhages: bool = True, exudates: bool = True
) -> SyntheticPhotograph:
    """Draws a fundus photograph.

    Each layer in front of the retina attenuates its light by exp(-density * absorption).

    Args:
      rng: source of all draws.
      height: height of the photograph, pixels, at least 400.
      width: width of the photograph, pixels, at least 400.
      haemorrhages: whether it shows haemorrhages.
      exudates: whether it may show exudates.
    """
    eye = place_eye(rng, height, width)
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    from_center = np.hypot(xs - eye.center[0], ys - eye.center[1])
    from_disc = np.hypot(xs - eye.disc[0], (ys - eye.disc[1]) * 0.92)  # the optic disc is slightly taller than wide
    free = (from_center < eye.radius - 6) & (from_disc > 1.1 * eye.disc_radius)

    light = retina_light(rng, eye, xs, ys=ys, from_disc=from_disc)
    bright = _add_exudates(rng, light, free) if exudates else np.zeros_like(free)
    light *= np.exp(-vessel_density(rng, eye, height, width=width)[..., None] * FLOWING_BLOOD)
    light *= np.exp(-_pigment_density(rng, height, width)[..., None] * PIGMENT)
    mask, density = _haemorrhages(rng, eye, free) if haemorrhages else (np.zeros_like(free), np.zeros_like(xs))
    light *= np.exp(-density[..., None] * SPILT_BLOOD)

    x, y = (xs - eye.center[0]) / eye.radius, (ys - eye.center[1]) / eye.radius
    tilt = rng.uniform(-0.17, 0.17) * x + rng.uniform(-0.17, 0.17) * y
    falloff = rng.uniform(0.15, 0.45) * ((x - rng.uniform(-0.3, 0.3)) ** 2 + (y - rng.uniform(-0.3, 0.3)) ** 2)
    light *= np.clip(1.1 + tilt - falloff, 0.4, 1.2)[..., None]
    inside = np.clip(eye.radius - from_center, 0, 1)[..., None]
    pixels = (inside * light + (1 - inside) * rng.uniform(0.5, 3, 3)).astype(np.float32)
    pixels = cv2.GaussianBlur(pixels, (0, 0), 0.6)  # blur of the lens
    noise = cv2.GaussianBlur(rng.standard_normal((height, width, 3), np.float32), (0, 0), 0.7)
    pixels += noise * (1 + 0.45 * np.sqrt(np.maximum(pixels, 0)))  # noise of the sensor, which grows with the light
    return SyntheticPhotograph(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), mask, bright)


def _haemorrhages(rng: np.random.Generator, eye: Eye, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns dots, blots and flames: their mask, bool `[H, W]`, and the density of blood, float32 `[H, W]`."""
    mask, density = np.zeros(free.shape, bool), np.zeros(free.shape, np.float32)
    for _ in range(round(math.exp(rng.uniform(*np.log(LESIONS_RANGE))))):
        diameter = np.clip(rng.lognormal(math.log(MEDIAN_DIAMETER), LOG_DIAMETER_SPREAD), *DIAMETER_RANGE)
        for _ in range(30):  # attempts; in a crowded photograph the haemorrhage may be left out
            center_yx = rng.integers(free.shape)
            elongation, angle = rng.uniform(1, 1.7), rng.uniform(0, math.pi)
            if diameter > 12 and rng.random() < 0.3:  # a flame, along the nerve fibres that leave the optic disc
                elongation = rng.uniform(2.5, 4.5)
                angle = math.atan2(*(center_yx - eye.disc[::-1])) + rng.normal(0, 0.3)
            shape = blob(rng, diameter, elongation, angle=angle)
            window = nearest_window(center_yx, len(shape), free.shape)
            if free[window][shape].all() and not mask[window][shape].any():
                mask[window] |= shape
                depth = 0.6 + 0.5 * cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 0.15 * diameter)
                depth += 0.1 * smooth_noise(rng, shape.shape, 10)
                density[window][shape] = rng.uniform(0.32, 0.95) * depth[shape]
                break
    return mask, cv2.GaussianBlur(density, (0, 0), 0.7)


def _add_exudates(rng: np.random.Generator, light: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Adds groups of bright yellow specks to `light`, float32 `[H, W, 3]`, in place, where bool `[H, W]` is True.

    Returns:
      Their mask, bool `[H, W]`.
    """
    coverage = np.zeros(free.shape, np.float32)
    for _ in range(rng.integers(0, 4)):
        center_yx, spread = rng.integers(free.shape), rng.uniform(20, 70)
        for _ in range(rng.integers(5, 30)):
            shape = blob(
                rng, np.clip(rng.lognormal(math.log(6), 0.5), 3, 25), rng.uniform(1, 2), angle=rng.uniform(0, 3)
            )
            window = nearest_window(rng.normal(center_yx, spread), len(shape), free.shape)
            if free[window][shape].all():
                coverage[window][shape] = rng.uniform(0.3, 0.95)
    light += cv2.GaussianBlur(coverage, (0, 0), 1)[..., None] * (np.array([245, 215, 80], np.float32) - light)
    return coverage > 0


def _pigment_density(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Returns the density of sharp dots, smaller and less red than haemorrhages, and of shadows: float32 `[H, W]`."""
    canvas = np.zeros((2 * height, 2 * width), np.uint8)  # twice the size, for smooth edges
    for _ in range(rng.integers(10, 40)):
        center, radius = rng.integers((2 * width, 2 * height)).tolist(), int(rng.integers(3, 7))
        cv2.circle(canvas, center, radius, int(rng.integers(80, 230)), -1, cv2.LINE_AA)
    density = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    for _ in range(rng.integers(2, 7)):
        spread = rng.uniform(20, 60)
        down, across = (np.exp(-(((np.arange(n) - rng.uniform(0, n)) / spread) ** 2)) for n in (height, width))
        density += rng.uniform(0.15, 0.45) * np.outer(down, across)
    return density
