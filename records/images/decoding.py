"""Decodes image files with Pillow: opens them, refuses unsupported kinds, and applies their orientation.

Every failure is an InputError. Unlike `cv2.imread`, Pillow reports JPEGs that are cut short, keeps the indices of
palette images, applies the orientation tag of all formats, and needs only three quarters of the time to decode IDRiD's
JPEGs to the same pixels.
"""

import contextlib
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from configs import InputError
from records.images.kinds import KINDS, unread_kind

FORMATS = [str(kind.format) for kind in KINDS]
# The errors that decoders raise for damaged files are undocumented; tests/records/images/test_fuzz.py checks this list.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
# Modes that Pillow decodes, but whose values have no defined black and white or which it cannot convert to RGB.
REFUSED_MODES = {"F": "floating-point samples", "I": "signed or 32-bit samples", "LAB": "CIE L*a*b* colours"}
# Warnings of the decoders are about unusual tags; whatever cannot be read is an error.
IGNORED_WARNINGS = ("ignore", None, Warning, re.compile(r"(PIL|pydicom)\b"), 0)
LONGEST = 160  # characters that a message quotes from a decoder or a damaged file
ORIENTATION_TAG = 0x0112
TURNS = range(2, 9)  # orientations that flip or turn the stored pixels
SIDEWAYS = (5, 6, 7, 8)  # those that swap height and width
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # two TIFF tags, and a value of the second
# Chunks of a PNG that can hold an orientation, and how their content starts if they do.
PNG_TAGS = {b"eXIf": (b"",), **dict.fromkeys((b"tEXt", b"zTXt", b"iTXt"), (b"Raw profile type exif", b"XML:com.adobe"))}


class Turn(NamedTuple):
    """What a file says about how its stored pixels are turned before they are seen.

    Attributes:
      tag: the tag that says so, such as "orientation tag 6"; empty if they are seen as they are stored.
      sideways: whether height and width are swapped.
    """

    tag: str = ""
    sideways: bool = False


@contextlib.contextmanager
def opened(path: Path, *, max_pixels: int) -> Iterator[Image.Image]:
    """Opens an image and reads its header; damage that is found in the `with` block is an InputError, too.

    Raises:
      InputError: the file is not a readable image, is of an unsupported kind, or has more than `max_pixels` pixels.
    """
    Image.MAX_IMAGE_PIXELS = None  # check_pixels replaces it
    # Pillow gets the open file; by its name, it might map it into memory.
    with open_file(path) as file, naming_damage(path):
        image = _identified(path, file)
        check_pixels(path, image.height, image.width, max_pixels=max_pixels)
        if kind := _unsupported_kind(image):
            raise InputError(f"{path}: {image.format} with {kind} is not supported; save it as a PNG.")
        yield image


def oriented_size(image: Image.Image) -> tuple[int, int]:
    """Returns (H, W) of an image after its orientation is applied; decodes no pixels."""
    sideways = turn_of(image).sideways
    if isinstance(image, TiffImageFile):  # its width and height are swapped already
        sideways ^= image.tag_v2.get(ORIENTATION_TAG) in SIDEWAYS
    return (image.width, image.height) if sideways else (image.height, image.width)


def turn_of(image: Image.Image) -> Turn:
    """Returns how an image that is not decoded yet is turned by its orientation tag.

    Pixels are decoded only of a PNG whose tag follows them.
    """
    if isinstance(image, PngImageFile) and not _tags_follow_pixels(image):
        orientation = Image.Image.getexif(image).get(ORIENTATION_TAG)  # PNG's own getexif decodes all pixels first
    else:
        orientation = image.getexif().get(ORIENTATION_TAG)
    return Turn(f"orientation tag {orientation}", orientation in SIDEWAYS) if orientation in TURNS else Turn()


def decode(image: Image.Image) -> Turn:
    """Decodes all pixels in place and applies the orientation tag; returns how it turned them."""
    if isinstance(image, PngImageFile):
        _check_sums(image)
    if isinstance(image, TiffImageFile):
        _check_coverage(image)
    turn = turn_of(image)  # before Pillow turns a TIFF and forgets the tag
    image.load()
    ImageOps.exif_transpose(image, in_place=True)  # in place, as it would copy images that need no turn
    return turn


def rgb_of(image: Image.Image) -> Image.Image:
    """Returns a decoded image of any mode except 16-bit grey as 8-bit RGB without transparency.

    Values are taken as they are; `records.images.color_profiles` applies an embedded profile.
    """
    image = inks_of(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def inks_of(image: Image.Image) -> Image.Image:
    """Returns a decoded image so that in CMYK 0 is no ink; images of other modes as they are."""
    if image.mode == "CMYK" and isinstance(image, JpegImageFile) and "adobe" not in image.info:
        return ImageChops.invert(image)  # Pillow assumes that all are inverted, as Adobe's are, which say so
    return image


def is_sixteen_bit_grey(image: Image.Image) -> bool:
    """Returns whether an image, decoded or not, is 16-bit grey."""
    return image.mode.startswith("I;16")


def sixteen_bit_grey(image: Image.Image) -> np.ndarray:
    """Returns the values of a decoded 16-bit grey image, uint16 `[H, W]`, 0 is black."""
    values = np.asarray(image).astype(np.uint16)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC, WHITE_IS_ZERO) == WHITE_IS_ZERO:
        return ~values  # Pillow inverts 8-bit values but not 16-bit ones
    return values


def is_sixteen_bit_color(image: Image.Image) -> bool:
    """Returns whether an image that is not decoded yet is 16-bit RGB or 16-bit grey with alpha."""
    kinds = PngImageFile, TiffImageFile
    return isinstance(image, kinds) and image.mode in ("RGB", "RGBA", "LA") and ";16" in str(image.tile[0].args)


def sixteen_bit_color(image: Image.Image, path: Path) -> np.ndarray:
    """Returns the values of a decoded 16-bit colour image, uint16 BGR `[H, W, 3]`.

    Pillow keeps only the high bytes, so OpenCV decodes the file again and both are compared: OpenCV 5 applies the
    orientation tag of PNG and TIFF, but misreads a TIFF with separate planes.

    Raises:
      InputError: the two differ, or OpenCV cannot decode the file.
    """
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if pixels is None or not np.array_equal(pixels[..., ::-1] >> 8, np.asarray(rgb_of(image))):
        raise InputError(f"{path}: damaged, or 16-bit colour of an unsupported kind for a mask; save it with 8 bits.")
    return pixels


def is_lossy(image: Image.Image, path: Path) -> bool:
    """Returns whether an image is compressed with loss: as JPEG, also inside a TIFF, or as lossy WebP."""
    if isinstance(image, TiffImageFile):
        return "jpeg" in image.info["compression"]
    if not isinstance(image, WebPImageFile):
        return isinstance(image, JpegImageFile)
    with open(path, "rb") as file:
        file.seek(12)  # after "RIFF", the length, and "WEBP"
        while len(header := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", header)
            if kind in (b"VP8 ", b"VP8L"):
                return kind == b"VP8 "
            file.seek(length + length % 2, 1)
    return False


def open_file(path: Path) -> IO[bytes]:
    """Opens a file for reading bytes.

    Raises:
      InputError: the file cannot be opened.
    """
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error


def check_pixels(path: Path, height: int, width: int, *, max_pixels: int) -> None:
    """Raises an InputError if an image has more than `max_pixels` pixels."""
    if width * height > max_pixels:
        raise InputError(
            f"{path}: {width}x{height} pixels; at most {max_pixels} are read: raise max_pixels to allow it."
        )


@contextlib.contextmanager
def naming_damage(path: Path, *further: type[Exception]) -> Iterator[None]:
    """Turns errors of DAMAGE and `further` ones into an InputError with the file's name; ignores decoders' warnings."""
    if IGNORED_WARNINGS not in warnings.filters:  # never removed, as another thread may still need it
        warnings.filterwarnings("ignore", module=IGNORED_WARNINGS[3].pattern)
    damage: tuple[type[Exception], ...] = (*DAMAGE, *further)
    try:
        yield
    except InputError:
        raise
    except damage as error:
        reason = legible(str(error) or type(error).__name__)
        raise InputError(f"{path}: damaged or cut short ({reason}); replace the file.") from error


def legible(text: str) -> str:
    """Returns text from a damaged file in printable characters, on one line of limited length."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _png_chunks(image: PngImageFile) -> Iterator[tuple[bytes, int, IO[bytes]]]:
    """Yields kind and length of each chunk of a PNG, and its file, positioned where the chunk's content starts."""
    file = image.fp
    assert file is not None
    position = 8
    file.seek(position)
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        yield kind, length, file
        position += length + 12
        file.seek(position)


def _tags_follow_pixels(image: PngImageFile) -> bool:
    """Returns whether a PNG has an orientation after its pixels, which Pillow must decode first to find it."""
    pixels_seen = False
    for kind, length, file in _png_chunks(image):
        pixels_seen |= kind == b"IDAT"
        if pixels_seen and file.read(min(length, 32)).startswith(PNG_TAGS.get(kind, ())):
            return True
    return False


def _check_sums(image: PngImageFile) -> None:
    """Raises an OSError if the checksum of a PNG's pixels is wrong, which Pillow does not verify."""
    for kind, length, file in _png_chunks(image):
        if kind == b"IDAT":
            checksum = zlib.crc32(file.read(length), zlib.crc32(kind))
            if file.read(4) != checksum.to_bytes(4):
                raise OSError("wrong checksum of an IDAT chunk")


def _check_coverage(image: TiffImageFile) -> None:
    """Raises an OSError if strips or tiles of a TIFF are missing, which Pillow would leave black."""
    extents = [tile.extents for tile in image.tile if tile.extents]
    covered = sum((right - left) * (bottom - top) for left, top, right, bottom in extents)
    if covered % (image.width * image.height):  # a multiple of the area if each colour has its own plane
        raise OSError("strips or tiles are missing")


def _identified(path: Path, file: IO[bytes]) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        why = _reader_error(file) or _other_kind(path)
        raise InputError(
            f"{path}: not an image that can be read{why}; expected JPEG, PNG, TIFF, BMP or WebP."
        ) from error


def _reader_error(file: IO[bytes]) -> str:
    """Returns the error, in brackets, of the Pillow reader for whose format the file's start is right, if any."""
    file.seek(0)
    start = file.read(16)
    for kind in KINDS:
        _, accepts = Image.OPEN[str(kind.format)]
        if accepts is not None and accepts(start):
            try:
                file.seek(0)
                kind(file)
            except DAMAGE as error:
                return f" ({kind.format}: {legible(str(error))})"
    return ""


def _other_kind(path: Path) -> str:
    """Returns the kind of image that a file is, in brackets, or nothing if it is none."""
    kind = unread_kind(path).partition(" is not read")
    return f" ({kind[0]})" if kind[1] else ""


def _unsupported_kind(image: Image.Image) -> str | None:
    """Returns the feature of an image that is not supported, or None."""
    # The further images of a JPEG (MPO) are previews or gain maps; the first one is the photograph.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        return "several pages or frames"
    if image.mode in REFUSED_MODES:
        return REFUSED_MODES[image.mode]
    if isinstance(image, TiffImageFile):
        bits = image.tag_v2.get(BITS_PER_SAMPLE, (1,))[0]
        if bits == 12:
            return "12-bit samples"
        # Pillow 13 reads the bytes of such a file as 8-bit samples, without an error.
        if bits == 16 and ";16" not in str(image.tile[0].args):
            return "uncompressed 16-bit samples in separate planes"
    return None
