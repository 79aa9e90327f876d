"""Reads masks: files of one class, and coloured ones of all classes. Colour profiles do not apply to them."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from records.images.decoding import (
    Turn,
    decode,
    is_lossy,
    is_sixteen_bit_color,
    is_sixteen_bit_grey,
    opened,
    rgb_of,
    sixteen_bit_color,
    sixteen_bit_grey,
)
from records.images.dicom import is_dicom, read_dicom


@dataclasses.dataclass(frozen=True)
class MaskFile:
    """The content of a mask file.

    Attributes:
      lesion: bool `[H, W]`, or `[H, W, C]` of a coloured mask that holds all classes.
      values: what the file holds, bool, uint8 or uint16: grey values or palette indices `[H, W]`, or colours
        `[H, W, 3]`, or `[H, W, 4]` with alpha.
      palette: uint8 RGB `[n, 3]`, the colours of the indices; None without a palette.
      lossy: whether it is compressed with loss, so that its values are not exact.
      turn: how its tag turned the stored pixels.
    """

    lesion: np.ndarray
    values: np.ndarray
    palette: np.ndarray | None
    lossy: bool
    turn: Turn

    @property
    def levels(self) -> np.ndarray:
        """The mask as soft labels, uint8 `[H, W]`, 255 times the probability of a lesion.

        Grey values are levels, of 16 bits their upper 8. A mask of at most two values, a coloured one, and one with a
        palette have the level 255 where they show a lesion.
        """
        values = self.values
        if self.palette is not None or values.ndim == 3 or values.dtype == bool or values.max(initial=0) <= 1:
            return self.lesion * np.uint8(255)
        return values if values.dtype == np.uint8 else (values >> 8).astype(np.uint8)


def read_mask(path: Path, *, max_pixels: int) -> np.ndarray:
    """Reads the mask of one class as bool `[H, W]`; see `read_mask_file`."""
    return read_mask_file(path, max_pixels=max_pixels).lesion


def read_mask_file(path: Path, *, max_pixels: int) -> MaskFile:
    """Reads the mask of one class: lesion where any colour channel is not zero.

    In a palette image the colours count (black is background, whatever its index); an alpha channel is ignored. Lossy
    compression such as JPEG leaves faint artefacts around edges, so in such a file a lesion has at least half of the
    largest value.

    Raises:
      InputError: the file is not a readable image, is of an unsupported kind or cut short, or has more than
        `max_pixels` pixels.
    """
    if is_dicom(path):
        dicom = read_dicom(path, max_pixels=max_pixels)
        lesion = _lesion(dicom.values, 2 ** (dicom.bits - 1) if dicom.lossy else 1)
        return MaskFile(lesion, dicom.values, None, dicom.lossy, turn=dicom.turn)
    with opened(path, max_pixels=max_pixels) as image:
        sixteen_bits, lossy = is_sixteen_bit_color(image), is_lossy(image, path)
        turn = decode(image)
        if sixteen_bits:
            values = sixteen_bit_color(image, path)  # Pillow has lost the low bytes
            return MaskFile(_lesion(values, 1), values[..., ::-1], None, lossy, turn=turn)  # OpenCV reads BGR
        if image.mode == "P":
            indices, palette = np.asarray(image), _palette(image)
            return MaskFile(cv2.LUT(indices, _lesion_colors(palette)).view(bool), indices, palette, lossy, turn=turn)
        values = _values(image)
        return MaskFile(_lesion(values, 128 if lossy else 1), values, None, lossy, turn=turn)


def read_color_masks(path: Path, colors: tuple[str, ...], *, max_pixels: int) -> np.ndarray:
    """Reads a coloured mask as bool `[H, W, C]`; see `read_color_mask_file`."""
    return read_color_mask_file(path, colors, max_pixels=max_pixels).lesion


def read_color_mask_file(path: Path, colors: tuple[str, ...], *, max_pixels: int) -> MaskFile:
    """Reads a coloured mask that holds all classes.

    Args:
      path: file of the mask.
      colors: RRGGBB of each class. Pixels of any other colour are background; in a file compressed with loss, whose
        colours are never exact, a pixel belongs to the nearest of these colours and black.
      max_pixels: largest allowed number of pixels.

    Raises:
      InputError: the file is not a readable image, is cut short, or has more than `max_pixels` pixels.
    """
    values, lossy, turn = _read_colors(path, max_pixels=max_pixels)
    table = np.array([list(bytes.fromhex(color)) for color in colors], np.uint8)  # [C, 3]
    if not lossy:
        # NumPy is slow along short axes.
        lesion = np.stack([cv2.inRange(values, color, color) > 0 for color in table.astype(float)], axis=-1)
        return MaskFile(lesion, values, None, lossy, turn=turn)
    with_black = np.concatenate([np.zeros((1, 3)), table]).astype(np.float32)
    # One class at a time: all distances at once would take 4 (C + 1) bytes per pixel and channel.
    distances = [((values - color) ** 2).sum(axis=-1) for color in with_black]
    nearest = np.argmin(distances, axis=0)
    lesion = np.stack([nearest == index + 1 for index in range(len(colors))], axis=-1)
    return MaskFile(lesion, values, None, lossy, turn=turn)


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
    values, _, _ = _read_colors(path, max_pixels=max_pixels)
    colored = values[values.any(axis=-1)].astype(np.uint32)  # [pixels, 3]
    colors = np.unique(colored @ np.array([65536, 256, 1], np.uint32))
    shown = [f"{color:06x}" for color in colors[:8]] + ["…"] * (len(colors) > 8)
    return f"colours {{{', '.join(shown)}}}"


def _read_colors(path: Path, *, max_pixels: int) -> tuple[np.ndarray, bool, Turn]:
    """Returns a file's values as uint8 RGB `[H, W, 3]`, whether they are compressed with loss, and how it is turned."""
    if is_dicom(path):
        dicom = read_dicom(path, max_pixels=max_pixels)
        values = dicom.in_eight_bits()
        return (values if values.ndim == 3 else _repeated(values)), dicom.lossy, dicom.turn
    with opened(path, max_pixels=max_pixels) as image:
        lossy = is_lossy(image, path)
        turn = decode(image)
        if is_sixteen_bit_grey(image):
            return _repeated((sixteen_bit_grey(image) >> 8).astype(np.uint8)), lossy, turn
        return np.asarray(rgb_of(image)), lossy, turn


def _repeated(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


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


def _palette(image: Image.Image) -> np.ndarray:
    return np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)


def _lesion_colors(palette: np.ndarray) -> np.ndarray:
    """Returns uint8 `[256]`: 1 for each palette index whose colour is not black."""
    lesion = np.zeros(256, np.uint8)
    lesion[: len(palette)] = palette.any(axis=-1)
    return lesion
