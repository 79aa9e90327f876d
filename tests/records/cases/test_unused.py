"""Every file of a source is used, or named with the reason why it is not."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from configs import InputError
from records import Case, find_cases
from records.cases.listing import list_folder

CLASSES = ("HE", "MA")


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5, 4), "red").save(file, format=kind)
    return file.getvalue()


CONTENTS = {
    "JPEG": encoded("JPEG"),
    "PNG": encoded("PNG"),
    "TIFF": encoded("TIFF"),
    "DICOM": bytes(128) + b"DICM",
    "HEIC": b"\0\0\0\x18ftypheic",
    "PPM": encoded("PPM"),
    "text": b"case,patient\n",
    "empty": b"",
}


def write(folder: Path, *files: str, content: bytes = CONTENTS["PNG"]) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    return folder


def found(source: Path, classes: tuple[str, ...] = ("HE",), **options: bool) -> tuple[list[Case], list[str]]:
    """Returns the cases and the warnings."""
    lines: list[str] = []
    cases = find_cases(source, classes, warn=lines.append, **options)[1]
    return cases, lines


@pytest.fixture
def source(tmp_path) -> Path:
    return write(tmp_path / "source", "images/a.jpg", "images/b.jpg", "masks/HE/a.png", "masks/HE/b.png")


@pytest.mark.parametrize("file", ["c.jfif", "c.JPE", "c.jpg ", "c", "c.JPG", "c.dat"])
def test_images_are_known_by_their_content_whatever_their_name(source, file):
    write(source, f"images/{file}", f"masks/HE/{'c.dat' if file == 'c.dat' else 'c'}.png", content=CONTENTS["JPEG"])
    cases, lines = found(source)
    assert cases[2].photograph == source / "images" / file and cases[2].name in ("c", "c.dat")
    assert lines == []


def test_a_name_with_dots_and_without_suffix_is_kept_whole(source):
    write(source, "images/1.2.840.5", "images/1.2.840.6", "masks/HE/1.2.840.5.png", "masks/HE/1.2.840.6.png")
    assert [case.name for case in found(source)[0]] == ["1.2.840.5", "1.2.840.6", "a", "b"]


@pytest.mark.parametrize(
    ("files", "kind", "reason"),
    [
        (("images/c.heic",), "HEIC", "HEIC is not read"),
        (("images/c.ppm",), "PPM", "PPM is not read"),
        (("images/notes.txt", "grades.csv"), "text", "not an image"),
        (("masks/HE/notes.txt",), "text", "not an image"),
        (("images/old/c.jpg",), "JPEG", "in sub-folders, which --recursive takes"),
        (("images/001/c.jpg", "masks/001/c_HE.png"), "JPEG", "in sub-folders, which --recursive takes"),
        (("masks/MA/a.png", "masks/MA/b.png"), "PNG", "masks of classes that are not asked for"),
        (("masks/a_MA.png",), "PNG", "masks of classes that are not asked for"),
        (("c.jpg", "more/images/d.jpg"), "JPEG", "outside the folders that are read"),
    ],
)
def test_a_file_that_is_not_used_is_named_with_the_reason(source, files, kind, reason):
    write(source, *files, content=CONTENTS[kind])
    cases, (line,) = found(source)
    assert [case.name for case in cases] == ["a", "b"]
    assert f"{len(files)} not used ({reason}" in line and "\n" not in line
    assert all(file in line for file in files)


def test_hidden_files_and_those_of_operating_systems_are_not_named(source):
    write(source, ".hidden.jpg", "images/._a.jpg", "images/Thumbs.db", "masks/desktop.ini", ".git/x.jpg", "THUMBS.DB")
    assert found(source)[1] == []


def test_ten_files_are_named_and_the_others_counted(source):
    write(source, *(f"images/{number:02}.txt" for number in range(13)), content=b"text")
    (line,) = found(source)[1]
    assert "13 not used" in line and "images/09.txt and 3 more" in line and "10.txt" not in line


def test_links_to_nothing_and_pipes_are_named(source):
    (source / "images" / "c.jpg").symlink_to("nowhere")
    os.mkfifo(source / "images" / "pipe")
    (source / "images" / "folder.jpg").mkdir()
    (source / "loop").symlink_to(source)
    (source / "images" / "self").symlink_to("self")
    lines = found(source)[1]
    assert [line.partition(": ")[2] for line in lines] == [
        "2 not used (a link to nothing): images/c.jpg, images/self",
        "1 not used (not a file): images/pipe",
    ]


def test_a_folder_that_cannot_be_read_is_named(source, monkeypatch):
    (source / "lost+found").mkdir()
    iterdir = Path.iterdir

    def refusing(path: Path):
        if path.name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    cases, (line,) = found(source)
    assert len(cases) == 2 and "1 not used (folders that cannot be read): lost+found" in line
    with pytest.raises(InputError, match=r"lost\+found: the folder cannot be read \(Permission denied\)"):
        list_folder(source / "lost+found")


def test_parts_have_names_in_any_case_and_folders_beside_them_are_named(source, tmp_path):
    for part, name in (("train", "e"), ("Val", "f"), ("TEST", "g")):
        write(source, f"{part}/Images/{name}.png", f"{part}/masks/{name}.png")
    cases, (line,) = found(source)
    assert [(case.name, case.split) for case in cases] == [("e", "train"), ("f", "validation"), ("g", "test")]
    assert "4 not used (outside the folders that are read): images/a.jpg, images/b.jpg, masks/HE/a.png" in line


def test_without_any_photograph_the_refusal_says_what_there_is(tmp_path):
    source = write(tmp_path, "images/a.heic", content=CONTENTS["HEIC"])
    write(source, "masks/HE/a.png")
    with pytest.raises(InputError, match=r"no photographs; expected files of \.jpg.*HEIC is not read.*a\.heic"):
        find_cases(source, ("HE",))


TREE = ("images/001/left.jpg", "images/002/left.jpg", "images/c.jpg", "masks/HE/001/left.png", "masks/HE/c.png")


@pytest.mark.parametrize(
    "second", ["masks/HE/002/left.png", "masks/002/HE/left.png", "masks/002/left_HE.png", "masks/002/left.png"]
)
def test_trees_on_both_sides_have_the_folder_in_front_of_the_name(tmp_path, second):
    source = write(tmp_path, *TREE, second)
    cases, lines = found(source, recursive=True)
    assert {case.name: case.masks["HE"] for case in cases} == {
        "001_left": source / "masks/HE/001/left.png",
        "002_left": source / second,
        "c": source / "masks/HE/c.png",
    }
    assert lines == []


@pytest.mark.parametrize("folder", ["002", "003"])
def test_in_trees_a_mask_of_another_folder_is_refused(tmp_path, folder):
    source = write(tmp_path, *TREE, "masks/HE/002/left.png", f"masks/HE/{folder}/right.png")
    with pytest.raises(InputError, match=f"pairs with no photograph: .*{folder}/right.png"):
        find_cases(source, ("HE",), recursive=True)


def test_in_trees_other_classes_are_named(tmp_path):
    source = write(tmp_path, *TREE, "masks/HE/002/left.png", "masks/MA/002/left.png", "masks/002/EX/left.png")
    (line,) = found(source, recursive=True)[1]
    assert "(masks of classes that are not asked for): masks/002/EX/left.png, masks/MA/002/left.png" in line


def test_equal_names_in_a_tree_are_refused_with_both(tmp_path):
    files = [f"{kind}/{patient}/a/l.png" for patient in (1, 2) for kind in ("images", "masks")]
    with pytest.raises(InputError, match=r"images/2/a/l\.png: .*images/1/a/l\.png has the same name"):
        find_cases(write(tmp_path, *files), ("HE",), recursive=True)


FOLDERS = ["", "images", "images", "images/sub", "masks", "masks/HE", "masks/HE", "masks/MA", "masks/ZZ"]
STEMS = [
    "e",
    "E",
    "f",
    "e_1",
    "e (2)",
    "f_HE",
    "e_MA",
    "M\u00fc",
    "Mu\u0308",
    ".x",
    "Thumbs.db",
    "1.2.3",
    "g ",
    "x\udcff",
]
TREES = int(os.environ.get("FUNDUS_TILES_TREES", "150"))  # 5000 take some minutes
SUFFIXES = ["", ".jpg", ".PNG", ".tif", ".JPE", ".jpg ", ".heic", ".txt", ".ppm"]


@settings(max_examples=TREES, deadline=None, derandomize=True)
@given(
    files=st.lists(
        st.tuples(*map(st.sampled_from, (FOLDERS, STEMS, SUFFIXES, sorted(CONTENTS)))), min_size=1, max_size=8
    ),
    options=st.fixed_dictionaries(
        {name: st.booleans() for name in ("allow_missing_masks", "unite_masks", "recursive", "colored")}
    ),
)
def test_any_tree_is_refused_in_one_line_or_every_file_is_accounted_for(tmp_path_factory, files, options):
    source = tmp_path_factory.mktemp("tree")
    masks = ["masks/q.png"] if options["colored"] else [f"masks/{name}/q.png" for name in CLASSES]
    write(source, "images/q.jpg", *masks)
    for folder, stem, suffix, content in files:
        write(source, f"{folder}/{stem}{suffix}", content=CONTENTS[content])
    written = {path for path in source.rglob("*") if path.is_file()}
    try:
        cases, lines = found(source, CLASSES, **options)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) > 20
        return
    used = {case.photograph for case in cases} | {
        file for case in cases for c in CLASSES for file in case.mask_files(c)
    }
    ignored = {path for path in written if path.name.startswith(".") or path.name == "Thumbs.db"}
    named = sum(int(line.removeprefix(f"{source}: ").split()[0]) for line in lines)
    assert used <= written - ignored
    assert len(written - ignored - used) == named, (written, used, lines)
    assert len({case.name for case in cases}) == len(cases)
