"""Files are known by their first bytes, whatever they are called."""

import io

import pytest
from PIL import Image

from configs import InputError
from records.images import image_kind, read_photograph, unread_kind


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5, 4), "red").save(file, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("name", ["IM000001", "a.txt", "a.jpg "])
def test_images_that_can_be_read_are_known_by_their_content(tmp_path, kind, name):
    (tmp_path / name).write_bytes(encoded(kind))
    assert image_kind(tmp_path / name) == kind


def test_a_file_that_is_read_says_what_it_is_instead(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    with pytest.raises(InputError, match=r"a\.jpg: not an image that can be read \(HEIC\); expected JPEG"):
        read_photograph(tmp_path / "a.jpg", max_pixels=100)


def test_dicom_files_are_known_by_their_mark(tmp_path):
    (tmp_path / "IM1").write_bytes(bytes(128) + b"DICM" + bytes(20))
    assert image_kind(tmp_path / "IM1") == "DICOM"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC is not read"),
        ("a.jpg", b"\0\0\0\x20ftypavif", "AVIF is not read"),
        ("a", b"\0\0\0\x0cjP  \r\n", "JPEG 2000 is not read"),
        ("a.ppm", encoded("PPM"), "PPM is not read"),
        ("a.gif", encoded("GIF"), "GIF is not read"),
        ("a.NEF", encoded("TIFF"), "raw files of a camera are not read"),
        ("a.txt", b"BMI and age of all patients", "not an image"),
        ("a", b"", "empty"),
        ("missing", None, "unreadable"),
    ],
)
def test_what_cannot_be_read_is_none_and_is_named(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert image_kind(tmp_path / name) is None
    assert said in unread_kind(tmp_path / name)
