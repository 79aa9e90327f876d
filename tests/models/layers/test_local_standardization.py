"""Local standardisation compared with SciPy's Gaussian, and what of a camera is left in it."""

import numpy as np
import pytest
import scipy.ndimage

from models.layers.local_contrast import (
    DARK,
    FLOOR,
    RETINA,
    SPREAD,
    SPREAD_LIMIT,
    LocalStandardization,
    TileStandardization,
)

SIGMA = 32.0


def standardized(image: np.ndarray, sigma: float = SIGMA) -> np.ndarray:
    return np.asarray(LocalStandardization(sigma)(image[None], image[None]))[0]


def expected(image: np.ndarray, sigma: float) -> np.ndarray:
    """Returns the result by its definition, of an image `[h, w, 3]`, in float64, at full size."""
    retina = np.clip((image.max(axis=-1, keepdims=True) - DARK) / (RETINA - DARK), 0, 1)

    def mean(maps):
        blurred = (
            scipy.ndimage.gaussian_filter(one.astype(np.float64), (sigma, sigma, 0), mode="constant", truncate=6)
            for one in (maps * retina, retina)
        )
        sums, weights = blurred
        return sums / np.maximum(weights, 1e-6)

    middle = image.astype(np.float64)
    spread = np.sqrt(np.maximum(mean(middle**2) - mean(middle) ** 2, 0))
    return np.clip(SPREAD * (middle - mean(middle)) / (spread + FLOOR) * retina, -SPREAD_LIMIT, SPREAD_LIMIT)


@pytest.fixture(scope="module")
def photograph(disc) -> np.ndarray:
    """A retina `[320, 448, 3]` with texture on black."""
    random = np.random.default_rng(0)
    texture = scipy.ndimage.gaussian_filter(random.normal(0, 1, (320, 448)), 4)[..., None] * 120
    retina = np.array([170, 100, 70]) + texture + random.normal(0, 5, (320, 448, 3))
    inside = disc(320, 448, diameter=300).max(axis=-1, keepdims=True) > 40
    return np.where(inside, np.clip(retina, 45, 250), 2).astype(np.float32)


@pytest.mark.parametrize("sigma", [16.0, 32.0, 64.0])
def test_it_equals_its_definition(photograph, sigma):
    error = np.abs(standardized(photograph, sigma) - expected(photograph, sigma))
    assert error.max() < 0.1 and np.quantile(error, 0.99) < 0.02
    assert error.mean() < 0.01


@pytest.mark.parametrize(
    ("gains", "added"),
    [((1.1, 0.85, 0.6), 0), ((0.65, 0.65, 0.65), (70, 65, 50)), ((0.7, 0.7, 0.7), 0)],
    ids=["white balance", "haze", "darker"],
)
def test_what_is_affine_in_each_channel_of_the_retina_leaves_little(photograph, gains, added):
    inside = photograph.max(axis=-1, keepdims=True) > DARK
    changed = np.where(inside, photograph * gains + added, photograph).astype(np.float32)
    before, after = standardized(photograph), standardized(changed)
    core = scipy.ndimage.binary_erosion(inside[..., 0], iterations=3)  # of the rim, more or less counts as retina
    assert np.abs(after - before)[core].mean() < 0.15 * np.abs(before)[core].mean()
    assert np.corrcoef(before[core].ravel(), after[core].ravel())[0, 1] > 0.99


def over_the_tile(image: np.ndarray) -> np.ndarray:
    return np.asarray(TileStandardization()(image[None], image[None]))[0]


def test_over_the_tile_it_is_the_standard_score_of_the_retina(photograph):
    retina = np.clip((photograph.max(axis=-1) - DARK) / (RETINA - DARK), 0, 1).astype(np.float64)
    found = over_the_tile(photograph)
    for channel in range(3):
        values = photograph[..., channel].astype(np.float64)
        mean = np.average(values, weights=retina)
        spread = np.sqrt(np.average((values - mean) ** 2, weights=retina))
        right = np.clip(SPREAD * (values - mean) / (spread + FLOOR) * retina, -SPREAD_LIMIT, SPREAD_LIMIT)
        np.testing.assert_allclose(found[..., channel], right, atol=2e-4)


def test_over_the_tile_white_balance_and_haze_leave_little_and_a_wide_lesion_stays_dark(photograph):
    wide = photograph.copy()
    wide[110:210, 150:300] *= 0.5  # wider than the neighbourhood of the local standardisation
    middle = np.s_[140:180, 200:250]
    assert over_the_tile(wide)[middle].mean() < -0.3
    assert standardized(wide, 16.0)[middle].mean() > -0.1
    inside = wide.max(axis=-1, keepdims=True) > RETINA
    changed = np.where(inside, wide * (1.1, 0.9, 0.7) + 40, wide).astype(np.float32)
    seen = inside[..., 0] & (changed.max(axis=-1) > RETINA)
    assert np.abs(over_the_tile(changed) - over_the_tile(wide))[seen].mean() < 0.06


def test_uneven_light_leaves_less_than_a_sixth(photograph):
    xs = np.linspace(0.6, 1.1, photograph.shape[1], dtype=np.float32)[:, None]
    before, after = standardized(photograph), standardized(photograph * xs)
    core = scipy.ndimage.binary_erosion(photograph.max(axis=-1) * xs[:, 0] > RETINA, iterations=3)
    assert np.abs(after - before)[core].mean() < 0.16 * np.abs(before)[core].mean()


def test_the_background_is_zero_and_a_flat_retina_has_no_noise(photograph):
    assert np.all(standardized(photograph)[photograph.max(axis=-1) < DARK] == 0)
    flat = np.full((128, 128, 3), 120, np.float32) + np.random.default_rng(0).normal(0, 0.1, (128, 128, 3))
    assert np.abs(standardized(flat.astype(np.float32))).mean() < 0.05
