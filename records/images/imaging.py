"""Reads photographs and masks to arrays, brings them to the scale at which they are cut, and encodes tiles.

Pillow decodes image files and pydicom decodes DICOM files (`records.images.decoding`, `records.images.dicom`); OpenCV
resizes and encodes.
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from records.grid import scaled_size
from records.images.decoding import (
    decode,
    is_lossy,
    is_sixteen_bit_color,
    is_sixteen_bit_grey,
    opened,
    oriented_size,
    rgb_of,
    sixteen_bit_color,
    sixteen_bit_grey,
)
from records.images.dicom import dicom_degrees, dicom_size, is_dicom, read_dicom
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


def photograph_degrees(path: Path) -> float | None:
    """Returns a photograph's angle of view, degrees, or None if its file does not say; only DICOM files can.

    Raises:
      InputError: a DICOM file is damaged or of an unsupported kind.
    """
    return dicom_degrees(path) if is_dicom(path) else None


def read_photograph(path: Path, *, max_pixels: int) -> np.ndarray:
    """Reads a photograph of any supported format.

    Returns:
      uint8 RGB `[H, W, 3]`, orientation applied, 16 bits reduced to the high 8, transparency dropped.

    Raises:
      InputError: the file is not a readable image, is of an unsupported kind or cut short, or has more than
        `max_pixels` pixels.
    """
    if is_dicom(path):
        values = read_dicom(path, max_pixels=max_pixels).in_eight_bits()
        return values if values.ndim == 3 else _repeated(values)
    with opened(path, max_pixels=max_pixels) as image:
        decode(image)
        if is_sixteen_bit_grey(image):
            return _repeated((sixteen_bit_grey(image) >> 8).astype(np.uint8))
        return np.asarray(rgb_of(image))


def read_mask(path: Path, *, max_pixels: int) -> np.ndarray:
    """Reads the mask of one class: lesion where any colour channel is not zero.

    In a palette image the colours count (black is background, whatever its index); an alpha channel is ignored. Lossy
    compression such as JPEG leaves faint artefacts around edges, so in such a file a lesion has at least half of the
    largest value.

    Returns:
      bool `[H, W]`.

    Raises:
      InputError: the file is not a readable image, is of an unsupported kind or cut short, or has more than
        `max_pixels` pixels.
    """
    if is_dicom(path):
        dicom = read_dicom(path, max_pixels=max_pixels)
        return _lesion(dicom.values, 2 ** (dicom.bits - 1) if dicom.lossy else 1)
    with opened(path, max_pixels=max_pixels) as image:
        if is_sixteen_bit_color(image):
            decode(image)
            return _lesion(sixteen_bit_color(image, path), 1)  # Pillow has lost the low bytes
        lowest = 128 if is_lossy(image, path) else 1
        decode(image)
        if image.mode == "P":
            return cv2.LUT(np.asarray(image), _lesion_colors(image)).view(bool)
        return _lesion(_values(image), lowest)


def read_color_masks(path: Path, colors: tuple[str, ...], *, max_pixels: int) -> np.ndarray:
    """Reads a coloured mask that holds all classes.

    Args:
      path: file of the mask.
      colors: RRGGBB of each class. Pixels of any other colour are background; in a JPEG, whose colours are never exact,
        a pixel belongs to the nearest of these colours and black.
      max_pixels: largest allowed number of pixels.

    Returns:
      bool `[H, W, C]`.

    Raises:
      InputError: the file is not a readable image, is cut short, or has more than `max_pixels` pixels.
    """
    values = read_photograph(path, max_pixels=max_pixels)  # [H, W, 3]
    table = np.array([list(bytes.fromhex(color)) for color in colors], np.uint8)  # [C, 3]
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        return np.stack([(values == color).all(axis=-1) for color in table], axis=-1)
    with_black = np.concatenate([np.zeros((1, 3)), table]).astype(np.float32)
    # One class at a time: all distances at once would take 4 (C + 1) bytes per pixel and channel.
    distances = [((values - color) ** 2).sum(axis=-1) for color in with_black]
    nearest = np.argmin(distances, axis=0)
    return np.stack([nearest == index + 1 for index in range(len(colors))], axis=-1)


def describe_values(path: Path, *, max_pixels: int) -> str:
    """Describes a mask file by its format, Pillow's mode and its first four values, such as "TIFF P {0, 1}".

    Raises:
      InputError: the file is not a readable image, is of an unsupported kind or cut short, or has more than
        `max_pixels` pixels.
    """
    if is_dicom(path):
        dicom = read_dicom(path, max_pixels=max_pixels)
        kind, pixels = f"DICOM {dicom.photometric}", dicom.values
    else:
        with opened(path, max_pixels=max_pixels) as image:
            decode(image)
            kind, pixels = f"{image.format} {image.mode}", np.asarray(image)
    pixels = pixels.ravel()
    values = np.flatnonzero(np.bincount(pixels)) if pixels.dtype.kind in "bu" else np.unique(pixels)
    shown = [str(value) for value in values[:4]] + ["…"] * (len(values) > 4)
    return f"{kind} {{{', '.join(shown)}}}"


def describe_colors(path: Path, *, max_pixels: int) -> str:
    """Lists at most eight colours of a coloured mask, without black, such as "colours {00ff00, ff0000}".

    Raises:
      InputError: the file is not a readable image, is of an unsupported kind or cut short, or has more than
        `max_pixels` pixels.
    """
    values = read_photograph(path, max_pixels=max_pixels)
    colored = values[values.any(axis=-1)].astype(np.uint32)  # [pixels, 3]
    colors = np.unique(colored @ np.array([65536, 256, 1], np.uint32))
    shown = [f"{color:06x}" for color in colors[:8]] + ["…"] * (len(colors) > 8)
    return f"colours {{{', '.join(shown)}}}"


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


def _values(image: Image.Image) -> np.ndarray:
    """Returns the values of a decoded image: `[H, W]` if grey, else `[H, W, 3]`, or `[H, W, 4]` with alpha."""
    if is_sixteen_bit_grey(image):
        return sixteen_bit_grey(image)
    return np.asarray(image if image.mode in ("1", "L", "RGB", "RGBA") else rgb_of(image))


def _lesion(values: np.ndarray, lowest: int) -> np.ndarray:
    """Returns bool `[H, W]`: True where any colour channel, but not alpha, is at least `lowest`."""
    if values.ndim == 2:
        return values >= lowest
    channels = values.shape[2]
    highest = [lowest - 1] * 3 + [np.iinfo(values.dtype).max] * (channels - 3)
    # NumPy is slow along short axes.
    return cv2.inRange(values, np.zeros(channels), np.array(highest, float)) == 0


def _repeated(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


def _lesion_colors(image: Image.Image) -> np.ndarray:
    """Returns uint8 `[256]`: 1 for each palette index whose colour is not black."""
    lesion = np.zeros(256, np.uint8)
    colors = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    lesion[: len(colors)] = colors.any(axis=-1)
    return lesion
