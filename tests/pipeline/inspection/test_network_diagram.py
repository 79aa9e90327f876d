"""The drawing of a network: every layer that does something, each at its resolution, edges as they run."""

import keras
import numpy as np
import pytest

from configs import ModelConfig, UNetConfig
from models import Network, build_network
from models.network import NO_PREPROCESSING, image_input
from pipeline.inspection.network_diagram import draw_network


def drawn(figure) -> dict[str, np.ndarray]:
    """The places `[n, 2]` of the layers, by kind."""
    (axes,) = figure.axes
    return {points.get_label(): np.asarray(points.get_offsets()) for points in axes.collections}


def test_a_unet_is_a_u():
    network = build_network(ModelConfig(unet=UNetConfig(width=4, levels=3, dropout=0.1)), classes=2)
    figure = draw_network(network, tile=64)
    (axes,) = figure.axes
    places = drawn(figure)
    assert {kind: len(found) for kind, found in places.items()} == {
        "input": 1,
        "other": 1,  # the scaling
        "convolution": 11,  # two a block, and the head
        "down": 2,
        "up": 2,
        "concatenation": 2,
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["64x64", "32x32", "16x16"]
    assert places["down"][:, 1].tolist() == [-1, -2]
    assert places["up"][:, 1].tolist() == [-1, 0]
    everything = np.concatenate(list(places.values()))
    assert len(np.unique(everything, axis=0)) == len(everything)  # none hides another
    heights = everything[np.argsort(everything[:, 0], kind="stable"), 1]
    lowest = np.argmin(heights)
    assert np.all(np.diff(heights[: lowest + 1]) <= 0)
    assert np.all(np.diff(heights[lowest:]) >= 0)
    edges = [text for text in axes.texts if text.arrow_patch]
    assert len(edges) == len(everything) - 1 + 2  # a chain, and two skips
    numbers = [text.get_text() for text in axes.texts if text.get_text()]
    assert numbers == ["3", "4", "8", "16", "8", "16", "8", "4", "8", "4", "2"]


def test_parallel_layers_lie_beside_each_other_and_single_pixels_below_all():
    image, x = image_input(NO_PREPROCESSING, stride=2)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(x)
    branches = [keras.layers.Conv2D(4, 1)(x), keras.layers.Conv2D(4, 3, padding="same")(x)]
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = keras.layers.Multiply()([keras.layers.Add()(branches), gate])
    x = keras.layers.UpSampling2D()(x)
    network = Network(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(x))
    figure = draw_network(network, tile=32)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["32x32", "16x16", "1x1"]
    places = drawn(figure)
    stem, first, second, head = places["convolution"]
    assert first[0] == second[0] == stem[0] + 1
    assert first[1] != second[1]
    assert places["down"].tolist() == [[2, -2]]
    assert (head[1], stem[1]) == (0, -1)


def test_a_shared_layer_is_drawn_each_time_and_the_network_stays_as_it_was():
    image, x = image_input(NO_PREPROCESSING, stride=1)
    shared = keras.layers.Conv2D(3, 3, padding="same")
    network = Network(image, keras.layers.Activation("sigmoid")(shared(shared(x))))
    tile = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3)).astype(np.float32)
    before = network(tile).numpy()
    first, second = (draw_network(network, tile=16) for _ in range(2))
    for one, two in zip(drawn(first).items(), drawn(second).items(), strict=True):
        assert one[0] == two[0]
        assert np.array_equal(one[1], two[1])
    assert len(drawn(first)["convolution"]) == 2
    assert np.array_equal(network(tile).numpy(), before)


@pytest.mark.parametrize("name", ["network.png", "network.svg"])
def test_the_drawing_is_a_file(tmp_path, name):
    network = build_network(ModelConfig(unet=UNetConfig(width=4, levels=2)), classes=1)
    draw_network(network, tile=32).savefig(tmp_path / name)
    assert (tmp_path / name).stat().st_size > 5000
