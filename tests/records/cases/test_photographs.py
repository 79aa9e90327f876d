"""Which photographs are predicted, and under which names."""

from pathlib import Path

import pytest

from configs import InputError
from records.cases.photographs import photographs_of

JPEG = b"\xff\xd8\xff\xe0"


def write(folder: Path, *files: str, content: bytes = JPEG) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    return folder


def found(*arguments: Path, **options: object) -> tuple[dict[str, Path], list[str]]:
    """Returns the photographs and the warnings."""
    lines: list[str] = []
    return photographs_of([str(argument) for argument in arguments], warn=lines.append, **options), lines


def refusal(*arguments: Path, **options: object) -> str:
    with pytest.raises(InputError) as error:
        found(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_photographs_are_files_and_the_images_of_folders_in_order(tmp_path):
    write(tmp_path, "more/b.jpg", "more/a.PNG", "more/IM000001", "more/d.jpg ", "z.tif")
    photographs, lines = found(tmp_path / "z.tif", tmp_path / "more")
    assert photographs == {
        "z": tmp_path / "z.tif",
        "IM000001": tmp_path / "more" / "IM000001",
        "a": tmp_path / "more" / "a.PNG",
        "b": tmp_path / "more" / "b.jpg",
        "d": tmp_path / "more" / "d.jpg ",
    }
    assert list(photographs) == ["z", "IM000001", "a", "b", "d"] and lines == []


def test_what_else_a_folder_holds_is_named_with_the_reason(tmp_path):
    write(tmp_path, "a.jpg", "sub/b.jpg", "Thumbs.db", "._a.jpg")
    write(tmp_path, "notes.txt", "b.csv", content=b"text")
    write(tmp_path, "c.heic", content=b"\0\0\0\x18ftypheic")
    photographs, lines = found(tmp_path)
    assert list(photographs) == ["a"]
    assert [line.removeprefix(f"{tmp_path}: ") for line in lines] == [
        "1 not used (HEIC is not read; save it as JPEG, PNG or TIFF): c.heic",
        "1 not used (folders, which --recursive searches): sub",
        "2 not used (not an image): b.csv, notes.txt",
    ]


def test_a_name_that_is_not_there_is_refused(tmp_path):
    assert "none.jpg: no such file or folder" in refusal(tmp_path / "none.jpg")


def test_a_folder_without_images_is_refused_with_what_it_holds(tmp_path):
    write(tmp_path, "notes.txt", content=b"text")
    line = refusal(tmp_path)
    assert "contains no photographs" in line and "not an image): notes.txt" in line


def test_photographs_of_a_tree_have_the_name_of_their_folder_in_front(tmp_path):
    write(tmp_path, "patients/001/left.jpg", "patients/002/left.jpg", "top.jpg", "out/masks/a.png")
    for argument in (tmp_path, tmp_path / "patients"):
        photographs, lines = found(argument, recursive=True, skip=tmp_path / "out")
        assert photographs["001_left"] == tmp_path / "patients/001/left.jpg"
        assert set(photographs) - {"top"} == {"001_left", "002_left"} and lines == []


def test_two_photographs_of_one_name_are_refused_with_both_and_the_flag_that_helps(tmp_path):
    write(tmp_path, "one/eye.jpg", "two/eye.jpg", "three/1/a/eye.jpg", "three/2/a/eye.jpg", "one/eye.png")
    one, two = tmp_path / "one/eye.jpg", tmp_path / "two/eye.jpg"
    line = refusal(one, two)
    assert f"{one} and {two} would both be called eye" in line and "--folder_names=1 puts" in line
    assert list(found(one, two, folder_names=1)[0]) == ["one_eye", "two_eye"]
    line = refusal(tmp_path / "three", recursive=True)
    assert "--folder_names=2 puts" in line
    assert list(found(tmp_path / "three", recursive=True, folder_names=2)[0]) == ["1_a_eye", "2_a_eye"]
    assert "--folder_names" not in refusal(one, tmp_path / "one/eye.png")
    assert "the same file; name it once" in refusal(one, tmp_path / "one/../one/eye.jpg")
