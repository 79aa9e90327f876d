"""LiteUNet: which maps its decoder gets, its input, its head and its weights."""

import keras
import numpy as np
import pytest
from scipy.special import logit

from configs import InputError, LiteUNetConfig, PreprocessConfig
from models.layers.local_contrast import LocalContrast, LocalStandardization, TileStandardization
from models.layers.normalization import FusedBatchNormalization
from models.networks.encoders import encoder_layers
from models.networks.lite_unet import build_lite_unet

TINY = LiteUNetConfig(finest=2, widths=(8, 8))
LAST_MAPS = {2: "block0_project_norm", 4: "block2_add", 8: "block4_add", 16: "block10_add", 32: "block15_project_norm"}


def images(side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).uniform(60, 220, (2, side, side, 3)).astype(np.float32)


@pytest.mark.parametrize(("finest", "levels"), [(2, 1), (2, 4), (4, 1), (4, 3)])
def test_the_widths_decide_which_stage_is_the_coarsest(finest, levels):
    network = build_lite_unet(LiteUNetConfig(finest=finest, widths=(8, 16, 24, 32)[:levels]), classes=2)
    strides = [finest * 2**level for level in range(levels + 1)]
    assert network.stride == strides[-1]
    assert (
        network.get_layer(f"narrow{levels - 1}").input is network.get_layer(f"encoder_{LAST_MAPS[strides[-1]]}").output
    )
    for level, stride in enumerate(strides[:-1]):
        lateral = network.get_layer(f"lateral{level}")
        assert lateral.input is network.get_layer(f"encoder_{LAST_MAPS[stride]}").output
        assert network.get_layer(f"skip{level}").input[1] is lateral.output
        assert network.get_layer(f"decoder{level}_relu1").output.shape[-1] == 8 * (level + 1)
    assert network.get_layer("head").input is network.get_layer("decoder0_relu1").output
    deepest = max(int(layer.name.split("_")[1][5:]) for layer in network.layers if "encoder_block" in layer.name)
    assert LAST_MAPS[strides[-1]].startswith(f"block{deepest}_")


def test_the_encoder_can_be_frozen_with_its_statistics():
    network = build_lite_unet(TINY, classes=1)
    part = encoder_layers(network)
    before = [weight for layer in part for weight in layer.get_weights()]
    decoder = len(network.trainable_weights) - sum(len(layer.trainable_weights) for layer in part)
    for layer in part:
        layer.trainable = False
    network(images(), training=True)
    assert len(network.trainable_weights) == decoder > 0
    after = [weight for layer in part for weight in layer.get_weights()]
    assert len(after) > 20
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.parametrize("contrast", [False, True])
def test_the_encoder_gets_the_weights_of_a_file(contrast, tmp_path):
    saved = build_lite_unet(TINY, classes=1)
    saved.save(tmp_path / "network.keras")
    options = LiteUNetConfig(weights=str(tmp_path / "network.keras"), widths=(8,), contrast=contrast)
    stem, *rest = (layer for layer in encoder_layers(build_lite_unet(options, classes=3)) if layer.weights)
    [kernel], [expected] = stem.get_weights(), saved.get_layer("encoder_stem").get_weights()
    assert np.array_equal(kernel[:, :, :3], expected)
    assert np.all(kernel[:, :, 3:] == 0)
    assert len(rest) > 10
    for layer in rest:
        expected = saved.get_layer(layer.name).get_weights()
        assert all(np.array_equal(*pair) for pair in zip(layer.get_weights(), expected, strict=True)), layer.name


def test_the_network_sees_scaled_levels_and_local_contrast():
    """Contrast is that of the preprocessed image, with the field of view of the photograph."""
    options = LiteUNetConfig(finest=2, widths=(8,), contrast=True, contrast_sigma=5.0)
    network = build_lite_unet(options, classes=1, preprocess=PreprocessConfig(color_space="lab"))
    lab = keras.Model(network.input, network.get_layer("color_space").output)(images())
    seen = np.asarray(keras.Model(network.input, network.get_layer("channels").output)(images()))
    np.testing.assert_allclose(seen[..., :3], (lab - 127) / 128, atol=1e-5)
    np.testing.assert_allclose(seen[..., 3:], LocalContrast(5.0)(lab, images()), atol=1e-5)
    assert network.get_layer("encoder_stem").input.shape[-1] == 6
    assert build_lite_unet(TINY, classes=1).get_layer("encoder_stem").input.shape[-1] == 3


def test_a_network_that_standardises_sees_no_levels_and_hardly_the_camera():
    options = LiteUNetConfig(finest=2, widths=(8, 8), standardize=True, standardize_sigma=16.0)
    network = build_lite_unet(options, classes=1)
    seen = np.asarray(network.get_layer("encoder_stem").input.shape)
    assert seen[-1] == 3 and "encoder_scaling" not in {layer.name for layer in network.layers}
    front = keras.Model(network.input, network.get_layer("standardization").output)
    np.testing.assert_allclose(front(images()), LocalStandardization(16.0)(images(), images()), atol=1e-5)


def test_levels_over_the_tile_come_after_what_the_weights_know():
    options = LiteUNetConfig(finest=2, widths=(8, 8), standardize=True, contrast=True, levels=True)
    network = build_lite_unet(options, classes=1)
    assert network.get_layer("encoder_stem").input.shape[-1] == 9
    seen = keras.Model(network.input, network.get_layer("levels").output)(images())
    np.testing.assert_allclose(seen[..., :3], LocalStandardization(64.0)(images(), images()), atol=1e-5)
    np.testing.assert_allclose(seen[..., 6:], TileStandardization()(images(), images()), atol=1e-5)


def test_all_normalisations_are_fused_ones():
    network = build_lite_unet(TINY, classes=1)
    kinds = {type(layer) for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)}
    assert kinds == {FusedBatchNormalization}


def test_all_pixels_start_near_the_prior():
    keras.utils.set_random_seed(0)
    options = LiteUNetConfig(finest=2, widths=(8,), prior=0.01, dropout=0.2)
    network = build_lite_unet(options, classes=2)
    assert network.get_layer("dropout").rate == 0.2
    # As a training begins: with statistics of the batch, as the moving ones know nothing yet.
    assert logit(network(images(), training=True).numpy()).mean() == pytest.approx(logit(0.01), abs=0.5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"weights": "imagenet"}, r"weights must be none or the path of a .*\.keras file; received 'imagenet'"),
        ({"finest": 8}, "finest must be 2 or 4; received 8"),
        ({"widths": ()}, r"widths must be 1 to 3 numbers of at least 1 for model.lite_unet.finest 4; received \(\)"),
        ({"widths": (8,) * 4}, "widths must be 1 to 3 numbers"),
        ({"finest": 2, "widths": (8,) * 5}, "widths must be 1 to 4 numbers of at least 1 for model.lite_unet.finest 2"),
        ({"widths": (8, 0)}, r"widths must be .*; received \(8, 0\)"),
        ({"standardize_sigma": 8.0}, "standardize_sigma must be 16 to 200; received 8.0"),
        ({"standardize": True, "finest": 2, "widths": (8,)}, "standardize must be False at a stride of 4"),
        ({"levels": True}, "levels must be False without model.lite_unet.standardize, .*; received True"),
        ({"contrast_sigma": 3.0}, "contrast_sigma must be 4 to 100; received 3.0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1; received 1.0"),
        ({"prior": 0.0}, "prior must be above 0 and below 1; received 0.0"),
    ],
)
def test_invalid_options_are_refused_with_the_allowed_values(options, expected):
    with pytest.raises(InputError, match=rf"^model\.lite_unet\.{expected}"):
        LiteUNetConfig(**options)
