"""Pictures that several commands draw: contact sheets, and image files written whole or not at all."""

import math
from pathlib import Path

import cv2
import numpy as np

from records.files import write_bytes

GAP = 6  # pixels between the pictures of a sheet
CLASS_COLORS = (
    (60, 255, 60),
    (0, 255, 255),
    (40, 90, 255),
    (255, 255, 255),
    (255, 60, 255),
    (255, 255, 0),
    (0, 0, 0),
    (160, 160, 160),
)  # RGB, one a class, far apart on a retina: green, cyan, blue, white, magenta, yellow, black, grey


def draw_contours(
    image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], *, thickness: int = 1
) -> np.ndarray:
    """Draws the outline of bool `[H, W]` in an RGB colour onto uint8 `[H, W, 3]`, in place; returns the image."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, color, thickness)
    return image


def contact_sheet(images: list[np.ndarray]) -> np.ndarray:
    """Lays uint8 `[H, W, 3]` images of one size out in a grid that is about as wide as it is high."""
    columns = math.ceil(math.sqrt(len(images)))
    height, width = images[0].shape[:2]
    rows = math.ceil(len(images) / columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for index, image in enumerate(images):
        y, x = index // columns * (height + GAP), index % columns * (width + GAP)
        sheet[y : y + height, x : x + width] = image
    return sheet


def write_png(path: Path, image: np.ndarray) -> None:
    """Writes uint8 `[H, W]` or RGB `[H, W, 3]`, whole or not at all."""
    _write(path, ".png", image, options=[])


def write_jpeg(path: Path, image: np.ndarray, *, quality: int = 90) -> None:
    """Writes uint8 RGB `[H, W, 3]`, whole or not at all."""
    _write(path, ".jpg", image, options=[cv2.IMWRITE_JPEG_QUALITY, quality])


def _write(path: Path, suffix: str, image: np.ndarray, *, options: list[int]) -> None:
    pixels = image[..., ::-1] if image.ndim == 3 else image
    write_bytes(path, cv2.imencode(suffix, np.ascontiguousarray(pixels), options)[1].tobytes())
