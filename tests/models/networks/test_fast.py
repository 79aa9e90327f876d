"""The network `fast`: its parameters, input, initial state and head."""

import itertools

import keras
import numpy as np
import pytest
from scipy.special import logit

from configs import FastConfig, InputError, PreprocessConfig
from models import Network, build_loss
from models.layers.blocks import DepthToSpace
from models.layers.local_contrast import LocalContrast
from models.layers.normalization import MOMENTUM, FusedBatchNormalization
from models.networks.fast import build_fast

TINY = FastConfig(widths=(8, 8, 16))
RATES = {"encoder1": 0.3, "encoder2": 0.6, "decoder1": 0.3}  # of drop_path 0.6 at three levels


def images(side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).uniform(60, 220, (2, side, side, 3)).astype(np.float32)


def normalizations(network: Network) -> list[FusedBatchNormalization]:
    return [layer for layer in network.layers if isinstance(layer, FusedBatchNormalization)]


def parameters_by_hand(widths: tuple[int, ...], channels: int, classes: int, stem: int = 2) -> int:
    """Counts kernels, four numbers per channel of a normalisation, and the bias of the last layer."""
    norm = 4
    total = {2: 5, 4: 7}[stem] ** 2 * channels * widths[0] + norm * widths[0]  # stem
    total += 2 * 9 * widths[0] ** 2 + 2 * norm * widths[0]  # first block, which keeps resolution and width
    for narrow, wide in itertools.pairwise(widths):
        total += 9 * narrow * wide + 9 * wide**2 + 2 * 2 * narrow * wide + 2 * norm * wide  # encoder, with its shortcut
        total += wide * narrow + 2 * 9 * narrow**2 + 2 * norm * narrow  # decoder: 1x1 and a block
    return total + 9 * widths[0] * 32 + norm * 32 + (9 * 32 + 1) * stem**2 * classes  # head


@pytest.mark.parametrize(
    ("options", "classes", "parameters"),
    [
        (FastConfig(), 1, 2_897_988),  # the number in the docstring of models.networks.fast
        (FastConfig(), 4, 2_901_456),
        (FastConfig(contrast=False), 1, 2_895_588),
        (FastConfig(widths=(8, 8, 16)), 2, parameters_by_hand((8, 8, 16), 6, 2)),
        (FastConfig(widths=(8, 8, 16), stem=4), 2, parameters_by_hand((8, 8, 16), 6, 2, stem=4)),
    ],
)
def test_the_number_of_parameters_is_that_of_the_description(options, classes, parameters):
    network = build_fast(options, classes)
    assert network.count_params() == parameters
    assert parameters == parameters_by_hand(options.widths, 6 if options.contrast else 3, classes, options.stem)
    assert network.stride == options.stem * 2 ** (len(options.widths) - 1)


@pytest.mark.slow
@pytest.mark.parametrize(("stem", "expected"), [(2, [2, 4, 8, 16, 32]), (4, [2, 4, 8, 16])])
def test_only_contrast_and_the_rearrangement_work_at_full_resolution(stem, expected):
    network = build_fast(FastConfig(stem=stem, widths=(8,) * len(expected)), classes=1)
    sizes = {}
    for layer in network.layers:
        shapes = keras.Model(network.input, layer.output).compute_output_shape((1, 64, 64, 3))
        sizes.setdefault(shapes[1], []).append(layer.name)
    full = ["image", "stride_check", "scaling", "contrast", "channels", "pixels", "probabilities"]
    assert sorted(sizes.pop(64)) == sorted(full)
    assert sorted(sizes) == expected


@pytest.mark.parametrize("normalization", ["batch", "group"])
def test_every_block_starts_as_its_shortcut(normalization):
    """The last normalisation of a block starts at zero, so that a block is the relu of its shortcut."""
    network = build_fast(FastConfig(widths=(8, 8, 16), normalization=normalization), classes=1)
    blocks = ["encoder0", "encoder1", "encoder2", "decoder0", "decoder1"]
    for name in blocks:
        shortcut, branch = network.get_layer(f"{name}_add").input
        values = keras.Model(network.input, [shortcut, branch, network.get_layer(f"{name}_relu1").output])(images())
        shortcut, branch, output = (np.asarray(value) for value in values)
        assert np.all(branch == 0)
        assert np.array_equal(output, np.maximum(shortcut, 0))
        assert output.max() > 0
    zero = [layer.name for layer in network.layers if layer.name.endswith("norm1")]
    assert sorted(zero) == [f"{name}_norm1" for name in sorted(blocks)]


def test_the_decoder_adds_the_encoders_map_of_its_resolution():
    network = build_fast(TINY, classes=1)
    for level in (0, 1):
        enlarged, skip = network.get_layer(f"skip{level}").input
        assert enlarged is network.get_layer(f"up{level}").output
        assert skip is network.get_layer(f"encoder{level}_relu1").output


def test_every_batch_normalisation_is_fused_and_has_our_momentum():
    network = build_fast(TINY, classes=1)
    assert len(normalizations(network)) == 2 + 2 * 5  # stem, head and five blocks
    assert {layer.momentum for layer in normalizations(network)} == {MOMENTUM}
    assert not any(type(layer) is keras.layers.BatchNormalization for layer in network.layers)


def test_group_normalisation_has_groups_of_eight_channels_and_is_independent_of_the_batch():
    network = build_fast(FastConfig(widths=(8, 16), normalization="group"), classes=1)
    groups = {layer.name: layer.groups for layer in network.layers if hasattr(layer, "groups") and "norm" in layer.name}
    assert (groups["stem_norm"], groups["encoder1_norm0"], groups["head_norm"]) == (1, 2, 4)
    assert normalizations(network) == []
    both = network(images(), training=True).numpy()
    np.testing.assert_allclose(network(images()[1:], training=True).numpy(), both[1:], atol=1e-5)


def test_the_network_sees_rgb_as_fractions_of_255_and_local_contrast():
    network = build_fast(FastConfig(widths=(8, 8), contrast_sigma=5.0), classes=1)
    seen = np.asarray(keras.Model(network.input, network.get_layer("channels").output)(images()))
    np.testing.assert_allclose(seen[..., :3], images() / 255, atol=1e-6)
    np.testing.assert_allclose(seen[..., 3:], LocalContrast(5.0)(images(), images()), atol=1e-6)
    assert network.get_layer("stem").input.shape[-1] == 6


def test_without_contrast_the_network_sees_rgb_only():
    network = build_fast(FastConfig(widths=(8, 8), contrast=False), classes=1)
    assert network.get_layer("stem").input.shape[-1] == 3
    assert not any(isinstance(layer, LocalContrast) for layer in network.layers)


def test_contrast_takes_the_preprocessed_image_and_the_field_of_view_of_the_photograph():
    """In L*a*b*, two channels of black pixels are 128, which would count as retina."""
    network = build_fast(FastConfig(widths=(8, 8)), classes=1, preprocess=PreprocessConfig(color_space="lab"))
    photograph = images()
    photograph[:, :, :24] = 0
    seen = np.asarray(keras.Model(network.input, network.get_layer("channels").output)(photograph))
    assert np.all(seen[:, :, :24, 3:] == 0)
    assert np.all(np.any(seen[:, :, 24:, 3:] != 0, axis=-1))
    np.testing.assert_allclose(seen[:, :, :24, 1:3], 128 / 255, atol=0.01)


def test_contrast_is_computed_in_float32_from_fractions_of_levels_under_bfloat16_too():
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        network = build_fast(FastConfig(widths=(8, 8)), classes=1)
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    contrast = np.asarray(keras.Model(network.input, network.get_layer("contrast").output)(images()))
    assert contrast.dtype == np.float32
    np.testing.assert_allclose(contrast, LocalContrast(10.0)(images(), images()), atol=1e-6)
    assert network.get_layer("stem").compute_dtype == "bfloat16"
    assert network.get_layer("logits").compute_dtype == "float32"


def test_the_head_rearranges_four_channels_as_four_pixels():
    maps = np.arange(2 * 3 * 12, dtype=np.float32).reshape(1, 2, 3, 12)  # 2x2 pixels of 3 classes at each position
    pixels = np.asarray(DepthToSpace(2)(maps))
    assert pixels.shape == (1, 4, 6, 3)
    for y, x, label in np.ndindex(4, 6, 3):
        assert pixels[0, y, x, label] == maps[0, y // 2, x // 2, 3 * (2 * (y % 2) + x % 2) + label]


@pytest.mark.slow
@pytest.mark.parametrize("stem", [2, 4])
def test_the_network_can_predict_single_pixels(stem):
    """A sub-pixel head can learn a checkerboard; the enlargement of a smaller map cannot show it."""
    keras.utils.set_random_seed(0)
    ys, xs = np.mgrid[:32, :32]
    mask = np.tile(((ys + xs) % 2).astype(np.float32)[None, ..., None], (2, 1, 1, 1))
    image = np.where(mask > 0, 90, 180) * np.ones(3, np.float32)
    network = build_fast(FastConfig(stem=stem, widths=(8, 8)), classes=1)
    network.compile(keras.optimizers.Adam(1e-2), build_loss("bce_dice"), jit_compile=False)
    network.optimizer.build(network.trainable_variables)  # a step that creates variables is traced twice
    for _ in range(25):
        network.train_on_batch(image, mask)
    found = network(image, training=True).numpy() >= 0.5
    assert np.mean(found == (mask > 0)) > 0.95


def test_dropout_acts_only_in_training():
    keras.utils.set_random_seed(0)
    network = build_fast(FastConfig(widths=(8, 8), dropout=0.5, normalization="group"), classes=1)
    assert np.array_equal(network(images(), training=False), network(images(), training=False))
    assert not np.array_equal(network(images(), training=True), network(images(), training=True))
    assert "dropout" not in {layer.name for layer in build_fast(TINY, classes=1).layers}


def test_drop_path_drops_branches_of_samples_only_in_training_and_more_at_deeper_levels():
    keras.utils.set_random_seed(0)
    network = build_fast(FastConfig(widths=(8, 8, 8), drop_path=0.6), classes=1)
    rates = {layer.name: layer.rate for layer in network.layers if layer.name.endswith("drop_path")}
    assert rates == pytest.approx({f"{name}_drop_path": rate for name, rate in RATES.items()})
    network.get_layer("encoder2_norm1").gamma.assign(np.ones(8))  # at first every branch is 0
    branch = keras.Model(network.input, network.get_layer("encoder2_drop_path").output)
    many = np.repeat(images(32), 50, axis=0)  # 100 samples
    left_out = np.all(np.asarray(branch(many, training=True)) == 0, axis=(1, 2, 3))
    assert 40 <= left_out.sum() <= 80
    assert not np.any(np.all(np.asarray(branch(many, training=False)) == 0, axis=(1, 2, 3)))
    assert not any("drop_path" in layer.name for layer in build_fast(TINY, classes=1).layers)


@pytest.mark.parametrize("prior", [0.01, 0.5])
def test_all_pixels_start_near_the_prior(prior):
    keras.utils.set_random_seed(0)
    logits = logit(build_fast(FastConfig(widths=(8, 8), prior=prior), classes=2)(images()).numpy())
    assert logits.mean() == pytest.approx(logit(prior), abs=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": 1.0}, r"model\.fast\.prior must be above 0 and below 1; received 1\.0"),
        ({"stem": 3}, r"model\.fast\.stem must be 2 or 4; received 3"),
        ({"drop_path": 1.0}, r"model\.fast\.drop_path must be at least 0 and below 1; received 1\.0"),
        ({"widths": (8,)}, r"model\.fast\.widths must be 2 to 7 numbers of at least 1.*; received \(8,\)"),
        ({"widths": (8,) * 8}, r"model\.fast\.widths must be 2 to 7"),
        ({"widths": (8, 0)}, r"model\.fast\.widths must be .*; received \(8, 0\)"),
        ({"widths": (8, 12), "normalization": "group"}, r"multiples of 8 for model\.fast\.normalization 'group'"),
        ({"contrast_sigma": 3.0}, r"model\.fast\.contrast_sigma must be 4 to 100; received 3\.0"),
        ({"dropout": 1.0}, r"model\.fast\.dropout must be at least 0 and below 1; received 1\.0"),
        ({"normalization": "none"}, r"model\.fast\.normalization must be one of batch, group; received 'none'"),
    ],
)
def test_invalid_options_are_refused_with_the_allowed_values(options, message):
    with pytest.raises(InputError, match=message):
        FastConfig(**options)
