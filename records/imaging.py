"""Photographs and masks, from files to arrays and from full size to the scale at which they are cut.

Pillow decodes: unlike `cv2.imread` it says when a file is cut short, keeps the indices of palette images, turns all
formats by their orientation tag, and decodes these JPEGs in three quarters of the time to the same pixels. OpenCV
reads 16-bit colour, which Pillow cannot, resizes, and encodes.
"""

import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from configs import InputError
from records.grid import scaled_size

SIXTEEN_BIT_GREY = ("I;16", "I;16B", "I;16L", "I")


def photograph_size(path: Path, *, max_pixels: int) -> tuple[int, int]:
    """Returns (H, W) of a photograph with its orientation applied, from its header alone.

    Raises:
      InputError: not a readable image, or more than `max_pixels` pixels.
    """
    with _open(path, max_pixels) as image:
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (image.width, image.height) if turned else (image.height, image.width)


def read_photograph(path: Path, *, max_pixels: int) -> np.ndarray:
    """Reads a photograph of any format that Pillow or OpenCV decodes.

    Returns:
      uint8 RGB `[H, W, 3]`, orientation tag applied, 16 bits reduced to the high 8, transparency dropped.

    Raises:
      InputError: not a readable image, cut short, or more than `max_pixels` pixels.
    """
    with _open(path, max_pixels) as image:
        if image.mode in SIXTEEN_BIT_GREY:
            grey = (np.asarray(_decoded(image, path)).astype(np.uint16) >> 8).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=-1)
        if _is_sixteen_bit_color(image):
            return (_read_sixteen_bit_color(path) >> 8).astype(np.uint8)
        return np.asarray(_decoded(image, path).convert("RGB"))


def read_mask(path: Path, *, max_pixels: int) -> np.ndarray:
    """Reads one class's mask: lesion where any colour is not zero.

    A palette image counts by its colours (black is background whatever its index); an alpha channel is no lesion.
    In a JPEG, whose compression leaves faint echoes around every edge, a lesion is at least half as bright as can be.

    Returns:
      bool `[H, W]`.

    Raises:
      InputError: not a readable image, cut short, or more than `max_pixels` pixels.
    """
    with _open(path, max_pixels) as image:
        if image.mode == "P":
            return _lesion_colors(image)[np.asarray(_decoded(image, path))]
        if _is_sixteen_bit_color(image):
            return (_read_sixteen_bit_color(path) != 0).any(axis=-1)
        lowest = 128 if image.format == "JPEG" else 1
        colors = [band for band, name in enumerate(image.getbands()) if name not in ("A", "a")]
        values = np.asarray(_decoded(image, path))
    lesion = values >= lowest
    return lesion if lesion.ndim == 2 else np.logical_or.reduce(lesion[..., colors], axis=-1)


def shrink_photograph(photograph: np.ndarray, scale: float) -> np.ndarray:
    """Shrinks uint8 `[H, W, 3]` to (round(H·scale), round(W·scale)) by area averaging."""
    height, width = scaled_size(photograph.shape[0], photograph.shape[1], scale)
    if (height, width) == photograph.shape[:2]:
        return photograph
    return cv2.resize(photograph, (width, height), interpolation=cv2.INTER_AREA)


def shrink_mask(mask: np.ndarray, scale: float) -> np.ndarray:
    """Shrinks bool `[H, W]` by area averaging: lesion where at least half of a pixel's area is.

    A lesion (8-connected) that would vanish keeps its largest pixel: the one that holds the largest share of it.
    """
    height, width = scaled_size(mask.shape[0], mask.shape[1], scale)
    if (height, width) == mask.shape:
        return mask
    share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    shrunk = share >= 0.5
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    ys, xs = np.nonzero(mask)
    lesions = labels[ys, xs]
    targets = (ys * height // mask.shape[0]) * width + xs * width // mask.shape[1]  # where each pixel comes to lie
    survived = shrunk.ravel()[targets]
    for lesion in np.setdiff1d(lesions, lesions[survived]):
        shrunk.flat[np.bincount(targets[lesions == lesion]).argmax()] = True
    return shrunk


def encode_png(image: np.ndarray) -> bytes:
    """Encodes uint8 `[H, W]`, `[H, W, 1]` or RGB `[H, W, 3]` as PNG, the same bytes for the same pixels."""
    pixels = image[..., ::-1] if image.shape[-1] == 3 else image
    return cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes()


def draw_contours(
    image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], *, thickness: int = 1
) -> np.ndarray:
    """Draws the outline of bool `[H, W]` in an RGB colour onto uint8 `[H, W, 3]`, in place; returns the image."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, color, thickness)
    return image


def _open(path: Path, max_pixels: int) -> Image.Image:
    """Opens an image, header only. Pillow's own limit gives way to ours, its remarks on odd tags are left unsaid."""
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path)
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image that can be read; expected JPEG, PNG, TIFF, BMP or WebP.") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)}).") from error
    if image.width * image.height > max_pixels:
        raise InputError(
            f"{path}: {image.width}x{image.height} pixels; at most data.max_pixels={max_pixels} are allowed."
        )
    return image


def _decoded(image: Image.Image, path: Path) -> Image.Image:
    """Decodes all pixels and turns them by the orientation tag."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
            return ImageOps.exif_transpose(image)
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as error:
        raise InputError(f"{path}: damaged or cut short ({_reason(error)}); replace the file.") from error


def _lesion_colors(image: Image.Image) -> np.ndarray:
    """Returns bool `[256]`: which palette indices are any colour but black."""
    lesion = np.zeros(256, bool)
    colors = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    lesion[: len(colors)] = colors.any(axis=-1)
    return lesion


def _is_sixteen_bit_color(image: Image.Image) -> bool:
    """Pillow opens 16-bit colour PNG as 8 bits, losing the low byte."""
    tiles = getattr(image, "tile", [])  # how each part of the file is to be decoded, e.g. "RGB;16B"
    return image.mode != "I;16" and bool(tiles) and ";16" in str(tiles[0].args)


def _read_sixteen_bit_color(path: Path) -> np.ndarray:
    """Returns uint16 RGB `[H, W, 3]`. OpenCV 5.0 forgets IMREAD_COLOR_RGB for such a TIFF, so BGR is turned here."""
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if pixels is None:
        raise InputError(f"{path}: damaged or cut short; replace the file.")
    return pixels[..., ::-1]


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
