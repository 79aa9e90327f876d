"""Panels: even the smallest lesion is outlined; the densest window; captions and legends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.panels import caption_height, captioned, densest_window, outlined, with_legend, with_notes
from records import CLASS_COLORS


@pytest.mark.parametrize(("size", "times"), [((20, 30), 0.25), ((80, 120), 1), ((240, 360), 3)])
def test_a_lesion_of_one_pixel_is_outlined_at_every_size_and_what_is_around_it_stays(size, times):
    image = np.random.default_rng(0).integers(0, 60, (80, 120, 3)).astype(np.uint8)
    masks = np.zeros((80, 120, 2), bool)
    masks[41, 62, 1] = True
    picture, bare = outlined(image, masks, size), outlined(image, masks & False, size)
    changed = (picture != bare).any(axis=-1)
    assert np.all(picture[changed] == CLASS_COLORS[1])
    ys, xs = np.nonzero(changed)
    assert (ys.min(), xs.min()) == (int(41 * times), int(62 * times))
    assert (np.ptp(ys) + 1, np.ptp(xs) + 1) == (max(times, 1),) * 2
    if times >= 1:
        assert np.array_equal(bare, np.kron(image, np.ones((times, times, 1), np.uint8)))
    else:
        means = image.reshape(20, 4, 30, 4, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(bare, means, atol=0.51)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_no_window_holds_more_lesion_pixels_than_the_densest(seed, height, width):
    mask = np.random.default_rng(seed).random((12, 12)) < 0.1
    window = densest_window(mask, (height, width))
    assert mask[window].shape == (height, width)
    assert mask[window].sum() == np.lib.stride_tricks.sliding_window_view(mask, (height, width)).sum(axis=(2, 3)).max()


def test_the_densest_window_has_a_single_lesion_in_its_middle():
    mask = np.zeros((50, 60), bool)
    mask[20:25, 30:34] = True
    assert densest_window(mask, (15, 20)) == np.s_[15:30, 22:42]


def test_a_legend_that_is_wider_than_its_sheet_takes_more_lines():
    names = [f"class{number}" for number in range(8)]
    wide, narrow = (with_legend(np.zeros((4, width, 3), np.uint8), names) for width in (900, 200))
    for sheet in (wide, narrow):
        assert all((sheet == color).all(axis=-1).sum() >= 7 * 7 for color in CLASS_COLORS)
    assert wide.shape[0] == 4 + 18
    assert narrow.shape[0] > 4 + 2 * 15


@pytest.mark.parametrize("size", [(4, 20), (900, 60), (30, 4000)])
def test_a_legend_is_below_its_sheet_which_stays_as_it_is_and_white_continues_one_that_is_too_narrow(size):
    sheet = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    name = "HE from 0.204 and 20 px: 14 detections"
    shown = with_legend(sheet, [name, "MA"], letters=20)
    assert np.array_equal(shown[: size[0], : size[1]], sheet)
    assert np.all(shown[: size[0], size[1] :] == 255)
    wide = with_legend(np.zeros((1, 4000, 3), np.uint8), [name], letters=20)
    entry = np.flatnonzero((wide[1:] < 255).any(axis=(0, 2)))
    first_line = shown[size[0] : size[0] + caption_height(1, 20) - 3, : entry.max() + 1]
    assert np.array_equal(first_line, wide[1 : 1 + len(first_line), : entry.max() + 1])  # nothing is cut off
    assert shown.shape[1] == (4000 if size[1] == 4000 else pytest.approx(entry.max() + 1, abs=10))


def test_a_caption_stands_above_the_picture_that_stays_as_it_is():
    picture = np.full((30, 200, 3), 7, np.uint8)
    one, two = (captioned(picture, lines, letters=16) for lines in (["IDRiD_08"], ["IDRiD_08", "épreuve 1/3"]))
    for sheet, lines in ((one, 1), (two, 2)):
        above = caption_height(lines, 16)
        assert np.array_equal(sheet[above:], picture)
        assert (sheet[:above].max(axis=-1) < 60).sum() > 100 * lines  # dark letters
    assert np.array_equal(one[: caption_height(1, 16) - 3], two[: caption_height(1, 16) - 3])


def test_notes_are_written_below_the_sheet_on_as_many_lines_as_they_need():
    sheet = np.full((40, 200, 3), 7, np.uint8)
    noted = with_notes(sheet, ["no field of view found: scaled by 0.327 (optic disc)", "dark"], letters=11)
    assert (noted[:40] == sheet).all()
    assert noted.shape[0] == 40 + caption_height(3)  # the first note takes two lines
    assert (noted[40:] < 128).any()
    assert with_notes(sheet, []) is sheet
