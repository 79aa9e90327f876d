"""Draws smooth noise and irregular shapes for synthetic photographs."""

import math

import cv2
import numpy as np


def blob(rng: np.random.Generator, diameter: float, elongation: float, *, angle: float) -> np.ndarray:
    """Returns an irregular shape, made from an ellipse and noise: bool `[side, side]`, one 4-connected piece.

    Its area is about that of a circle with a diameter of `diameter` pixels; its long axis is at `angle` radians.
    """
    half = math.ceil(0.8 * diameter * math.sqrt(elongation)) + 3
    offsets = (np.arange(2 * half + 1, dtype=np.float32) - half) / (diameter / 2)
    relief = -np.hypot(offsets, offsets[:, None])
    relief += 0.17 * smooth_noise(rng, relief.shape, max(2.0, 0.35 * diameter))
    relief += 0.08 * smooth_noise(rng, relief.shape, max(2.0, 0.15 * diameter))
    cos, sin, stretch = math.cos(angle), math.sin(angle), math.sqrt(elongation)
    # This stretches the noise too, so that flames look frayed.
    linear = np.array([[cos, -sin], [sin, cos]]) * (stretch, 1 / stretch)
    shift = half - linear @ (half, half)
    relief = cv2.warpAffine(relief, np.column_stack([linear, shift]), relief.shape, borderValue=-1e3)
    area = round(math.pi / 4 * diameter**2)
    shape = relief >= np.partition(relief, -area, axis=None)[-area]  # the highest pixels
    _, labels, stats, _ = cv2.connectedComponentsWithStats(shape.astype(np.uint8), connectivity=4)
    return labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()


def nearest_window(center_yx: np.ndarray, side: int, frame: tuple[int, int]) -> tuple[slice, slice]:
    """Returns the square window that is nearest to a centre and inside the frame."""
    top, left = np.clip(np.rint(center_yx).astype(int) - side // 2, 0, np.array(frame) - side)
    return np.s_[top : top + side, left : left + side]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], cell: float) -> np.ndarray:
    """Returns noise with mean 0, standard deviation about 0.7 and features `cell` pixels wide, float32."""
    coarse = rng.standard_normal([math.ceil(side / cell) + 1 for side in shape], np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
