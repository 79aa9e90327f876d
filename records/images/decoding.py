"""Image files as Pillow decodes them: opened, refused by name or decoded, and turned; every failure is an InputError.

Pillow decodes: unlike `cv2.imread` it says when a JPEG is cut short, keeps the indices of palette images, turns all
formats by their orientation tag, and decodes IDRiD's JPEGs in three quarters of the time to the same pixels.
"""

import contextlib
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from configs import InputError

# Their formats are registered by being imported: to find one, Pillow would import all that it has.
KINDS = (JpegImageFile, PngImageFile, TiffImageFile, BmpImageFile, WebPImageFile)
FORMATS = [str(kind.format) for kind in KINDS]
# What decoders raise on a damaged file is documented nowhere. tests/records/images/test_fuzz.py holds that this is all.
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
# Modes that Pillow decodes, but whose numbers have no agreed black and white, or which it cannot turn into RGB.
REFUSED_MODES = {"F": "floating-point samples", "I": "signed or 32-bit samples", "LAB": "CIE L*a*b* colours"}
# Warnings of the decoders are about odd tags; what cannot be read is an error.
UNSAID = ("ignore", None, Warning, re.compile(r"(PIL|pydicom)\b"), 0)
LONGEST = 160  # letters of what a decoder or a damaged file says, in a message
ORIENTATION_TAG = 0x0112
SIDEWAYS = (5, 6, 7, 8)  # orientations that swap height and width
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # two tags of TIFF, and a value of the second
# Chunks of a PNG that can hold an orientation, and how their content begins where it does.
PNG_TAGS = {b"eXIf": (b"",), **dict.fromkeys((b"tEXt", b"zTXt", b"iTXt"), (b"Raw profile type exif", b"XML:com.adobe"))}


@contextlib.contextmanager
def opened(path: Path, *, max_pixels: int) -> Iterator[Image.Image]:
    """Opens an image, its header only. Damage that shows in the `with` block is named as well.

    Raises:
      InputError: not a readable image, of a kind that is not read, or more than `max_pixels` pixels.
    """
    Image.MAX_IMAGE_PIXELS = None  # check_pixels takes its place
    # Pillow gets the file and not its name, by which it may map it into memory.
    with open_file(path) as file, naming_damage(path):
        image = _identified(path, file)
        check_pixels(path, image.height, image.width, max_pixels=max_pixels)
        if why := _why_refused(image):
            raise InputError(f"{path}: {image.format} with {why} is not read; save it as a PNG.")
        yield image


def oriented_size(image: Image.Image) -> tuple[int, int]:
    """Returns (H, W) of an image turned by its orientation tag; decodes none of its pixels."""
    if isinstance(image, PngImageFile) and not _tags_follow_pixels(image):
        orientation = Image.Image.getexif(image).get(
            ORIENTATION_TAG
        )  # PNG's own getexif decodes the whole picture first
    else:
        orientation = image.getexif().get(ORIENTATION_TAG)
    sideways = orientation in SIDEWAYS
    if isinstance(image, TiffImageFile):  # whose width and height are turned already
        sideways ^= image.tag_v2.get(ORIENTATION_TAG) in SIDEWAYS
    return (image.width, image.height) if sideways else (image.height, image.width)


def decode(image: Image.Image) -> None:
    """Decodes all pixels in place, turned by the orientation tag."""
    if isinstance(image, PngImageFile):
        _check_sums(image)
    if isinstance(image, TiffImageFile):
        _check_coverage(image)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)  # else it copies what needs no turn


def rgb_of(image: Image.Image) -> Image.Image:
    """Returns a decoded image of any mode but 16-bit grey as RGB: the high byte of 16 bits, transparency dropped."""
    if image.mode == "CMYK" and isinstance(image, JpegImageFile) and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes all for inverted, as Adobe writes them and marks them
    return image if image.mode == "RGB" else image.convert("RGB")


def is_sixteen_bit_grey(image: Image.Image) -> bool:
    """Whether an image, decoded or not, is grey of 16 bits."""
    return image.mode.startswith("I;16")


def sixteen_bit_grey(image: Image.Image) -> np.ndarray:
    """Returns uint16 `[H, W]` of a decoded image of 16-bit grey."""
    values = np.asarray(image).astype(np.uint16)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC, WHITE_IS_ZERO) == WHITE_IS_ZERO:
        return ~values  # Pillow turns 8 bits over and leaves 16 as they are
    return values


def is_sixteen_bit_color(image: Image.Image) -> bool:
    """Whether an image that is not decoded yet is RGB, or grey with alpha, of 16 bits; Pillow keeps the high byte."""
    kinds = PngImageFile, TiffImageFile
    return isinstance(image, kinds) and image.mode in ("RGB", "RGBA", "LA") and ";16" in str(image.tile[0].args)


def sixteen_bit_color(image: Image.Image, path: Path) -> np.ndarray:
    """Returns uint16 BGR `[H, W, 3]` of a decoded image of 16-bit colour: OpenCV's, held against Pillow's high bytes.

    OpenCV 5 turns PNG and TIFF by their tag, and misreads a TIFF of separate planes.

    Raises:
      InputError: the two differ, or OpenCV does not decode it.
    """
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if pixels is None or not np.array_equal(pixels[..., ::-1] >> 8, np.asarray(rgb_of(image))):
        raise InputError(f"{path}: damaged, or of a kind of 16-bit colour that is not read in a mask; save 8 bits.")
    return pixels


def is_lossy(image: Image.Image, path: Path) -> bool:
    """Whether an image was compressed with loss: as JPEG, also inside a TIFF, or as WebP's lossy kind."""
    if isinstance(image, TiffImageFile):
        return "jpeg" in image.info["compression"]
    if not isinstance(image, WebPImageFile):
        return isinstance(image, JpegImageFile)
    with open(path, "rb") as file:
        file.seek(12)  # after RIFF, its length, and WEBP
        while len(header := file.read(8)) == 8:
            kind, length = struct.unpack("<4sI", header)
            if kind in (b"VP8 ", b"VP8L"):
                return kind == b"VP8 "
            file.seek(length + length % 2, 1)
    return False


def open_file(path: Path) -> IO[bytes]:
    """Opens a file for reading bytes; raises InputError where it cannot be opened."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error


def check_pixels(path: Path, height: int, width: int, *, max_pixels: int) -> None:
    """Raises InputError where a photograph has more pixels than `max_pixels`."""
    if width * height > max_pixels:
        raise InputError(f"{path}: {width}x{height} pixels; at most data.max_pixels={max_pixels} are allowed.")


@contextlib.contextmanager
def naming_damage(path: Path, *further: type[Exception]) -> Iterator[None]:
    """Makes DAMAGE, and what is `further` given, an InputError that names the file; decoders' warnings stay unsaid."""
    if UNSAID not in warnings.filters:  # never taken back: of threads, one would take it from another
        warnings.filterwarnings("ignore", module=UNSAID[3].pattern)
    damage: tuple[type[Exception], ...] = (*DAMAGE, *further)
    try:
        yield
    except InputError:
        raise
    except damage as error:
        why = legible(str(error) or type(error).__name__)
        raise InputError(f"{path}: damaged or cut short ({why}); replace the file.") from error


def legible(text: str) -> str:
    """Returns what was found in a damaged file as a part of one line."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _png_chunks(image: PngImageFile) -> Iterator[tuple[bytes, int, IO[bytes]]]:
    """Yields kind and length of each chunk of a PNG, and its file, which is where the content begins."""
    file = image.fp
    assert file is not None
    place = 8
    file.seek(place)
    while len(header := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", header)
        yield kind, length, file
        place += length + 12
        file.seek(place)


def _tags_follow_pixels(image: PngImageFile) -> bool:
    """Whether a PNG has a chunk with an orientation after its pixels, where Pillow finds it by decoding these first."""
    pixels_seen = False
    for kind, length, file in _png_chunks(image):
        pixels_seen |= kind == b"IDAT"
        if pixels_seen and file.read(min(length, 32)).startswith(PNG_TAGS.get(kind, ())):
            return True
    return False


def _check_sums(image: PngImageFile) -> None:
    """Raises OSError where the pixels of a PNG were changed after they were written, which Pillow does not look at."""
    for kind, length, file in _png_chunks(image):
        if kind == b"IDAT":
            found = zlib.crc32(file.read(length), zlib.crc32(kind))
            if file.read(4) != found.to_bytes(4):
                raise OSError("checksum of a chunk IDAT differs")


def _check_coverage(image: TiffImageFile) -> None:
    """Raises OSError where the strips or tiles of a TIFF are too few, and Pillow would leave the rest black."""
    extents = [tile.extents for tile in image.tile if tile.extents]
    covered = sum((right - left) * (bottom - top) for left, top, right, bottom in extents)
    if covered % (image.width * image.height):  # a multiple of the area where each colour has its own plane
        raise OSError("strips or tiles are missing")


def _identified(path: Path, file: IO[bytes]) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise InputError(
            f"{path}: not an image that can be read{_why_unidentified(file)}; expected JPEG, PNG, TIFF, BMP or WebP."
        ) from error


def _why_unidentified(file: IO[bytes]) -> str:
    """Returns what Pillow's reader says, in brackets, about a file that starts like one of its format."""
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


def _why_refused(image: Image.Image) -> str | None:
    """Returns what about an image's kind makes it one that is not read."""
    # The further pictures of a JPEG (MPO) are previews or gain maps: the first one is the photograph.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        return "several pages or frames"
    if image.mode in REFUSED_MODES:
        return REFUSED_MODES[image.mode]
    if isinstance(image, TiffImageFile):
        bits = image.tag_v2.get(BITS_PER_SAMPLE, (1,))[0]
        if bits == 12:
            return "12-bit samples"
        # Pillow 13 takes the bytes of such a file for samples of 8 bits, without an error.
        if bits == 16 and ";16" not in str(image.tile[0].args):
            return "uncompressed 16-bit samples in separate planes"
    return None
