"""Photometric augmentations: each follows its formula, stays within 0..255, and leaves the mask unchanged."""

import math

import cv2
import numpy as np
import pytest
import tensorflow as tf

from configs import AugmentConfig
from pipeline.input.augmentation import augment
from pipeline.input.draws import uniform
from pipeline.input.photometric import COLORS, recolor

NAMES = ("illumination", "vignette", "blur", "noise", *COLORS, "gamma", "sharpening", "jpeg")
NUMBER = 24
LUMA = np.array([0.299, 0.587, 0.114])
STRONGEST = {
    "brightness_fraction": 0.9,
    "contrast_fraction": 0.9,
    "saturation_fraction": 1.0,
    "hue_degrees": 180.0,
    "temperature_fraction": 0.9,
    "color_fraction": 0.9,
    "brightening_alpha": 4.0,
    "brightening_beta": 255.0,
    "illumination_fraction": 0.9,
    "haze_fraction": 0.9,
    "haze_level": 0.0,
    "vignette_fraction": 0.9,
    "vignette_radius": 0.5,
    "noise_sigma": 64.0,
    "gamma_exponent": 4.0,
    "blur_sigma": 4.0,
    "sharpening_k": 4.0,
    "jpeg_quality": 1,
}


@pytest.fixture(scope="module")
def image():
    """Float32 `[48, 48, 3]` from 60 to 160, smooth with some noise: what little changes is not clipped."""
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.uniform(70, 150, (5, 5, 3)), (48, 48), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.uniform(-8, 8, smooth.shape), 60, 160).astype(np.float32)


def config(**fields: float) -> AugmentConfig:
    """Returns a config with these fields, and neither flips nor turns."""
    return AugmentConfig(horizontal_flip=0.0, vertical_flip=0.0, quarter_turn=0.0, **fields)


def recolor_many(image: np.ndarray, **fields: float) -> np.ndarray:
    """The image recoloured with the seeds [3, 0], [3, 1], … inside tf.data, `[NUMBER, H, W, 3]`."""
    given = tf.constant(image)
    drawn = tf.data.Dataset.range(NUMBER).map(lambda k: recolor(given, tf.stack([np.int64(3), k]), config(**fields)))
    return next(drawn.batch(NUMBER).as_numpy_iterator())


def draws(name: str, low: float, high: float, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Returns what `recolor_many` draws under a name, shaped to broadcast over images."""
    drawn = np.stack([uniform(tf.constant([3, k], tf.int64), name, low, high=high, shape=shape) for k in range(NUMBER)])
    return drawn.reshape(NUMBER, 1, 1, -1).astype(np.float64)


@pytest.mark.parametrize("name", [*NAMES, "everything"])
def test_the_image_stays_within_0_and_255_and_the_mask_unchanged(name):
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3)).astype(np.float32)
    image[:8], image[8:16] = 0, 255
    mask = (image[..., :2] > 127).astype(np.float32)
    names = NAMES if name == "everything" else (name,)
    strongest = config(**dict.fromkeys(names, 1.0), **STRONGEST)
    drawn = tf.data.Dataset.range(NUMBER).map(
        lambda k: augment(tf.constant(image), tf.constant(mask), tf.stack([np.int64(3), k]), config=strongest)
    )
    images, masks = next(drawn.batch(NUMBER).as_numpy_iterator())
    assert np.isfinite(images).all()
    assert images.min() >= 0
    assert images.max() <= 255
    assert np.mean([not np.allclose(changed, image, atol=1e-3) for changed in images]) > 0.8
    assert np.all(masks == mask)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_applied_as_drawn(image, name):
    drawn = recolor_many(image, **{name: 0.5}, **STRONGEST)
    changed = np.array([not np.array_equal(one, image) for one in drawn])
    fires = draws(name, 0, 1).ravel() < 0.5
    assert not changed[~fires].any()
    assert changed[fires].mean() > 0.8  # a blur of a tenth of a pixel changes nothing


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("brightness", lambda: 1 + draws("brightness strength", -0.2, 0.2)),
        ("color", lambda: 1 + draws("color strength", -0.1, 0.1, (3,))),
        ("temperature", lambda: 1 + draws("temperature strength", -0.1, 0.1) * [1, 0, -1]),
    ],
    ids=["brightness", "color", "temperature"],
)
def test_gains_multiply_the_channels(image, name, factor):
    np.testing.assert_allclose(recolor_many(image, **{name: 1.0}), image * factor(), rtol=1e-5)


def test_contrast_spreads_colours_about_the_mean_colour(image):
    mean = image.mean(axis=(0, 1))
    expected = mean + (image - mean) * (1 + draws("contrast strength", -0.2, 0.2))
    np.testing.assert_allclose(recolor_many(image, contrast=1.0), expected, rtol=1e-4)


def test_saturation_spreads_colours_about_grey(image):
    grey = (image @ LUMA)[..., None]
    expected = grey + (image - grey) * (1 + draws("saturation strength", -0.2, 0.2))
    np.testing.assert_allclose(recolor_many(image, saturation=1.0), expected, rtol=2e-3)


def test_hue_keeps_luma_and_grey(image):
    turned = recolor_many(image, hue=1.0, hue_degrees=30.0)
    np.testing.assert_allclose(turned @ LUMA, np.broadcast_to(image @ LUMA, turned.shape[:-1]), rtol=1e-3)
    assert np.abs(turned - image).max() > 10
    grey = np.repeat(image[..., :1], 3, axis=-1)
    np.testing.assert_allclose(recolor_many(grey, hue=1.0), np.broadcast_to(grey, turned.shape), rtol=2e-3)


def test_brightening_is_alpha_times_the_image_plus_beta(image):
    fraction = draws("brightening strength", 0, 1)
    expected = np.minimum((1 + 0.2 * fraction) * image + 10 * fraction, 255)
    np.testing.assert_allclose(recolor_many(image, brightening=1.0), expected, rtol=1e-5)


def test_gamma_is_a_power_that_keeps_black_and_white(image):
    image = image.copy()
    image[0], image[1] = 0, 255
    exponents = np.exp(draws("gamma strength", -math.log(1.3), math.log(1.3)))
    np.testing.assert_allclose(recolor_many(image, gamma=1.0), 255 * (image / 255) ** exponents, rtol=1e-4)


def test_sharpening_is_the_earlier_systems_kernel(image):
    for changed, k in zip(recolor_many(image, sharpening=1.0), draws("sharpening strength", 0, 1).ravel(), strict=True):
        kernel = np.full((3, 3), -k)
        kernel[1, 1] = 1 + 8 * k
        expected = cv2.filter2D(image.astype(np.float64), -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        np.testing.assert_allclose(changed, np.clip(expected, 0, 255), atol=0.01)


def test_blur_is_a_gaussian(image):
    sigmas = np.maximum(draws("blur strength", 0, 1.5).ravel(), 0.1)
    for changed, sigma in zip(recolor_many(image, blur=1.0, blur_sigma=1.5), sigmas, strict=True):
        kernel = cv2.getGaussianKernel(11, sigma)
        expected = cv2.sepFilter2D(image.astype(np.float64), -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
        np.testing.assert_allclose(changed, expected, atol=0.01)


def test_illumination_is_a_smooth_gain_of_all_channels(image):
    gains = recolor_many(image, illumination=1.0) / image
    np.testing.assert_allclose(gains, np.repeat(gains[..., :1], 3, axis=-1), rtol=1e-5)
    furthest = np.abs(gains - 1).max(axis=(1, 2, 3))
    np.testing.assert_allclose(furthest, draws("illumination strength", 0, 0.3).ravel(), rtol=0.03, atol=1e-4)
    assert np.abs(np.diff(gains, axis=1)).max() < 0.05
    assert np.abs(gains.mean() - 1) < 0.05


def test_haze_mixes_with_the_grey_that_is_drawn(image):
    fraction, grey = draws("haze strength", 0, 0.4), draws("haze level", 100, 255)
    expected = (1 - fraction) * image + fraction * grey
    np.testing.assert_allclose(recolor_many(image, haze=1.0, haze_level=100.0), expected, rtol=1e-4)


def test_haze_lies_before_the_other_changes_of_colour(image):
    fraction, grey = draws("haze strength", 0, 0.4), draws("haze level", 128, 255)
    hazy = ((1 - fraction) * image + fraction * grey) * (1 + draws("color strength", -0.1, 0.1, (3,)))
    mean = hazy.mean(axis=(1, 2), keepdims=True)
    expected = mean + (hazy - mean) * (1 + draws("contrast strength", -0.2, 0.2))
    drawn = recolor_many(image, haze=1.0, color=1.0, contrast=1.0)
    np.testing.assert_allclose(drawn, np.clip(expected, 0, 255), rtol=1e-3)


def test_a_vignette_darkens_with_the_distance_from_the_centre_that_is_drawn(image):
    lost = draws("vignette strength", 0, 0.6)[..., 0]
    distance, direction = draws("vignette distance", 0, 0.8), draws("vignette direction", 0, 2 * math.pi)
    places = (np.arange(48) + 0.5) / 48 - 0.5
    y = places[None, :, None] - (distance * np.sin(direction))[..., 0]
    x = places[None, None, :] - (distance * np.cos(direction))[..., 0]
    light = 1 - lost * (1 - np.exp(-(y**2 + x**2) / (2 * 0.4**2)))
    drawn = recolor_many(image, vignette=1.0, vignette_radius=0.8)
    np.testing.assert_allclose(drawn, image * light[..., None], rtol=1e-4)


def test_noise_is_that_of_each_pixel_and_channel_alone(image):
    noise = recolor_many(image, noise=1.0, noise_sigma=12.0) - image
    sigma = draws("noise strength", 0, 12).ravel()
    np.testing.assert_allclose(noise.std(axis=(1, 2, 3)), sigma, rtol=0.03, atol=1e-3)
    np.testing.assert_allclose(noise.mean(axis=(1, 2, 3)), 0, atol=0.6)
    scaled = noise / sigma[:, None, None, None]
    assert np.abs(np.corrcoef(scaled.reshape(-1, 3), rowvar=False) - np.eye(3)).max() < 0.03
    for axis in (1, 2):
        assert abs(np.mean(scaled * np.roll(scaled, 1, axis))) < 0.03


def test_jpeg_is_worse_the_lower_its_quality(image):
    changed = recolor_many(image, jpeg=1.0, jpeg_quality=10)
    assert np.array_equal(changed, np.rint(changed))  # levels, as a decoder gives them
    errors = np.abs(changed - image).mean(axis=(1, 2, 3))
    assert np.corrcoef(errors, draws("jpeg strength", 10, 101).ravel())[0, 1] < -0.7
    assert errors.max() < 20


def test_what_fires_together_is_composed_without_clipping_between(image):
    """One gain leaves 0..255 and another returns: clipped in between, the colours would be lost."""
    bright = image + 90
    fields = {"brightness": 1.0, "brightness_fraction": 0.9, "contrast": 1.0, "contrast_fraction": 0.9}
    gain = 1 + draws("brightness strength", -0.9, 0.9)
    mean = gain * bright.mean(axis=(0, 1))
    expected = mean + (gain * bright - mean) * (1 + draws("contrast strength", -0.9, 0.9))
    np.testing.assert_allclose(recolor_many(bright, **fields), np.clip(expected, 0, 255), rtol=1e-3, atol=0.02)


def test_without_augmentations_the_image_is_returned_itself(image):
    assert recolor(image, tf.constant([1, 2], tf.int64), config()) is image
