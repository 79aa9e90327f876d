"""A small synthetic fundus set in IDRiD's folder layout, so that the demo needs no patient's photograph.

Haemorrhages differ from their unmarked look-alikes (vessels, pigment, shadows) by shape and hue rather than by
darkness: a network can learn to find them, a threshold cannot.
"""

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from configs import InputError

SIZES = ((848, 1280), (712, 1072))  # (height, width) of odd and of even photographs, pixels
NUMBER_WITHOUT_LESIONS = 2  # fixed, so that a photograph depends on its own number only
JPEG_QUALITY = 92
MASK_PALETTE = (0, 0, 0, 255, 0, 0)  # index 0 black, index 1 red

# Equivalent diameters of the 1,365 lesions (8-connected, 4 pixels or more) measured on IDRiD's 53 masks, in pixels:
#   1 %: 14, 5 %: 20, 10 %: 23, 25 %: 31, 50 %: 44, 75 %: 68, 90 %: 106, 95 %: 132, 99 %: 214, largest 1265;
# their natural logarithm spreads by 0.60. IDRiD is cut into tiles of 512 pixels, this set of 256: half of that, and
# spread less, because a network cannot learn rare giants from a demo's few photographs.
MEDIAN_DIAMETER = 22.0
LOG_DIAMETER_SPREAD = 0.5
DIAMETER_RANGE = (7.0, 70.0)
LESIONS_RANGE = (5, 40)  # a photograph; even on a logarithmic scale, 17 on average

# how strongly red, green and blue light is absorbed, per unit of density
FLOWING_BLOOD = np.array([0.28, 1.0, 0.9], np.float32)
SPILT_BLOOD = np.array([0.42, 1.0, 0.9], np.float32)  # a little browner; 0.35 to 0.5 of red on IDRiD's photographs
PIGMENT = np.array([0.80, 1.0, 0.9], np.float32)

Segment = tuple[float, float, float, float, float]  # a piece of vessel: x and y of both ends, and width, pixels
Bud = tuple[float, float, float, float, float]  # x, y, heading, heading in the end (radians), and width, pixels


@dataclasses.dataclass(frozen=True)
class _Eye:
    """Where things are in a photograph, pixels; centres are (x, y)."""

    center: tuple[float, float]
    radius: float
    disc: tuple[float, float]
    disc_radius: float
    fovea: tuple[float, float]


def write_synthetic_set(folder: Path, *, training: int = 16, test: int = 6, seed: int = 0) -> list[str]:
    """Writes photographs and haemorrhage masks below `folder`; files of the same names are replaced, others stay.

    The second training photograph has no haemorrhage and, as in IDRiD, no mask file.

    Args:
      folder: the set's root; made if absent.
      training: number of training photographs, at least 2.
      test: number of test photographs, at least 0; they are numbered on from the training photographs.
      seed: at least 0; a photograph depends on the seed and on its own number, not on how many there are.

    Returns:
      The photographs' names, `["SYN_01", "SYN_02", …]`.

    Raises:
      InputError: a number out of range.
    """
    for name, value, lowest in (("training", training, NUMBER_WITHOUT_LESIONS), ("test", test, 0), ("seed", seed, 0)):
        if value < lowest:
            raise InputError(f"{name} must be at least {lowest}; received {value}.")
    names = [f"SYN_{number:02d}" for number in range(1, training + test + 1)]
    for number, name in enumerate(names, start=1):
        photograph, mask = synthetic_photograph(
            np.random.default_rng((seed, number)),
            *SIZES[(number - 1) % len(SIZES)],
            haemorrhages=number != NUMBER_WITHOUT_LESIONS,
        )
        part = "a. Training Set" if number <= training else "b. Testing Set"
        photographs = folder / "A. Segmentation" / "1. Original Images" / part
        masks = folder / "A. Segmentation" / "2. All Segmentation Groundtruths" / part / "2. Haemorrhages"
        _save(Image.fromarray(photograph), photographs / f"{name}.jpg", format="JPEG", quality=JPEG_QUALITY)
        if mask.any():
            indices = Image.fromarray(mask.astype(np.uint8))
            indices.putpalette(MASK_PALETTE)
            _save(indices, masks / f"{name}_HE.tif", format="TIFF", compression="tiff_lzw")
    return names


def synthetic_photograph(
    rng: np.random.Generator, height: int, width: int, *, haemorrhages: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a fundus photograph of 400 pixels or more each way, with or without haemorrhages.

    What lies before the retina weakens its light by exp(-density * absorption): layers darken each other. Returns the
    photograph, uint8 RGB `[height, width, 3]`, and the mask of its haemorrhages, bool `[height, width]`.
    """
    eye = _place_eye(rng, height, width)
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    from_center = np.hypot(xs - eye.center[0], ys - eye.center[1])
    from_disc = np.hypot(xs - eye.disc[0], (ys - eye.disc[1]) * 0.92)  # the optic disc is a little higher than wide
    free = (from_center < eye.radius - 6) & (from_disc > 1.1 * eye.disc_radius)

    light = _retina_light(rng, eye, xs, ys=ys, from_disc=from_disc)
    _add_exudates(rng, light, free)
    light *= np.exp(-_vessel_density(rng, eye, height, width=width)[..., None] * FLOWING_BLOOD)
    light *= np.exp(-_pigment_density(rng, height, width)[..., None] * PIGMENT)
    mask, density = _haemorrhages(rng, eye, free) if haemorrhages else (np.zeros_like(free), np.zeros_like(xs))
    light *= np.exp(-density[..., None] * SPILT_BLOOD)

    x, y = (xs - eye.center[0]) / eye.radius, (ys - eye.center[1]) / eye.radius
    tilt = rng.uniform(-0.17, 0.17) * x + rng.uniform(-0.17, 0.17) * y
    falloff = rng.uniform(0.15, 0.45) * ((x - rng.uniform(-0.3, 0.3)) ** 2 + (y - rng.uniform(-0.3, 0.3)) ** 2)
    light *= np.clip(1.1 + tilt - falloff, 0.4, 1.2)[..., None]
    inside = np.clip(eye.radius - from_center, 0, 1)[..., None]
    picture = (inside * light + (1 - inside) * rng.uniform(0.5, 3, 3)).astype(np.float32)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.6)  # of the lens
    noise = cv2.GaussianBlur(rng.standard_normal((height, width, 3), np.float32), (0, 0), 0.7)
    picture += noise * (1 + 0.45 * np.sqrt(np.maximum(picture, 0)))  # of the sensor: grows with the light
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), mask


def _save(image: Image.Image, path: Path, **options: Any) -> None:
    """Writes under a temporary name first: an interrupted run leaves no file that looks whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    image.save(temporary, **options)
    os.replace(temporary, path)


def _place_eye(rng: np.random.Generator, height: int, width: int) -> _Eye:
    """As in IDRiD, the retina is a fifth wider than the frame is high, and left of the frame's middle."""
    radius = height * rng.uniform(0.59, 0.605)
    center = (width * rng.uniform(0.45, 0.48), height / 2)
    side = rng.choice((-1, 1))  # of the optic disc: left or right
    disc = (center[0] + side * radius * rng.uniform(0.55, 0.75), center[1] + radius * rng.uniform(-0.12, 0.08))
    fovea = (disc[0] - side * radius * rng.uniform(0.75, 0.85), disc[1] + radius * rng.uniform(0.02, 0.14))
    return _Eye(center, radius, disc, radius * rng.uniform(0.14, 0.17), fovea)


def _retina_light(
    rng: np.random.Generator, eye: _Eye, xs: np.ndarray, *, ys: np.ndarray, from_disc: np.ndarray
) -> np.ndarray:
    """Returns float32 `[H, W, 3]`, about 0..255: choroid, macula and optic disc, evenly lit."""
    color = rng.uniform(140, 220) * np.array([1, rng.uniform(0.40, 0.55), 0.03 + 0.5 * rng.beta(1.2, 5)])
    noises = [_smooth_noise(rng, xs.shape, cell) for cell in (110, 28, 40)]
    choroid = np.exp(-((3 * noises[2]) ** 2))  # where smooth noise is near 0: winding bands, as of deep vessels
    texture = 0.06 * noises[0] + 0.025 * noises[1] + rng.uniform(0.01, 0.05) * choroid
    light = color * (1 + texture[..., None] * (0.6, 1, 1))

    from_fovea = np.hypot(xs - eye.fovea[0], ys - eye.fovea[1]) / eye.radius
    macula = rng.uniform(0.2, 0.5) * np.exp(-((from_fovea / 0.2) ** 2)) + 0.15 * np.exp(-((from_fovea / 0.05) ** 2))
    light *= np.exp(-macula[..., None] * (0.5, 1, 1))

    light *= 1 + 0.15 * np.exp(-((from_disc / (1.8 * eye.disc_radius)) ** 2))[..., None]  # nerve fibres reflect
    edge = eye.disc_radius * (1 + 0.05 * _smooth_noise(rng, xs.shape, 50))
    rim = np.array([250, rng.uniform(155, 190), rng.uniform(45, 95)])
    for size, softness, tone in ((1.0, 3.5, rim), (rng.uniform(0.4, 0.55), 7.0, rim + (5, 45, 65))):  # rim, cup
        share = 1 / (1 + np.exp(np.clip((from_disc - size * edge) / softness, -30, 30)))[..., None]
        light += share * (tone - light)
    return light.astype(np.float32)


def _vessel_density(rng: np.random.Generator, eye: _Eye, height: int, *, width: int) -> np.ndarray:
    """Returns float32 `[H, W]`, 0 or more: arteries, veins, dark spots on them, and stray pieces of vessel."""
    away = math.pi if eye.fovea[0] < eye.disc[0] else 0.0  # from the disc to the macula
    densities = []
    for calibre, low, high in ((0.017, 0.22, 0.34), (0.023, 0.36, 0.5)):  # arteries, veins
        segments = []
        for start, end, share in ((1.4, 0.1, 1.0), (0.7, 0.2, 0.4), (2.2, 2.0, 0.6)):  # arcades, macular, nasal
            for side in (-1, 1):
                headings = away + side * rng.normal((start, end), 0.15)
                root = rng.normal(eye.disc, 0.1 * eye.disc_radius)
                segments += _grow_vessel(rng, eye, (*root, *headings, share * calibre * eye.radius))
        spots = _drawn([segments[i] for i in rng.choice(len(segments), 6)], height, width, widen=1.5)
        density = rng.uniform(low, high) * _drawn(segments, height, width)
        densities.append(density + 0.35 * cv2.GaussianBlur(spots, (0, 0), 1.5))
    crossings = cv2.GaussianBlur(np.minimum(*densities), (0, 0), 2)
    pieces = []
    for _ in range(rng.integers(4, 12)):
        bud = (*rng.uniform(0, (width, height)), *rng.uniform(0, 2 * math.pi, 2), rng.uniform(2.5, 5))
        pieces += _grow_vessel(rng, eye, bud, branching=0)[: rng.integers(3, 9)]
    return sum(densities) + crossings + rng.uniform(0.4, 0.7) * _drawn(pieces, height, width)


def _grow_vessel(rng: np.random.Generator, eye: _Eye, bud: Bud, *, branching: float = 0.1) -> list[Segment]:
    """Grows a vessel and its branches until they are thin or leave the retina; at each step one may branch off."""
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
            width -= 0.00014 * eye.radius  # by a length, not by a share: thin vessels are short
            if math.dist((x, y), eye.fovea) < 0.3 * eye.radius:  # the fovea has none
                width *= 0.8
            if rng.random() < branching:
                turn = rng.choice((-1, 1)) * rng.uniform(0.4, 0.9)
                waiting.append((x, y, heading + turn, heading + turn * rng.uniform(0.2, 1.3), width * 0.6))
                heading -= 0.15 * turn
                width *= 0.95
    return segments


def _drawn(segments: list[Segment], height: int, width: int, *, widen: float = 1.0) -> np.ndarray:
    """Draws pieces of vessel, thin ones fainter, as float32 `[H, W]` in 0..1."""
    canvas = np.zeros((2 * height, 2 * width), np.uint8)  # twice the size: OpenCV's widths are whole pixels
    for *ends, thickness in sorted(segments, key=lambda segment: segment[-1]):  # thick ones over thin ones
        x0, y0, x1, y1 = (round(16 * end) for end in ends)  # eighths of a pixel of the canvas
        tone = round(255 * min(1.0, 0.35 + 0.08 * thickness))
        cv2.line(canvas, (x0, y0), (x1, y1), tone, max(1, round(2 * widen * thickness)), cv2.LINE_AA, shift=3)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small.astype(np.float32) / 255, (0, 0), 0.9)


def _haemorrhages(rng: np.random.Generator, eye: _Eye, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mask, bool `[H, W]`, and the density of blood, float32 `[H, W]`: dots, blots and flames."""
    mask, density = np.zeros(free.shape, bool), np.zeros(free.shape, np.float32)
    for _ in range(round(math.exp(rng.uniform(*np.log(LESIONS_RANGE))))):
        diameter = np.clip(rng.lognormal(math.log(MEDIAN_DIAMETER), LOG_DIAMETER_SPREAD), *DIAMETER_RANGE)
        for _ in range(30):  # places tried; where the photograph is crowded, it goes without
            center_yx = rng.integers(free.shape)
            elongation, angle = rng.uniform(1, 1.7), rng.uniform(0, math.pi)
            if diameter > 12 and rng.random() < 0.3:  # a flame: along the nerve fibres, which leave the optic disc
                elongation = rng.uniform(2.5, 4.5)
                angle = math.atan2(*(center_yx - eye.disc[::-1])) + rng.normal(0, 0.3)
            shape = _blob(rng, diameter, elongation, angle=angle)
            window = _window(center_yx, len(shape), free.shape)
            if free[window][shape].all() and not mask[window][shape].any():
                mask[window] |= shape
                depth = 0.6 + 0.5 * cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 0.15 * diameter)
                depth += 0.1 * _smooth_noise(rng, shape.shape, 10)
                density[window][shape] = rng.uniform(0.32, 0.95) * depth[shape]
                break
    return mask, cv2.GaussianBlur(density, (0, 0), 0.7)


def _add_exudates(rng: np.random.Generator, light: np.ndarray, free: np.ndarray) -> None:
    """Adds groups of bright yellow specks to float32 `[H, W, 3]`, in place, where bool `[H, W]` allows."""
    share = np.zeros(free.shape, np.float32)
    for _ in range(rng.integers(0, 4)):
        center_yx, spread = rng.integers(free.shape), rng.uniform(20, 70)
        for _ in range(rng.integers(5, 30)):
            shape = _blob(
                rng, np.clip(rng.lognormal(math.log(6), 0.5), 3, 25), rng.uniform(1, 2), angle=rng.uniform(0, 3)
            )
            window = _window(rng.normal(center_yx, spread), len(shape), free.shape)
            if free[window][shape].all():
                share[window][shape] = rng.uniform(0.3, 0.95)
    light += cv2.GaussianBlur(share, (0, 0), 1)[..., None] * (np.array([245, 215, 80], np.float32) - light)


def _pigment_density(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Returns float32 `[H, W]`: sharp round dots, smaller than haemorrhages and not red, and wide soft shadows."""
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


def _blob(rng: np.random.Generator, diameter: float, elongation: float, *, angle: float) -> np.ndarray:
    """Cuts an irregular shape out of an ellipse and noise: bool `[side, side]`, one 4-connected piece.

    Its area is about that of a circle of `diameter` pixels, its long axis lies at `angle` radians.
    """
    half = math.ceil(0.8 * diameter * math.sqrt(elongation)) + 3
    offsets = (np.arange(2 * half + 1, dtype=np.float32) - half) / (diameter / 2)
    relief = -np.hypot(offsets, offsets[:, None])
    relief += 0.17 * _smooth_noise(rng, relief.shape, max(2.0, 0.35 * diameter))
    relief += 0.08 * _smooth_noise(rng, relief.shape, max(2.0, 0.15 * diameter))
    cos, sin, stretch = math.cos(angle), math.sin(angle), math.sqrt(elongation)
    linear = np.array([[cos, -sin], [sin, cos]]) * (stretch, 1 / stretch)  # noise and all, so that flames are frayed
    shift = half - linear @ (half, half)
    relief = cv2.warpAffine(relief, np.column_stack([linear, shift]), relief.shape, borderValue=-1e3)
    area = round(math.pi / 4 * diameter**2)
    shape = relief >= np.partition(relief, -area, axis=None)[-area]  # the highest pixels
    _, labels, stats, _ = cv2.connectedComponentsWithStats(shape.astype(np.uint8), connectivity=4)
    return labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()


def _window(center_yx: np.ndarray, side: int, frame: tuple[int, int]) -> tuple[slice, slice]:
    """Returns the square window of a frame that is nearest to a centre."""
    top, left = np.clip(np.rint(center_yx).astype(int) - side // 2, 0, np.array(frame) - side)
    return np.s_[top : top + side, left : left + side]


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], cell: float) -> np.ndarray:
    """Returns float32 `[H, W]` of that shape: noise of mean 0, spread about 0.7 and features `cell` pixels wide."""
    coarse = rng.standard_normal([math.ceil(side / cell) + 1 for side in shape], np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
