"""Each of 1,000 damaged photographs and masks is read, or refused in one line; nothing leaks."""

import faulthandler
import io
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom import uid

from configs import DataConfig, InputError
from records import Case, photograph_size, read_mask, read_photograph, survey_case

DAMAGES = 1000
HEIGHT, WIDTH = 40, 56
DATA = DataConfig(tile=32, stride=32, max_pixels=10**6)
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)
LARGEST_GROWTH_MB = 100
LONGEST_SECONDS = 300  # the whole test takes five


def saved(pixels: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, format=kind, **options)
    return file.getvalue()


@pytest.fixture
def whole_files(random_photograph, tiff, dicom) -> dict[str, bytes]:
    """One file, photograph or mask, of each form."""
    rgb = random_photograph(HEIGHT, WIDTH)
    grey, bits, sixteen = rgb[..., 1], rgb[..., 1] > 128, rgb.astype(np.uint16) * 257
    turned = Image.Exif()
    turned[0x0112] = 6
    indices = {"palette.png": "PNG", "palette.tif": "TIFF", "palette.bmp": "BMP"}
    lut = [f"{color}PaletteColorLookupTable" for color in ("Red", "Green", "Blue")]
    table = {f"{name}Descriptor": [256, 0, 8] for name in lut} | {f"{name}Data": bytes(range(256)) for name in lut}
    return {
        "baseline.jpg": saved(rgb, "JPEG"),
        "turned.jpg": saved(rgb, "JPEG", exif=turned),
        "progressive.jpg": saved(rgb, "JPEG", progressive=True),
        "grey.jpg": saved(grey, "JPEG"),
        "cmyk.jpg": saved(rgb, "JPEG", "CMYK"),
        "preview.jpg": saved(rgb, "MPO", save_all=True, append_images=[Image.fromarray(rgb[::2, ::2])]),
        "rgb.png": saved(rgb, "PNG"),
        "turned.png": saved(rgb, "PNG", exif=turned),
        "grey_and_alpha.png": saved(np.dstack([grey, grey]), "PNG"),
        "1_bit.png": saved(bits, "PNG"),
        "16_bits.png": cv2.imencode(".png", sixteen)[1].tobytes(),
        "16_bits_grey.png": cv2.imencode(".png", sixteen[..., 0])[1].tobytes(),
        "raw.tif": tiff(rgb, 2),
        "turned.tif": tiff(sixteen, 2, bits=16, tags={0x0112: [6]}),
        "lzw.tif": saved(rgb, "TIFF", compression="tiff_lzw"),
        "deflate.tif": saved(rgb, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": saved(rgb, "TIFF", compression="jpeg"),
        "packbits.tif": saved(rgb, "TIFF", compression="packbits"),
        "fax.tif": saved(bits, "TIFF", compression="group4"),
        "16_bits.tif": cv2.imencode(".tiff", sixteen)[1].tobytes(),
        "16_bits_grey.tif": tiff(sixteen[..., 0], 1, bits=16, order=">"),
        "rgb.bmp": saved(rgb, "BMP"),
        "1_bit.bmp": saved(bits, "BMP"),
        "lossy.webp": saved(rgb, "WEBP"),
        "lossless.webp": saved(np.dstack([rgb, grey]), "WEBP", lossless=True, exif=turned),
        **{name: saved(rgb, kind, "P") for name, kind in indices.items()},
        "rgb.dcm": dicom(rgb, "RGB", PatientOrientation=["F", "R"]),
        "luminance.dcm": dicom(rgb, "YBR_FULL"),
        "12_bits.dcm": dicom(sixteen[..., 0] >> 4, "MONOCHROME1", BitsStored=12, HighBit=11),
        "palette.dcm": dicom(grey, "PALETTE COLOR", **table),
        "jpeg.dcm": dicom(rgb, "YBR_FULL_422", syntax=uid.JPEGBaseline8Bit, data=saved(rgb, "JPEG")),
        "big_endian.dcm": dicom(sixteen, "RGB", syntax=uid.ExplicitVRBigEndian),
    }


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """Does one or a few damages; half of them to the first 256 bytes, where headers are."""
    file = bytearray(whole)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if not file:
            break
        place = int(rng.integers(min(len(file), rng.choice([256, len(file)]))))
        other = int(rng.integers(min(len(file), 256)))
        length = int(rng.choice([1, 2, 4, 16, 64, 256]))
        width = int(rng.choice([1, 2, 4]))
        match rng.integers(8):
            case 0:  # flips bits
                for _ in range(length.bit_length()):
                    file[int(rng.integers(len(file)))] ^= 1 << int(rng.integers(8))
            case 1:  # cuts
                del file[place:]
            case 2:  # overwrites a run
                file[place : place + length] = rng.bytes(length)
            case 3:  # zeros a run
                file[place : place + length] = bytes(length)
            case 4:  # doubles a piece
                file[place:place] = file[other : other + length]
            case 5:  # drops a piece
                del file[place : place + length]
            case 6:  # swaps two fields
                one, two = file[place : place + width], file[other : other + width]
                file[place : place + width], file[other : other + width] = two, one
            case _:  # sets a field to an extreme
                field = int(rng.choice(EXTREMES)) % 256**width
                file[place : place + width] = field.to_bytes(width, rng.choice(["little", "big"]))
    return bytes(file)


def outcome(counts: Counter, path: Path, read: Callable, *arguments: object, **options: object) -> Any:
    """Counts what comes of a damaged file; returns what was read, or None where the file was named."""
    try:
        value = read(*arguments, **options)
    except InputError as error:
        assert path.name in str(error) and str(error).isprintable(), f"{error!r} is not one line on {path}"
        counts["named"] += 1
        return None
    counts["read"] += 1
    return value


def read_all_ways(path: Path, whole: Path, counts: Counter) -> None:
    """Reads a damaged file as a photograph, as a mask, and as each of them beside a whole one in a survey."""
    options = {"max_pixels": DATA.max_pixels}
    size = outcome(counts, path, photograph_size, path, **options)
    photograph = outcome(counts, path, read_photograph, path, **options)
    mask = outcome(counts, path, read_mask, path, **options)
    assert photograph is None or (photograph.dtype == np.uint8 and photograph.shape == (*size, 3))
    assert mask is None or (mask.dtype == bool and mask.shape == size)
    survey = outcome(counts, path, survey_case, Case("a", path, {"HE": whole}, "train"), DATA)
    assert survey is None or (survey.height, survey.width) == size == (HEIGHT, WIDTH)
    survey = outcome(counts, path, survey_case, Case("b", whole, {"HE": path}, "train"), DATA)
    assert survey is None or survey.lesion_pixels["HE"] == np.count_nonzero(mask)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
def test_each_damaged_file_is_read_or_refused_and_nothing_leaks(tmp_path, whole_files, capsys, record_property):
    faulthandler.dump_traceback_later(LONGEST_SECONDS, exit=True, file=sys.__stderr__)  # a decoder may hang
    rng = np.random.default_rng(12)
    (whole := tmp_path / "whole.png").write_bytes(whole_files["rgb.png"])
    names, counts, resident = list(whole_files), Counter(), []
    for number in range(DAMAGES):
        path = tmp_path / names[number % len(names)]
        path.write_bytes(damaged(whole_files[path.name], rng))
        read_all_ways(path, whole, counts)
        if number in (DAMAGES // 4, DAMAGES - 1):
            resident.append(resident_mb())
    faulthandler.cancel_dump_traceback_later()
    growth = resident[1] - resident[0]
    report = f"{DAMAGES} damaged files of {len(names)} forms in five readings each: {counts['read']} times read, "
    report += f"{counts['named']} times named; {growth:.1f} MB more memory at the end than after the first quarter."
    record_property("fuzz", report)
    with capsys.disabled():
        print(f"\n{report}")
    assert min(counts.values()) > DAMAGES  # the damages neither spare all nor break all
    assert growth < LARGEST_GROWTH_MB
