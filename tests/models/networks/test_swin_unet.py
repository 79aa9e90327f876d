"""Swin-UNet: the paper's parameters, attention compared with plain sums, shifted windows that do not leak."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from configs import InputError, SwinUNetConfig
from models.layers.blocks import DepthToSpace
from models.networks.swin_unet import (
    SpaceToDepth,
    WindowAttention,
    build_swin_unet,
    join_windows,
    relative_positions,
    split_windows,
)

NARROW = SwinUNetConfig(width=8, depths=(2, 1), heads=(1, 2), window=4)


def window_of(size: int, window: int, shifted: bool) -> np.ndarray:
    """Returns which window each place of an axis is in. Shifted windows begin half a window on: the first and the last
    are what is left over at the ends. An axis of one window is not shifted."""
    shift = window // 2 if shifted and size > window else 0
    return (np.arange(size) + window - shift) // window


def same_window(height: int, width: int, window: int, shifted: bool) -> np.ndarray:
    """Returns which pairs of tokens (row by row) share a window, bool `[h * w, h * w]`."""
    rows, columns = window_of(height, window, shifted), window_of(width, window, shifted)
    labels = (rows[:, None] * 1000 + columns).ravel()
    return labels[:, None] == labels


def attention_by_sums(layer: WindowAttention, x: np.ndarray) -> np.ndarray:
    """Computes the attention of a map `[h, w, c]` token by token, from the definition."""
    height, width, channels = x.shape
    weights = {weight.path.split("/", 1)[1]: np.asarray(weight, np.float64) for weight in layer.weights}
    mixed = x.reshape(-1, channels) @ weights["queries_keys_values/kernel"] + weights["queries_keys_values/bias"]
    queries, keys, values = np.split(mixed, 3, axis=-1)
    near = same_window(height, width, layer.window, layer.shifted)
    size, span = channels // layer.heads, 2 * layer.window - 1
    result = np.zeros((height * width, channels))
    for head, token in itertools.product(range(layer.heads), range(height * width)):
        part = slice(head * size, (head + 1) * size)
        others = np.flatnonzero(near[token])
        down = token // width - others // width + layer.window - 1
        right = token % width - others % width + layer.window - 1
        logits = keys[others, part] @ queries[token, part] / np.sqrt(size)
        logits += weights["position_bias"][head].reshape(span, span)[down, right]
        weighting = np.exp(logits) / np.exp(logits).sum()
        result[token, part] = weighting @ values[others, part]
    return (result @ weights["projection/kernel"] + weights["projection/bias"]).reshape(x.shape)


def random_attention(*, shifted: bool, window: int = 4) -> WindowAttention:
    """Returns attention of 6 channels and 2 heads with large weights, so that each has an effect."""
    rng = np.random.default_rng(0)
    layer = WindowAttention(heads=2, window=window, shifted=shifted)
    layer.build((None, None, None, 6))
    layer.set_weights([rng.normal(0, 0.7, weight.shape) for weight in layer.weights])
    return layer


def parameters(width: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int, classes: int) -> int:
    """Counts parameters by the paper's formulas, with a bias in the last layer."""
    total = 4 * 4 * 3 * width + width + 2 * width  # patch embedding, its normalisation
    for level, (depth, head) in enumerate(zip(depths, heads, strict=True)):
        c = width * 2**level
        attention = c * 3 * c + 3 * c + c * c + c + (2 * window - 1) ** 2 * head
        block = 2 * c + attention + 2 * c + c * 4 * c + 4 * c + 4 * c * c + c
        last = level == len(depths) - 1
        total += depth * block * (1 if last else 2)
        if not last:
            total += 2 * 4 * c + 4 * c * 2 * c  # merging
            total += 2 * c * 4 * c + 2 * c  # expanding from the level below
            total += 2 * c * c + c  # the skip's linear layer
        else:
            total += 2 * c  # the bridge's normalisation
    total += 2 * width + width * 16 * width + 2 * width  # normalisation, last expanding
    return total + width * classes + classes


@pytest.mark.slow
def test_the_number_of_parameters_is_that_of_the_paper():
    paper = build_swin_unet(SwinUNetConfig(window=7), classes=9)
    assert round((paper.count_params() - 9) / 1e6, 2) == 27.17  # the authors' last layer has no bias
    assert paper.count_params() == parameters(96, (2, 2, 2, 2), (3, 6, 12, 24), 7, 9) == 27_168_909
    assert paper.stride == 224
    # The default network has windows of 8 and is built in test_every_network.
    assert parameters(96, (2, 2, 2, 2), (3, 6, 12, 24), 8, 1) == 27_175_525


@pytest.mark.parametrize("window", [2, 4, 7])
def test_relative_positions_are_those_of_a_plain_loop(window):
    tokens = list(itertools.product(range(window), range(window)))
    expected = [[(a - c + window - 1) * (2 * window - 1) + b - d + window - 1 for c, d in tokens] for a, b in tokens]
    assert np.array_equal(relative_positions(window), expected)
    assert set(np.ravel(expected)) == set(range((2 * window - 1) ** 2))


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("height", "width", "window"), [(4, 4, 4), (8, 12, 4), (8, 4, 4), (10, 5, 5), (6, 4, 2)])
def test_attention_is_that_of_sums_over_neighbours(height, width, window, shifted):
    layer = random_attention(shifted=shifted, window=window)
    maps = np.random.default_rng(1).normal(size=(2, height, width, 6)).astype(np.float32)
    expected = [attention_by_sums(layer, one) for one in maps]
    np.testing.assert_allclose(layer(maps), expected, atol=2e-5)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("height", "width"), [(8, 12), (4, 12), (12, 4), (4, 4)])
def test_a_token_is_seen_by_its_window_and_by_no_other_token(height, width, shifted):
    layer = random_attention(shifted=shifted)
    tokens = height * width
    before = np.random.default_rng(1).normal(size=(1, tokens, 6)).astype(np.float32)
    after = np.repeat(before, tokens, axis=0)
    after[np.arange(tokens), np.arange(tokens)] += 1  # map k has another token k
    changed = np.any(
        layer(after.reshape(-1, height, width, 6)).numpy() != layer(before.reshape(1, height, width, 6)).numpy(),
        axis=-1,
    )
    assert np.array_equal(changed.reshape(tokens, tokens), same_window(height, width, 4, shifted))


def test_attention_of_a_size_unknown_when_traced_is_the_same():
    layer = random_attention(shifted=True)
    traced = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 6))])
    for height, width in [(8, 12), (4, 8), (4, 4)]:
        maps = np.random.default_rng(1).normal(size=(2, height, width, 6)).astype(np.float32)
        np.testing.assert_allclose(traced(maps), layer(maps), atol=1e-6)


def test_windows_are_cut_row_by_row_and_joined_again():
    maps = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    windows = split_windows(maps, 2)
    assert windows.shape == (2, 6, 4, 3)
    assert np.array_equal(windows[1, 4], maps[1, 2:4, 2:4].reshape(4, 3))
    assert np.array_equal(join_windows(windows, 4, 6), maps)


def test_patches_are_merged_and_expanded_in_the_same_order():
    maps = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    merged = SpaceToDepth()(maps)
    corners = [maps[:, y::2, x::2] for y in (0, 1) for x in (0, 1)]
    assert np.array_equal(merged, np.concatenate(corners, axis=-1))
    assert np.array_equal(DepthToSpace(2)(merged), maps)


def test_every_level_has_its_blocks_and_every_second_block_shifts():
    network = build_swin_unet(SwinUNetConfig(width=8, depths=(2, 3, 1), heads=(1, 2, 4), window=2), classes=1)
    found = {layer.name: layer for layer in network.layers if isinstance(layer, WindowAttention)}
    blocks = {"encoder0": 2, "encoder1": 3, "bridge": 1, "decoder1": 3, "decoder0": 2}
    assert list(found) == [f"{stage}_block{n}_attention" for stage, depth in blocks.items() for n in range(depth)]
    assert [layer.shifted for layer in found.values()] == [
        n % 2 == 1 for depth in blocks.values() for n in range(depth)
    ]
    heads = {"encoder0": 1, "encoder1": 2, "bridge": 4, "decoder1": 2, "decoder0": 1}
    assert all(layer.heads == heads[name.split("_")[0]] for name, layer in found.items())


def test_skips_join_the_upsampled_map_and_the_encoders_in_this_order():
    network = build_swin_unet(NARROW, classes=1)
    upsampled, skip = network.get_layer("skip0").input
    assert upsampled is network.get_layer("up0_norm").output
    assert skip is network.get_layer("encoder0_block1_add1").output
    assert sum(isinstance(layer, keras.layers.Concatenate) for layer in network.layers) == 1


def test_blocks_are_dropped_more_often_the_deeper_they_are():
    options = SwinUNetConfig(width=8, depths=(2, 2, 1), heads=(1, 2, 4), window=2, drop_path=0.2)
    network = build_swin_unet(options, classes=1)
    rates = {layer.name: layer.rate for layer in network.layers if layer.name.endswith("drop_path")}
    expected = {"encoder0": [0, 0.05], "encoder1": [0.1, 0.15], "bridge": [0.2], "decoder1": [0.1, 0.15]}
    for stage, stage_rates in {**expected, "decoder0": [0, 0.05]}.items():
        for number, rate in enumerate(stage_rates):
            found = [rates.get(f"{stage}_block{number}_add{half}_drop_path", 0) for half in (0, 1)]
            assert found == pytest.approx([rate, rate])


def test_a_dropped_block_is_left_out_for_whole_samples():
    keras.utils.set_random_seed(0)
    network = build_swin_unet(SwinUNetConfig(width=4, depths=(1, 1), heads=(1, 1), window=2, drop_path=0.5), classes=1)
    layer = network.get_layer("bridge_block0_add0_drop_path")
    kept = layer(np.ones((64, 2, 2, 3), np.float32), training=True).numpy().reshape(64, -1)
    assert set(np.unique(kept)) == {0.0, 2.0}
    assert np.all(np.ptp(kept, axis=1) == 0)


def test_all_gradients_are_dense():
    network = build_swin_unet(NARROW, classes=1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(np.full((1, 32, 32, 3), 100, np.float32)))
    gradients = tape.gradient(loss, network.trainable_variables)
    assert all(isinstance(gradient, tf.Tensor) for gradient in gradients)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"width": 0}, "width must be at least 1; received 0"),
        ({"depths": (2,), "heads": (3,)}, r"depths must be 2 to 6 numbers of at least 1; received \(2,\)"),
        ({"depths": (2, 0, 2, 2)}, r"depths must be 2 to 6 numbers of at least 1; received \(2, 0, 2, 2\)"),
        ({"heads": (3, 6)}, r"heads must be 4 numbers, .* \[96, 192, 384, 768\]; received \(3, 6\)"),
        ({"heads": (3, 6, 12, 23)}, r"heads must be 4 numbers, .* received \(3, 6, 12, 23\)"),
        ({"window": 1}, "window must be 2 to 32; received 1"),
        ({"mlp_ratio": 0}, "mlp_ratio must be at least 1; received 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1; received 1.0"),
        ({"drop_path": -0.1}, "drop_path must be at least 0 and below 1; received -0.1"),
    ],
)
def test_impossible_options_are_refused_with_what_is_allowed(options, expected):
    with pytest.raises(InputError, match=rf"^model\.swin_unet\.{expected}"):
        SwinUNetConfig(**options)
