"""Every supported image format is read correctly, and every unsupported one is refused with a reason."""

import errno
import io
import itertools
import os
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from configs import InputError
from records import image_files, photograph_size, read_mask, read_photograph
from records.images import decoding

MANY = 10**6
HEIGHT, WIDTH = 48, 66
READERS = (read_photograph, read_mask, photograph_size)
Draw = Callable[[np.ndarray], np.ndarray]
Write = Callable[[np.ndarray], bytes]


def saved(pixels: np.ndarray, kind: str, mode: str | None = None, **options: object) -> bytes:
    """Returns a file that Pillow writes, after it has converted the pixels to `mode`."""
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, format=kind, **options)
    return file.getvalue()


def by_opencv(pixels: np.ndarray, suffix: str) -> bytes:
    """Returns a file that OpenCV writes of uint16 grey, RGB or RGBA; its TIFFs are compressed by LZW."""
    swapped = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    return cv2.imencode(suffix, swapped)[1].tobytes()


def with_palette(rgb: np.ndarray, kind: str, **options: object) -> bytes:
    """Returns a palette file of `few_colors`, the darkest last."""
    colors, indices = np.unique(few_colors(rgb).reshape(-1, 3), axis=0, return_inverse=True)
    image = Image.fromarray((len(colors) - 1 - indices).reshape(rgb.shape[:2]).astype(np.uint8))
    image.putpalette(colors[::-1].ravel().tolist())
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def blocks_of(plane: np.ndarray, tile: int, rows: int) -> list[np.ndarray]:
    """Cuts `[H, W, S]` into the tiles of a TIFF, filled up at the border, or, where `tile` is 0, into strips."""
    if not tile:
        return [plane[y : y + rows] for y in range(0, len(plane), rows)]
    corners = itertools.product(range(0, plane.shape[0], tile), range(0, plane.shape[1], tile))
    parts = [plane[y : y + tile, x : x + tile] for y, x in corners]
    return [np.pad(part, [(0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0)]) for part in parts]


def tiff_of(
    pixels: np.ndarray,
    photometric: int = 2,
    *,
    order: str = "<",
    tile: int = 0,
    rows: int = HEIGHT,
    deflate: bool = False,
    separate: bool = False,
    **tags: int,
) -> bytes:
    """Lays out a TIFF after its specification: of any dtype, in strips or tiles; `tags` are named by _NUMBER."""
    pixels = np.atleast_3d(pixels).astype(pixels.dtype.newbyteorder(order))
    height, width, samples = pixels.shape
    planes = np.split(pixels, samples, axis=2) if separate else [pixels]
    blocks = [block.tobytes() for plane in planes for block in blocks_of(plane, tile, rows)]
    blocks = [zlib.compress(block) for block in blocks] if deflate else blocks
    entries = {256: [width], 257: [height], 258: [8 * pixels.dtype.itemsize] * samples, 259: [8 if deflate else 1]}
    entries |= {262: [photometric], 277: [samples], 284: [2 if separate else 1]}
    entries |= {322: [tile], 323: [tile]} if tile else {278: [rows]}
    starts, lengths = (324, 325) if tile else (273, 279)
    entries |= {starts: [0] * len(blocks), lengths: [len(block) for block in blocks]}
    entries |= {int(tag[1:]): [value] for tag, value in tags.items()}
    after = 8 + 2 + 12 * len(entries) + 4  # the directory; then come values that do not fit into it, then the blocks
    begin = after + sum(4 * len(values) for values in entries.values() if len(values) > 1)
    entries[starts] = [begin + at for at in itertools.accumulate([0, *entries[lengths][:-1]])]
    directory, values_after = struct.pack(f"{order}H", len(entries)), b""
    for tag, values in sorted(entries.items()):
        field = struct.pack(f"{order}{len(values)}I", *values)  # all are LONG, which the specification allows
        if len(values) > 1:
            field, values_after = struct.pack(f"{order}I", after + len(values_after)), values_after + field
        directory += struct.pack(f"{order}HHI", tag, 4, len(values)) + field
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return start + directory + bytes(4) + values_after + b"".join(blocks)


def sixteen(pixels: np.ndarray) -> np.ndarray:
    """Returns uint16 whose high byte is the photograph and whose low byte is not; 0 stays 0."""
    return pixels.astype(np.uint16) * 256 + pixels * np.uint8(77)


def few_colors(rgb: np.ndarray) -> np.ndarray:
    return rgb // 64 * 64 + 7


def grey(rgb: np.ndarray) -> np.ndarray:
    return np.repeat(rgb[..., 1:2], 3, axis=-1)


def in_two_levels(rgb: np.ndarray) -> np.ndarray:
    return np.where(grey(rgb) > 127, 255, 0).astype(np.uint8)


def same(rgb: np.ndarray) -> np.ndarray:
    return rgb


def alpha(pixels: np.ndarray) -> np.ndarray:
    """Adds a transparency that is not uniform."""
    return np.dstack([pixels, np.atleast_3d(pixels)[..., 0]])


def four_channel_jpeg(stored: np.ndarray, transform: int | None) -> bytes:
    """Returns a JPEG of uint8 `[H, W, 4]` as they are to be stored, with or without Adobe's mark and its transform."""
    file = io.BytesIO()
    Image.frombytes("CMYK", stored.shape[1::-1], (255 - stored).tobytes()).save(file, "JPEG", quality=100)
    mark = file.getvalue().index(b"\xff\xee\0\x0eAdobe")
    before, after = file.getvalue()[: mark + 15], file.getvalue()[mark + 16 :]
    return before[:-15] + after if transform is None else before + bytes([transform]) + after


def no_black(rgb: np.ndarray) -> np.ndarray:
    """Returns cyan, magenta, yellow and black, 0 is no ink."""
    return np.dstack([255 - rgb, np.zeros_like(rgb[..., 0])])


def luminance(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).convert("YCbCr"))


def several(rgb: np.ndarray, kind: str, **options: object) -> bytes:
    return saved(rgb, kind, save_all=True, append_images=[Image.fromarray(255 - rgb)], **options)


# The photograph that is to come out, and a file of it.
LOSSLESS: dict[str, tuple[Draw, Write]] = {
    "PNG 8 bits": (same, lambda rgb: saved(rgb, "PNG")),
    "PNG RGBA": (same, lambda rgb: saved(alpha(rgb), "PNG")),
    "PNG grey": (grey, lambda rgb: saved(rgb[..., 1], "PNG")),
    "PNG grey and alpha": (grey, lambda rgb: saved(alpha(rgb[..., 1]), "PNG")),
    "PNG 1 bit": (in_two_levels, lambda rgb: saved(rgb[..., 1] > 127, "PNG")),
    "PNG palette": (few_colors, lambda rgb: with_palette(rgb, "PNG")),
    "PNG palette, a color transparent": (few_colors, lambda rgb: with_palette(rgb, "PNG", transparency=3)),
    "PNG palette, a transparency a color": (
        few_colors,
        lambda rgb: with_palette(rgb, "PNG", transparency=bytes(range(20))),
    ),
    "PNG 16 bits": (same, lambda rgb: by_opencv(sixteen(rgb), ".png")),
    "PNG 16 bits RGBA": (same, lambda rgb: by_opencv(alpha(sixteen(rgb)), ".png")),
    "PNG 16 bits grey": (grey, lambda rgb: by_opencv(sixteen(rgb[..., 1]), ".png")),
    "TIFF strips": (same, lambda rgb: tiff_of(rgb, rows=7)),
    "TIFF tiles": (same, lambda rgb: tiff_of(rgb, tile=16)),
    "TIFF LZW": (same, lambda rgb: saved(rgb, "TIFF", compression="tiff_lzw")),
    "TIFF deflate strips": (same, lambda rgb: tiff_of(rgb, rows=7, deflate=True)),
    "TIFF deflate tiles": (same, lambda rgb: tiff_of(rgb, tile=32, deflate=True)),
    "TIFF packbits": (same, lambda rgb: saved(rgb, "TIFF", compression="packbits")),
    "TIFF separate planes": (same, lambda rgb: tiff_of(rgb, separate=True)),
    "TIFF big-endian": (same, lambda rgb: tiff_of(rgb, order=">", rows=9)),
    "BigTIFF": (same, lambda rgb: saved(rgb, "TIFF", big_tiff=True)),
    "TIFF RGBA": (same, lambda rgb: tiff_of(alpha(rgb), _338=2)),
    "TIFF grey": (grey, lambda rgb: tiff_of(rgb[..., 1], 1)),
    "TIFF grey, white is zero": (grey, lambda rgb: tiff_of(255 - rgb[..., 1], 0)),
    "TIFF 1 bit, fax": (in_two_levels, lambda rgb: saved(rgb[..., 1] > 127, "TIFF", compression="group4")),
    "TIFF palette": (few_colors, lambda rgb: with_palette(rgb, "TIFF")),
    "TIFF CMYK": (same, lambda rgb: tiff_of(no_black(rgb), 5)),
    "TIFF 16 bits": (same, lambda rgb: tiff_of(sixteen(rgb), rows=7)),
    "TIFF 16 bits big-endian": (same, lambda rgb: tiff_of(sixteen(rgb), order=">")),
    "TIFF 16 bits tiles": (same, lambda rgb: tiff_of(sixteen(rgb), tile=16)),
    "TIFF 16 bits LZW": (same, lambda rgb: by_opencv(sixteen(rgb), ".tiff")),
    "TIFF 16 bits deflate tiles": (same, lambda rgb: tiff_of(sixteen(rgb), tile=32, deflate=True)),
    "TIFF 16 bits deflate separate planes": (same, lambda rgb: tiff_of(sixteen(rgb), separate=True, deflate=True)),
    "TIFF 16 bits RGBA": (same, lambda rgb: tiff_of(alpha(sixteen(rgb)), _338=2)),
    "TIFF 16 bits CMYK": (same, lambda rgb: tiff_of(sixteen(no_black(rgb)), 5)),
    "TIFF 16 bits grey": (grey, lambda rgb: tiff_of(sixteen(rgb[..., 1]), 1, tile=16)),
    "TIFF 16 bits grey, white is zero": (grey, lambda rgb: tiff_of(65535 - sixteen(rgb[..., 1]), 0)),
    "BMP": (same, lambda rgb: saved(rgb, "BMP")),
    "BMP grey": (grey, lambda rgb: saved(rgb[..., 1], "BMP")),
    "BMP palette": (few_colors, lambda rgb: with_palette(rgb, "BMP")),
    "BMP 1 bit": (in_two_levels, lambda rgb: saved(rgb[..., 1] > 127, "BMP")),
    "WebP lossless": (same, lambda rgb: saved(rgb, "WEBP", lossless=True)),
    "WebP lossless RGBA": (same, lambda rgb: saved(alpha(rgb), "WEBP", lossless=True, exact=True)),
}
# Near to what was taken: the highest mean difference allowed, in levels.
LOSSY: dict[str, tuple[Draw, Write, float]] = {
    "JPEG": (same, lambda rgb: saved(rgb, "JPEG", quality=95), 2),
    "JPEG 4:2:0": (same, lambda rgb: saved(rgb, "JPEG", quality=50, subsampling="4:2:0"), 4),
    "JPEG progressive": (same, lambda rgb: saved(rgb, "JPEG", quality=95, progressive=True), 2),
    "JPEG grey": (grey, lambda rgb: saved(rgb[..., 1], "JPEG", quality=95), 2),
    "JPEG CMYK, by Adobe, inverted": (same, lambda rgb: four_channel_jpeg(255 - no_black(rgb), 0), 1),
    "JPEG YCCK, by Adobe, inverted": (
        same,
        lambda rgb: four_channel_jpeg(np.dstack([luminance(255 - rgb), np.full_like(rgb[..., 0], 255)]), 2),
        1,
    ),
    "JPEG CMYK without Adobe's mark": (same, lambda rgb: four_channel_jpeg(no_black(rgb), None), 1),
    "JPEG with a preview (MPO)": (same, lambda rgb: several(rgb, "MPO", quality=95), 2),
    "TIFF JPEG": (same, lambda rgb: saved(rgb, "TIFF", compression="jpeg", quality=95), 2),
    "WebP lossy": (same, lambda rgb: saved(rgb, "WEBP", quality=95), 3),
}
REFUSED: dict[str, tuple[Write, str]] = {
    "JPEG 2000": (lambda rgb: saved(rgb, "JPEG2000"), "expected JPEG, PNG, TIFF, BMP or WebP"),
    "GIF": (lambda rgb: saved(rgb, "GIF"), "expected JPEG, PNG, TIFF, BMP or WebP"),
    "PNG animated": (lambda rgb: several(rgb, "PNG"), "several pages or frames"),
    "WebP animated": (lambda rgb: several(rgb, "WEBP", lossless=True), "several pages or frames"),
    "TIFF of two pages": (lambda rgb: several(rgb, "TIFF"), "several pages or frames"),
    "TIFF 32-bit float": (lambda rgb: tiff_of(rgb[..., 0].astype(np.float32), 1, _339=3), "floating-point samples"),
    "TIFF 32-bit float RGB": (lambda rgb: tiff_of(rgb.astype(np.float32), _339=3), "unknown pixel mode"),
    "TIFF 64-bit float": (lambda rgb: tiff_of(rgb[..., 0].astype(np.float64), 1, _339=3), "unknown pixel mode"),
    "TIFF 32 bits": (lambda rgb: tiff_of(rgb[..., 0].astype(np.uint32), 1), "signed or 32-bit samples"),
    "TIFF 16 bits signed": (lambda rgb: tiff_of(rgb[..., 0].astype(np.int16), 1, _339=2), "signed or 32-bit samples"),
    "TIFF 12 bits": (lambda rgb: tiff_of(rgb[..., 0], 1, _258=12), "12-bit samples"),
    "TIFF L*a*b*": (lambda rgb: tiff_of(rgb, 8), "CIE L*a*b* colours"),
    "TIFF 16 bits separate planes": (
        lambda rgb: tiff_of(sixteen(rgb), separate=True),
        "16-bit samples in separate planes",
    ),
    "TIFF 16 bits grey, white is zero, big-endian": (
        lambda rgb: tiff_of(sixteen(rgb[..., 0]), 0, order=">"),
        "unknown pixel mode",
    ),
}
FILES: dict[str, Write] = {name: row[1] for name, row in (LOSSLESS | LOSSY).items()}
MISREAD_MASK = "TIFF 16 bits deflate separate planes"


@pytest.fixture
def photograph(random_photograph) -> np.ndarray:
    return random_photograph(HEIGHT, WIDTH)


def refusal(read: Callable, path: Path, *, max_pixels: int = MANY) -> str:
    """Returns the one line by which a file is refused; it names the file."""
    with pytest.raises(InputError) as error:
        read(path, max_pixels=max_pixels)
    line = str(error.value)
    assert line.startswith(str(path)) and line.isprintable()
    return line


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_form_reads_pixel_for_pixel(tmp_path, photograph, name):
    drawn, written = LOSSLESS[name]
    (tmp_path / "photograph").write_bytes(written(photograph))  # its content tells what it is, not its name
    read = read_photograph(tmp_path / "photograph", max_pixels=MANY)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, drawn(photograph))


@pytest.mark.parametrize("name", LOSSY)
def test_a_lossy_form_is_read_close_to_the_original(tmp_path, photograph, name):
    drawn, written, near = LOSSY[name]
    (tmp_path / "photograph").write_bytes(written(photograph))
    read = read_photograph(tmp_path / "photograph", max_pixels=MANY)
    assert read.dtype == np.uint8 and read.shape == photograph.shape
    assert np.abs(read.astype(int) - drawn(photograph)).mean() <= near


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_kinds_are_refused_with_a_reason(tmp_path, photograph, name):
    written, reason = REFUSED[name]
    (tmp_path / "photograph.tif").write_bytes(written(photograph))
    for read in READERS:
        assert reason in refusal(read, tmp_path / "photograph.tif")


@pytest.mark.parametrize("name", FILES)
def test_size_and_refusal_of_the_size_need_only_the_header(tmp_path, photograph, name, monkeypatch):
    (tmp_path / "photograph").write_bytes(FILES[name](photograph))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    assert photograph_size(tmp_path / "photograph", max_pixels=MANY) == (HEIGHT, WIDTH)
    for read in READERS:
        assert "66x48 pixels; at most" in refusal(read, tmp_path / "photograph", max_pixels=HEIGHT * WIDTH - 1)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_refused_or_read_completely(tmp_path, photograph, name):
    """What may be missing is what follows the last pixel."""
    path = tmp_path / "photograph"
    path.write_bytes(whole := FILES[name](photograph))
    readers = READERS if name != MISREAD_MASK else (read_photograph, photograph_size)
    expected = [read(path, max_pixels=MANY) for read in readers]
    ends = {*np.linspace(0, len(whole), 40, endpoint=False).astype(int), *range(len(whole) - 6, len(whole))}
    named = 0
    for end in sorted(ends):
        path.write_bytes(whole[:end])
        for read, values in zip(readers, expected, strict=True):
            try:
                np.testing.assert_array_equal(read(path, max_pixels=MANY), values)
            except InputError as error:
                named += 1
                assert str(error).startswith(str(path)) and str(error).isprintable()
    assert named >= 40 * (0.4 if "MPO" in name else 0.8) * (len(readers) - 1)  # the size may be read


def test_a_tiff_that_lists_too_few_of_its_strips_is_reported(tmp_path, photograph):
    whole, strips = tiff_of(photograph, rows=8), struct.pack("<HHI", 273, 4, 6)
    assert whole.count(strips) == 1
    (tmp_path / "photograph.tif").write_bytes(whole.replace(strips, struct.pack("<HHI", 273, 4, 5)))
    for read in (read_photograph, read_mask):
        assert "strips or tiles are missing" in refusal(read, tmp_path / "photograph.tif")


# Forms that test_imaging.py does not turn.
TURNED: dict[str, Callable[[np.ndarray, int], bytes]] = {
    "PNG, tag after the pixels": lambda rgb, turn: tag_moved_behind(saved(rgb, "PNG", exif=exif_of(turn))),
    "TIFF tiles": lambda rgb, turn: tiff_of(rgb, tile=16, _274=turn),
    "TIFF 16 bits deflate": lambda rgb, turn: tiff_of(sixteen(rgb), rows=9, deflate=True, _274=turn),
    "TIFF 16 bits tiles": lambda rgb, turn: tiff_of(sixteen(rgb), tile=32, _274=turn),
    "TIFF, tag in XMP": lambda rgb, turn: saved(rgb, "TIFF", tiffinfo={700: xmp_of(turn)}),
    "WebP, tag in XMP": lambda rgb, turn: saved(rgb, "WEBP", lossless=True, xmp=xmp_of(turn)),
    "TIFF CMYK": lambda rgb, turn: tiff_of(no_black(rgb), 5, _274=turn),
}
# What is to be done with the stored photograph for each value of the tag (Exif 2.3).
TURNS: dict[int, Draw] = {
    1: same,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: np.swapaxes(stored, 0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(np.swapaxes(stored, 0, 1), 2),
    8: np.rot90,
}


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def xmp_of(orientation: int) -> bytes:
    return f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def tag_moved_behind(png: bytes) -> bytes:
    """Moves the chunk eXIf of a PNG from before its pixels to its end, where it is allowed as well."""
    start = png.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(png[start : start + 4])
    return png[:start] + png[end:-12] + png[start:end] + png[-12:]


@pytest.mark.parametrize("name", TURNED)
@pytest.mark.parametrize("orientation", TURNS)
def test_photographs_and_masks_are_turned_by_their_orientation_tag(tmp_path, photograph, name, orientation):
    path = tmp_path / "photograph"
    path.write_bytes(TURNED[name](photograph, orientation))
    expected = TURNS[orientation](photograph)
    np.testing.assert_array_equal(read_photograph(path, max_pixels=MANY), expected)
    assert photograph_size(path, max_pixels=MANY) == expected.shape[:2]
    lesion = np.indices((HEIGHT, WIDTH)).prod(axis=0) < 200
    path.write_bytes(TURNED[name](in_color(lesion), orientation))
    np.testing.assert_array_equal(read_mask(path, max_pixels=MANY), TURNS[orientation](lesion))


def in_color(lesion: np.ndarray) -> np.ndarray:
    return np.where(lesion[..., None], [255, 0, 0], 0).astype(np.uint8)


def test_a_mask_of_sixteen_bits_in_separate_planes_which_opencv_misreads_is_refused(tmp_path, photograph):
    (tmp_path / "mask").write_bytes(FILES[MISREAD_MASK](photograph))
    assert "16-bit colour of an unsupported kind for a mask" in refusal(read_mask, tmp_path / "mask")


@pytest.mark.parametrize("name", [name for name in FILES if name != MISREAD_MASK and "palette" not in name])
def test_a_mask_without_a_palette_shows_its_lesions_and_no_others(tmp_path, blobs, name):
    lesion = blobs(HEIGHT, WIDTH, seed=3, largest=14)
    white = np.where(lesion[..., None], [255, 255, 255], 0).astype(np.uint8)
    (tmp_path / "mask").write_bytes(FILES[name](white))
    read = read_mask(tmp_path / "mask", max_pixels=MANY)
    assert read.dtype == bool
    assert (read ^ lesion).sum() <= (0.02 * lesion.sum() if name in LOSSY else 0)  # of the rim


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("PNG")])
def test_a_changed_byte_of_a_png_is_reported_or_changes_nothing(tmp_path, photograph, name):
    """Its checksums tell; of the other formats only those that deflate have one."""
    path = tmp_path / "photograph"
    path.write_bytes(whole := FILES[name](photograph))
    expected = read_photograph(path, max_pixels=MANY)
    for place in range(3, len(whole), max(len(whole) // 60, 1)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            np.testing.assert_array_equal(read_photograph(path, max_pixels=MANY), expected)
        except InputError as error:
            assert str(error).startswith(str(path))


@pytest.mark.parametrize("name", ["left eye.jpg", "œil gauche n° 2.PNG", "左眼.tiff", "%20 'a' \"b\".webp", "-.bmp"])
def test_files_may_have_any_name(tmp_path, photograph, name):
    (tmp_path / name).write_bytes(saved(photograph, "PNG"))
    assert list(image_files(tmp_path).values()) == [tmp_path / name]
    np.testing.assert_array_equal(read_photograph(tmp_path / name, max_pixels=MANY), photograph)
    (tmp_path / name).write_bytes(b"")
    for read in READERS:
        refusal(read, tmp_path / name)


def test_threads_read_without_warnings(tmp_path, photograph):
    """Filters of warnings belong to the process: one thread must not take another's away."""
    names = ("PNG palette, a transparency a color", "TIFF palette", "JPEG CMYK, by Adobe, inverted")
    for name in names:
        (tmp_path / name).write_bytes(FILES[name](photograph))
    (tmp_path / "cut").write_bytes(FILES["TIFF LZW"](photograph)[:-300])  # Pillow warns of the end of its directory
    expected = [read_photograph(tmp_path / name, max_pixels=MANY) for name in names]

    def read(turn: int) -> None:
        np.testing.assert_array_equal(read_photograph(tmp_path / names[turn % 3], max_pixels=MANY), expected[turn % 3])
        refusal(read_photograph, tmp_path / "cut")

    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(read, range(200)))) == 200


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("name", ["photograph.jpg", "photograph.dcm"])
def test_a_file_without_read_permission_is_reported_with_the_reason(tmp_path, photograph, read, name, monkeypatch):
    (tmp_path / name).write_bytes(saved(photograph, "PNG"))

    def denied(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / name))

    monkeypatch.setattr(decoding, "open", denied, raising=False)  # root may read all: permission bits do not bind it
    assert refusal(read, tmp_path / name) == f"{tmp_path / name}: cannot be read (Permission denied)."
