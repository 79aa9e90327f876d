"""Draws outlines and contact sheets, and writes image files whole or not at all."""

import math
from pathlib import Path

import cv2
import numpy as np

from records.files import write_bytes

GAP = 6  # pixels between the images of a contact sheet
CLASS_COLORS = (
    (60, 255, 60),
    (0, 255, 255),
    (40, 90, 255),
    (255, 255, 255),
    (255, 60, 255),
    (255, 255, 0),
    (0, 0, 0),
    (160, 160, 160),
)  # RGB of each class, easy to tell apart on a fundus: green, cyan, blue, white, magenta, yellow, black, grey


def draw_contours(
    image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], *, thickness: int = 1
) -> np.ndarray:
    """Draws the outlines of bool `[H, W]` in an RGB colour onto uint8 `[H, W, 3]`, in place; returns the image."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, color, thickness)
    return image


def contact_sheet(images: list[np.ndarray]) -> np.ndarray:
    """Arranges uint8 `[H, W, 3]` images of one size in a grid with about as many rows as columns."""
    columns = math.ceil(math.sqrt(len(images)))
    height, width = images[0].shape[:2]
    rows = math.ceil(len(images) / columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for index, image in enumerate(images):
        y, x = index // columns * (height + GAP), index % columns * (width + GAP)
        sheet[y : y + height, x : x + width] = image
    return sheet


def write_png(path: Path, image: np.ndarray) -> None:
    """Writes uint8 `[H, W]` or RGB `[H, W, 3]` as PNG, whole or not at all."""
    _write(path, ".png", image, options=[])


def write_jpeg(path: Path, image: np.ndarray, *, quality: int = 90) -> None:
    """Writes uint8 RGB `[H, W, 3]` as JPEG, whole or not at all."""
    _write(path, ".jpg", image, options=[cv2.IMWRITE_JPEG_QUALITY, quality])


def write_tiff(path: Path, image: np.ndarray) -> None:
    """Writes uint16 `[H, W]` as grey TIFF, whole or not at all.

    PackBits takes no longer than no compression, and every reader of TIFF has to know it.
    """
    _write(path, ".tif", image, options=[cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_PACKBITS])


def _write(path: Path, suffix: str, image: np.ndarray, *, options: list[int]) -> None:
    pixels = image[..., ::-1] if image.ndim == 3 else image
    write_bytes(path, cv2.imencode(suffix, np.ascontiguousarray(pixels), options)[1].tobytes())
