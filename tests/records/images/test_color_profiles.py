"""Photographs with an embedded colour profile come back in the colours of sRGB; masks keep their numbers."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from records import read_mask, read_photograph
from records.images import PhotographWarning, opened, read_color_masks
from records.images.color_profiles import srgb_of
from tests.records.images import icc

MANY = 10**6
FORMATS = {
    "eye.png": {},
    "eye.jpg": {"quality": 100, "subsampling": 0},
    "eye.tif": {"compression": "tiff_lzw"},
    "eye.webp": {"lossless": True, "exact": True},
}


@pytest.fixture(scope="module")
def retina() -> np.ndarray:
    """uint8 sRGB `[48, 66, 3]` of the colours of a retina, all of which the other spaces hold."""
    ys, xs = np.mgrid[:48, :66]
    red = 40 + 3 * xs
    return np.stack([red, red * (0.35 + ys / 160), red * (0.15 + ys / 400)], axis=-1).astype(np.uint8)


def largest_difference(photograph: np.ndarray, expected: np.ndarray) -> int:
    assert photograph.dtype == np.uint8 and photograph.shape == expected.shape
    return int(np.abs(photograph.astype(int) - expected).max())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("space", ["Display P3", "Adobe RGB"])
def test_a_photograph_of_another_colour_space_comes_back_in_the_colours_of_srgb(tmp_path, retina, space, name):
    stored = icc.in_space(retina, space)
    assert largest_difference(stored, retina) > 10
    Image.fromarray(stored).save(tmp_path / name, icc_profile=icc.rgb_profile(space), **FORMATS[name])
    read = read_photograph(tmp_path / name, max_pixels=MANY)
    if name.endswith("jpg"):
        assert np.abs(read.astype(int) - retina).mean() < 1
    assert largest_difference(read, retina) <= (8 if name.endswith("jpg") else 2)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("made_by", ["hand", "LittleCMS"])
def test_with_a_profile_of_srgb_not_a_pixel_changes(tmp_path, retina, name, made_by):
    profile = icc.rgb_profile("sRGB")
    if made_by == "LittleCMS":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = tmp_path / f"plain_{name}"
    Image.fromarray(retina).save(plain, **FORMATS[name])
    Image.fromarray(retina).save(tmp_path / name, icc_profile=profile, **FORMATS[name])
    expected = read_photograph(plain, max_pixels=MANY)
    np.testing.assert_array_equal(read_photograph(tmp_path / name, max_pixels=MANY), expected)


def test_modes_with_a_palette_or_transparency_are_converted_too(tmp_path):
    colors = np.array([[200, 90, 40], [60, 30, 20], [120, 80, 50]], np.uint8)
    indices = np.arange(48 * 66, dtype=np.uint8).reshape(48, 66) % 3
    profile = icc.rgb_profile("Display P3")
    stored = icc.in_space(colors, "Display P3")
    Image.fromarray(np.dstack([stored[indices], 100 * indices])).save(tmp_path / "rgba.png", icc_profile=profile)
    palette = Image.fromarray(indices)
    palette.putpalette(stored.ravel().tolist())
    palette.save(tmp_path / "palette.png", icc_profile=profile)
    for name in ("rgba.png", "palette.png"):
        assert largest_difference(read_photograph(tmp_path / name, max_pixels=MANY), colors[indices]) <= 2


@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "with alpha"])
def test_a_grey_photograph_is_converted_by_a_grey_profile(tmp_path, kind):
    grey = np.arange(20, 256, dtype=np.uint8)[None].repeat(9, axis=0)
    stored = 255 * icc.srgb_decode(grey / 255) ** (1 / 1.8)
    image = {
        "8 bits": lambda: Image.fromarray(np.rint(stored).astype(np.uint8)),
        "16 bits": lambda: Image.fromarray(np.rint(stored * 257).astype(np.uint16)),
        "with alpha": lambda: Image.fromarray(np.rint(np.dstack([stored, 255 - stored])).astype(np.uint8)),
    }[kind]()
    image.save(tmp_path / "eye.png", icc_profile=icc.grey_profile(1.8))
    read = read_photograph(tmp_path / "eye.png", max_pixels=MANY)
    assert largest_difference(read, np.dstack([grey] * 3)) <= 2


def test_a_grey_photograph_is_converted_by_a_profile_for_rgb(tmp_path):
    grey = np.arange(30, 256, dtype=np.uint8)[None].repeat(9, axis=0)
    expected = np.dstack([grey] * 3)
    stored = icc.in_space(expected, "Adobe RGB")[..., 1]
    Image.fromarray(stored).save(tmp_path / "eye.tif", icc_profile=icc.rgb_profile("Adobe RGB"))
    assert largest_difference(read_photograph(tmp_path / "eye.tif", max_pixels=MANY), expected) <= 2


@pytest.mark.parametrize("name", ["eye.jpg", "eye.tif"])
def test_inks_are_converted_by_the_profile_of_their_printer(tmp_path, name):
    def lab_of(inks: np.ndarray) -> np.ndarray:
        """Black ink alone makes darker; colours are red where there is magenta and yellow."""
        lightness = 100 * (1 - inks[:, 3])
        return np.stack([lightness, 40 * inks[:, 1], 30 * inks[:, 2]], axis=-1)

    inks = np.zeros((16, 16, 4), np.uint8)
    inks[..., 1], inks[..., 2], inks[..., 3] = 204, 102, 128
    options = {"quality": 100} if name.endswith("jpg") else {}
    Image.fromarray(inks, "CMYK").save(tmp_path / name, icc_profile=icc.cmyk_profile(lab_of), **options)
    lightness, a, b = lab_of(inks.reshape(-1, 4) / 255)[0]
    y = (lightness + 16) / 116
    xyz = np.array([(y + a / 500) ** 3, y**3, (y - b / 200) ** 3]) * icc.WHITE_D50
    expected = 255 * icc.srgb_encode(np.linalg.inv(icc.matrix("sRGB")) @ xyz)
    read = read_photograph(tmp_path / name, max_pixels=MANY)
    assert largest_difference(read, np.rint(expected) * np.ones((16, 16, 1))) <= 2


def test_the_profile_of_a_dicom_file_is_applied(tmp_path, retina):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import ExplicitVRLittleEndian

    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.Rows, file.Columns, file.SamplesPerPixel, file.PlanarConfiguration = *retina.shape[:2], 3, 0
    file.PhotometricInterpretation, file.PixelRepresentation = "RGB", 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 8, 8, 7
    file.PixelData = icc.in_space(retina, "Display P3").tobytes()
    file.ICCProfile = icc.rgb_profile("Display P3")
    file.file_meta.MediaStorageSOPClassUID, file.file_meta.MediaStorageSOPInstanceUID = "1.2", "1.2.3"
    file.save_as(tmp_path / "eye.dcm", enforce_file_format=True)
    assert largest_difference(read_photograph(tmp_path / "eye.dcm", max_pixels=MANY), retina) <= 2


BROKEN = {
    "noise": b"no profile at all",
    "cut short": icc.rgb_profile("Display P3")[:200],
    "for inks": icc.cmyk_profile(lambda inks: np.zeros((len(inks), 3))),
    "for grey": icc.grey_profile(1.8),
    "L*a*b*": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
}


@pytest.mark.parametrize("profile", BROKEN)
def test_a_profile_that_cannot_be_used_is_named_and_the_photograph_is_read_as_srgb(tmp_path, retina, profile):
    path = tmp_path / "eye.png"
    Image.fromarray(retina).save(path, icc_profile=BROKEN[profile])
    with pytest.warns(PhotographWarning) as caught:
        read = read_photograph(path, max_pixels=MANY)
    np.testing.assert_array_equal(read, retina)
    (warning,) = caught
    assert str(warning.message).startswith(f"{path}: its colour profile cannot be used (")
    assert "\n" not in str(warning.message)


def test_a_profile_that_is_not_complete_in_its_file_is_named(tmp_path, retina):
    """A JPEG says in how many pieces its profile is; here, one of two is missing."""
    plain = io.BytesIO()
    Image.fromarray(retina).save(plain, "JPEG")
    piece = b"ICC_PROFILE\0" + bytes([1, 2]) + icc.rgb_profile("Display P3")[:500]
    segment = b"\xff\xe2" + struct.pack(">H", len(piece) + 2) + piece
    path = tmp_path / "eye.jpg"
    path.write_bytes(plain.getvalue()[:2] + segment + plain.getvalue()[2:])
    with pytest.warns(PhotographWarning, match=r"eye\.jpg: its colour profile cannot be used"):
        read_photograph(path, max_pixels=MANY)


@settings(max_examples=100)
@given(
    profile=st.sampled_from([icc.rgb_profile("Adobe RGB"), icc.grey_profile(1.8), BROKEN["for inks"]]),
    changes=st.lists(st.tuples(st.integers(0, 479), st.integers(0, 255)), max_size=5),
    length=st.integers(1, 480),
    mode=st.sampled_from(["RGB", "L", "CMYK", "1", "LA", "P"]),
)
def test_a_damaged_profile_ends_in_a_photograph_or_in_a_photograph_and_a_warning(profile, changes, length, mode):
    damaged = bytearray(profile[: length if length % 2 else None])
    for place, value in changes:
        damaged[place % len(damaged)] = value
    image = Image.new(mode, (5, 4))
    image.info["icc_profile"] = bytes(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PhotographWarning)
        assert srgb_of(image, Path("eye.png")).mode == "RGB"


def test_masks_are_numbers_whatever_their_profile(tmp_path):
    values = np.zeros((48, 66, 3), np.uint8)
    values[5:9, 5:9], values[20:30, 20:30] = (255, 0, 0), (0, 255, 0)
    Image.fromarray(values).save(tmp_path / "mask.png", icc_profile=icc.rgb_profile("Display P3"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        masks = read_color_masks(tmp_path / "mask.png", ("ff0000", "00ff00"), max_pixels=MANY)
        mask = read_mask(tmp_path / "mask.png", max_pixels=MANY)
    assert masks.sum(axis=(0, 1)).tolist() == [16, 100] and mask.sum() == 116


def test_files_of_idrid_hold_no_profile(idrid: Path):
    files = sorted((idrid / "A. Segmentation" / "1. Original Images").rglob("*.jpg"))
    for path in files[::9]:
        with opened(path, max_pixels=10**9) as image:
            assert "icc_profile" not in image.info
