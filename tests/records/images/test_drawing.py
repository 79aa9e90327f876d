"""Contact sheets, outlines and image files."""

import cv2
import numpy as np
import pytest
from PIL import Image

from records import contact_sheet, draw_contours, write_jpeg, write_png


@pytest.mark.parametrize(
    ("number", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 2), (5, 2, 3), (9, 3, 3), (10, 3, 4)]
)
def test_a_contact_sheet_shows_every_image_once_row_by_row_on_white(number, rows, columns):
    height, width, gap = 5, 7, 6
    images = [np.full((height, width, 3), 10 + index, np.uint8) for index in range(number)]
    sheet = contact_sheet(images)
    assert sheet.shape == (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    seen = np.zeros(sheet.shape[:2], bool)
    for index in range(number):
        ys, xs = np.nonzero(sheet[..., 0] == 10 + index)
        assert len(ys) == height * width
        assert (ys.min(), xs.min()) == (index // columns * (height + gap), index % columns * (width + gap))
        seen[ys, xs] = True
    assert np.all(sheet[~seen] == 255)


@pytest.mark.parametrize("shape", [(9, 6, 3), (9, 6)])
def test_a_png_keeps_every_pixel_and_the_order_of_colours(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    write_png(tmp_path / "image.png", pixels)
    with Image.open(tmp_path / "image.png") as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


def test_a_jpeg_keeps_the_order_of_colours(tmp_path):
    pixels = np.tile(np.array([200, 90, 30], np.uint8), (16, 16, 1))
    write_jpeg(tmp_path / "image.jpg", pixels)
    with Image.open(tmp_path / "image.jpg") as image:
        assert image.format == "JPEG"
        np.testing.assert_allclose(np.asarray(image).astype(int), pixels, atol=4)


def test_a_jpeg_of_higher_quality_is_larger(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for quality in (20, 90):
        write_jpeg(tmp_path / f"{quality}.jpg", pixels, quality=quality)
    assert (tmp_path / "90.jpg").stat().st_size > 2 * (tmp_path / "20.jpg").stat().st_size


def test_an_existing_image_is_replaced(tmp_path):
    (tmp_path / "image.png").write_bytes(b"x" * 10_000)
    write_png(tmp_path / "image.png", np.zeros((2, 2), np.uint8))
    assert cv2.imread(str(tmp_path / "image.png"), cv2.IMREAD_UNCHANGED).shape == (2, 2)


def test_an_outline_is_drawn_in_place_along_the_border_of_a_region():
    image = np.zeros((12, 12, 3), np.uint8)
    mask = np.zeros((12, 12), bool)
    mask[3:9, 2:8] = True
    assert draw_contours(image, mask, (1, 2, 3)) is image
    drawn = (image == (1, 2, 3)).all(axis=-1)
    inner = np.zeros_like(mask)
    inner[4:8, 3:7] = True
    assert np.array_equal(drawn, mask & ~inner)
    assert not image[~drawn].any()
