"""Local contrast compared with SciPy's Gaussian, in the black background, and at the border of a tile."""

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from models.layers.local_contrast import DARK, RETINA, LocalContrast

SIGMA = 10.0
TILE = 192


def expected_contrast(image: np.ndarray, photograph: np.ndarray, sigma: float) -> np.ndarray:
    """Returns the contrast by its definition of an image `[h, w, 3]` in float64, at full size."""
    retina = np.clip((photograph.max(axis=-1, keepdims=True) - DARK) / (RETINA - DARK), 0, 1)

    def blur(maps):
        return scipy.ndimage.gaussian_filter(maps.astype(np.float64), (sigma, sigma, 0), mode="constant", truncate=6)

    means = blur(image * retina) / np.maximum(blur(retina), 1e-6)
    return np.clip(4 * (image - means) * retina / 255, -3, 3)


def contrast(image: np.ndarray, sigma: float = SIGMA, photograph: np.ndarray | None = None) -> np.ndarray:
    photograph = image if photograph is None else photograph
    return np.asarray(LocalContrast(sigma)(image[None], photograph[None]))[0]


@pytest.fixture(scope="module", params=["even light", "uneven light"])
def light(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def photograph(light) -> np.ndarray:
    """Returns a retina `[480, 640, 3]` with texture, noise and optionally uneven light, on black."""
    random = np.random.default_rng(0)
    ys, xs = np.mgrid[:480, :640].astype(np.float64)
    brightness = 1 - 0.4 * np.hypot(ys - 200, xs - 350) / 400 if light == "uneven light" else np.ones((480, 640))
    texture = scipy.ndimage.gaussian_filter(random.normal(0, 1, (480, 640)), 3) * 60
    texture += scipy.ndimage.gaussian_filter(random.normal(0, 1, (480, 640)), 12) * 250
    retina = brightness[..., None] * np.array([190, 105, 60]) + texture[..., None] + random.normal(0, 4, (480, 640, 3))
    disc = (np.hypot(ys - 240, xs - 320) < 300)[..., None]
    return np.where(disc, np.clip(retina, 45, 255), random.uniform(0, 8, (480, 640, 3))).astype(np.float32)


@pytest.mark.parametrize(("sigma", "shrink"), [(4.0, 2), (7.5, 2), (10.0, 4), (25.0, 4)])
def test_contrast_equals_its_definition_within_a_hundredth(photograph, sigma, shrink):
    assert LocalContrast(sigma).shrink == shrink
    found, expected = contrast(photograph, sigma), expected_contrast(photograph, photograph, sigma)
    error = np.abs(found - expected)
    assert error.max() < 0.03
    assert np.quantile(error, 0.999) < 0.01
    assert error.mean() < 0.01 * np.abs(expected).mean()


def test_noise_at_the_limit_of_the_field_of_view_has_little_effect(photograph):
    brighter = contrast(photograph * 1.02)
    assert np.abs(brighter - 1.02 * contrast(photograph)).max() < 0.05


def test_a_uniform_retina_has_no_contrast_and_a_lesion_four_times_its_difference():
    retina = np.full((128, 128, 3), 150, np.float32)
    assert np.abs(contrast(retina)).max() < 1e-5
    retina[64, 64] = 99  # 51 levels, a fifth of 255, darker; its own effect on the mean is negligible
    np.testing.assert_allclose(contrast(retina)[64, 64], -4 * 0.2, atol=0.01)


def test_contrast_is_clipped_to_three():
    image = np.full((128, 128, 3), 255, np.float32)
    image[60:63, 60:63] = 21  # counts as retina by only a twentieth
    assert contrast(image, photograph=np.full_like(image, 255))[61, 61, 0] == -3


def test_the_background_has_no_contrast_and_does_not_change_that_of_the_rim():
    """If the mean contained the black background, the rim of a uniform retina would look bright."""
    ys, xs = np.mgrid[:128, :128]
    disc = np.hypot(ys - 64, xs - 64) < 50
    found = contrast(np.where(disc[..., None], 150, 0).astype(np.float32) * np.ones(3, np.float32))
    assert np.all(found[~disc] == 0)
    assert np.abs(found).max() < 1e-4


def test_a_black_image_has_no_contrast():
    assert np.all(contrast(np.zeros((64, 64, 3), np.float32)) == 0)


def test_the_field_of_view_comes_from_the_photograph_and_not_from_the_preprocessed_image(photograph):
    """In L*a*b* the background is (0, 128, 128)."""
    lab = np.where(photograph.max(axis=-1, keepdims=True) > 20, photograph[..., ::-1], np.float32([0, 128, 128]))
    found = contrast(lab, photograph=photograph)
    np.testing.assert_allclose(found, expected_contrast(lab, photograph, SIGMA), atol=0.03)
    assert np.all(found[photograph.max(axis=-1) < DARK] == 0)


def interior_tiles(photograph: np.ndarray) -> list[tuple[int, int]]:
    """Returns origins of tiles inside the retina, at every phase of the shrunk image."""
    random = np.random.default_rng(1)
    return [(int(y), int(x)) for y, x in random.integers((100, 150), (190, 300), (40, 2))]


def test_no_frame_is_visible_at_the_border_of_a_tile(photograph, light):
    """The contrast of a tile is that of the same pixels in the whole photograph: exactly but near the border, and there
    with an error well below the contrast itself that falls off smoothly, and without bias but for what the light falls
    off within a sigma."""
    whole = contrast(photograph)
    rows, spread = [], []  # by distance from the nearest border, at the middles of the sides
    for y, x in interior_tiles(photograph):
        tile = contrast(photograph[y : y + TILE, x : x + TILE])
        difference = tile - whole[y : y + TILE, x : x + TILE]
        middle = slice(TILE // 4, 3 * TILE // 4)
        sides = [difference[:, middle], difference[::-1, middle]]
        sides += [difference[middle].swapaxes(0, 1), difference[middle, ::-1].swapaxes(0, 1)]
        rows.append(np.stack(sides))  # [sides, distance, along, 3]
        spread.append(whole[y : y + TILE, x : x + TILE].std())
    errors, spread = np.stack(rows), np.mean(spread)  # [tiles, sides, distance, along, 3]
    rms = np.sqrt(np.mean(errors**2, axis=(0, 1, 3, 4)))  # [distance]
    bias = np.mean(errors, axis=(0, 1, 3, 4))
    assert np.all(rms[40:96] < 0.02 * spread)  # beyond the reach of the Gaussian: the same
    assert rms.max() < 0.5 * spread
    assert np.all(np.abs(bias) < (0.04 if light == "even light" else 0.15) * spread)
    assert np.all(np.abs(np.diff(rms)) < 0.05 * spread)  # no step from one row to the next
    assert np.all(np.abs(errors) < 0.6)


def test_zero_padding_of_a_short_side_is_not_visible_either(photograph):
    tile = photograph[100 : 100 + TILE, 200 : 200 + TILE]
    padded = np.pad(tile, ((0, 64), (0, 64), (0, 0)))
    np.testing.assert_allclose(contrast(padded)[:TILE, :TILE], contrast(tile), atol=0.02)


def test_sizes_may_be_unknown_when_the_graph_is_traced(photograph):
    layer = LocalContrast(SIGMA)
    traced = tf.function(lambda x: layer(x, x), input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    for height, width in [(64, 64), (32, 96)]:
        images = photograph[None, 200 : 200 + height, 300 : 300 + width]
        np.testing.assert_allclose(traced(images), layer(images, images), atol=1e-6)


def test_the_layer_is_restored_from_its_config():
    layer = LocalContrast(7.5, name="contrast", dtype="float32")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (type(again), again.sigma, again.shrink, again.name) == (LocalContrast, 7.5, 2, "contrast")
