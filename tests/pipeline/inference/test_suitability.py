"""Photographs that do not suit a model are warned about in plain words, and those like its own are not."""

import functools
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.inference.measured import MeasuredPhotograph
from pipeline.inference.model_folder import read_spec
from pipeline.inference.suitability import (
    QUANTILES,
    disc_warning,
    limits,
    photograph_warnings,
    quality_warnings,
    quantiles_of,
    united_quantiles,
)
from records import MEASURES, fit_field_circle, image_files, measure_quality, read_photograph

SPEC = read_spec(Path(__file__).parents[3] / "pretrained" / "idrid_lesions" / "segmenter.json")
SIZE = (700, 1000)
USUAL = {"brightness": [0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9]}


def warnings_of(photograph: np.ndarray) -> list[str]:
    circle = fit_field_circle(photograph)
    scale = SPEC.rule().by_circle(circle, photograph.shape[:2])
    measured = MeasuredPhotograph(photograph, scale, measure_quality(photograph, circle, scale.factor))
    return photograph_warnings(measured, scale, SPEC)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def texture(seed: int, *, slope: float) -> np.ndarray:
    """Colour noise whose amplitude falls off with the frequency, as that of pictures of nature does."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE[1]), np.fft.fftfreq(SIZE[0])))
    frequency[0, 0] = 1
    planes = [np.fft.ifft2(np.fft.fft2(rng.normal(size=SIZE)) / frequency**slope).real for _ in range(3)]
    return np.stack([cv2.normalize(plane, None, 0, 255, cv2.NORM_MINMAX) for plane in planes], axis=-1).astype(np.uint8)


def written(color: int, background: int) -> np.ndarray:
    page = np.full((*SIZE, 3), background, np.uint8)
    for row in range(40, SIZE[0], 45):
        cv2.putText(page, "the quick brown fox jumps over the lazy dog", (20, row), 0, 1.2, (color,) * 3, 2)
    return page


@functools.cache
def no_photographs() -> dict[str, np.ndarray]:
    """Makes pictures that show no fundus."""
    rng = np.random.default_rng(0)
    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    pictures = {f"flat {level}": np.full((*SIZE, 3), level, np.uint8) for level in (0, 60, 128, 255)}
    pictures |= {f"noise {side}": rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (200, 500, 900)}
    pictures["grey noise"] = grey(rng.normal(120, 40, SIZE))
    pictures |= {f"page {color}": written(color, background) for color, background in ((0, 255), (255, 0), (90, 200))}
    pictures |= {
        "gradient across": grey(255 * xs / SIZE[1]),
        "gradient down": grey(255 * ys / SIZE[0]),
        "gradient aslant": grey(255 * (xs + ys) / sum(SIZE)),
        "gradient of colour": np.stack([255 * xs / SIZE[1], 255 * ys / SIZE[0], xs * 0 + 90], axis=-1).astype(np.uint8),
    }
    pictures |= {f"checkerboard {side}": grey(255 * ((ys // side + xs // side) % 2)) for side in (7, 40, 120)}
    for number, thickness in enumerate((25, 40, 60, 90)):  # bands like the layers of an OCT
        place = ys - 350 - 60 * np.sin(xs / 160 + number)
        bands = 90 * np.exp(-((place / thickness) ** 2)) + 60 * np.exp(-(((place - 80) / 12) ** 2))
        pictures[f"bands {thickness}"] = grey(bands * rng.gamma(4, 0.25, SIZE))
    pictures |= {f"texture {slope} {seed}": texture(seed, slope=slope) for slope in (0.8, 1.2, 1.6) for seed in (0, 1)}
    return pictures


def spoilt(photograph: np.ndarray) -> dict[str, np.ndarray]:
    """Spoils a photograph of IDRiD in the ways that happen."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25)).astype(np.float32)
    line = np.zeros((41, 41), np.float32)
    line[20] = 1
    aslant = cv2.warpAffine(line, cv2.getRotationMatrix2D((20, 20), 30, 1), (41, 41))
    return {
        "inverted": 255 - photograph,
        "grey": grey(cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)),
        "defocused": cv2.filter2D(photograph, -1, disc / disc.sum()),
        "moved across": cv2.filter2D(photograph, -1, line / line.sum()),
        "moved aslant": cv2.filter2D(photograph, -1, aslant / aslant.sum()),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", no_photographs())
def test_a_picture_that_shows_no_fundus_is_warned_about(name):
    assert warnings_of(no_photographs()[name])


@pytest.mark.slow
@pytest.mark.skipif("FUNDUS_TILES_IDRID" not in os.environ, reason="FUNDUS_TILES_IDRID is not set")
def test_photographs_of_idrid_are_not_warned_about_unless_they_are_spoilt():
    folder = Path(os.environ["FUNDUS_TILES_IDRID"], "A. Segmentation", "1. Original Images", "a. Training Set")
    files = image_files(folder)
    for name in ("IDRiD_04", "IDRiD_17", "IDRiD_46"):
        photograph = read_photograph(files[name], max_pixels=2 * 10**8)
        assert warnings_of(photograph) == []
        if name != "IDRiD_17":
            lines = {how: warnings_of(picture) for how, picture in spoilt(photograph).items()}
            assert all(lines.values()), (name, lines)
    assert any("blurred" in line for line in lines["defocused"])
    assert any("movement" in line for line in lines["moved across"])


@pytest.mark.slow
@pytest.mark.skipif("FUNDUS_TILES_GRADING" not in os.environ, reason="FUNDUS_TILES_GRADING is not set")
def test_few_other_photographs_of_the_camera_are_warned_about():
    files = list(image_files(Path(os.environ["FUNDUS_TILES_GRADING"], "photographs")).values())[::20]
    warned = [file for file in files if warnings_of(read_photograph(file, max_pixels=2 * 10**8))]
    assert len(files) == 20
    assert len(warned) <= 1


def test_what_is_usual_by_either_of_two_models_is_usual_by_both_together():
    one = {"brightness": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], "sharpness": [0.5] * 9}
    other = {"brightness": [0.5, 0.5, 0.5, 0.5, 0.6, 0.8, 0.8, 0.8, 0.8], "clipped": [0.1] * 9}
    united = united_quantiles(one, other)
    assert united["brightness"] == [0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 0.8, 0.8, 0.8]
    assert (united["sharpness"], united["clipped"]) == ([0.5] * 9, [0.1] * 9)
    assert united_quantiles({}, other) == other


def test_quantiles_are_those_of_numpy_over_the_photographs_that_have_the_measure():
    values = np.random.default_rng(0).random(50)
    found = quantiles_of([*({"brightness": value} for value in values), {"sharpness": 0.5}, {}])
    np.testing.assert_allclose(found["brightness"], np.quantile(values, QUANTILES), atol=1e-6)
    assert found["sharpness"] == [0.5] * len(QUANTILES)


def test_a_value_is_unusual_from_as_far_beyond_the_quantiles_as_these_are_from_the_median():
    assert limits("brightness", USUAL["brightness"]) == pytest.approx((0.3, 1.0))
    quality = dict.fromkeys(MEASURES, 0.6)
    assert quality_warnings(quality, USUAL) == []
    assert quality_warnings({**quality, "brightness": 0.31}, USUAL) == []
    expected = ["dark: brightness 0.29 where 0.5 to 0.7 are usual"]
    assert quality_warnings({**quality, "brightness": 0.29}, USUAL) == expected
    assert quality_warnings({**quality, "brightness": 0.29}, {}) == []  # a model that was never measured


def test_photographs_that_are_all_alike_do_not_make_others_unusual():
    low, high = limits("brightness", [0.6] * len(QUANTILES))
    assert (low, high) == pytest.approx((0.45, 0.75))


def test_a_disc_of_an_unusual_size_asks_for_the_field_angle():
    usual = SPEC.quality["disc_diameter"]
    assert disc_warning(usual[QUANTILES.index(0.5)], usual) is None
    assert (
        disc_warning(90, usual) == "disc of 90 pixels where 139 to 199 are usual: another field angle? --field_degrees"
    )
