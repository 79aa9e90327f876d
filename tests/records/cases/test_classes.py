"""The classes of a source are told by its folders and files."""

import pytest

from configs import InputError
from records import classes_of_source
from tests.sources import touch


def test_folders_of_masks_are_classes_but_regions_that_are_left_out_are_not(tmp_path):
    files = ("images/e.jpg", "masks/HE/e.png", "masks/MA/e.png", "masks/HE_ignore/e.png", "masks/ignore/e.png")
    assert classes_of_source(touch(tmp_path, *files)) == ("MA", "HE")


def test_a_folder_without_masks_is_no_class(tmp_path):
    (touch(tmp_path, "images/e.jpg", "masks/HE/e.png") / "masks" / "EX").mkdir()
    assert classes_of_source(tmp_path) == ("HE",)


def test_ends_of_names_are_classes_but_numbers_and_regions_are_not(tmp_path):
    masks = ("e_HE.png", "e_1_EX.png", "e_1_EX_2.png", "e_HE_ignore.png", "e_ignore.png", "e_2.png", "e_big_drusen.png")
    source = touch(tmp_path, "images/e.jpg", "images/e_1.jpg", *(f"masks/{mask}" for mask in masks))
    assert classes_of_source(source) == ("HE", "EX", "big_drusen")


def test_classes_of_all_splits_and_of_trees_are_found(tmp_path):
    files = ("train/images/001/l.jpg", "train/masks/001/HE/l.png", "test/images/t.jpg", "test/masks/new/t.png")
    assert classes_of_source(touch(tmp_path, *files)) == ("HE", "new")


def test_classes_of_idrid_are_those_with_masks_in_its_order(tmp_path):
    root = "A. Segmentation/2. All Segmentation Groundtruths/a. Training Set"
    photograph = "A. Segmentation/1. Original Images/a. Training Set/e.jpg"
    touch(tmp_path, photograph, f"{root}/4. Soft Exudates/e_SE.tif", f"{root}/1. Microaneurysms/e_MA.tif")
    (tmp_path / root / "2. Haemorrhages").mkdir()
    assert classes_of_source(tmp_path) == ("MA", "SE")


@pytest.mark.parametrize("mask", ["masks/e.png", "masks/e_1.png", "masks/other_HE.png"])
def test_a_source_that_names_no_class_is_refused(tmp_path, mask):
    with pytest.raises(InputError, match="no class is named there; .* Give --classes=HE if"):
        classes_of_source(touch(tmp_path, "images/e.jpg", mask))


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        classes_of_source(tmp_path / "none")
