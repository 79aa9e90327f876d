"""The first layers of every network compared with OpenCV; their gradients and saved files."""

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from configs import InputError, PreprocessConfig
from models.layers.preprocessing import ColorSpace, preprocess
from models.network import Network, image_input, probability_head

CODES = {
    "hsv": cv2.COLOR_RGB2HSV_FULL,
    "lab": cv2.COLOR_RGB2LAB,
    "ycrcb": cv2.COLOR_RGB2YCrCb,
    "gray": cv2.COLOR_RGB2GRAY,
}
ALL_STEPS = PreprocessConfig(color_space="lab", gamma=0.7, sharpening=0.5)


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def precision(request):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(request.param)
    yield request.param
    keras.mixed_precision.set_dtype_policy(before)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """Returns uint8 RGB `[96, 80, 3]`: a smooth orange retina with fine structure, and every extreme in blocks."""
    random = np.random.default_rng(0)
    ys, xs = np.mgrid[:64, :80] / 64
    retina = np.stack([190 - 60 * xs, 90 - 30 * ys + 20 * np.sin(9 * xs), 50 + 10 * np.cos(7 * ys)], axis=-1)
    retina = np.clip(retina + random.normal(0, 12, retina.shape), 0, 255).astype(np.uint8)
    corners = np.array(np.meshgrid([0, 1, 254, 255], [0, 1, 254, 255], [0, 1, 254, 255])).reshape(3, 64).T
    greys = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
    anything = random.integers(0, 256, (32 * 80 - len(corners) - len(greys), 3))
    extremes = np.concatenate([corners, greys, anything]).astype(np.uint8).reshape(32, 80, 3)
    return np.concatenate([retina, extremes])


def ours(photograph: np.ndarray, **options) -> np.ndarray:
    """Returns float32 `[h, w, 3]`."""
    image = keras.Input((None, None, 3))
    seen = keras.Model(image, preprocess(image, PreprocessConfig(**options)))(photograph[None].astype(np.float32))
    assert seen.dtype == "float32"
    return seen.numpy()[0]


def opencv(photograph: np.ndarray, space: str) -> np.ndarray:
    if space == "green":
        return photograph[..., [1, 1, 1]]
    converted = cv2.cvtColor(photograph, CODES[space])
    return cv2.cvtColor(converted, cv2.COLOR_GRAY2RGB) if space == "gray" else converted


def hue_apart(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Returns the difference on a circle of 256."""
    apart = np.abs(one - two)
    return np.minimum(apart, 256 - apart)


@pytest.mark.parametrize("space", [*CODES, "green"])
def test_a_colour_space_equals_that_of_opencv_up_to_rounding(space, photograph, precision):
    seen, expected = ours(photograph, color_space=space), opencv(photograph, space).astype(np.float32)
    apart = np.abs(seen - expected)
    if space == "hsv":
        apart[..., 0] = hue_apart(seen[..., 0], expected[..., 0])
    # Rounding changes up to half a level (a quarter on average). OpenCV computes chroma from rounded luma, has coarse
    # tables for Lab near black, and rounds the last half level of a turn of the hue to 0.
    assert apart.max() < {"ycrcb": 0.87, "lab": 1.7, "hsv": 1.01}.get(space, 0.51)
    assert np.quantile(apart, 0.99) < 0.75
    assert apart.mean() < 0.3


def test_lab_equals_the_float_conversion_of_opencv_of_linear_light(photograph):
    srgb = photograph / 255
    linear = np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92).astype(np.float32)
    # From sRGB, OpenCV interpolates between 33 nodes and is off by half a level for greys.
    expected = cv2.cvtColor(linear, cv2.COLOR_LRGB2LAB) * [2.55, 1, 1] + [0, 128, 128]
    np.testing.assert_allclose(ours(photograph, color_space="lab"), expected, atol=0.02)


def test_hsv_equals_the_float_conversion_of_opencv(photograph):
    expected = cv2.cvtColor(photograph.astype(np.float32), cv2.COLOR_RGB2HSV) * [256 / 360, 255, 1]
    seen = ours(photograph, color_space="hsv")
    assert hue_apart(seen[..., 0], expected[..., 0]).max() < 1e-3 + 1  # hues above 255 are clipped
    assert np.quantile(hue_apart(seen[..., 0], expected[..., 0]), 0.98) < 1e-3
    np.testing.assert_allclose(seen[..., 1:], expected[..., 1:], atol=1e-3)


@pytest.mark.parametrize("space", [*CODES, "green"])
def test_every_channel_lies_in_0_to_255(space, photograph):
    seen = ours(photograph, color_space=space)
    assert seen.min() >= 0
    assert seen.max() <= 255


@pytest.mark.parametrize("space", ["gray", "green"])
def test_gray_and_green_are_three_equal_channels(space, photograph):
    seen = ours(photograph, color_space=space)
    assert np.array_equal(seen[..., 0], seen[..., 1])
    assert np.array_equal(seen[..., 0], seen[..., 2])


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.8, 1.2, 2.2, 10])
def test_gamma_equals_a_lookup_table(gamma, photograph, precision):
    table = np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    assert np.abs(ours(photograph, gamma=gamma) - cv2.LUT(photograph, table)).max() < 0.501


@pytest.mark.parametrize("k", [0.25, 1, 3])
def test_sharpening_equals_the_filter_of_opencv(k, photograph, precision):
    kernel = np.full((3, 3), -k)
    kernel[1, 1] = 1 + 8 * k
    seen, exact = ours(photograph, sharpening=k), cv2.filter2D(photograph, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(seen - exact).max() < 0.501
    floats = cv2.filter2D(photograph.astype(np.float64), -1, kernel, borderType=cv2.BORDER_REPLICATE).clip(0, 255)
    np.testing.assert_allclose(seen, floats, atol=2e-3 * k)


def test_a_uniform_image_is_not_changed_by_sharpening():
    flat = np.full((5, 7, 3), 131, np.uint8)
    np.testing.assert_allclose(ours(flat, sharpening=2.0), flat, atol=1e-2)


def test_an_image_of_one_pixel_is_sharpened():
    assert ours(np.full((1, 1, 3), 9, np.uint8), sharpening=1.0).tolist() == [[[9, 9, 9]]]


def test_the_steps_are_applied_in_the_order_colour_gamma_sharpening(photograph):
    step = ours(ours(photograph, color_space="lab"), gamma=0.7)
    np.testing.assert_allclose(
        ours(photograph, color_space="lab", gamma=0.7, sharpening=0.5), ours(step, sharpening=0.5), atol=1e-2
    )


def test_the_default_adds_no_layer():
    image = keras.Input((None, None, 3))
    assert preprocess(image, PreprocessConfig()) is image


def test_fractions_of_levels_reach_the_network_under_bfloat16(precision):
    image, x = image_input(PreprocessConfig(), stride=1)
    levels = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype(np.float32)
    assert np.array_equal(keras.Model(image, x)(levels), levels)


@pytest.mark.parametrize("space", ["rgb", *CODES, "green"])
@pytest.mark.parametrize("gamma", [0.4, 2.2])
def test_gradients_are_finite_at_every_extreme(space, gamma, photograph):
    image = keras.Input((None, None, 3))
    options = PreprocessConfig(color_space=space, gamma=gamma, sharpening=0.5)
    model = keras.Model(image, preprocess(image, options))
    x = tf.constant(photograph[None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(model(x))
    gradient = tape.gradient(total, x).numpy()
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient != 0)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")  # Keras
def test_a_saved_network_keeps_its_preprocessing(photograph, tmp_path):
    image, x = image_input(ALL_STEPS, stride=1)
    network = Network(image, probability_head(keras.layers.Rescaling(1 / 255)(x), 1))
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in network.layers]
    batch = photograph[None].astype(np.float32)
    assert np.array_equal(loaded(batch), network(batch))


@pytest.mark.parametrize("size", [None, 16])
def test_an_exported_network_keeps_its_preprocessing(size, photograph, tmp_path):
    image, x = image_input(ALL_STEPS, stride=1)
    module = tf.Module()
    module.network = keras.Model(image, x)
    module.see = tf.function(
        lambda batch: module.network(batch, training=False),
        input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)],
    )
    tf.saved_model.save(module, tmp_path / "exported")
    batch = photograph[None, :16, :16].astype(np.float32)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.see(batch), module.network(batch), atol=2e-3)


def test_layers_are_restored_from_their_config():
    layer = ColorSpace("lab", name="colours")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (type(again), again.space, again.name) == (ColorSpace, "lab", "colours")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"color_space": "luv"},
            r"model\.preprocess\.color_space must be one of rgb, hsv, lab, ycrcb, gray, green; received 'luv'",
        ),
        ({"gamma": 0}, r"model\.preprocess\.gamma must be above 0 and at most 10; received 0"),
        ({"sharpening": -1}, r"model\.preprocess\.sharpening must be 0 to 10; received -1"),
    ],
)
def test_invalid_options_are_refused_with_the_allowed_values(options, message):
    with pytest.raises(InputError, match=message):
        PreprocessConfig(**options)
