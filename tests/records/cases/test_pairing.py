"""Masks belong to the photographs whose names they have, exactly; all others are refused by name or reported."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs import DataConfig, InputError
from records.cases import case_digests, find_cases, mask_values, read_labels
from records.cases.pairing import owner_of
from tests.sources import touch

ORIGINALS, GROUNDTRUTHS = "1. Original Images/a. Training Set", "2. All Segmentation Groundtruths/a. Training Set"


def refusal(source: Path, classes: tuple[str, ...] = ("HE",), **options: bool) -> str:
    with pytest.raises(InputError) as error:
        find_cases(source, classes, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("stem", "owner"),
    [
        ("E1", ("E1", False)),
        ("E1_HE", ("E1", False)),
        ("E1_2", ("E1_2", False)),  # a photograph of its own
        ("E1_2_HE", ("E1_2", False)),
        ("E1_3", ("E1", True)),
        ("E1_2_3", ("E1_2", True)),
        ("E1-3", ("E1", True)),
        ("E1 (3)", ("E1", True)),
        ("E1_HE_3", ("E1", True)),
        ("E1_3_HE", ("E1", True)),
        ("task-7-annotation-3-by-1-tag-HE-0", ("7", True)),
        ("E13", None),
        ("e1", None),
        ("E1_MA", None),
        ("task-8-annotation-3-by-1-tag-HE-0", None),
        ("task-7-annotation-3-by-1-tag-MA-0", None),
    ],
)
def test_the_most_literal_reading_of_a_masks_name_counts(stem, owner):
    found = owner_of(stem, {"E1", "E1_2", "7"}, classes=("HE",), unnamed="HE")
    assert (found and (found.photograph, found.numbered)) == owner
    assert found is None or found.name == "HE"


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ("masks/HE/e03.png", "Did you mean 'E03'?"),
        ("masks/e03_HE.png", "Did you mean 'E03'?"),
        ("masks/HE/E3.png", "Did you mean 'E03'?"),
        ("masks/HE/E03 .png", "'E03' differs in spaces"),
        ("masks/HE/other.png", "rename or remove it."),
    ],
)
def test_a_mask_without_photograph_is_refused_with_the_nearest_name(tmp_path, mask, said):
    source = touch(tmp_path, "images/E03.jpg", "images/B.jpg", "masks/HE/B.png", mask)
    line = refusal(source, allow_missing_masks=True)
    assert said in line and str(source / mask) in line


def test_a_photograph_without_mask_is_refused_with_the_nearest_mask(tmp_path):
    source = touch(tmp_path, "images/E03.jpg", "images/B.jpg", "masks/HE/B.png", "masks/HE/e03.png")
    line = refusal(source)
    assert "E03.jpg: no mask of class HE" in line and "Did you mean 'e03'?" in line


def test_accents_that_are_stored_in_two_ways_are_named(tmp_path):
    source = touch(tmp_path, "images/M\u00fc.jpg", "masks/HE/Mu\u0308.png")
    for allowed in (False, True):
        assert "how its accents are stored" in refusal(source, allow_missing_masks=allowed)


def test_all_masks_without_photographs_are_counted_and_ten_are_named(tmp_path):
    source = touch(tmp_path, "images/a.jpg", "masks/HE/a.png", *(f"masks/HE/x{number:02}.png" for number in range(12)))
    line = refusal(source)
    assert line.startswith("12 masks pair with no photograph") and "x00.png" in line
    assert "x09.png and 2 more" in line and "x10" not in line


def test_a_mask_without_photograph_is_refused_in_idrids_layout_too(tmp_path):
    source = touch(tmp_path, f"{ORIGINALS}/I_01.jpg", f"{GROUNDTRUTHS}/2. Haemorrhages/i_01_HE.tif")
    line = refusal(source)
    assert "i_01_HE.tif" in line and "Did you mean 'I_01'?" in line


def test_a_mask_that_names_no_class_is_told_how_to(tmp_path):
    source = touch(tmp_path, "images/a.jpg", "masks/a.png")
    line = refusal(source, ("HE", "MA"), allow_missing_masks=True)
    assert "'a' names no class; expected CLASS/a.png or a_CLASS.png" in line


def test_a_class_folder_in_other_letters_is_named(tmp_path):
    assert "Did you mean the folder 'he' as 'HE'?" in refusal(touch(tmp_path, "images/a.jpg", "masks/he/a.png"))


@pytest.mark.parametrize(
    "masks",
    [
        ("masks/HE/E.png", "masks/HE/E_2.png"),
        ("masks/HE/E_1.png", "masks/HE/E_2.png"),
        ("masks/HE/E.png", "masks/HE/E.tif"),
        ("masks/E_HE_1.png", "masks/E_HE_2.png"),
        ("masks/HE/E.png", "masks/E_HE.png"),
        ("masks/E_1_HE.png",),
    ],
)
def test_several_masks_of_a_photograph_are_refused_by_name_and_united_when_asked(tmp_path, masks):
    source = touch(tmp_path, "images/E.jpg", "images/F.jpg", "masks/HE/F.png", *masks)
    line = refusal(source)
    assert "--unite_masks" in line and any(str(source / mask) in line for mask in masks)
    cases = find_cases(source, ("HE",), unite_masks=True)[1]
    assert sorted(cases[0].mask_files("HE")) == sorted(source / mask for mask in masks)
    assert cases[1].mask_files("HE") == (source / "masks/HE/F.png",) and not cases[1].further_masks


def test_several_masks_are_refused_in_idrids_layout_too(tmp_path):
    folder = f"{GROUNDTRUTHS}/2. Haemorrhages"
    source = touch(tmp_path, f"{ORIGINALS}/I_01.jpg", f"{folder}/I_01_HE.tif", f"{folder}/I_01_HE_2.tif")
    assert "I_01_HE_2.tif" in refusal(source)
    (case,) = find_cases(source, ("HE",), unite_masks=True)[1]
    assert len(case.mask_files("HE")) == 2


@pytest.fixture
def two_masks(tmp_path):
    """A photograph with two masks of one class, and their pixels."""
    draw = np.random.default_rng(0)
    pixels = [draw.random((8, 9)) < 0.2 for _ in range(2)]
    for folder in ("images", "masks/HE"):
        (tmp_path / folder).mkdir(parents=True)
    Image.new("RGB", (9, 8)).save(tmp_path / "images/E.png")
    for number, mask in enumerate(pixels):
        Image.fromarray(mask).save(tmp_path / f"masks/HE/E_{number}.png")
    return tmp_path, pixels


def test_united_masks_are_the_union_of_their_pixels_and_each_counts_in_the_digest(two_masks):
    source, pixels = two_masks
    (case,) = find_cases(source, ("HE",), unite_masks=True)[1]
    data = DataConfig(classes=("HE",))
    assert np.array_equal(read_labels(case, (8, 9), data).masks[..., 0], pixels[0] | pixels[1])
    assert len(mask_values(case, data)) == 2
    before = case_digests(case)
    Image.fromarray(~pixels[1]).save(source / "masks/HE/E_1.png")
    after = case_digests(case)
    assert before[0] == after[0] and before[1] != after[1]
    Image.new("1", (7, 7)).save(source / "masks/HE/E_1.png")
    with pytest.raises(InputError, match="E_1.png: 7x7 pixels"):
        read_labels(case, (8, 9), data)


def test_colored_masks_are_united_too(two_masks):
    source, pixels = two_masks
    for number, color in enumerate(((255, 0, 0), (0, 255, 0))):
        image = np.zeros((8, 9, 3), np.uint8)
        image[pixels[number]] = color
        (source / f"masks/HE/E_{number}.png").unlink()
        Image.fromarray(image).save(source / f"masks/E_{number}.png")
    (case,) = find_cases(source, ("HE", "MA"), colored=True, unite_masks=True)[1]
    masks = read_labels(case, (8, 9), DataConfig(classes=("HE", "MA"), colors=("ff0000", "00ff00"))).masks
    assert np.array_equal(masks, np.stack(pixels, axis=-1))
