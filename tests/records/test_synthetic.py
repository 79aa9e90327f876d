"""The synthetic set has IDRiD's layout, masks that fit the photographs, and the same bytes for the same seed."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from configs import DataConfig, InputError
from records import find_cases, read_labels
from records.synthetic import (
    SIZES,
    SyntheticPhotograph,
    synthetic_photograph,
    write_paired_set,
    write_synthetic_set,
)

PHOTOGRAPHS = "A. Segmentation/1. Original Images"
MASKS = "A. Segmentation/2. All Segmentation Groundtruths"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three training photographs and one test photograph."""
    folder = tmp_path_factory.mktemp("synthetic")
    assert write_synthetic_set(folder, training=3, test=1) == ["SYN_01", "SYN_02", "SYN_03", "SYN_04"]
    return folder


@pytest.fixture(scope="module")
def eyes() -> list[SyntheticPhotograph]:
    """Photographs of both sizes."""
    return [synthetic_photograph(np.random.default_rng(i), *SIZES[i % len(SIZES)]) for i in range(6)]


@pytest.fixture(scope="module")
def cases(eyes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Photographs and masks of haemorrhages."""
    return [(eye.photograph, eye.haemorrhages) for eye in eyes]


def file_bytes(folder: Path) -> dict[str, bytes]:
    """Returns the content of every file below a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def opened(path: Path) -> Image.Image:
    """Returns an image of whichever mode the file has, decoded, with its file closed."""
    with Image.open(path) as image:
        image.load()
        return image


def retina(photograph: np.ndarray) -> np.ndarray:
    """Returns bool `[H, W]`: the convex hull of all that is red enough, for the black surround is not."""
    hull = cv2.convexHull(np.argwhere(photograph[..., 0] > 40)[:, ::-1].astype(np.int32))
    return cv2.fillConvexPoly(np.zeros(photograph.shape[:2], np.uint8), hull, 1) > 0


def dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * pixels + 1, 2 * pixels + 1))) > 0


@pytest.mark.slow
def test_files_are_in_idrids_layout_and_the_photograph_without_lesions_has_no_mask(folder):
    assert set(file_bytes(folder)) == {
        f"{PHOTOGRAPHS}/a. Training Set/SYN_01.jpg",
        f"{PHOTOGRAPHS}/a. Training Set/SYN_02.jpg",
        f"{PHOTOGRAPHS}/a. Training Set/SYN_03.jpg",
        f"{PHOTOGRAPHS}/b. Testing Set/SYN_04.jpg",
        f"{MASKS}/a. Training Set/2. Haemorrhages/SYN_01_HE.tif",
        f"{MASKS}/a. Training Set/2. Haemorrhages/SYN_03_HE.tif",
        f"{MASKS}/b. Testing Set/2. Haemorrhages/SYN_04_HE.tif",
    }


def test_two_sizes_alternate(folder):
    sizes = [opened(path).size for path in sorted(folder.rglob("*.jpg"))]
    assert sizes == [(1280, 848), (1072, 712), (1280, 848), (1072, 712)]


def test_masks_are_palette_images_of_their_photographs_size(folder):
    photographs = {path.stem: path for path in folder.rglob("*.jpg")}
    for path in folder.rglob("*.tif"):
        mask = opened(path)
        assert mask.mode == "P"
        assert mask.info["compression"] == "tiff_lzw"
        assert mask.getpalette()[:6] == [0, 0, 0, 255, 0, 0]
        assert set(np.unique(np.asarray(mask))) == {0, 1}
        assert mask.size == opened(photographs[path.stem.removesuffix("_HE")]).size


@pytest.mark.slow
def test_a_photograph_depends_only_on_seed_and_number(folder, tmp_path):
    write_synthetic_set(tmp_path / "shorter", training=2, test=1)
    again = {Path(path).name: content for path, content in file_bytes(tmp_path / "shorter").items()}
    first = {Path(path).name: content for path, content in file_bytes(folder).items()}
    assert again == {name: content for name, content in first.items() if "SYN_04" not in name}


def test_another_seed_gives_other_bytes(folder, tmp_path):
    write_synthetic_set(tmp_path, training=2, test=0, seed=1)
    first = file_bytes(folder)
    assert all(content != first[path] for path, content in file_bytes(tmp_path).items())


@pytest.mark.slow
def test_every_lesion_pixel_lies_in_the_field_of_view(cases):
    for photograph, mask in cases:
        outside = ~retina(photograph)
        assert outside.any() and mask.any()
        assert not (dilated(outside, 3) & mask).any()


def test_lesions_are_darker_than_the_ring_around_them(cases):
    differences = []
    for photograph, mask in cases:
        green = photograph[..., 1].astype(float)
        count, labels = cv2.connectedComponents(mask.astype(np.uint8))
        for lesion in (labels == label for label in range(1, count)):
            ring = dilated(lesion, 5) & ~dilated(mask, 1)
            differences.append(green[ring].mean() - green[lesion].mean())
    assert np.mean(differences) > 10
    assert np.mean(np.array(differences) > 0) > 0.95


@pytest.mark.parametrize("shift", [(0, 1), (0, -1), (1, 0), (-1, 0)])
def test_a_mask_moved_by_a_pixel_fits_the_photograph_worse(cases, shift):
    for photograph, mask in cases:
        green = photograph[..., 1].astype(float)
        moved = np.roll(mask, shift, axis=(0, 1))
        assert green[mask & ~moved].mean() < green[moved & ~mask].mean() - 3


def test_without_haemorrhages_the_mask_is_empty():
    photograph, mask, exudates = synthetic_photograph(np.random.default_rng(0), 400, 600, haemorrhages=False)
    assert photograph.shape == (400, 600, 3) and photograph.dtype == np.uint8
    assert mask.shape == (400, 600) and mask.dtype == bool and not mask.any()
    assert exudates.shape == (400, 600) and exudates.dtype == bool
    assert not synthetic_photograph(np.random.default_rng(0), 400, 600, exudates=False).exudates.any()


@pytest.mark.slow
def test_exudates_are_brighter_than_the_ring_around_them(eyes):
    differences = []
    for photograph, haemorrhages, exudates in eyes:
        green = photograph[..., 1].astype(float)
        count, labels = cv2.connectedComponents((exudates & ~haemorrhages).astype(np.uint8))
        for speck in (labels == label for label in range(1, count)):
            ring = dilated(speck, 4) & ~dilated(exudates | haemorrhages, 1)
            if ring.any():
                differences.append(green[speck].mean() - green[ring].mean())
    assert len(differences) > 10 and np.mean(np.array(differences) > 0) > 0.9


@pytest.fixture(scope="module")
def paired(tmp_path_factory) -> Path:
    """A set of paired folders of which not everything is known."""
    folder = tmp_path_factory.mktemp("paired")
    names = write_paired_set(folder, training=2, test=1, first=3, unlabelled=1, ignored=2, healthy=1)
    assert names == ["SYN_03", "SYN_04", "SYN_05", "SYN_H03"]
    return folder


@pytest.mark.slow
def test_a_paired_set_says_what_is_known_of_it(paired):
    layout, found = find_cases(paired, ("HE", "EX"))
    said = {case.name: (case.split, set(case.unknown), set(case.ignored), set(case.absent)) for case in found}
    assert layout == "paired_folders"
    assert said == {
        "SYN_03": ("train", set(), {"HE"}, set()),
        "SYN_04": ("train", {"HE"}, {"EX"}, set()),
        "SYN_05": ("test", set(), set(), set()),
        "SYN_H03": ("train", set(), set(), {"HE", "EX"}),
    }


@pytest.mark.slow
def test_what_a_paired_set_leaves_out_is_drawn_all_the_same(paired, folder):
    case = next(case for case in find_cases(paired, ("HE", "EX"))[1] if case.name == "SYN_03")
    assert case.photograph.read_bytes() == next(folder.rglob("SYN_03.jpg")).read_bytes()
    labels = read_labels(case, (848, 1280), DataConfig(classes=("HE", "EX")))
    drawn = np.asarray(opened(next(folder.rglob("SYN_03_HE.tif")))) > 0
    shown, known = labels.masks[..., 0], labels.known[..., 0]
    assert np.array_equal(shown, drawn & known)
    assert 0 < shown.sum() < drawn.sum() and labels.known[..., 1].all()


def test_numbers_out_of_range_are_refused(tmp_path):
    with pytest.raises(InputError, match="training must be at least 2; received 1"):
        write_synthetic_set(tmp_path, training=1)
    with pytest.raises(InputError, match="test must be at least 0; received -1"):
        write_synthetic_set(tmp_path, test=-1)
    with pytest.raises(InputError, match="seed must be at least 0; received -1"):
        write_synthetic_set(tmp_path, seed=-1)
    with pytest.raises(InputError, match="healthy must be at most 2, as there are no more photographs; received 3"):
        write_paired_set(tmp_path, training=2, test=0, healthy=3)
    assert not any(tmp_path.iterdir())
