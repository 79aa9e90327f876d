"""The cases that are found in each folder layout, and the messages for missing or duplicate files."""

from pathlib import Path

import pytest

from configs import InputError
from records.cases import find_cases, image_files
from tests.sources import touch

ORIGINALS = "1. Original Images"
GROUNDTRUTHS = "2. All Segmentation Groundtruths"
TRAINING, TESTING = "a. Training Set", "b. Testing Set"
HAEMORRHAGES, MICROANEURYSMS = "2. Haemorrhages", "1. Microaneurysms"


def refusal(source: Path, classes: tuple[str, ...] = ("HE",)) -> str:
    """Returns the line by which a source is refused."""
    with pytest.raises(InputError) as error:
        find_cases(source, classes)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def idrid_layout(tmp_path) -> Path:
    """Two training photographs, of which the second has haemorrhages, and a test photograph with both classes."""
    return touch(
        tmp_path / "set" / "A. Segmentation",
        f"{ORIGINALS}/{TRAINING}/IDRiD_01.jpg",
        f"{ORIGINALS}/{TRAINING}/IDRiD_02.jpg",
        f"{ORIGINALS}/{TESTING}/IDRiD_55.jpg",
        f"{GROUNDTRUTHS}/{TRAINING}/{HAEMORRHAGES}/IDRiD_02_HE.tif",
        f"{GROUNDTRUTHS}/{TRAINING}/{MICROANEURYSMS}/IDRiD_01_MA.tif",
        f"{GROUNDTRUTHS}/{TESTING}/{HAEMORRHAGES}/IDRiD_55_HE.tif",
        f"{GROUNDTRUTHS}/{TESTING}/{MICROANEURYSMS}/IDRiD_55_MA.tif",
    )


@pytest.mark.parametrize("above", [0, 1])
def test_idrid_is_recognised_from_its_folder_and_from_the_parent(idrid_layout, above):
    source = (idrid_layout, idrid_layout.parent)[above]
    layout, cases = find_cases(source, ("HE", "MA"))
    assert layout == "idrid"
    assert [(case.name, case.split, case.patient) for case in cases] == [
        ("IDRiD_01", "train", None),
        ("IDRiD_02", "train", None),
        ("IDRiD_55", "test", None),
    ]
    groundtruths = idrid_layout / GROUNDTRUTHS
    assert cases[0].photograph == idrid_layout / ORIGINALS / TRAINING / "IDRiD_01.jpg"
    assert dict(cases[0].masks) == {"HE": None, "MA": groundtruths / TRAINING / MICROANEURYSMS / "IDRiD_01_MA.tif"}
    assert dict(cases[1].masks) == {"HE": groundtruths / TRAINING / HAEMORRHAGES / "IDRiD_02_HE.tif", "MA": None}
    assert list(cases[2].masks) == ["HE", "MA"] and None not in cases[2].masks.values()


def test_idrid_without_its_test_part_has_its_training_part(idrid_layout):
    (idrid_layout / ORIGINALS / TESTING / "IDRiD_55.jpg").unlink()
    (idrid_layout / ORIGINALS / TESTING).rmdir()
    assert {case.split for case in find_cases(idrid_layout, ("HE",))[1]} == {"train"}


def test_a_class_that_idrid_lacks_is_refused_with_a_list_of_its_classes(idrid_layout):
    line = refusal(idrid_layout, ("HE", "IRMA"))
    assert "'IRMA'" in line and "MA, HE, EX, SE, OD" in line


def test_a_class_whose_folder_of_masks_is_missing_is_reported(idrid_layout):
    line = refusal(idrid_layout, ("EX",))
    assert "3. Hard Exudates" in line and "EX" in line


def test_paired_folders_with_a_folder_for_each_class(tmp_path):
    source = touch(
        tmp_path, "images/a.jpg", "images/b.png", *(f"masks/{c}/{n}.png" for c in ("HE", "MA") for n in "ab")
    )
    layout, cases = find_cases(source, ("MA", "HE"))
    assert layout == "paired_folders"
    assert [case.name for case in cases] == ["a", "b"]
    assert {case.split for case in cases} == {"train"}
    assert dict(cases[1].masks) == {"MA": source / "masks/MA/b.png", "HE": source / "masks/HE/b.png"}


def test_paired_folders_with_the_class_as_the_end_of_a_name(tmp_path):
    source = touch(tmp_path, "images/a.jpg", "masks/a_HE.png", "masks/a_MA.tif")
    _, (case,) = find_cases(source, ("HE", "MA"))
    assert dict(case.masks) == {"HE": source / "masks/a_HE.png", "MA": source / "masks/a_MA.tif"}
    _, (case,) = find_cases(source, ("MA",))
    assert dict(case.masks) == {"MA": source / "masks/a_MA.tif"}


def test_masks_of_a_single_class_may_have_their_photographs_names(tmp_path):
    source = touch(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.png", "masks/b.tif")
    _, cases = find_cases(source, ("HE",))
    assert [case.masks["HE"] for case in cases] == [source / "masks/a.png", source / "masks/b.tif"]


def test_masks_of_two_classes_without_a_class_in_their_names_are_refused(tmp_path):
    line = refusal(touch(tmp_path, "images/a.jpg", "masks/a.png"), ("HE", "MA"))
    assert "a.jpg" in line and "masks/HE/a.png" in line and "masks/a_HE.png" in line


def test_parts_of_paired_folders_become_splits(tmp_path):
    source = touch(
        tmp_path, *(f"{part}/{kind}/{part}1.png" for part in ("train", "valid", "test") for kind in ("images", "masks"))
    )
    cases = find_cases(source, ("HE",))[1]
    assert {case.name: case.split for case in cases} == {"train1": "train", "valid1": "validation", "test1": "test"}
    assert all(case.masks["HE"] == source / case.name[:-1] / "masks" / f"{case.name}.png" for case in cases)


def test_a_part_may_be_called_validation(tmp_path):
    source = touch(tmp_path, "validation/images/a.png", "validation/masks/a.png")
    assert [case.split for case in find_cases(source, ("HE",))[1]] == ["validation"]


@pytest.mark.parametrize("layout", ["paired", "idrid"])
def test_one_name_in_two_parts_is_refused_with_both_files(tmp_path, idrid_layout, layout):
    if layout == "paired":
        source = touch(
            tmp_path, *(f"{part}/{kind}/eye.png" for part in ("train", "test") for kind in ("images", "masks"))
        )
        files = ("train/images/eye.png", "test/images/eye.png")
    else:
        source = touch(idrid_layout, f"{ORIGINALS}/{TESTING}/IDRiD_01.jpg")
        files = (f"{TRAINING}/IDRiD_01.jpg", f"{TESTING}/IDRiD_01.jpg")
    line = refusal(source)
    assert all(file in line for file in files)


def test_two_files_of_one_stem_are_refused_with_both_names(tmp_path):
    line = refusal(touch(tmp_path, "images/a.jpg", "images/a.png", "masks/a.png"))
    assert "a.jpg" in line and "a.png" in line
    line = refusal(touch(tmp_path / "masks_twice", "images/b.jpg", "masks/b.png", "masks/b.TIF"))
    assert "b.png" in line and "b.TIF" in line


def test_a_missing_mask_is_reported_with_the_expected_path(tmp_path):
    line = refusal(touch(tmp_path, "images/a.jpg", "images/b.jpg", "masks/HE/a.png"))
    assert "b.jpg" in line and "HE" in line and "masks/HE/b.png" in line


@pytest.mark.parametrize("missing", ["images", "masks"])
def test_a_missing_folder_of_a_pair_is_reported(tmp_path, missing):
    present = {"images": "masks", "masks": "images"}[missing]
    assert str(tmp_path / missing) in refusal(touch(tmp_path, f"{present}/a.png"))


def test_a_source_that_is_missing_or_not_a_folder_is_reported(tmp_path):
    assert str(tmp_path / "nowhere") in refusal(tmp_path / "nowhere")
    assert "a.png" in refusal(touch(tmp_path, "a.png") / "a.png")


@pytest.mark.parametrize("kind", ["paired", "idrid"])
def test_a_source_without_photographs_is_reported_with_the_expected_suffixes(tmp_path, kind):
    if kind == "paired":
        source = touch(tmp_path, "images/notes.txt", "masks/a.png")
    else:
        source = touch(tmp_path, f"{ORIGINALS}/{TRAINING}/notes.txt", f"{GROUNDTRUTHS}/{TRAINING}/{HAEMORRHAGES}/x.tif")
    line = refusal(source)
    assert str(source) in line and ".jpg" in line and ".webp" in line


def test_suffixes_in_capitals_count_and_hidden_and_other_files_do_not(tmp_path):
    names = (
        "a.JPG",
        "b.Jpeg",
        "c.PNG",
        "d.TIFF",
        "e.BMP",
        "f.WebP",
        "._a.jpg",
        ".hidden.png",
        "Thumbs.db",
        "g.txt",
        "h",
    )
    files = image_files(touch(tmp_path, *names))
    assert list(files) == ["a", "b", "c", "d", "e", "f"]
    assert files["a"] == tmp_path / "a.JPG"


def test_names_with_spaces_dots_and_letters_of_any_language_are_kept(tmp_path):
    stems = ("left eye", "Müller.2", "眼底 1", "a_HE_b")
    source = touch(
        tmp_path / "a é folder", *(f"images/{stem}.jpg" for stem in stems), *(f"masks/{s}_HE.png" for s in stems)
    )
    cases = find_cases(source, ("HE",))[1]
    assert sorted(case.name for case in cases) == sorted(stems)
    assert all(case.masks["HE"] == source / "masks" / f"{case.name}_HE.png" for case in cases)


def test_cases_are_sorted_by_name_over_all_parts(tmp_path):
    files = (
        f"{part}/{kind}/{name}.png"
        for part, name in (("train", "c"), ("test", "a"), ("valid", "b"))
        for kind in ("images", "masks")
    )
    assert [case.name for case in find_cases(touch(tmp_path, *files), ("HE",))[1]] == ["a", "b", "c"]


def test_a_photograph_without_a_mask_is_free_of_lesions_only_if_allowed(tmp_path):
    source = touch(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.png")
    assert "b.jpg" in refusal(source)
    cases = find_cases(source, ("HE",), allow_missing_masks=True)[1]
    assert [case.masks["HE"] for case in cases] == [source / "masks/a.png", None]


def test_one_colored_mask_holds_all_classes_but_not_in_idrids_layout(tmp_path, idrid_layout):
    source = touch(tmp_path / "colored", "images/a.jpg", "masks/a.png")
    (case,) = find_cases(source, ("HE", "MA"), colored=True)[1]
    assert dict(case.masks) == dict.fromkeys(("HE", "MA"), source / "masks/a.png")
    with pytest.raises(InputError, match=r"data\.colors"):
        find_cases(idrid_layout, ("HE",), colored=True)


@pytest.mark.parametrize(("name", "count"), [("MA", 54), ("HE", 53), ("EX", 54), ("SE", 26), ("OD", 54)])
def test_the_real_set_has_54_photographs_and_its_known_number_of_masks(idrid, name, count):
    layout, cases = find_cases(idrid, (name,))
    training = [case for case in cases if case.split == "train"]
    assert layout == "idrid" and len(training) == 54
    without = [case.name for case in training if case.masks[name] is None]
    assert len(training) - len(without) == count
    if name == "HE":
        assert without == ["IDRiD_43"]
