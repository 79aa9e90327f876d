"""DICOM files are read as their headers say, and unsupported kinds are refused from the header."""

import io
import sys
from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid

from configs import InputError
from records import Case, image_files, photograph_degrees, photograph_size, read_mask, read_photograph, survey_case
from records.images.mask_files import describe_values

MANY = 10**6
HEIGHT, WIDTH = 48, 66
READERS = (read_photograph, read_mask, photograph_size)


@pytest.fixture
def photograph(random_photograph) -> np.ndarray:
    """In pairs of equal columns, so that halving the colours of a row loses nothing."""
    return np.repeat(random_photograph(HEIGHT, WIDTH // 2), 2, axis=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "left eye é.dcm"


def as_grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=-1).astype(np.uint8)


def jpeg(pixels: np.ndarray, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind, **options)
    return file.getvalue()


def luminance(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).convert("YCbCr"))


def halved(rgb: np.ndarray) -> bytes:
    """Returns the bytes of YBR_FULL_422: two luminances, then the colours that they have in common."""
    ybr = luminance(rgb)
    return np.dstack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]]).tobytes()


def palette(rgb: np.ndarray, bits: int) -> dict[str, object]:
    """Returns the elements of a table of 256 colours."""
    names = [f"{color}PaletteColorLookupTable" for color in ("Red", "Green", "Blue")]
    tables = [(np.arange(256) * factor % 256).astype(np.uint16) for factor in (1, 3, 7)]
    written = [(table * 257).astype("<u2") if bits == 16 else table.astype(np.uint8) for table in tables]
    return {f"{name}Descriptor": [256, 0, bits] for name in names} | {
        f"{name}Data": table.tobytes() for name, table in zip(names, written, strict=True)
    }


def in_palette(rgb: np.ndarray) -> np.ndarray:
    return np.stack([(rgb[..., 0].astype(int) * factor % 256) for factor in (1, 3, 7)], axis=-1).astype(np.uint8)


def twelve_bits(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., 0].astype(np.uint16) * 16 + 5


def rle(file: bytes) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(file))
    dataset.compress(uid.RLELossless, generate_instance_uid=False)
    with io.BytesIO() as written:
        dataset.save_as(written)
        return written.getvalue()


# The file, what is to come out, and the highest difference allowed, in levels.
READ: dict[str, tuple[Callable, Callable[[np.ndarray], np.ndarray], int]] = {
    "RGB": (lambda rgb, dicom: dicom(rgb, "RGB"), lambda rgb: rgb, 0),
    "RGB, implicit": (lambda rgb, dicom: dicom(rgb, "RGB", syntax=uid.ImplicitVRLittleEndian), lambda rgb: rgb, 0),
    "RGB by planes": (
        lambda rgb, dicom: dicom(rgb, "RGB", data=np.moveaxis(rgb, 2, 0).tobytes(), PlanarConfiguration=1),
        lambda rgb: rgb,
        0,
    ),
    "RGB 16 bits": (lambda rgb, dicom: dicom(rgb.astype(np.uint16) * 256 + 3, "RGB"), lambda rgb: rgb, 0),
    "RGB RLE": (lambda rgb, dicom: rle(dicom(rgb, "RGB")), lambda rgb: rgb, 0),
    "RGB JPEG 2000": (
        lambda rgb, dicom: dicom(rgb, "RGB", syntax=uid.JPEG2000Lossless, data=jpeg(rgb, "JPEG2000", no_jp2=True)),
        lambda rgb: rgb,
        0,
    ),
    "YBR_FULL": (lambda rgb, dicom: dicom(luminance(rgb), "YBR_FULL"), lambda rgb: rgb, 3),
    "YBR_FULL_422": (lambda rgb, dicom: dicom(rgb, "YBR_FULL_422", data=halved(rgb)), lambda rgb: rgb, 3),
    "YBR_FULL_422 JPEG": (
        lambda rgb, dicom: dicom(rgb, "YBR_FULL_422", syntax=uid.JPEGBaseline8Bit, data=jpeg(rgb)),
        lambda rgb: np.asarray(Image.open(io.BytesIO(jpeg(rgb)))),
        2,
    ),
    "MONOCHROME2 JPEG": (
        lambda rgb, dicom: dicom(rgb[..., 0], "MONOCHROME2", syntax=uid.JPEGBaseline8Bit, data=jpeg(rgb[..., 0])),
        lambda rgb: as_grey(np.asarray(Image.open(io.BytesIO(jpeg(rgb[..., 0]))))),
        0,
    ),
    "MONOCHROME1": (lambda rgb, dicom: dicom(255 - rgb[..., 0], "MONOCHROME1"), lambda rgb: as_grey(rgb[..., 0]), 0),
    "MONOCHROME1 12 of 16 bits": (
        lambda rgb, dicom: dicom(4095 - twelve_bits(rgb), "MONOCHROME1", BitsStored=12, HighBit=11),
        lambda rgb: as_grey(rgb[..., 0]),
        0,
    ),
    "MONOCHROME2 12 of 16 bits": (
        lambda rgb, dicom: dicom(twelve_bits(rgb), "MONOCHROME2", BitsStored=12, HighBit=11),
        lambda rgb: as_grey(rgb[..., 0]),
        0,
    ),
    "MONOCHROME2 4 of 8 bits": (
        lambda rgb, dicom: dicom(rgb[..., 0] // 16, "MONOCHROME2", BitsStored=4, HighBit=3),
        lambda rgb: as_grey(rgb[..., 0] // 16 * 17),
        0,
    ),
    "MONOCHROME2 16 bits": (
        lambda rgb, dicom: dicom(rgb[..., 0].astype(np.uint16) * 256 + 9, "MONOCHROME2"),
        lambda rgb: as_grey(rgb[..., 0]),
        0,
    ),
    "MONOCHROME2 16 bits, big-endian": (
        lambda rgb, dicom: dicom(rgb[..., 0].astype(np.uint16) * 256, "MONOCHROME2", syntax=uid.ExplicitVRBigEndian),
        lambda rgb: as_grey(rgb[..., 0]),
        0,
    ),
    "PALETTE COLOR": (lambda rgb, dicom: dicom(rgb[..., 0], "PALETTE COLOR", **palette(rgb, 16)), in_palette, 0),
    "PALETTE COLOR 8 bits": (lambda rgb, dicom: dicom(rgb[..., 0], "PALETTE COLOR", **palette(rgb, 8)), in_palette, 0),
}
REFUSED: dict[str, tuple[Callable, str]] = {
    "two frames": (
        lambda rgb, dicom: dicom(rgb, "RGB", data=rgb.tobytes() * 2, NumberOfFrames=2),
        "with 2 frames is not supported",
    ),
    "HSV": (lambda rgb, dicom: dicom(rgb, "HSV"), "photometric interpretation HSV"),
    "one sample for RGB": (lambda rgb, dicom: dicom(rgb[..., 0], "RGB"), "1 samples per pixel"),
    "32 bits": (lambda rgb, dicom: dicom(rgb[..., 0].astype(np.uint32), "MONOCHROME2"), "32 bits allocated"),
    "16-bit luminance": (lambda rgb, dicom: dicom(rgb.astype(np.uint16), "YBR_FULL"), "YBR_FULL of 16 bits"),
    "bits at the top": (
        lambda rgb, dicom: dicom(rgb[..., 0].astype(np.uint16), "MONOCHROME2", BitsStored=12),
        "high bit 15 of 12 stored bits",
    ),
    "signed": (lambda rgb, dicom: dicom(rgb[..., 0], "MONOCHROME2", PixelRepresentation=1), "signed samples"),
    "seen from above": (lambda rgb, dicom: dicom(rgb, "RGB", PatientOrientation=["L", "P"]), "orientation L/P"),
    "askew": (lambda rgb, dicom: dicom(rgb, "RGB", PatientOrientation=["LF", "FR"]), "orientation LF/FR"),
    "rows and columns alike": (lambda rgb, dicom: dicom(rgb, "RGB", PatientOrientation=["L", "R"]), "orientation L/R"),
    "JPEG-LS": (
        lambda rgb, dicom: dicom(rgb, "RGB", syntax=uid.JPEGLSLossless, data=b"ls"),
        "compressed as JPEG-LS Lossless Image Compression, for which no decoder is installed",
    ),
    "a film": (lambda rgb, dicom: dicom(rgb, "RGB", syntax=uid.MPEG2MPML, data=b"mpeg"), "compressed as MPEG2"),
    "deflated": (
        lambda rgb, dicom: dicom(rgb, "RGB", syntax=uid.DeflatedExplicitVRLittleEndian),
        "deflated as a whole",
    ),
    "a report": (lambda rgb, dicom: without(dicom(rgb, "RGB"), "Rows"), "DICOM without an image"),
    "no transfer syntax": (
        lambda rgb, dicom: dicom(rgb, "RGB").replace(b"\2\0\x10\0UI", b"\2\0\x11\0UI"),
        "does not name its transfer syntax",
    ),
    "another format": (lambda rgb, dicom: jpeg(rgb), "not a DICOM file"),
    "nothing": (lambda rgb, dicom: b"", "not a DICOM file"),
}


def without(file: bytes, element: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(file))
    del dataset[element]
    with io.BytesIO() as written:
        dataset.save_as(written)
        return written.getvalue()


def refusal(read: Callable, path, *, max_pixels: int = MANY) -> str:
    """Returns the one line by which a file is refused; it names the file."""
    with pytest.raises(InputError) as error:
        read(path, max_pixels=max_pixels)
    line = str(error.value)
    assert line.startswith(str(path)) and line.isprintable()
    return line


@pytest.mark.parametrize("name", READ)
def test_a_photograph_is_read_as_its_header_says(path, dicom, photograph, name):
    written, expected, near = READ[name]
    path.write_bytes(written(photograph, dicom))
    read = read_photograph(path, max_pixels=MANY)
    assert read.dtype == np.uint8 and read.shape == photograph.shape
    assert np.abs(read.astype(int) - expected(photograph)).max() <= near
    assert photograph_size(path, max_pixels=MANY) == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("elements", "degrees"),
    [
        ({"HorizontalFieldOfView": 45.0}, 45),
        ({"HorizontalFieldOfView": None}, None),
        ({"HorizontalFieldOfView": 0.0}, None),
        ({"HorizontalFieldOfView": 200.0}, None),
        ({}, None),
    ],
)
def test_the_angle_of_view_is_that_of_the_header(path, dicom, photograph, elements, degrees):
    path.write_bytes(dicom(photograph, "RGB", **elements))
    assert photograph_degrees(path) == degrees


def test_two_angles_of_view_are_refused(path, dicom, photograph):
    path.write_bytes(dicom(photograph, "RGB", HorizontalFieldOfView=[45.0, 30.0]))
    refusal(lambda path, max_pixels: photograph_degrees(path), path)


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_kinds_are_refused_from_the_header(path, dicom, photograph, name, monkeypatch):
    written, reason = REFUSED[name]
    path.write_bytes(written(photograph, dicom))
    monkeypatch.setattr(pydicom.pixels, "pixel_array", lambda *given, **options: pytest.fail("decoded"))
    for read in READERS:
        assert reason in refusal(read, path)


# How a photograph whose rows run to the left and columns to the feet is stored otherwise.
STORED: dict[tuple[str, str], Callable[[np.ndarray], np.ndarray]] = {
    ("L", "F"): lambda seen: seen,
    ("R", "F"): lambda seen: seen[:, ::-1],
    ("L", "H"): lambda seen: seen[::-1],
    ("R", "H"): lambda seen: seen[::-1, ::-1],
    ("F", "L"): lambda seen: seen.swapaxes(0, 1),
    ("H", "L"): lambda seen: seen[::-1].swapaxes(0, 1),
    ("F", "R"): lambda seen: seen[:, ::-1].swapaxes(0, 1),
    ("H", "R"): lambda seen: seen[::-1, ::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_the_patient_orientation_is_applied(path, dicom, photograph, orientation):
    path.write_bytes(dicom(STORED[orientation](photograph), "RGB", PatientOrientation=list(orientation)))
    np.testing.assert_array_equal(read_photograph(path, max_pixels=MANY), photograph)
    assert photograph_size(path, max_pixels=MANY) == (HEIGHT, WIDTH)
    mask = photograph[..., 0] > 200
    path.write_bytes(
        dicom(STORED[orientation](mask).astype(np.uint8), "MONOCHROME2", PatientOrientation=list(orientation))
    )
    np.testing.assert_array_equal(read_mask(path, max_pixels=MANY), mask)


@pytest.mark.parametrize("orientation", [None, ""])
def test_without_a_patient_orientation_nothing_is_turned(path, dicom, photograph, orientation):
    path.write_bytes(dicom(photograph, "RGB", PatientOrientation=orientation))
    np.testing.assert_array_equal(read_photograph(path, max_pixels=MANY), photograph)


def test_a_mask_is_lesion_where_it_is_not_black(path, dicom, photograph):
    lesion = photograph[..., 0] > 200
    files = {
        "MONOCHROME2 {0, 1}": dicom(lesion.astype(np.uint8), "MONOCHROME2"),
        "MONOCHROME2 {0, 3}": dicom(lesion.astype(np.uint16) * 3, "MONOCHROME2"),
        "MONOCHROME1 {0, 7}": dicom(65535 - lesion.astype(np.uint16) * 7, "MONOCHROME1"),
        "RGB {0, 200}": dicom(lesion[..., None] * np.array([200, 0, 0], np.uint8), "RGB"),
    }
    for described, file in files.items():
        path.write_bytes(file)
        np.testing.assert_array_equal(read_mask(path, max_pixels=MANY), lesion)
        assert describe_values(path, max_pixels=MANY) == f"DICOM {described}"


def test_jpeg_artefacts_of_a_mask_are_not_lesions(path, dicom, blobs):
    lesion = blobs(HEIGHT, WIDTH, seed=3, largest=14)
    white = lesion.astype(np.uint8) * 255
    for elements in (
        {"syntax": uid.JPEGBaseline8Bit, "data": jpeg(white, quality=60)},
        {"LossyImageCompression": "01"},
    ):
        once = np.asarray(Image.open(io.BytesIO(jpeg(white, quality=60))))
        path.write_bytes(dicom(once, "MONOCHROME2", **elements))
        assert (read_mask(path, max_pixels=MANY) ^ lesion).sum() <= 0.05 * lesion.sum()


@pytest.mark.parametrize("name", READ)
def test_a_file_cut_anywhere_is_refused_or_read_completely(path, dicom, photograph, name):
    path.write_bytes(whole := READ[name][0](photograph, dicom))
    expected = [read(path, max_pixels=MANY) for read in READERS]
    named = 0
    for end in sorted(
        {*np.linspace(0, len(whole), 25, endpoint=False).astype(int), *range(len(whole) - 6, len(whole))}
    ):
        path.write_bytes(whole[:end])
        for read, values in zip(READERS, expected, strict=True):
            try:
                np.testing.assert_array_equal(read(path, max_pixels=MANY), values)
            except InputError as error:
                named += 1
                assert str(error).startswith(str(path)) and str(error).isprintable()
    assert named >= 2 * 25


@pytest.mark.parametrize("read", READERS)
def test_too_many_pixels_are_refused_before_they_are_decoded(path, dicom, photograph, read, monkeypatch):
    path.write_bytes(dicom(photograph, "RGB"))
    monkeypatch.setattr(pydicom.pixels, "pixel_array", lambda *given, **options: pytest.fail("decoded"))
    assert "66x48 pixels; at most 3167 are read: raise max_pixels" in refusal(read, path, max_pixels=HEIGHT * WIDTH - 1)


def test_a_jpeg_larger_than_the_dicom_header_says_is_refused_before_it_is_decoded(path, dicom, photograph):
    bomb = bytearray(jpeg(np.zeros((16, 16), np.uint8)))
    frame = bomb.index(b"\xff\xc0")
    bomb[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    path.write_bytes(dicom(np.zeros((16, 16), np.uint8), "MONOCHROME2", syntax=uid.JPEGBaseline8Bit, data=bytes(bomb)))
    assert "65535x65535 pixels; at most" in refusal(read_photograph, path)


@pytest.mark.parametrize("read", READERS)
def test_without_pydicom_the_error_says_how_to_install_it(path, dicom, photograph, read, monkeypatch):
    path.write_bytes(dicom(photograph, "RGB"))
    for module in [name for name in sys.modules if name.split(".")[0] == "pydicom"]:
        monkeypatch.setitem(sys.modules, module, None)
    assert refusal(read, path) == f"{path}: DICOM files need pydicom; install it with `pip install -e .[dicom]`."


def test_dicom_files_without_suffix_are_known_by_their_content(tmp_path, dicom, photograph):
    path = tmp_path / "IM000001"
    path.write_bytes(dicom(photograph, "RGB"))
    assert image_files(tmp_path) == {"IM000001": path}
    assert np.array_equal(read_photograph(path, max_pixels=MANY), photograph)
    assert photograph_size(path, max_pixels=MANY) == (HEIGHT, WIDTH)


def test_dicom_files_are_found_and_surveyed_like_others(tmp_path, dicom, photograph):
    from configs import DataConfig

    (tmp_path / "P1.DCM").write_bytes(dicom(photograph, "RGB"))
    (tmp_path / "P1_HE.png").write_bytes(jpeg((photograph[..., 0] > 200).astype(np.uint8), "PNG"))
    files = image_files(tmp_path)
    assert set(files) == {"P1", "P1_HE"}
    survey = survey_case(Case("P1", files["P1"], {"HE": files["P1_HE"]}, "train"), DataConfig(tile=32, stride=32))
    assert (survey.height, survey.width) == (HEIGHT, WIDTH)
    assert survey.lesion_pixels == {"HE": int((photograph[..., 0] > 200).sum())}
