"""What is written and where, which photographs are meant, and what is never replaced."""

import json
import unicodedata
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from configs import InputError
from records import find_cases
from records.annotations.annotated import case_names, ignored_class
from records.annotations.files import PhotographFinder
from tests.sources import touch


@pytest.fixture
def source(write, photographs, tmp_path) -> Path:
    return write("coco, runs", tmp_path / "source", photographs)


def test_classes_are_chosen_renamed_and_united(source, run, mask_of, photographs, tmp_path):
    one = photographs["eye 1"].masks
    imported = run(source, tmp_path / "a", classes=["HE:haemorrhage"]).imported
    assert list(imported.regions) == ["haemorrhage"]
    assert [path.name for path in (tmp_path / "a" / "masks").iterdir()] == ["haemorrhage"]
    assert np.array_equal(mask_of(tmp_path / "a", "haemorrhage", "eye 1"), one["HE"])
    run(source, tmp_path / "b", classes=["HE:red", "EX:red"])
    assert np.array_equal(mask_of(tmp_path / "b", "red", "eye 1"), one["HE"] | one["EX"])


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["HEE"], r"--classes=HEE: no such class; there are HE, EX. Did you mean 'HE'\?"),
        (["HE", "HE:red"], "names a class twice"),
        (["HE:a/b"], "no name of a folder; give NAME:NEW"),
        (["HE:.."], "no name of a folder"),
        (["HE:"], "no name of a folder"),
    ],
)
def test_classes_that_cannot_be(source, run, tmp_path, classes, message):
    with pytest.raises(InputError, match=message):
        run(source, tmp_path / "out", classes=classes)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def with_ignored(tmp_path) -> Path:
    """Two photographs of LabelMe: in one of them regions are to be left out, of HE and of all classes."""
    source = tmp_path / "labelme"
    source.mkdir()
    for name, labels in (("a", ["HE", "EX", "HE_ignore", "Ignore"]), ("b", ["HE"])):
        Image.new("RGB", (40, 30)).save(source / f"{name}.png")
        shapes = [
            {"label": label, "shape_type": "rectangle", "points": [[5 * number, 2], [5 * number + 4, 6]]}
            for number, label in enumerate(labels)
        ]
        content = {"version": "5", "imagePath": f"{name}.png", "imageData": None, "shapes": shapes, "flags": {}}
        (source / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return source


@pytest.mark.parametrize(
    ("classes", "folders", "ignored"),
    [
        ([], {"HE", "EX", "HE_ignore", "ignore"}, {"HE_ignore", "ignore"}),
        (["HE:bleeding"], {"bleeding", "bleeding_ignore", "ignore"}, {"bleeding_ignore", "ignore"}),
        (["EX"], {"EX", "ignore"}, {"ignore"}),
        (["HE", "EX:HE_ignore"], {"HE", "HE_ignore", "ignore"}, {"HE_ignore", "ignore"}),
    ],
)
def test_regions_to_leave_out_come_along_with_their_classes(with_ignored, run, tmp_path, classes, folders, ignored):
    imported, failures, notes = run(with_ignored, tmp_path / "out", classes=classes)
    assert failures == [] and notes == []
    assert set(imported.regions) == folders - ignored and set(imported.ignored) == ignored
    masks = tmp_path / "out" / "masks"
    assert {path.name for path in masks.iterdir()} == folders
    assert all([file.name for file in (masks / name).iterdir()] == ["a.png"] for name in ignored)
    names = tuple(sorted(folders - ignored))
    a, b = find_cases(tmp_path / "out", names)[1]
    assert set(a.ignored) == set(names) and not b.ignored
    assert a.ignored[names[0]][-1] == masks / "ignore" / "a.png"


def test_a_class_of_which_there_are_only_regions_to_leave_out_is_a_class(with_ignored, run, mask_of, tmp_path):
    for file in with_ignored.glob("*.json"):
        file.write_text(file.read_text().replace('"HE"', '"EX"'))
    imported = run(with_ignored, tmp_path / "out").imported
    assert imported.regions == {"EX": (3, 2), "HE": (0, 0)} and not mask_of(tmp_path / "out", "HE", "a").any()
    assert imported.ignored == {"HE_ignore": (1, 1), "ignore": (1, 1)}


@pytest.mark.parametrize(
    ("label", "of"),
    [("ignore", ""), ("Ignore*", ""), ("HE_ignore", "HE"), ("a_b_IGNORE", "a_b"), ("HE", None), ("ignored", None)],
)
def test_labels_of_regions_to_leave_out(label, of):
    assert ignored_class(label) == of


def test_regions_are_counted(source, run, tmp_path):
    regions = run(source, tmp_path / "out").imported.regions
    assert list(regions) == ["HE", "EX"]
    assert regions["HE"][1] == 2
    assert regions["HE"][0] >= 4


def test_nothing_is_left_of_an_import_that_was_stopped(source, run, tmp_path):
    def stopped(results, total, what):
        yield next(iter(results))
        raise KeyboardInterrupt

    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out", progress=stopped)
    assert sorted(tmp_path.iterdir()) == before


def test_only_an_earlier_import_is_replaced_and_only_when_asked(source, run, tmp_path):
    output = tmp_path / "out"
    run(source, output)
    with pytest.raises(InputError, match="not empty; name another folder, or replace it with --overwrite"):
        run(source, output)
    run(source, output, classes=["HE"], overwrite=True)
    assert [path.name for path in (output / "masks").iterdir()] == ["HE"]
    touch(output, "thesis.docx")
    with pytest.raises(InputError, match=r"holds more than an import \(thesis\.docx\)"):
        run(source, output, overwrite=True)
    assert (output / "images").is_dir()
    with pytest.raises(InputError, match="holds the source"):
        run(source, tmp_path, overwrite=True)


def test_an_empty_folder_is_taken_and_no_photograph_at_all_is_an_error(source, run, tmp_path):
    (tmp_path / "out").mkdir()
    run(source, tmp_path / "out")
    for file in (source / "images").rglob("*.png"):
        file.write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match="none of 3 photographs could be imported; the first: "):
        run(source, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_hard_links_are_made_when_asked(source, run, tmp_path):
    run(source, tmp_path / "copies")
    run(source, tmp_path / "links", link=True)
    original = source / "images" / "default" / "EYE.7.png"
    assert original.samefile(tmp_path / "links" / "images" / "EYE.7.png")
    assert not original.samefile(tmp_path / "copies" / "images" / "EYE.7.png")


def test_other_files_of_a_source_are_named_by_their_topmost_folder(source, run, tmp_path):
    touch(source, "images/default/extra.png", "DR_grading/a/1.jpg", "DR_grading/b/2.jpg", ".hidden", "Thumbs.db")
    notes = run(source, tmp_path / "out").notes
    assert notes == [
        f"{source / 'DR_grading'}: 2 files that are no part of the annotations.",
        f"{source / 'images' / 'default' / 'extra.png'}: is no part of the annotations.",
    ]


def test_a_photograph_that_is_annotated_twice_is_named(write, run, photographs, tmp_path):
    source = write("labelme", tmp_path / "source", photographs)
    (source / "again.json").write_text((source / "eye 1.json").read_text())
    imported, failures, _ = run(source, tmp_path / "out")
    assert imported.photographs == {None: 3}
    assert len(failures) == 1
    assert "which" in failures[0]
    assert "does already" in failures[0]


@pytest.mark.parametrize("name", ["x" * 241, "caf\udce9"])
def test_a_name_that_is_no_name_of_a_file_is_left_out(name, write, run, photographs, tmp_path):
    source = write("geojson", tmp_path / "source", photographs)
    for suffix in (".png", ".geojson"):
        (source / f"eye 1{suffix}").rename(source / f"{name}{suffix}")
    imported, failures, _ = run(source, tmp_path / "out")
    assert imported.photographs == {None: 2}
    assert len(failures) == 1
    assert "not a name for a file" in failures[0]
    assert failures[0].isascii()


def test_equal_stems_get_the_names_of_their_folders():
    paths = [PurePosixPath(path) for path in ("a/left.jpg", "b/left.jpg", "b/right.jpg", "../c/left.png")]
    assert case_names(paths) == ["a_left", "b_left", "right", "c_left"]


def test_photographs_are_found_by_path_by_name_and_by_stem(tmp_path):
    touch(tmp_path, "a/E01.jpg", "b/E01.jpg", "b/E02.JPG", "c/E03.tif", "c/E03.json")
    finder = PhotographFinder(tmp_path)

    def found(name: str) -> str:
        return finder.find(PurePosixPath(name), beside=[]).relative_to(tmp_path).as_posix()

    assert found("a/E01.jpg") == "a/E01.jpg"
    assert found("elsewhere/E02.JPG") == "b/E02.JPG"
    assert found("E02.png") == "b/E02.JPG"
    assert found("E03") == "c/E03.tif"
    with pytest.raises(InputError, match=r"E01\.jpg could be .*a/E01\.jpg or .*b/E01\.jpg"):
        found("E01.jpg")
    with pytest.raises(InputError, match=r"no photograph E04\.tif in .*; the nearest name is E03\.tif\.$"):
        found("E04.tif")


def test_accents_are_the_same_however_they_are_written(tmp_path):
    touch(tmp_path, unicodedata.normalize("NFD", "Zoë.jpg"))
    path = PurePosixPath(unicodedata.normalize("NFC", "Zoë.jpg"))
    assert PhotographFinder(tmp_path).find(path, beside=[]).is_file()


def test_without_a_folder_of_photographs_they_are_not_sought_deep_below(tmp_path):
    """The overlays of predict have the names of its photographs."""
    touch(tmp_path, "overlays/E01.jpg")
    with pytest.raises(InputError, match="name the folder of the photographs by --images"):
        PhotographFinder(None).find(PurePosixPath("E01.jpg"), beside=[tmp_path])


def test_a_file_in_the_place_of_the_output_is_kept(source, run, tmp_path):
    (tmp_path / "out").write_text("thesis")
    with pytest.raises(InputError, match="a file is in the way"):
        run(source, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "thesis"


def test_sizes_are_those_of_the_turned_mask_and_photograph(write, run, mask_of, photographs, tmp_path):
    source = write("label_studio", tmp_path / "source", photographs)
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter to the right
    for file in (source / "images" / "eye 1.png", *source.glob("task-4-*.png")):
        with Image.open(file) as image:
            pixels = image.transpose(Image.Transpose.ROTATE_90)
        pixels.save(file, exif=turned)
    assert run(source, tmp_path / "out").failures == []
    assert np.array_equal(mask_of(tmp_path / "out", "HE", "eye 1"), photographs["eye 1"].masks["HE"])
    with Image.open(source / "images" / "eye 1.png") as image:
        image.save(source / "images" / "eye 1.png")  # without the tag
    assert len(run(source, tmp_path / "other").failures) == 1
