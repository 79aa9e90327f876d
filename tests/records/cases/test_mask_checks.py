"""Masks that are not plausible are used, and a warning names each."""

import collections
import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from configs import DataConfig, InputError
from records import Case, by_kind, read_checked_labels, survey_case
from records.cases import mask_checks

HEIGHT, WIDTH = 60, 80
ONE = DataConfig(tile=32, stride=32)
TWO = DataConfig(classes=("HE", "EX"), colors=("ff0000", "00ff00"), tile=32, stride=32)


@pytest.fixture
def survey(tmp_path, fundus) -> Callable[..., tuple]:
    """Writes a photograph and one mask, and returns the mask's warnings; `turned` is a photograph's orientation tag."""

    def look(
        mask: Image.Image,
        *,
        data: DataConfig = ONE,
        turned: tuple[int, int] = (1, 1),
        name: str = "mask.png",
        photograph: np.ndarray | None = None,
        **options: object,
    ) -> tuple:
        tags = [Image.Exif() for _ in turned]
        for tag, value in zip(tags, turned, strict=True):
            tag[0x0112] = value
        eye = fundus(HEIGHT, WIDTH) if photograph is None else photograph
        Image.fromarray(eye).save(tmp_path / "eye.png", exif=tags[0])
        mask.save(tmp_path / name, exif=tags[1], **options)
        case = Case("eye", tmp_path / "eye.png", dict.fromkeys(data.classes, tmp_path / name), "train")
        return survey_case(case, data).mask_warnings

    return look


def spot(value: object = 255, *, dtype: type = np.uint8, channels: int = 0) -> np.ndarray:
    """Draws a lesion of 10 x 10 pixels of one value or colour on black."""
    values = np.zeros((HEIGHT, WIDTH, channels) if channels else (HEIGHT, WIDTH), dtype)
    values[20:30, 30:40] = value
    return values


def with_palette(indices: np.ndarray, *colors: tuple[int, int, int]) -> Image.Image:
    image = Image.fromarray(indices)
    image.putpalette([level for color in colors for level in color])
    return image


@pytest.mark.parametrize(
    "mask",
    [
        Image.fromarray(spot(0)),
        Image.fromarray(spot(1)),
        Image.fromarray(spot(200)),
        Image.fromarray(spot(True, dtype=bool)),
        Image.fromarray(spot(65535, dtype=np.uint16)),
        Image.fromarray(spot((0, 255, 0), channels=3)),
        Image.fromarray(spot((9, 9, 9, 255), channels=4)),
        with_palette(spot(1), (0, 0, 0), (255, 0, 0)),
        with_palette(spot(2), (0, 0, 0), (0, 0, 0), (255, 0, 0)),
        with_palette(np.where(np.arange(WIDTH) % 2, spot(1), spot(2)), (0, 0, 0), (255, 0, 0), (255, 0, 0)),
    ],
)
def test_a_mask_with_one_value_is_plausible_whatever_the_value_and_the_mode(survey, mask):
    assert survey(mask) == ()


def test_transparency_is_no_second_value(survey):
    values = spot((255, 0, 0, 255), channels=4)
    values[25:, :, 3] = 70
    assert survey(Image.fromarray(values)) == ()


def test_the_soft_edges_of_a_resized_mask_are_named_with_both_areas(survey):
    large = Image.fromarray(np.pad(np.full((30, 30), 255, np.uint8), 90))
    soft = large.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    values = np.asarray(soft)
    ((kind, text),) = survey(soft)
    above, at_half = (values > 0).mean(), (values >= 128).mean()
    assert kind == "values" and "mask.png: more than two values, {" in text and above > 1.2 * at_half
    assert f"{above:.3%} of the frame is above 0" in text and f"{at_half:.3%} at least 128" in text


def test_soft_edges_are_found_in_one_colour_a_palette_and_16_bits_too(survey):
    soft = np.where(np.arange(WIDTH) == 30, spot(100), spot(255))
    red = np.dstack([soft, 0 * soft, 0 * soft])
    greys = with_palette(np.where(soft == 255, 2, soft // 100).astype(np.uint8), (0,) * 3, (100,) * 3, (255,) * 3)
    sixteen = Image.fromarray(soft.astype(np.uint16) * 256)
    for mask, half in ((Image.fromarray(red), 128), (greys, 128), (sixteen, 32768)):
        ((kind, text),) = survey(mask)
        assert (
            kind == "values"
            and f"2.083% of the frame is above 0, which is read as lesion, and 1.875% at least {half}" in text
        )


def test_labels_of_several_classes_in_one_mask_are_named(survey):
    values = spot(1)
    values[40:45, 50:55] = 2
    ((kind, text),) = survey(Image.fromarray(values))
    assert kind == "labels" and "mask.png: the labels {1, 2} are all read as lesion of one class" in text


@pytest.mark.parametrize("palette", [False, True])
def test_colours_that_are_read_as_one_class_are_named_with_their_numbers_of_pixels(survey, palette):
    labels = spot(1)
    labels[40:45, 50:55] = 2
    colors = [(0, 0, 0), (128, 0, 0), (0, 128, 0)]
    mask = with_palette(labels, *colors) if palette else Image.fromarray(np.array(colors, np.uint8)[labels])
    ((kind, text),) = survey(mask)
    assert kind == "colors" and "the colours {800000 (100), 008000 (25)} are all read as lesion of one class" in text
    assert "data.colors" in text


def test_colours_that_no_class_claims_are_named_with_their_numbers_of_pixels(survey):
    values = spot((255, 0, 0), channels=3)
    assert survey(Image.fromarray(values), data=TWO) == ()
    values[40:45, 50:55], values[0, 0] = (0, 0, 255), (1, 2, 3)
    ((kind, text),) = survey(Image.fromarray(values), data=TWO)
    assert kind == "unclaimed colors"
    assert (
        "26 pixels of 2 colours that no class of data.colors claims are read as background: {0000ff (25), 010203 (1)}"
        in text
    )


def test_a_jpeg_mask_has_no_two_values_but_one_without_anything_bright_is_named(survey):
    assert survey(Image.fromarray(spot(255)), name="mask.jpg", quality=50) == ()
    ((kind, text),) = survey(Image.fromarray(spot(60)), name="mask.jpg", quality=95)
    assert survey(Image.fromarray(spot((0, 0, 0, 255), channels=4)), name="mask.webp") == ()  # alpha is no brightness
    assert kind == "faint" and "shows no lesion: it is compressed with loss, and its highest value, " in text


def test_an_inverted_mask_is_named(survey):
    ((kind, text),) = survey(Image.fromarray(255 - spot(255)))
    assert kind == "inverted" and "looks inverted: 97.9% of the frame and 100.0% of its border are HE" in text


def test_a_class_above_a_quarter_of_the_field_of_view_is_named(survey, fundus):
    photograph = fundus(120, 160)  # a field of view of a radius of 72, cut off above and below
    inside = np.hypot(*(np.mgrid[:120, :160] - np.array([60, 80])[:, None, None]))
    for radius, expected in ((31, ()), (37, ("size",))):  # 21 and 30 %
        found = survey(Image.fromarray(inside <= radius), photograph=photograph)
        assert tuple(kind for kind, _ in found) == expected
        for _, text in found:
            covered = re.search(r"mask.png: HE covers ([\d.]+)% of the field of view", text)
            assert float(covered[1]) == pytest.approx(100 * (inside <= radius).sum() / (inside <= 72).sum(), abs=3)


@pytest.mark.parametrize("tags", [(3, 1), (1, 3), (2, 4), (6, 8)])
def test_a_photograph_and_a_mask_that_are_turned_differently_are_named_with_their_tags(survey, tags):
    ((kind, text),) = survey(Image.fromarray(spot()), turned=tags)
    names = [f"orientation tag {tag}" if tag > 1 else None for tag in tags]
    assert (
        kind == "turned"
        and f"mask.png: turned by {names[1] or 'no tag'}, but its photograph eye.png by {names[0] or 'none'};" in text
    )


@pytest.mark.parametrize("tags", [(1, 1), (3, 3), (6, 6)])
def test_a_photograph_and_a_mask_that_are_turned_alike_are_plausible(survey, tags):
    assert survey(Image.fromarray(spot()), turned=tags) == ()


def test_a_mask_of_the_size_of_the_turned_photograph_was_drawn_on_it(survey, fundus):
    assert survey(Image.fromarray(spot().T.copy()), turned=(6, 1)) == ()


def test_where_only_the_sizes_differ_by_a_turn_the_message_names_the_tag(survey):
    with pytest.raises(InputError) as error:
        survey(Image.fromarray(spot()), turned=(6, 1))
    assert (
        "mask.png: 80x60 pixels, but its photograph eye.png has 60x80, as the photograph is turned by orientation "
        "tag 6 and the mask by none; give both the same tag" in str(error.value)
    )


def test_a_square_mask_could_be_either(survey, fundus):
    ((kind, _),) = survey(Image.fromarray(spot()[:, :60].copy()), turned=(6, 1), photograph=fundus(60, 60))
    assert kind == "turned"


@pytest.mark.parametrize("part", [1, 7, 10**6])
@pytest.mark.parametrize("shape", [(50,), (50, 3), (50, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_distinct_values_are_counted_in_parts_as_a_counter_does(monkeypatch, part, shape, dtype):
    monkeypatch.setattr(mask_checks, "PART", part)
    values = np.random.default_rng(0).choice(np.array([0, 1, np.iinfo(dtype).max], dtype), shape)
    distinct, counts = mask_checks._distinct(values)
    found = dict(zip(map(tuple, distinct.tolist()), counts.tolist(), strict=True))
    assert found == collections.Counter(tuple(np.atleast_1d(value)[:3].tolist()) for value in values)


def test_masks_are_read_together_with_what_is_not_plausible_about_them(tmp_path, fundus):
    Image.fromarray(fundus(HEIGHT, WIDTH)).save(tmp_path / "eye.png")
    Image.fromarray(255 - spot(255)).save(tmp_path / "mask.png")
    case = Case("eye", tmp_path / "eye.png", {"HE": tmp_path / "mask.png"}, "test")
    labels, (warning,) = read_checked_labels(case, (HEIGHT, WIDTH), ONE)
    assert labels.masks.sum() == HEIGHT * WIDTH - 100
    assert by_kind([warning, warning]) == {"inverted": [warning.text, warning.text]}
