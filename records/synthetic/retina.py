"""Draws the healthy parts of a synthetic fundus: choroid, macula, optic disc and vessels."""

import dataclasses
import math

import cv2
import numpy as np

from records.synthetic.shapes import smooth_noise

Segment = tuple[float, float, float, float, float]  # piece of a vessel: x and y of both ends, and width, pixels
Bud = tuple[float, float, float, float, float]  # x, y, initial and final heading (radians), and width, pixels


@dataclasses.dataclass(frozen=True)
class Eye:
    """The places of field of view, optic disc and fovea in a photograph, pixels; centres are (x, y)."""

    center: tuple[float, float]
    radius: float
    disc: tuple[float, float]
    disc_radius: float
    fovea: tuple[float, float]


def place_eye(rng: np.random.Generator, height: int, width: int) -> Eye:
    """Draws the places; as in IDRiD, the field of view is a fifth wider than the frame is high, and left of centre."""
    radius = height * rng.uniform(0.59, 0.605)
    center = (width * rng.uniform(0.45, 0.48), height / 2)
    side = rng.choice((-1, 1))  # of the optic disc: left or right
    disc = (center[0] + side * radius * rng.uniform(0.55, 0.75), center[1] + radius * rng.uniform(-0.12, 0.08))
    fovea = (disc[0] - side * radius * rng.uniform(0.75, 0.85), disc[1] + radius * rng.uniform(0.02, 0.14))
    return Eye(center, radius, disc, radius * rng.uniform(0.14, 0.17), fovea)


def retina_light(
    rng: np.random.Generator, eye: Eye, xs: np.ndarray, *, ys: np.ndarray, from_disc: np.ndarray
) -> np.ndarray:
    """Returns the light of choroid, macula and optic disc, evenly lit: float32 `[H, W, 3]`, about 0..255."""
    color = rng.uniform(140, 220) * np.array([1, rng.uniform(0.40, 0.55), 0.03 + 0.5 * rng.beta(1.2, 5)])
    noises = [smooth_noise(rng, xs.shape, cell) for cell in (110, 28, 40)]
    choroid = np.exp(-((3 * noises[2]) ** 2))  # near 1 where the noise is near 0: winding bands like deep vessels
    texture = 0.06 * noises[0] + 0.025 * noises[1] + rng.uniform(0.01, 0.05) * choroid
    light = color * (1 + texture[..., None] * (0.6, 1, 1))

    from_fovea = np.hypot(xs - eye.fovea[0], ys - eye.fovea[1]) / eye.radius
    macula = rng.uniform(0.2, 0.5) * np.exp(-((from_fovea / 0.2) ** 2)) + 0.15 * np.exp(-((from_fovea / 0.05) ** 2))
    light *= np.exp(-macula[..., None] * (0.5, 1, 1))

    light *= 1 + 0.15 * np.exp(-((from_disc / (1.8 * eye.disc_radius)) ** 2))[..., None]  # reflection of nerve fibres
    edge = eye.disc_radius * (1 + 0.05 * smooth_noise(rng, xs.shape, 50))
    rim = np.array([250, rng.uniform(155, 190), rng.uniform(45, 95)])
    for size, softness, tone in ((1.0, 3.5, rim), (rng.uniform(0.4, 0.55), 7.0, rim + (5, 45, 65))):  # rim, cup
        coverage = 1 / (1 + np.exp(np.clip((from_disc - size * edge) / softness, -30, 30)))[..., None]
        light += coverage * (tone - light)
    return light.astype(np.float32)


def vessel_density(rng: np.random.Generator, eye: Eye, height: int, *, width: int) -> np.ndarray:
    """Returns the density of arteries, veins, dark spots on them and stray pieces of vessel: float32 `[H, W]`."""
    away = math.pi if eye.fovea[0] < eye.disc[0] else 0.0  # from the disc to the macula
    densities = []
    for calibre, low, high in ((0.017, 0.22, 0.34), (0.023, 0.36, 0.5)):  # arteries, veins
        segments = []
        for start, end, width_factor in ((1.4, 0.1, 1.0), (0.7, 0.2, 0.4), (2.2, 2.0, 0.6)):  # arcades, macular, nasal
            for side in (-1, 1):
                headings = away + side * rng.normal((start, end), 0.15)
                root = rng.normal(eye.disc, 0.1 * eye.disc_radius)
                segments += _grow_vessel(rng, eye, (*root, *headings, width_factor * calibre * eye.radius))
        spots = _drawn([segments[i] for i in rng.choice(len(segments), 6)], height, width, widen=1.5)
        density = rng.uniform(low, high) * _drawn(segments, height, width)
        densities.append(density + 0.35 * cv2.GaussianBlur(spots, (0, 0), 1.5))
    crossings = cv2.GaussianBlur(np.minimum(*densities), (0, 0), 2)
    pieces = []
    for _ in range(rng.integers(4, 12)):
        bud = (*rng.uniform(0, (width, height)), *rng.uniform(0, 2 * math.pi, 2), rng.uniform(2.5, 5))
        pieces += _grow_vessel(rng, eye, bud, branching=0)[: rng.integers(3, 9)]
    return sum(densities) + crossings + rng.uniform(0.4, 0.7) * _drawn(pieces, height, width)


def _grow_vessel(rng: np.random.Generator, eye: Eye, bud: Bud, *, branching: float = 0.1) -> list[Segment]:
    """Grows a vessel and its branches until they are thin or leave the field of view; each step may start a branch."""
    step = 0.025 * eye.radius
    segments, waiting = [], [bud]
    while waiting:
        x, y, heading, goal, width = waiting.pop()
        wobble = 0.0
        while width > 1 and math.dist((x, y), eye.center) < eye.radius:
            wobble = 0.7 * wobble + rng.normal(0, 0.07)
            heading += 0.04 * (goal - heading) + wobble
            before, x, y = (x, y), x + step * math.cos(heading), y + step * math.sin(heading)
            segments.append((*before, x, y, width))
            width -= 0.00014 * eye.radius  # by a constant, not a factor: thin vessels are short
            if math.dist((x, y), eye.fovea) < 0.3 * eye.radius:  # the fovea has no vessels
                width *= 0.8
            if rng.random() < branching:
                turn = rng.choice((-1, 1)) * rng.uniform(0.4, 0.9)
                waiting.append((x, y, heading + turn, heading + turn * rng.uniform(0.2, 1.3), width * 0.6))
                heading -= 0.15 * turn
                width *= 0.95
    return segments


def _drawn(segments: list[Segment], height: int, width: int, *, widen: float = 1.0) -> np.ndarray:
    """Returns pieces of vessel, thin ones fainter, drawn as float32 `[H, W]`, 0..1."""
    canvas = np.zeros((2 * height, 2 * width), np.uint8)  # twice the size, as OpenCV's line widths are whole pixels
    for *ends, thickness in sorted(segments, key=lambda segment: segment[-1]):  # thick ones on top of thin ones
        x0, y0, x1, y1 = (round(16 * end) for end in ends)  # eighths of a pixel of the canvas
        tone = round(255 * min(1.0, 0.35 + 0.08 * thickness))
        cv2.line(canvas, (x0, y0), (x1, y1), tone, max(1, round(2 * widen * thickness)), cv2.LINE_AA, shift=3)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small.astype(np.float32) / 255, (0, 0), 0.9)
