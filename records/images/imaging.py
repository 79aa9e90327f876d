"""Reads photographs to arrays, brings them and masks to the scale at which they are cut, and encodes tiles.

Pillow decodes image files and pydicom decodes DICOM files (`records.images.decoding`, `records.images.dicom`); OpenCV
resizes and encodes. `records.images.mask_files` reads masks.
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from records.grid import scaled_size
from records.images.color_profiles import srgb_of
from records.images.decoding import (
    Turn,
    decode,
    is_sixteen_bit_grey,
    opened,
    oriented_size,
    sixteen_bit_grey,
    turn_of,
)
from records.images.dicom import dicom_degrees, dicom_size, dicom_turn, is_dicom, read_dicom
from records.images.regions import lesions


def photograph_size(path: Path, *, max_pixels: int) -> tuple[int, int]:
    """Returns (H, W) of a photograph with its orientation applied, reading only its header.

    Raises:
      InputError: the file is not a readable image, is of an unsupported kind, or has more than `max_pixels` pixels.
    """
    if is_dicom(path):
        return dicom_size(path, max_pixels=max_pixels)
    with opened(path, max_pixels=max_pixels) as image:
        return oriented_size(image)


def photograph_turn(path: Path) -> Turn:
    """Returns how the tags of a photograph turn its stored pixels, reading only its header.

    Raises:
      InputError: the file is not a readable image, or is of an unsupported kind.
    """
    if is_dicom(path):
        return dicom_turn(path)
    with opened(path, max_pixels=2**63) as image:
        return turn_of(image)


def photograph_degrees(path: Path) -> float | None:
    """Returns a photograph's angle of view, degrees, or None if its file does not say; only DICOM files can.

    Raises:
      InputError: a DICOM file is damaged or of an unsupported kind.
    """
    return dicom_degrees(path) if is_dicom(path) else None


def read_photograph(path: Path, *, max_pixels: int) -> np.ndarray:
    """Reads a photograph of any supported format.

    Returns:
      uint8 sRGB `[H, W, 3]`, orientation and embedded colour profile applied, 16 bits reduced to the high 8,
      transparency dropped.

    Raises:
      InputError: the file is not a readable image, is of an unsupported kind or cut short, or has more than
        `max_pixels` pixels.
    """
    if is_dicom(path):
        dicom = read_dicom(path, max_pixels=max_pixels)
        image = Image.fromarray(dicom.in_eight_bits())
        if dicom.profile is not None:
            image.info["icc_profile"] = dicom.profile
        return np.asarray(srgb_of(image, path))
    with opened(path, max_pixels=max_pixels) as image:
        decode(image)
        if not is_sixteen_bit_grey(image):
            return np.asarray(srgb_of(image, path))
        grey = Image.fromarray((sixteen_bit_grey(image) >> 8).astype(np.uint8))
        grey.info.update(image.info)
        return np.asarray(srgb_of(grey, path))


def rescale_photograph(photograph: np.ndarray, scale: float) -> np.ndarray:
    """Resizes uint8 `[H, W, 3]` to (round(H·scale), round(W·scale)) by area averaging, bilinearly to a larger size."""
    height, width = scaled_size(photograph.shape[0], photograph.shape[1], scale)
    if (height, width) == photograph.shape[:2]:
        return photograph
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(photograph, (width, height), interpolation=method)


def rescale_mask(mask: np.ndarray, scale: float) -> np.ndarray:
    """Resizes bool `[H, W]` as `rescale_photograph` does; a pixel is lesion if at least half of its area is.

    A lesion (8-connected) that would vanish keeps one pixel: the one that covers the largest part of it.
    """
    height, width = scaled_size(mask.shape[0], mask.shape[1], scale)
    if (height, width) == mask.shape:
        return mask
    if scale > 1:
        return cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5
    fraction = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    shrunk = fraction >= 0.5
    for lesion in lesions(mask):
        y, rows = _overlaps(lesion.y, lesion.pixels.shape[0], mask.shape[0] / height, limit=height)
        x, columns = _overlaps(lesion.x, lesion.pixels.shape[1], mask.shape[1] / width, limit=width)
        covered = rows @ lesion.pixels @ columns.T  # the fraction of each shrunk pixel that is this lesion
        part = shrunk[y : y + len(rows), x : x + len(columns)]
        if not (part & (covered > 0)).any():
            part[np.unravel_index(covered.argmax(), covered.shape)] = True
    return shrunk


def rescale_levels(levels: np.ndarray, scale: float) -> np.ndarray:
    """Resizes soft labels, uint8 `[H, W]`, as `rescale_photograph` does."""
    height, width = scaled_size(levels.shape[0], levels.shape[1], scale)
    if (height, width) == levels.shape:
        return levels
    interpolation = cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA
    resized = cv2.resize(levels.astype(np.float32), (width, height), interpolation=interpolation)
    return np.rint(resized).astype(np.uint8)


def scaled_cover(mask: np.ndarray, scale: float) -> np.ndarray:
    """Resizes bool `[H, W]` as `rescale_photograph` does; a pixel is True if any part of its area is."""
    height, width = scaled_size(mask.shape[0], mask.shape[1], scale)
    if (height, width) == mask.shape:
        return mask
    interpolation = cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA
    return cv2.resize(mask.astype(np.float32), (width, height), interpolation=interpolation) > 0


def _overlaps(start: int, length: int, ratio: float, *, limit: int) -> tuple[int, np.ndarray]:
    """Returns how much of each shrunk pixel along an axis each pixel of a run covers.

    Args:
      start: first pixel of the run.
      length: number of pixels of the run.
      ratio: width of a shrunk pixel, pixels.
      limit: number of shrunk pixels along the axis.

    Returns:
      The first shrunk pixel that the run touches, and the fractions, float64 `[shrunk pixels, length]`.
    """
    first, last = int(start / ratio), min(int(np.ceil((start + length) / ratio)), limit)
    edges, pixels = np.arange(first, last + 1) * ratio, np.arange(start, start + length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return first, np.clip(overlap, 0, None) / ratio


def encode_png(image: np.ndarray) -> bytes:
    """Encodes uint8 `[H, W]`, `[H, W, 1]` or RGB `[H, W, 3]` as PNG; equal pixels give equal bytes."""
    pixels = image[..., ::-1] if image.ndim == 3 and image.shape[2] == 3 else image
    return cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes()


def encode_jpeg(image: np.ndarray, *, quality: int) -> bytes:
    """Encodes uint8 RGB `[H, W, 3]` as JPEG with full chroma (4:4:4)."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)[1].tobytes()
