"""Reads photographs and masks from DICOM files with pydicom, an optional extra that is imported when it is needed.

Photometric interpretation, stored bits and patient orientation are applied. Unsupported kinds are refused by name, from
the header alone.
"""

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from configs import InputError
from records.images.decoding import Turn, check_pixels, legible, naming_damage, open_file
from records.images.kinds import DICOM, image_kind

GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")  # the last two occur inside JPEG 2000
# Supported directions of rows and columns, for an eye seen from the front: to the left or right, feet or head.
ORIENTATIONS = ((), *(way for x in "LR" for y in "FH" for way in ((x, y), (y, x))))
DEFLATED = "1.2.840.10008.1.2.1.99"
LOSSY_SYNTAXES = (  # JPEG, JPEG-LS, JPEG 2000, HTJ2K
    *("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"),
    *("1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"),
)
# All tags that are read from a header; damage in other tags does no harm.
TAGS = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "PatientOrientation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "LossyImageCompression"),
    "HorizontalFieldOfView",
)


@dataclasses.dataclass(frozen=True)
class Dicom:
    """The decoded pixels of a DICOM file.

    Attributes:
      values: uint8 or uint16 `[H, W]`, or RGB `[H, W, 3]`; 0 is black; patient orientation applied.
      bits: number of bits; all values are below 2**bits.
      photometric: photometric interpretation of the file.
      lossy: whether the file was ever compressed with loss.
      turn: how its patient orientation turned the stored values.
      profile: its ICC profile; None if it has none.
    """

    values: np.ndarray
    bits: int
    photometric: str
    lossy: bool
    turn: Turn
    profile: bytes | None

    def in_eight_bits(self) -> np.ndarray:
        """Returns the values as uint8: the high 8 bits, or fewer bits stretched to 0..255."""
        if self.bits < 8:
            return (self.values.astype(np.uint16) * 255 // (2**self.bits - 1)).astype(np.uint8)
        return (self.values >> (self.bits - 8)).astype(np.uint8, copy=False)


def is_dicom(path: Path) -> bool:
    """Returns whether a file is a DICOM file by its suffix or its content."""
    return path.suffix.strip().lower() == ".dcm" or image_kind(path) == DICOM


def dicom_size(path: Path, *, max_pixels: int) -> tuple[int, int]:
    """Returns (H, W) of a DICOM file with its patient orientation applied, reading only its header.

    Raises:
      InputError: pydicom is not installed, or the file is not a DICOM file, is of an unsupported kind, or has more than
        `max_pixels` pixels.
    """
    with _opened(path, max_pixels) as header:
        return (header.Columns, header.Rows) if _turn(header).sideways else (header.Rows, header.Columns)


def dicom_turn(path: Path) -> Turn:
    """Returns how the patient orientation of a DICOM file turns its stored values, reading only its header.

    Raises:
      InputError: what `dicom_size` raises, whatever the number of pixels.
    """
    with _opened(path, 2**63) as header:
        return _turn(header)


def dicom_degrees(path: Path) -> float | None:
    """Returns the horizontal angle of view of a DICOM file, tag (0022,000C), degrees; None if it does not say.

    Raises:
      InputError: what `dicom_size` raises.
    """
    with _opened(path, 2**63) as header:
        degrees = float(header.get("HorizontalFieldOfView") or 0)
        return degrees if 0 < degrees <= 180 else None


def read_dicom(path: Path, *, max_pixels: int) -> Dicom:
    """Reads the only frame of a DICOM file.

    Raises:
      InputError: the file is damaged or cut short, or what `dicom_size` raises.
    """
    with _opened(path, max_pixels) as header:
        from pydicom import dcmread, pixels

        dataset = dcmread(path)
        _check_frame(dataset, path, max_pixels)
        values = pixels.pixel_array(dataset)
        photometric, bits = header.PhotometricInterpretation, header.BitsStored
        if photometric == PALETTE:
            values = pixels.apply_color_lut(values, dataset)[..., :3]  # the fourth is alpha
            bits = 8 * values.dtype.itemsize
        elif photometric == "MONOCHROME1":
            values = 2**bits - 1 - values
        expected = (header.Rows, header.Columns) if photometric in GREY else (header.Rows, header.Columns, 3)
        if values.shape != expected:
            raise InputError(f"{path}: pixels of shape {values.shape}, but its header says {expected}.")
        lossy = header.get("LossyImageCompression") == "01" or header.file_meta.TransferSyntaxUID in LOSSY_SYNTAXES
        return Dicom(
            values=_oriented(values, _orientation(header)),
            bits=bits,
            photometric=photometric,
            lossy=lossy,
            turn=_turn(header),
            profile=dataset.get("ICCProfile"),
        )


@contextlib.contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Any]:
    """Yields the header of a supported file as a pydicom dataset of TAGS; turns damage into an InputError."""
    try:
        import pydicom.errors
        import pydicom.pixels
    except ImportError as error:
        raise InputError(f"{path}: DICOM files need pydicom; install it with `pip install -e .[dicom]`.") from error
    open_file(path).close()  # an error here says why the file cannot be opened
    with naming_damage(path, pydicom.errors.BytesLengthException):
        try:
            syntax = pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID")
        except pydicom.errors.InvalidDicomError as error:
            raise InputError(f"{path}: not a DICOM file; expected one with the prefix DICM.") from error
        if problem := _unsupported_syntax(syntax):
            raise InputError(f"{path}: DICOM {legible(problem)}; save it uncompressed.")
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
        if "Rows" not in header:
            raise InputError(f"{path}: DICOM without an image.")
        check_pixels(path, header.Rows, header.Columns, max_pixels=max_pixels)
        if kind := _unsupported_kind(header):
            raise InputError(f"{path}: DICOM with {legible(kind)} is not supported.")
        yield header


def _check_frame(dataset: Any, path: Path, max_pixels: int) -> None:
    """Raises an InputError if a compressed frame has more pixels than allowed, whatever the DICOM header says."""
    from pydicom.encaps import get_frame

    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        Image.MAX_IMAGE_PIXELS = None  # check_pixels replaces it
        frame = io.BytesIO(get_frame(dataset.PixelData, 0, number_of_frames=1))
        # RLE is neither of the two, and has the size of the header.
        with contextlib.suppress(UnidentifiedImageError), Image.open(frame, formats=("JPEG", "JPEG2000")) as image:
            check_pixels(path, image.height, image.width, max_pixels=max_pixels)


def _unsupported_syntax(syntax: Any) -> str | None:
    """Returns why files of a transfer syntax cannot be read, or None."""
    from pydicom.pixels import get_decoder

    if syntax is None:
        return "does not name its transfer syntax"
    if syntax == DEFLATED:
        return "is deflated as a whole, so its size is unknown before it is read"
    try:
        if get_decoder(syntax).is_available:
            return None
    except NotImplementedError:  # by which pydicom says that it does not know this compression
        pass
    return f"is compressed as {syntax.name}, for which no decoder is installed"


def _unsupported_kind(header: Any) -> str | None:
    """Returns the feature of a file that is not supported, or None."""
    frames = int(header.get("NumberOfFrames") or 1)
    photometric, orientation = header.PhotometricInterpretation, _orientation(header)
    kinds = (
        (frames > 1, f"{frames} frames"),
        (photometric not in (*GREY, PALETTE, *COLORS), f"photometric interpretation {photometric}"),
        (header.SamplesPerPixel != (3 if photometric in COLORS else 1), f"{header.SamplesPerPixel} samples per pixel"),
        (header.BitsAllocated not in (8, 16), f"{header.BitsAllocated} bits allocated"),
        (header.BitsAllocated > 8 and "YBR" in photometric, f"{photometric} of {header.BitsAllocated} bits"),
        (header.HighBit != header.BitsStored - 1, f"high bit {header.HighBit} of {header.BitsStored} stored bits"),
        (header.PixelRepresentation != 0, "signed samples"),
        (orientation not in ORIENTATIONS, f"patient orientation {'/'.join(orientation)}"),
    )
    return next((kind for unsupported, kind in kinds if unsupported), None)


def _orientation(header: Any) -> tuple[str, ...]:
    """Returns the directions of rows and columns, such as ("L", "F"), or () if the file does not say."""
    value = header.get("PatientOrientation") or ()
    return (value,) if isinstance(value, str) else tuple(value)


def _turn(header: Any) -> Turn:
    orientation = _orientation(header)
    if orientation in ((), ("L", "F")):
        return Turn()
    return Turn(f"patient orientation {chr(92).join(orientation)}", orientation[0] in ("F", "H"))


def _oriented(values: np.ndarray, orientation: tuple[str, ...]) -> np.ndarray:
    """Flips and transposes values so that rows run to the patient's left (L), and columns to the feet (F)."""
    if orientation:
        rows, columns = orientation
        if rows in ("F", "H"):
            values, rows, columns = np.swapaxes(values, 0, 1), columns, rows
        values = values[:: -1 if columns == "H" else 1, :: -1 if rows == "R" else 1]
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))
