"""Surveys and cut tiles, compared with plain NumPy on the photograph's own pixels."""

import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from configs import DataConfig, InputError
from records import Case, field_of_view, find_cases, rescale_mask, rescale_photograph, survey_case
from records.shards.cutting import MIN_FIELD_OF_VIEW, cut_case

ROOT = Path(__file__).parents[3]


def decoded(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)))


def padded(image: np.ndarray, tile: int) -> np.ndarray:
    """Returns the image with `tile` rows and columns of zeros behind it."""
    return np.pad(image, [(0, tile), (0, tile)] + [(0, 0)] * (image.ndim - 2))


def tile_counts(mask: np.ndarray, tile: int, stride: int) -> tuple[int, int]:
    """Counts all tiles of a mask and those with a lesion by walking along both axes until the border is reached."""
    tiles = nonempty = 0
    y = 0
    while True:
        y = max(min(y, mask.shape[0] - tile), 0)
        x = 0
        while True:
            x = max(min(x, mask.shape[1] - tile), 0)
            tiles += 1
            nonempty += bool(mask[y : y + tile, x : x + tile].any())
            if x + tile >= mask.shape[1]:
                break
            x += stride
        if y + tile >= mask.shape[0]:
            return tiles, nonempty
        y += stride


@pytest.fixture(scope="module")
def write_case(tmp_path_factory):
    """Writes a photograph and its masks as PNG; a mask of None has no file."""

    def write(photograph: np.ndarray, masks: dict[str, np.ndarray | None], *, name: str = "eye") -> Case:
        folder = tmp_path_factory.mktemp("case")
        Image.fromarray(photograph).save(folder / f"{name}.png")
        for class_name, mask in masks.items():
            if mask is not None:
                Image.fromarray(mask).save(folder / f"{class_name}.png")
        paths = {key: None if mask is None else folder / f"{key}.png" for key, mask in masks.items()}
        return Case(name, folder / f"{name}.png", paths, "train")

    return write


@given(
    height=st.integers(20, 90),
    width=st.integers(20, 90),
    stride=st.integers(1, 32),
    scale=st.sampled_from([1.0, 0.5, 1 / 3]),
    seed=st.integers(0, 99),
)
def test_a_survey_has_the_counts_that_numpy_finds(write_case, blobs, height, width, stride, scale, seed):
    masks = {"HE": blobs(height, width, seed=seed, lesions=2), "MA": blobs(height, width, seed=seed + 1, lesions=1)}
    case = write_case(np.zeros((height, width, 3), np.uint8), {**masks, "EX": None})
    survey = survey_case(case, DataConfig(classes=("HE", "MA", "EX"), scale=scale, tile=32, stride=stride))
    assert (survey.height, survey.width) == (height, width)
    assert survey.lesion_pixels == {"HE": masks["HE"].sum(), "MA": masks["MA"].sum(), "EX": 0}
    any_class = rescale_mask(masks["HE"], scale) | rescale_mask(masks["MA"], scale)
    assert (survey.tiles, survey.nonempty_tiles) == tile_counts(any_class, 32, stride)
    assert survey.lesion_fraction == pytest.approx((masks["HE"].sum() + masks["MA"].sum()) / (height * width))


def test_a_case_without_mask_files_has_no_lesion(write_case):
    survey = survey_case(write_case(np.zeros((40, 50, 3), np.uint8), {"HE": None}), DataConfig(tile=32, stride=32))
    assert survey.lesion_pixels == {"HE": 0} and survey.nonempty_tiles == 0 and survey.tiles == 4
    assert survey.lesion_fraction == 0


def test_sizes_are_those_after_the_orientation_is_applied(tmp_path, random_photograph, blobs):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.fromarray(random_photograph(40, 60)).save(tmp_path / "eye.jpg", exif=exif)
    Image.fromarray(blobs(60, 40)).save(tmp_path / "mask.png")
    case = Case("eye", tmp_path / "eye.jpg", {"HE": tmp_path / "mask.png"}, "train")
    survey = survey_case(case, DataConfig(tile=32, stride=32))
    assert (survey.height, survey.width) == (60, 40)
    assert survey.lesion_pixels["HE"] == blobs(60, 40).sum()


@pytest.mark.parametrize("use", [survey_case, cut_case])
def test_a_mask_that_differs_in_size_from_its_photograph_is_refused_with_both_sizes(write_case, use):
    case = write_case(np.zeros((40, 50, 3), np.uint8), {"HE": np.zeros((50, 40), bool)})
    with pytest.raises(InputError) as error:
        use(case, DataConfig(tile=32, stride=32))
    line = str(error.value)
    assert "HE.png: 40x50" in line and "eye.png has 50x40" in line and "\n" not in line


@pytest.mark.parametrize("use", [survey_case, cut_case])
@pytest.mark.parametrize("broken", ["eye.png", "HE.png"])
def test_a_file_that_cannot_be_read_is_reported(write_case, blobs, use, broken):
    case = write_case(np.zeros((40, 50, 3), np.uint8), {"HE": blobs(40, 50)})
    (case.photograph.parent / broken).write_bytes(b"not an image")
    with pytest.raises(InputError, match=broken):
        use(case, DataConfig(tile=32, stride=32))


@pytest.mark.slow
@given(
    height=st.integers(18, 80),
    width=st.integers(18, 80),
    stride=st.integers(4, 32),
    scale=st.sampled_from([1.0, 0.5, 1 / 3]),
    empty=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 99),
)
def test_tiles_are_crops_of_the_shrunk_photograph_and_masks(
    write_case, fundus, blobs, height, width, stride, scale, empty, seed
):
    photograph, mask = fundus(height, width, seed=seed), blobs(height, width, seed=seed, lesions=2)
    data = DataConfig(scale=scale, tile=32, stride=stride, empty_per_nonempty=empty)
    case = write_case(photograph, {"HE": mask})
    tiles = cut_case(case, data).tiles
    small, small_mask = rescale_photograph(photograph, scale), rescale_mask(mask, scale)
    assert len({(tile.y, tile.x) for tile in tiles}) == len(tiles)
    for tile in tiles:
        rows, columns = slice(tile.y, tile.y + 32), slice(tile.x, tile.x + 32)
        np.testing.assert_array_equal(decoded(tile.image), padded(small, 32)[rows, columns])
        np.testing.assert_array_equal(decoded(tile.mask), padded(small_mask, 32)[rows, columns])
        assert tile.case == "eye"
    nonempty = [tile for tile in tiles if decoded(tile.mask).any()]
    assert len(nonempty) == survey_case(case, data).nonempty_tiles
    assert empty or len(tiles) == len(nonempty)


def test_bit_c_of_a_mask_is_class_c(write_case, random_photograph, blobs):
    classes = tuple("ABCDEFGH")
    masks = {name: blobs(32, 32, seed=seed) for seed, name in enumerate(classes)}
    (tile,) = cut_case(
        write_case(random_photograph(32, 32), masks), DataConfig(classes=classes, tile=32, stride=32)
    ).tiles
    bits = decoded(tile.mask)
    for index, name in enumerate(classes):
        np.testing.assert_array_equal(bits // 2**index % 2 == 1, masks[name])


@pytest.mark.parametrize("soft", [False, True])
def test_a_survey_counts_the_tiles_that_are_cut_where_lesions_are_faint_or_partly_left_out(
    write_case, fundus, soft, tmp_path
):
    data = DataConfig(classes=("HE",), scale=0.5, tile=16, stride=16, soft_labels=soft)
    grey = np.zeros((96, 96), np.uint8)
    grey[8:10, 8:40], grey[50:52, 20:21], grey[70:80, 50:90] = 120, 140, 255
    case = write_case(fundus(96, 96), {"HE": grey if soft else (grey > 0) * np.uint8(255)})
    left_out = np.zeros((96, 96), np.uint8)
    left_out[60:96, 40:70] = 255
    Image.fromarray(left_out).save(tmp_path / "left_out.png")
    case = dataclasses.replace(case, ignored={"HE": (tmp_path / "left_out.png",)})
    cut = cut_case(case, data)
    assert 0 < len(cut.tiles) < 9
    assert survey_case(case, data).nonempty_tiles == len(cut.tiles)


def test_a_jpeg_tile_is_close_to_the_photograph_and_its_mask_is_exact(write_case, fundus, blobs):
    photograph, mask = fundus(64, 64), blobs(64, 64)
    data = DataConfig(tile=64, stride=64, codec="jpeg", jpeg_quality=95)
    (tile,) = cut_case(write_case(photograph, {"HE": mask}), data).tiles
    assert tile.image.startswith(b"\xff\xd8")
    inside = np.hypot(*(np.mgrid[:64, :64] - 32)) < 30  # away from the surround's hard edge
    assert np.abs(decoded(tile.image).astype(int) - photograph)[inside].max() <= 8
    np.testing.assert_array_equal(decoded(tile.mask), mask)


@pytest.fixture
def sparse_case(write_case, fundus) -> Case:
    """A field of view of 300 x 400 pixels with one lesion of a single pixel in the middle."""
    mask = np.zeros((300, 400), bool)
    mask[150, 200] = True
    return write_case(fundus(300, 400), {"HE": mask})


SPARSE = DataConfig(tile=32, stride=32, empty_per_nonempty=5)


def test_by_default_only_tiles_with_a_lesion_are_cut(sparse_case):
    tiles = cut_case(sparse_case, dataclasses.replace(SPARSE, empty_per_nonempty=0)).tiles
    assert [(tile.y, tile.x) for tile in tiles] == [(128, 192)]


def test_the_requested_number_of_empty_tiles_is_added_from_the_field_of_view(sparse_case, fundus):
    tiles = cut_case(sparse_case, SPARSE).tiles
    empty = [tile for tile in tiles if not decoded(tile.mask).any()]
    assert len(empty) == 5 and len(tiles) == 6
    inside = field_of_view(fundus(300, 400))
    for tile in empty:
        assert inside[tile.y : tile.y + 32, tile.x : tile.x + 32].mean() >= MIN_FIELD_OF_VIEW
    places = [(tile.y, tile.x) for tile in tiles]
    assert places == sorted(places)


def test_there_are_no_more_empty_tiles_than_the_field_of_view_has(sparse_case, fundus):
    tiles = cut_case(sparse_case, dataclasses.replace(SPARSE, empty_per_nonempty=10_000)).tiles
    inside = field_of_view(fundus(300, 400))
    fractions = [
        inside[y : y + 32, x : x + 32].mean() for y in (*range(0, 268, 32), 268) for x in (*range(0, 368, 32), 368)
    ]
    assert len(tiles) == sum(fraction >= MIN_FIELD_OF_VIEW for fraction in fractions) < len(fractions)


def test_a_photograph_without_lesions_counts_as_one_tile_with_a_lesion(write_case, fundus):
    case = write_case(fundus(300, 400), {"HE": None})
    assert len(cut_case(case, SPARSE).tiles) == 5
    assert not cut_case(case, dataclasses.replace(SPARSE, empty_per_nonempty=0)).tiles


def test_the_choice_of_empty_tiles_depends_only_on_seed_and_name(sparse_case):
    def places(case: Case, *, seed: int) -> list[tuple[int, int]]:
        return [(tile.y, tile.x) for tile in cut_case(case, dataclasses.replace(SPARSE, seed=seed)).tiles]

    assert places(sparse_case, seed=1) == places(sparse_case, seed=1)
    assert places(sparse_case, seed=1) != places(sparse_case, seed=2)
    assert places(sparse_case, seed=1) != places(dataclasses.replace(sparse_case, name="other"), seed=1)


def test_a_process_that_surveys_and_cuts_loads_no_tensorflow():
    code = "import sys, records, records.shards.cutting; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.slow
def test_the_real_set_has_its_known_numbers_of_tiles(idrid):
    cases = [case for case in find_cases(idrid, ("HE",))[1] if case.split == "train"]
    assert len(cases) == 54
    sparse = [survey_case(case, DataConfig(tile=512, stride=512)) for case in cases]
    assert {(survey.height, survey.width, survey.tiles) for survey in sparse} == {(2848, 4288, 54)}
    assert sum(survey.lesion_pixels["HE"] > 0 for survey in sparse) == 53
    assert sum(survey.nonempty_tiles for survey in sparse) == 811
    dense = [survey_case(case, DataConfig(tile=512, stride=256)) for case in cases]
    assert {survey.tiles for survey in dense} == {176}
    assert sum(survey.nonempty_tiles for survey in dense) == 3044


def test_a_disc_of_which_a_part_is_unknown_is_not_measured(write_eyes, tmp_path):
    data = DataConfig(classes=("HE", "OD"), tile=64, stride=64)
    write_eyes(tmp_path, lesions={"HE": [[8], [8]], "OD": [[30], [30]]})
    ignored = tmp_path / "masks" / "OD_ignore" / "eye1.png"
    ignored.parent.mkdir()
    Image.fromarray(np.pad(np.full((20, 20), 255, np.uint8), ((0, 220), (0, 220)))).save(ignored)
    _, (whole, partly) = find_cases(tmp_path, data.classes)
    assert cut_case(whole, data, 1.0).quality["disc_diameter"] == pytest.approx(30, rel=0.05)
    assert "disc_diameter" not in cut_case(partly, data, 1.0).quality
