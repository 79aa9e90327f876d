"""Files of every form that hold the same photograph or mask read the same, and damaged files are refused."""

import io
import struct
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from configs import InputError
from records import draw_contours
from records.images.imaging import (
    encode_png,
    photograph_size,
    read_photograph,
)
from records.images.mask_files import read_color_masks, read_mask

HEIGHT, WIDTH = 48, 67  # not square, and no whole number of bytes a row of a 1-bit file
MANY = 10**6
ORIENTATION = 0x0112

# How to turn a stored photograph for each value of the orientation tag (Exif 2.3: where row 0 and column 0 are).
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: np.rot90(np.fliplr(stored), 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(np.fliplr(stored), -1),
    8: lambda stored: np.rot90(stored, 1),
}


def encoded(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    """Returns a file that Pillow writes."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind, **options)
    return file.getvalue()


def palette_file(indices: np.ndarray, palette: tuple[int, ...], kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette(palette)
    image.save(file, format=kind, **options)
    return file.getvalue()


def sixteen_bit_png(pixels: np.ndarray, color: int, *, orientation: int | None = None) -> bytes:
    """Writes uint16 `[H, W, samples]` chunk by chunk; colour 0: grey, 2: RGB, 4: grey and alpha, 6: RGB and alpha."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    tag = b"" if orientation is None else chunk(b"eXIf", b"II*\0\x08\0\0\0\1\0" + _short_tag(orientation) + bytes(4))
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + tag + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def _short_tag(orientation: int) -> bytes:
    return struct.pack("<HHIHH", ORIENTATION, 3, 1, orientation, 0)


def in_channels(mask: np.ndarray, *values: int, dtype: type = np.uint8) -> np.ndarray:
    """Returns `[H, W, len(values)]`: these values where there is lesion, zeros elsewhere."""
    return np.where(mask[..., None], np.array(values, dtype), np.array(0, dtype)).astype(dtype)


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    """Adds a channel of the highest value everywhere: opaque, as in one mask of the published IDRiD."""
    full = np.full((*pixels.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
    return np.concatenate([pixels if pixels.ndim == 3 else pixels[..., None], full], axis=-1)


BLACK_RED = np.array([[0, 0, 0], [255, 0, 0]])
MASK_FORMS: dict[str, Callable[..., bytes]] = {
    "palette.png": lambda mask, tiff: palette_file(mask, (0, 0, 0, 255, 0, 0), "PNG", bits=1),
    "palette_8_bits.png": lambda mask, tiff: palette_file(mask, (0, 0, 0, 255, 0, 0), "PNG", bits=8),
    "palette_red_first.png": lambda mask, tiff: palette_file(~mask, (255, 0, 0, 0, 0, 0), "PNG"),
    "palette_two_blacks.png": lambda mask, tiff: palette_file(
        np.where(mask, 3, np.arange(mask.shape[1]) % 2 * 2), (0, 0, 0, 9, 9, 9, 0, 0, 0, 1, 0, 0), "PNG"
    ),
    "palette_lzw.tif": lambda mask, tiff: palette_file(mask, (0, 0, 0, 255, 0, 0), "TIFF", compression="tiff_lzw"),
    "palette_1_bit.tif": lambda mask, tiff: tiff(
        mask, 3, bits=1, tags={320: [int(value) for value in 257 * BLACK_RED.T.ravel()]}
    ),
    "palette.bmp": lambda mask, tiff: palette_file(mask, (0, 0, 0, 255, 0, 0), "BMP"),
    "rgba.png": lambda mask, tiff: encoded(with_alpha(in_channels(mask, 255, 0, 0)), "PNG"),
    "rgba.tif": lambda mask, tiff: encoded(with_alpha(in_channels(mask, 255, 0, 0)), "TIFF"),
    "rgba_by_hand.tif": lambda mask, tiff: tiff(with_alpha(in_channels(mask, 255, 0, 0)), 2, tags={338: [2]}),
    "rgba_16_bits.png": lambda mask, tiff: sixteen_bit_png(with_alpha(in_channels(mask, 3, 0, 0, dtype=np.uint16)), 6),
    "grey_255.png": lambda mask, tiff: encoded(mask.astype(np.uint8) * 255, "PNG"),
    "grey_1.png": lambda mask, tiff: encoded(mask.astype(np.uint8), "PNG"),
    "grey_1.tif": lambda mask, tiff: encoded(mask.astype(np.uint8), "TIFF"),
    "grey_255.bmp": lambda mask, tiff: encoded(mask.astype(np.uint8) * 255, "BMP"),
    "grey_white_is_zero.tif": lambda mask, tiff: tiff(np.where(mask, 0, 255), 0),
    "grey_65535.png": lambda mask, tiff: sixteen_bit_png(in_channels(mask, 65535, dtype=np.uint16), 0),
    "grey_16_bits_200.png": lambda mask, tiff: sixteen_bit_png(in_channels(mask, 200, dtype=np.uint16), 0),
    "grey_16_bits_1.tif": lambda mask, tiff: tiff(mask, 1, bits=16),
    "grey_16_bits_256_big_endian.tif": lambda mask, tiff: tiff(mask * 256, 1, bits=16, order=">"),
    "grey_16_bits_1_big_endian.tif": lambda mask, tiff: tiff(mask, 1, bits=16, order=">"),
    "1_bit.png": lambda mask, tiff: encoded(mask, "PNG"),
    "1_bit.tif": lambda mask, tiff: tiff(mask, 1, bits=1),
    "1_bit_white_is_zero.tif": lambda mask, tiff: tiff(~mask, 0, bits=1),
    "1_bit_fax.tif": lambda mask, tiff: encoded(mask, "TIFF", compression="group4"),
    "red.png": lambda mask, tiff: encoded(in_channels(mask, 255, 0, 0), "PNG"),
    "faint_blue.png": lambda mask, tiff: encoded(in_channels(mask, 0, 0, 1), "PNG"),
    "red.tif": lambda mask, tiff: encoded(in_channels(mask, 255, 0, 0), "TIFF"),
    "red.webp": lambda mask, tiff: encoded(in_channels(mask, 255, 0, 0), "WEBP", lossless=True),
    "color_16_bits_7.png": lambda mask, tiff: sixteen_bit_png(in_channels(mask, 0, 0, 7, dtype=np.uint16), 2),
    "color_16_bits_7.tif": lambda mask, tiff: tiff(in_channels(mask, 7, 0, 0, dtype=np.uint16), 2, bits=16),
    "la.png": lambda mask, tiff: encoded(with_alpha(mask.astype(np.uint8) * 255), "PNG"),
    "la_16_bits.png": lambda mask, tiff: sixteen_bit_png(with_alpha(in_channels(mask, 5, dtype=np.uint16)), 4),
}


@pytest.fixture
def mask(blobs) -> np.ndarray:
    drawn = blobs(HEIGHT, WIDTH, seed=4)
    assert 0.05 < drawn.mean() < 0.5
    return drawn


@pytest.fixture
def photograph(random_photograph) -> np.ndarray:
    return random_photograph(HEIGHT, WIDTH)


@pytest.mark.parametrize("name", MASK_FORMS)
def test_a_mask_reads_the_same_from_every_form_of_file(tmp_path, tiff, mask, name):
    (tmp_path / name).write_bytes(MASK_FORMS[name](mask, tiff))
    read = read_mask(tmp_path / name, max_pixels=MANY)
    assert read.dtype == bool
    np.testing.assert_array_equal(read, mask)


@pytest.mark.parametrize("name", MASK_FORMS)
def test_a_mask_without_lesion_reads_as_empty_from_every_form_of_file(tmp_path, tiff, name):
    (tmp_path / name).write_bytes(MASK_FORMS[name](np.zeros((HEIGHT, WIDTH), bool), tiff))
    assert not read_mask(tmp_path / name, max_pixels=MANY).any()


@pytest.mark.parametrize("quality", [50, 95])
@pytest.mark.parametrize("color", [(255, 255, 255), (255, 0, 0)])
def test_a_mask_saved_as_jpeg_differs_only_at_the_border_of_a_lesion(tmp_path, blobs, quality, color):
    mask = blobs(300, 400, seed=1, largest=40)
    (tmp_path / "mask.jpg").write_bytes(encoded(in_channels(mask, *color), "JPEG", quality=quality))
    read = read_mask(tmp_path / "mask.jpg", max_pixels=MANY)
    rim = ndimage.binary_dilation(mask, iterations=3) & ~ndimage.binary_erosion(mask, iterations=3)
    assert not (read ^ mask)[~rim].any()
    assert abs(read.sum() / mask.sum() - 1) < 0.05


@pytest.mark.parametrize("orientation", TURNS)
def test_a_mask_is_turned_by_its_orientation_tag(tmp_path, tiff, mask, orientation):
    palette = [int(value) for value in 257 * BLACK_RED.T.ravel()]
    (tmp_path / "mask.tif").write_bytes(tiff(mask, 3, bits=1, tags={320: palette, ORIENTATION: [orientation]}))
    read = read_mask(tmp_path / "mask.tif", max_pixels=MANY)
    np.testing.assert_array_equal(read, TURNS[orientation](mask))


# 16-bit samples whose high byte is the photograph and whose low byte is not
def _sixteen_bits(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.uint16) * 256 + 255 - pixels


LOSSLESS_FORMS: dict[str, Callable[..., bytes]] = {
    "rgb.png": lambda rgb, tiff: encoded(rgb, "PNG"),
    "rgba.png": lambda rgb, tiff: encoded(np.dstack([rgb, rgb[..., 1]]), "PNG"),
    "rgb_16_bits.png": lambda rgb, tiff: sixteen_bit_png(_sixteen_bits(rgb), 2),
    "rgba_16_bits.png": lambda rgb, tiff: sixteen_bit_png(_sixteen_bits(np.dstack([rgb, rgb[..., 1]])), 6),
    "rgb.tif": lambda rgb, tiff: tiff(rgb, 2),
    "rgb_lzw.tiff": lambda rgb, tiff: encoded(rgb, "TIFF", compression="tiff_lzw"),
    "rgb_16_bits.tif": lambda rgb, tiff: tiff(_sixteen_bits(rgb), 2, bits=16),
    "rgb_16_bits_big_endian.tif": lambda rgb, tiff: tiff(_sixteen_bits(rgb), 2, bits=16, order=">"),
    "rgb.bmp": lambda rgb, tiff: encoded(rgb, "BMP"),
    "rgb.webp": lambda rgb, tiff: encoded(rgb, "WEBP", lossless=True),
}
GREY_FORMS: dict[str, Callable[..., bytes]] = {
    "grey.png": lambda grey, tiff: encoded(grey, "PNG"),
    "grey.tif": lambda grey, tiff: tiff(grey, 1),
    "grey.bmp": lambda grey, tiff: encoded(grey, "BMP"),
    "la.png": lambda grey, tiff: encoded(np.dstack([grey, 255 - grey]), "PNG"),
    "grey_16_bits.png": lambda grey, tiff: sixteen_bit_png(_sixteen_bits(grey), 0),
    "la_16_bits.png": lambda grey, tiff: sixteen_bit_png(_sixteen_bits(np.dstack([grey, 255 - grey])), 4),
    "grey_16_bits.tif": lambda grey, tiff: tiff(_sixteen_bits(grey), 1, bits=16),
    "grey_16_bits_big_endian.tif": lambda grey, tiff: tiff(_sixteen_bits(grey), 1, bits=16, order=">"),
}


def assert_reads(path, expected: np.ndarray) -> None:
    """Holds the pixels, the dtype, and that the size from the header is that of the pixels."""
    read = read_photograph(path, max_pixels=MANY)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, expected)
    assert photograph_size(path, max_pixels=MANY) == expected.shape[:2]


@pytest.mark.parametrize("name", LOSSLESS_FORMS)
def test_a_photograph_reads_pixel_for_pixel_from_every_lossless_form(tmp_path, tiff, photograph, name):
    (tmp_path / name).write_bytes(LOSSLESS_FORMS[name](photograph, tiff))
    assert_reads(tmp_path / name, photograph)


@pytest.mark.parametrize("name", GREY_FORMS)
def test_a_grey_photograph_has_three_equal_channels(tmp_path, tiff, photograph, name):
    grey = photograph[..., 1]
    (tmp_path / name).write_bytes(GREY_FORMS[name](grey, tiff))
    assert_reads(tmp_path / name, np.dstack([grey] * 3))


def test_a_photograph_with_a_palette_reads_as_its_colors(tmp_path, photograph):
    indices, colors = photograph[..., 0] // 32, photograph[:8, 0]
    (tmp_path / "palette.png").write_bytes(palette_file(indices, tuple(colors.ravel().tolist()), "PNG"))
    assert_reads(tmp_path / "palette.png", colors[indices])


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 95},
        {"quality": 95, "progressive": True},
        {"quality": 50, "subsampling": "4:2:0"},  # as IDRiD's
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_a_jpeg_is_read_as_opencv_decodes_it_and_close_to_the_original(tmp_path, random_photograph, options):
    taken = random_photograph(240, 331)
    file = encoded(taken, "JPEG", **options)
    (tmp_path / "photograph.jpg").write_bytes(file)
    read = read_photograph(tmp_path / "photograph.jpg", max_pixels=MANY)
    by_opencv = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(read.astype(int) - by_opencv).max() <= 4  # the two may round chroma differently
    assert np.abs(read.astype(int) - taken).mean() < 4
    assert photograph_size(tmp_path / "photograph.jpg", max_pixels=MANY) == (240, 331)


def test_a_progressive_jpeg_reads_the_same_as_a_sequential_one(tmp_path, photograph):
    for name, progressive in (("a.jpg", False), ("b.jpg", True)):
        (tmp_path / name).write_bytes(encoded(photograph, "JPEG", progressive=progressive))
    assert (tmp_path / "a.jpg").read_bytes() != (tmp_path / "b.jpg").read_bytes()
    assert_reads(tmp_path / "b.jpg", read_photograph(tmp_path / "a.jpg", max_pixels=MANY))


def test_a_grey_jpeg_has_three_equal_channels(tmp_path, photograph):
    (tmp_path / "grey.jpg").write_bytes(encoded(photograph[..., 1], "JPEG", quality=100))
    read = read_photograph(tmp_path / "grey.jpg", max_pixels=MANY)
    assert read.shape == (HEIGHT, WIDTH, 3) and (read == read[..., :1]).all()
    assert np.abs(read[..., 0].astype(int) - photograph[..., 1]).max() <= 2


def test_a_cmyk_jpeg_reads_in_its_colors_and_not_inverted(tmp_path, photograph):
    Image.fromarray(photograph).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    with Image.open(tmp_path / "cmyk.jpg") as image:
        assert image.mode == "CMYK"
    read = read_photograph(tmp_path / "cmyk.jpg", max_pixels=MANY)
    assert read.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(read.astype(int) - photograph).max() <= 6


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


ORIENTED_FORMS: dict[str, Callable[..., bytes]] = {
    "8_bits.jpg": lambda rgb, tiff, turn: encoded(rgb, "JPEG", quality=95, exif=_exif(turn)),
    "8_bits.png": lambda rgb, tiff, turn: encoded(rgb, "PNG", exif=_exif(turn)),
    "8_bits.webp": lambda rgb, tiff, turn: encoded(rgb, "WEBP", lossless=True, exif=_exif(turn)),
    "8_bits.tif": lambda rgb, tiff, turn: tiff(rgb, 2, tags={ORIENTATION: [turn]}),
    "8_bits_grey.tif": lambda rgb, tiff, turn: tiff(rgb[..., 0], 1, tags={ORIENTATION: [turn]}),
    "8_bits_grey_lzw.tif": lambda rgb, tiff, turn: encoded(
        rgb[..., 0], "TIFF", compression="tiff_lzw", tiffinfo={ORIENTATION: turn}
    ),
    "16_bits.png": lambda rgb, tiff, turn: sixteen_bit_png(_sixteen_bits(rgb), 2, orientation=turn),
    "16_bits.tif": lambda rgb, tiff, turn: tiff(_sixteen_bits(rgb), 2, bits=16, tags={ORIENTATION: [turn]}),
    "16_bits_grey.tif": lambda rgb, tiff, turn: tiff(
        _sixteen_bits(rgb[..., 0]), 1, bits=16, tags={ORIENTATION: [turn]}
    ),
}


@pytest.mark.parametrize("name", ORIENTED_FORMS)
@pytest.mark.parametrize("orientation", TURNS)
def test_a_photograph_is_turned_by_its_orientation_tag(tmp_path, tiff, photograph, name, orientation):
    stored = np.dstack([photograph[..., 0]] * 3) if "grey" in name else photograph
    if name.endswith(".jpg"):  # lossy: as decoded without a tag
        stored = np.asarray(Image.open(io.BytesIO(encoded(photograph, "JPEG", quality=95))))
    (tmp_path / name).write_bytes(ORIENTED_FORMS[name](photograph, tiff, orientation))
    assert_reads(tmp_path / name, TURNS[orientation](stored))


# A coloured mask: two classes and a colour that is none
RED, GREEN, OTHER = (255, 0, 0), (0, 255, 0), (255, 1, 0)


def colored(one: np.ndarray, two: np.ndarray, none: np.ndarray) -> np.ndarray:
    image = np.zeros((*one.shape, 3), np.uint8)
    for mask, color in ((one, RED), (two, GREEN), (none, OTHER)):
        image[mask] = color
    return image


@pytest.mark.parametrize("name", ["mask.png", "mask.tif", "mask.bmp"])
def test_classes_of_a_colored_mask_are_distinguished_by_exact_colors(tmp_path, blobs, name):
    one, two, none = (blobs(HEIGHT, WIDTH, seed=seed) for seed in (1, 2, 3))
    Image.fromarray(colored(one, two, none)).save(tmp_path / name)
    read = read_color_masks(tmp_path / name, ("ff0000", "00ff00"), max_pixels=MANY)
    assert read.dtype == bool
    np.testing.assert_array_equal(read, np.dstack([one & ~two & ~none, two & ~none]))


def test_a_colored_mask_saved_as_jpeg_differs_only_at_borders(tmp_path, blobs):
    one, two = blobs(300, 400, seed=1, largest=40), blobs(300, 400, seed=2, largest=40)
    image = colored(one, two, np.zeros_like(one))
    (tmp_path / "mask.jpg").write_bytes(encoded(image, "JPEG", quality=90))
    read = read_color_masks(tmp_path / "mask.jpg", ("ff0000", "00ff00"), max_pixels=MANY)
    expected = np.dstack([one & ~two, two])
    for index in range(2):
        mask = expected[..., index]
        edges = ndimage.morphological_gradient(image.max(axis=-1) + 2 * mask, size=3) > 0
        edges |= ndimage.morphological_gradient(mask.astype(int), size=3) > 0
        near = ndimage.binary_dilation(edges, iterations=3)
        assert not (read[..., index] ^ mask)[~near].any()


def assert_named(error: pytest.ExceptionInfo[InputError], path) -> None:
    assert path.name in str(error.value)
    assert "\n" not in str(error.value)


TRUNCATED = {
    **{f"{fraction}.jpg": fraction for fraction in (0.001, 0.1, 0.3, 0.6, 0.9, 0.99)},
    **{f"progressive_{fraction}.jpg": fraction for fraction in (0.3, 0.6, 0.9)},
    **{
        f"{fraction}{suffix}": fraction for fraction in (0.3, 0.6, 0.95) for suffix in (".png", ".tif", ".bmp", ".webp")
    },
    **{f"16_bits_{fraction}{suffix}": fraction for fraction in (0.3, 0.6, 0.95) for suffix in (".png", ".tif")},
}


def whole_file(name: str, rgb: np.ndarray, tiff: Callable[..., bytes]) -> bytes:
    """Returns a file of the form that a name in TRUNCATED speaks of."""
    suffix = name[name.rindex(".") :]
    if suffix == ".jpg":
        return encoded(rgb, "JPEG", quality=90, progressive=name.startswith("progressive"))
    if name.startswith("16_bits"):
        sixteen = _sixteen_bits(rgb)
        return sixteen_bit_png(sixteen, 2) if suffix == ".png" else tiff(sixteen, 2, bits=16)
    return LOSSLESS_FORMS[f"rgb{suffix}"](rgb, tiff)


@pytest.mark.parametrize("name", TRUNCATED)
def test_a_photograph_cut_short_is_reported(tmp_path, tiff, random_photograph, name):
    whole = whole_file(name, random_photograph(120, 167), tiff)
    path = tmp_path / name
    path.write_bytes(whole[: int(TRUNCATED[name] * len(whole))])
    with pytest.raises(InputError) as error:
        read_photograph(path, max_pixels=MANY)
    assert_named(error, path)


@pytest.mark.parametrize("name", TRUNCATED)
def test_the_size_of_a_photograph_cut_short_is_right_or_the_file_is_refused(tmp_path, tiff, random_photograph, name):
    whole = whole_file(name, random_photograph(120, 167), tiff)
    path = tmp_path / name
    path.write_bytes(whole[: int(TRUNCATED[name] * len(whole))])
    try:
        answer = photograph_size(path, max_pixels=MANY)
    except InputError as error:
        answer = str(error)
    assert answer == (120, 167) or (name in answer and "\n" not in answer)


@pytest.mark.parametrize("name", ["palette.png", "palette_1_bit.tif", "rgba.png", "grey_16_bits_1.tif", "1_bit.tif"])
@pytest.mark.parametrize("fraction", [0.1, 0.7, 0.9])
def test_a_mask_cut_short_is_reported(tmp_path, tiff, blobs, name, fraction):
    whole = MASK_FORMS[name](blobs(300, 400, lesions=60), tiff)
    path = tmp_path / name
    path.write_bytes(whole[: int(fraction * len(whole))])
    with pytest.raises(InputError) as error:
        read_mask(path, max_pixels=MANY)
    assert_named(error, path)


READERS = [read_photograph, read_mask, photograph_size]


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_not_an_image_is_refused(tmp_path, read):
    contents = {
        "empty.jpg": b"",
        "text.jpg": b"dear diary\n" * 40,
        "text.tif": b"II*\0 not a directory",
        "a b é.png": b"\0",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    for name in (*contents, "folder.jpg", "missing.jpg"):
        with pytest.raises(InputError) as error:
            read(tmp_path / name, max_pixels=MANY)
        assert_named(error, tmp_path / name)


@pytest.mark.parametrize("read", READERS)
def test_more_pixels_than_allowed_are_refused_with_both_numbers(tmp_path, photograph, read):
    path = tmp_path / "large.png"
    path.write_bytes(encoded(photograph, "PNG"))
    with pytest.raises(InputError, match=f"67x48 pixels; at most {HEIGHT * WIDTH - 1} are read") as error:
        read(path, max_pixels=HEIGHT * WIDTH - 1)
    assert_named(error, path)
    assert len(read(path, max_pixels=HEIGHT * WIDTH)) > 0  # as many as allowed


@pytest.mark.parametrize("read", READERS)
def test_a_header_with_gigapixels_is_refused_before_anything_is_decoded(tmp_path, read):
    bomb = bytearray(sixteen_bit_png(np.zeros((1, 1, 3), np.uint16), 2))
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(InputError, match="60000x60000 pixels; at most"):
        read(tmp_path / "bomb.png", max_pixels=200_000_000)


@given(
    height=st.integers(1, 20), width=st.integers(1, 20), channels=st.sampled_from([None, 1, 3]), seed=st.integers(0, 99)
)
def test_png_is_lossless_and_the_same_bytes_for_the_same_pixels(height, width, channels, seed):
    shape = (height, width) if channels is None else (height, width, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    file = encode_png(pixels)
    decoded = np.asarray(Image.open(io.BytesIO(file)))
    np.testing.assert_array_equal(decoded, pixels[..., 0] if channels == 1 else pixels)
    assert encode_png(pixels.copy()) == file


def test_contours_are_drawn_in_place_at_the_border_of_each_lesion():
    image = np.zeros((40, 50, 3), np.uint8)
    mask = np.zeros((40, 50), bool)
    mask[10:20, 10:30] = True
    mask[30, 40] = True
    drawn = draw_contours(image, mask, (1, 2, 3))
    assert drawn is image
    rim = mask & ~ndimage.binary_erosion(mask, structure=np.ones((3, 3)))
    np.testing.assert_array_equal(drawn, np.where(rim[..., None], np.array([1, 2, 3]), 0))
