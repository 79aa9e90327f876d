"""What kind of file a file is, by its first bytes; nothing is decoded."""

import re
from pathlib import Path

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

# Importing these classes registers their formats; to search for one, Pillow would import all of its plugins.
KINDS = (JpegImageFile, PngImageFile, TiffImageFile, BmpImageFile, WebPImageFile)
START = 144  # bytes that are read: DICOM's mark is at 128
DICOM = "DICOM"
BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes of the header after "BM", which alone also begins texts
# Raw files of cameras are TIFFs, of which Pillow would read the preview.
RAW = {".3fr", ".arw", ".cr2", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raw", ".rw2", ".sr2", ".srw"}
# Images that this software does not read, by their first bytes.
OTHERS = {
    "HEIC": rb"....ftyp(heic|heix|hevc|heim|heis|mif1|msf1)",
    "AVIF": rb"....ftypavi[fs]",
    "JPEG 2000": rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51",
    "JPEG XL": rb"\xff\x0a|\x00\x00\x00\x0cJXL ",
    "GIF": rb"GIF8[79]a",
    "PPM": rb"P[1-7]\s",
    "Photoshop": rb"8BPS",
    "PDF": rb"%PDF",
}


def image_kind(path: Path) -> str | None:
    """Returns the kind of an image file that can be read as a photograph or mask, such as "JPEG" or "DICOM".

    Args:
      path: a file of any name.

    Returns:
      The kind, or None if the file is of no kind that can be read, or cannot be opened.
    """
    start = _start(path)
    if start[128:132] == b"DICM":
        return DICOM
    for kind in KINDS:
        name = str(kind.format)
        _, accepts = Image.OPEN[name]
        if accepts is not None and accepts(start) and _plausible(name, path, start):
            return name
    return None


def unread_kind(path: Path) -> str:
    """Returns what a file is that `image_kind` does not know, for a message: "HEIC, which is not read; …"."""
    start = _start(path)
    if path.suffix.strip().lower() in RAW:
        return "raw files of a camera are not read; save them as JPEG, PNG or TIFF"
    for name, pattern in OTHERS.items():
        if re.match(pattern, start, re.DOTALL):
            return f"{name} is not read; save it as JPEG, PNG or TIFF"
    return "not an image" if start else "empty or unreadable"


def _start(path: Path) -> bytes:
    """Returns the first bytes of a file; none of a pipe, which would never end, or of what cannot be opened."""
    try:
        if not path.is_file():
            return b""
        with open(path, "rb") as file:
            return file.read(START)
    except OSError:
        return b""


def _plausible(name: str, path: Path, start: bytes) -> bool:
    if name == "BMP":
        return int.from_bytes(start[14:18], "little") in BMP_HEADERS
    return name != "TIFF" or path.suffix.strip().lower() not in RAW
