"""External maps: what is read, how, and what is refused."""

import cv2
import numpy as np
import pytest
from PIL import Image

from configs import InputError
from pipeline.evaluation.external_maps import classes_of, find_levels, find_maps, read_map

SIZE = (12, 16)
LEVELS = np.linspace(0, 1, 12 * 16).reshape(SIZE)


def test_maps_of_predict_are_read_in_the_order_of_the_classes(tmp_path):
    (tmp_path / "probabilities").mkdir()
    maps = np.stack([LEVELS, 1 - LEVELS], axis=-1).astype(np.float16)
    np.savez_compressed(tmp_path / "probabilities" / "A.npz", probabilities=maps, classes=np.array(["HE", "MA"]))
    files = find_maps(tmp_path)
    assert classes_of(files) == ("HE", "MA")
    found = read_map(files, "A", SIZE, classes=("MA", "HE"))
    assert found.dtype == np.float32
    assert np.array_equal(found, maps[..., ::-1].astype(np.float32))


@pytest.mark.parametrize(("dtype", "most"), [(np.uint8, 255), (np.uint16, 65535)])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_8_and_of_16_bits_is_a_fraction_of_the_highest_value(tmp_path, dtype, most, suffix):
    values = np.round(LEVELS * most).astype(dtype)
    for name, plane in (("HE", values), ("EX", values[::-1])):
        cv2.imwrite(str(tmp_path / f"A_1_{name}.{suffix}"), plane)
    files = find_maps(tmp_path)
    assert classes_of(files) == ("EX", "HE")
    found = read_map(files, "A_1", SIZE, classes=("HE", "EX"))
    np.testing.assert_allclose(found, np.stack([values, values[::-1]], axis=-1) / np.float32(most), rtol=1e-6)


@pytest.mark.parametrize("most", [1, 255])
@pytest.mark.parametrize("channels", [1, 3])
def test_masks_are_read_as_0_and_1_whatever_their_highest_value(tmp_path, most, channels):
    mask = LEVELS > 0.7
    plane = (mask * most).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "A.png"), np.repeat(plane[..., None], channels, axis=-1))
    files = find_maps(tmp_path)
    levels = find_levels(files)
    assert levels == ("binary" if most == 1 else "full")
    found = read_map(files, "A", SIZE, classes=("HE",), levels=levels)
    assert np.array_equal(found[..., 0], mask.astype(np.float32))


@pytest.mark.parametrize(("dtype", "most"), [(np.uint8, 255), (np.uint16, 65535)])
def test_what_the_level_1_means_is_decided_by_the_whole_folder_alike_for_8_and_16_bits(tmp_path, dtype, most):
    cv2.imwrite(str(tmp_path / "C_HE.png"), np.zeros(SIZE, dtype))
    assert find_levels(find_maps(tmp_path)) == "full"  # black is black
    cv2.imwrite(str(tmp_path / "A_HE.png"), (LEVELS > 0.7).astype(dtype))
    files = find_maps(tmp_path)
    assert find_levels(files) == "binary"
    for levels, highest in (("binary", 1), ("full", np.float32(1 / most))):  # as a flag can say
        assert read_map(files, "A", SIZE, classes=("HE",), levels=levels).max() == highest
    for other in (np.uint8, np.uint16):
        cv2.imwrite(str(tmp_path / "B_HE.png"), (LEVELS > 0.7).astype(other) * 2)
        files = find_maps(tmp_path)
        assert find_levels(files) == "full"
        assert read_map(files, "A", SIZE, classes=("HE",), levels="full").max() == np.float32(1 / most)
        with pytest.raises(InputError, match=r"B_HE\.png: has the level 2, but with --levels=binary only 0 and 1 are"):
            read_map(files, "B", SIZE, classes=("HE",), levels="binary")


def test_files_of_1_bit_and_arrays_say_nothing_about_levels(tmp_path):
    Image.fromarray(LEVELS > 0.7).save(tmp_path / "A_HE.png")
    np.savez(tmp_path / "B.npz", probabilities=np.zeros((*SIZE, 1)), classes=np.array(["HE"]))
    (tmp_path / "C_HE.png").write_bytes(b"damaged")
    files = find_maps(tmp_path)
    assert find_levels(files) is None
    for levels in (None, "full", "binary"):
        found = read_map(files, "A", SIZE, classes=("HE",), levels=levels)
        assert np.array_equal(found[..., 0] == 1, LEVELS > 0.7)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.where(LEVELS > 0.9, np.nan, LEVELS), r"A\.npz: has pixels that are not a number \(NaN\)"),
        (LEVELS * 2 - 0.5, r"A\.npz: has values from -0\.5 to 1\.5; expected probabilities, 0 to 1"),
        (LEVELS[:-1], r"A\.npz: 16x11 pixels, but its photograph has 16x12"),
    ],
)
def test_a_map_that_does_not_fit_the_photograph_is_refused(tmp_path, values, message):
    np.savez(tmp_path / "A.npz", probabilities=values[..., None], classes=np.array(["HE"]))
    with pytest.raises(InputError, match=message):
        read_map(find_maps(tmp_path), "A", SIZE, classes=("HE",))


@pytest.mark.parametrize("least", [0.0, np.nan, -0.5])
def test_a_map_of_another_size_needs_that_of_its_photograph_and_is_checked_like_any_other(tmp_path, least):
    small = np.where(LEVELS[::2, ::2, None] < 0.1, least, LEVELS[::2, ::2, None])
    for case, size in (("A", SIZE), ("B", (12, 17)), ("C", (12, 16, 1)), ("D", (12.0, 16.0))):
        np.savez(tmp_path / f"{case}.npz", probabilities=small, classes=np.array(["HE"]), size=np.array(size))
    files = find_maps(tmp_path)
    if least == 0:
        found = read_map(files, "A", SIZE, classes=("HE",))
        assert (found.shape, found.dtype) == ((*SIZE, 1), np.float32)
    else:
        with pytest.raises(InputError, match=r"A\.npz: has (values from -0\.5|pixels that are not a number)"):
            read_map(files, "A", SIZE, classes=("HE",))
    for case, message in (
        ("B", "17x12 pixels, but its photograph has 16x12"),
        ("C", r"size is int64 \[3\]; expected two integers, height and width"),
        ("D", r"size is float64 \[2\]; expected two integers"),
    ):
        with pytest.raises(InputError, match=rf"{case}\.npz: {message}"):
            read_map(files, case, SIZE, classes=("HE",))


def test_a_folder_may_have_a_file_of_arrays_for_some_photographs_and_images_for_others(tmp_path):
    cv2.imwrite(str(tmp_path / "A_HE.tif"), np.full(SIZE, 65535, np.uint16))
    np.savez(tmp_path / "B.npz", probabilities=np.zeros((*SIZE, 1)), classes=np.array(["HE"]))
    files = find_maps(tmp_path)
    assert classes_of(files) == ("HE",)
    assert [read_map(files, case, SIZE, classes=("HE",)).mean() for case in "AB"] == [1, 0]


def test_missing_damaged_and_unsuitable_maps_are_refused_with_the_reason(tmp_path):
    np.savez(tmp_path / "A.npz", probabilities=LEVELS[..., None], classes=np.array(["HE"]))
    np.savez(tmp_path / "B.npz", maps=LEVELS)
    np.savez(tmp_path / "C.npz", probabilities=LEVELS, classes=np.array(["HE"]))
    (tmp_path / "D.npz").write_bytes((tmp_path / "A.npz").read_bytes()[:-60])
    files = find_maps(tmp_path)
    for case, classes, message in (
        ("A", ("HE", "MA"), "no class MA; it has HE"),
        ("B", ("HE",), "expected the arrays probabilities and classes; has maps"),
        ("C", ("HE",), r"probabilities are float64 \[12, 16\]"),
        ("D", ("HE",), r"D\.npz: damaged"),
        ("E", ("HE",), r"case E: no map of class HE; expected E_HE\.png or E\.npz"),
    ):
        with pytest.raises(InputError, match=message):
            read_map(files, case, SIZE, classes=classes)
    other = tmp_path / "colours"
    other.mkdir()
    cv2.imwrite(str(other / "A_HE.png"), np.arange(12 * 16 * 3, dtype=np.uint8).reshape(*SIZE, 3))
    with pytest.raises(InputError, match="has colours; expected grey"):
        read_map(find_maps(other), "A", SIZE, classes=("HE",))


def test_folders_without_maps_and_names_without_a_class_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_maps(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no maps there"):
        find_maps(tmp_path)
    cv2.imwrite(str(tmp_path / "eye.png"), np.zeros(SIZE, np.uint8))
    with pytest.raises(InputError, match="no class in the name"):
        classes_of(find_maps(tmp_path))
