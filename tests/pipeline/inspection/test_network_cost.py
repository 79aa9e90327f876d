"""The cost of a network: multiply-adds and kept memory compared with sums by hand, and times."""

import keras
import pytest
import tensorflow as tf
from keras import layers, ops

from configs import InputError, ModelConfig, UNetConfig
from models import Network, build_network
from models.network import NO_PREPROCESSING, image_input
from pipeline.inspection.network_cost import kept_bytes, multiply_adds, network_cost


def multiply_adds_of(model, *shape: int) -> int:
    """Counts the multiply-adds of one call of a model or function on float32 numbers of this shape."""
    return multiply_adds(tf.function(model, autograph=False).get_concrete_function(tf.TensorSpec(shape)).graph)


def multiply_adds_of_unet(width: int, levels: int, tile: int) -> int:
    """Output pixels x channels x kernel x input channels of every convolution of `models.networks.unet`, 3x3."""
    widths, pixels = [width * 2**i for i in range(levels)], [(tile // 2**i) ** 2 for i in range(levels)]
    total = tile**2 * width  # the head
    for i, (filters, area) in enumerate(zip(widths, pixels, strict=True)):
        total += area * 9 * filters * ((3 if i == 0 else widths[i - 1]) + filters)  # encoder
        if i < levels - 1:
            total += pixels[i + 1] * widths[i + 1] * 4 * filters  # from below, 2x2
            total += area * 9 * filters * (2 * filters + filters)  # decoder, after the skip's concatenation
    return total


@pytest.mark.parametrize(("width", "levels", "tile"), [(4, 3, 32), (16, 5, 512)])
def test_the_multiply_adds_of_a_unet_are_those_counted_by_hand(width, levels, tile):
    network = build_network(ModelConfig(unet=UNetConfig(width=width, levels=levels)), classes=1)
    assert multiply_adds_of(network, 1, tile, tile, 3) == multiply_adds_of_unet(width, levels, tile)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(5, 3, padding="same"), 12 * 16 * 5 * 9 * 4),
        (layers.Conv2D(5, 3, padding="valid"), 10 * 14 * 5 * 9 * 4),
        (layers.Conv2D(5, 3, strides=2, padding="same"), 6 * 8 * 5 * 9 * 4),
        (layers.Conv2D(6, 3, groups=2, padding="same"), 12 * 16 * 6 * 9 * 2),
        (layers.Conv2D(5, 3, dilation_rate=5, padding="same"), 12 * 16 * 5 * 9 * 4),  # 5 divides neither side
        (layers.DepthwiseConv2D(5, depth_multiplier=2, padding="same"), 12 * 16 * 8 * 25),
        (layers.DepthwiseConv2D(3, dilation_rate=5, padding="same"), 12 * 16 * 4 * 9),
        (layers.SeparableConv2D(7, 3, padding="same"), 12 * 16 * (4 * 9 + 7 * 4)),
        (layers.Conv2DTranspose(5, 2, strides=2), 12 * 16 * 4 * 4 * 5),
        (layers.Dense(7), 12 * 16 * 4 * 7),
        (layers.EinsumDense("bhwc,cd->bhwd", (12, 16, 7)), 12 * 16 * 4 * 7),
        (layers.MaxPooling2D(), 0),
        (layers.BatchNormalization(), 0),
    ],
)
def test_the_multiply_adds_of_each_layer_are_those_counted_by_hand(layer, expected):
    assert multiply_adds_of(layer, 1, 12, 16, 4) == expected


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))), 2 * 5 * 5 * 6),
        (lambda x: ops.einsum("bnc,bmc->bnm", x, x), 2 * 5 * 5 * 6),
        (lambda x: tf.einsum("...nc,...mc->...nm", x, x), 2 * 5 * 5 * 6),
        (lambda x: tf.matmul(x, x, transpose_a=True), 2 * 6 * 6 * 5),
        (lambda x: tf.matmul(x[0], x[0], transpose_a=True), 6 * 6 * 5),
    ],
)
def test_matrix_products_are_counted(function, expected):
    assert multiply_adds_of(function, 2, 5, 6) == expected


def test_attention_is_counted():
    """Queries, keys, values and output are 6x8 matrices and one of 8x6 for 5 tokens; two heads of 4."""
    attention = layers.MultiHeadAttention(num_heads=2, key_dim=4)
    assert multiply_adds_of(lambda x: attention(x, x), 1, 5, 6) == 4 * 5 * 6 * 8 + 2 * 2 * 5 * 5 * 4


def network_of(*parts: keras.layers.Layer) -> Network:
    image, x = image_input(NO_PREPROCESSING, stride=1)
    for part in parts:
        x = part(x)
    return Network(image, x)


@pytest.mark.parametrize(
    ("parts", "bytes_a_pixel"),
    [
        # Gradients of weights use the input of each convolution, those of activations their output.
        ([layers.Conv2D(5, 3, padding="same")], 4 * 3),
        ([layers.Conv2D(5, 3, padding="same", activation="relu"), layers.Conv2D(1, 1)], 4 * (3 + 5)),
        ([layers.Conv2D(5, 3, padding="same"), layers.Conv2D(1, 1, activation="sigmoid")], 4 * (3 + 5 + 1)),
        ([layers.Rescaling(1 / 255), layers.Conv2D(5, 3, padding="same")], 4 * 3),  # a constant factor keeps nothing
        ([layers.Conv2D(5, 3, padding="same"), layers.MaxPooling2D()], 4 * (3 + 5 + 5 / 4)),
        ([layers.Conv2D(5, 3, padding="same"), layers.Dropout(0.5), layers.Conv2D(1, 1)], 4 * (3 + 5) + 5),  # a mask
    ],
)
def test_kept_memory_is_that_of_the_activations_that_gradients_use(parts, bytes_a_pixel):
    assert kept_bytes(network_of(*parts), tile=16) == pytest.approx(16 * 16 * bytes_a_pixel, abs=64)


def test_kept_memory_grows_with_the_tile_and_not_with_the_weights():
    narrow, deep = (
        build_network(ModelConfig(unet=UNetConfig(width=4, levels=levels, normalization="none")), classes=1)
        for levels in (3, 4)
    )
    assert kept_bytes(narrow, 64) == pytest.approx(4 * kept_bytes(narrow, 32), rel=0.01)
    assert kept_bytes(narrow, 64) < kept_bytes(deep, 64) < 1.2 * kept_bytes(narrow, 64)


def test_a_tile_that_the_stride_does_not_divide_is_rounded_up():
    cost = network_cost(ModelConfig(unet=UNetConfig(width=4, levels=4)), classes=2, tile=50, timed=False)
    assert (cost.stride, cost.tile) == (8, 56)
    assert cost.forward_seconds is None
    assert cost.gmac * 1e9 == pytest.approx(multiply_adds_of_unet(4, 4, 56) + 56 * 56 * 4)  # a second class


def test_an_unknown_network_is_refused():
    with pytest.raises(InputError, match=r"model\.network must be one of"):
        network_cost(ModelConfig(network="unett"), classes=1, tile=32)


@pytest.mark.slow
def test_times_are_measured():
    cost = network_cost(ModelConfig(unet=UNetConfig(width=4, levels=2)), classes=1, tile=32)
    assert 0 < cost.forward_seconds < cost.training_seconds < 60
