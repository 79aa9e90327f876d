"""EfficientNet-Lite0: its published size, features computed with NumPy, and its files of weights."""

import keras
import numpy as np
import pytest

from configs import FastConfig, InputError
from models.layers.normalization import FusedBatchNormalization
from models.networks.efficientnet_lite import encode_lite, load_lite, scale_levels
from models.networks.fast import build_fast

PUBLISHED, CLASSIFIER, LAST_CONVOLUTION = 4_652_008, 1281 * 1000, (320 + 2) * 1280
EPSILON = 1e-3  # of the normalisations

ignore_keras_copy = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def encoder(coarsest: int, channels: int = 3) -> keras.Model:
    """Returns the encoder without scaling of its input."""
    x = keras.Input((None, None, channels))
    return keras.Model(x, encode_lite(x, coarsest=coarsest))


def with_random_weights(model: keras.Model) -> keras.Model:
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, FusedBatchNormalization):
            layer.set_weights([random.uniform(0.5, 2, weight.shape) for weight in layer.weights])
    return model


def weights_by_layer(model: keras.Model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


class Reference:
    """The encoder of NumPy for one image, with the weights of a Keras model by the names of its layers."""

    def __init__(self, model: keras.Model):
        self.weights = weights_by_layer(model)

    def convolved(self, x: np.ndarray, name: str, stride: int = 1) -> np.ndarray:
        """Pads `[h, w, c]` as TensorFlow: so much that the output has h / stride rows, the odd one at the end."""
        [kernel] = self.weights[name]
        side = kernel.shape[0]
        pads = [max(side - (stride if size % stride == 0 else size % stride), 0) for size in x.shape[:2]]
        x = np.pad(x, [*((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(0, 1))[::stride, ::stride]
        if name.endswith("_depthwise"):
            return np.einsum("hwcij,ijc->hwc", windows, kernel[..., 0])
        return np.einsum("hwcij,ijco->hwo", windows, kernel)

    def normal(self, x: np.ndarray, name: str) -> np.ndarray:
        factor, shift, mean, variance = self.weights[f"{name}_norm"]
        return factor * (x - mean) / np.sqrt(variance + EPSILON) + shift

    def active(self, x: np.ndarray, name: str, stride: int = 1) -> np.ndarray:
        return np.clip(self.normal(self.convolved(x, name, stride), name), 0, 6)

    def block(self, x: np.ndarray, number: int, stride: int = 1) -> np.ndarray:
        name, y = f"encoder_block{number}", x
        if number > 0:
            y = self.active(y, f"{name}_expand")
        y = self.active(y, f"{name}_depthwise", stride)
        y = self.normal(self.convolved(y, f"{name}_project"), f"{name}_project")
        return x + y if x.shape == y.shape else y

    def features(self, image: np.ndarray) -> dict[int, np.ndarray]:
        """Returns the features of the strides 2, 4 and 8."""
        two = self.block(self.active(image, "encoder_stem", 2), 0)
        four = self.block(self.block(two, 1, 2), 2)
        return {2: two, 4: four, 8: self.block(self.block(four, 3, 2), 4)}


def test_the_number_of_weights_is_the_published_one_without_the_classifier_and_its_convolution():
    model = encoder(32)
    trainable = sum(np.prod(weight.shape) for weight in model.trainable_weights)
    assert trainable == PUBLISHED - CLASSIFIER - LAST_CONVOLUTION == 2_958_848
    assert (
        model.count_params() == trainable + 39_456
    )  # the number in the docstring of models.networks.efficientnet_lite
    assert {stride: one.shape[-1] for stride, one in model.output.items()} == {2: 16, 4: 24, 8: 40, 16: 112, 32: 320}
    assert sum(layer.name.endswith("_add") for layer in model.layers) == 9


def test_the_features_are_those_that_numpy_computes():
    """The sides are not multiples of each other, so that padding at one edge too few would show."""
    model = with_random_weights(encoder(8))
    image = np.random.default_rng(0).uniform(-1, 1, (40, 24, 3)).astype(np.float32)
    found = model(image[None], training=False)
    expected = Reference(model).features(image.astype(np.float64))
    assert list(found) == [2, 4, 8]
    for stride, features in expected.items():
        assert features.shape[:2] == (40 // stride, 24 // stride)
        np.testing.assert_allclose(found[stride][0], features, atol=1e-5 * np.max(np.abs(features)))


def test_levels_are_scaled_as_for_the_weights_of_imagenet():
    image = keras.Input((None, None, 3))
    levels = np.float32([0, 127, 255]).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(
        keras.Model(image, scale_levels(image))(levels).numpy().ravel(), [-127 / 128, 0, 1], atol=1e-6
    )


@ignore_keras_copy
@pytest.mark.parametrize("file", ["e.weights.h5", "e.keras"])
def test_a_deeper_encoder_in_the_file_gives_the_weights_of_a_shallower_one(file, tmp_path):
    saved, loaded = with_random_weights(encoder(8)), encoder(4)
    (saved.save_weights if file.endswith(".h5") else saved.save)(tmp_path / file)
    load_lite(loaded.layers, str(tmp_path / file), field="F")
    expected = weights_by_layer(saved)
    for name, weights in weights_by_layer(loaded).items():
        assert all(np.array_equal(*pair) for pair in zip(weights, expected[name], strict=True)), name


@ignore_keras_copy
def test_channels_that_the_file_does_not_know_have_no_effect_at_first(tmp_path):
    saved, loaded = with_random_weights(encoder(2)), encoder(2, channels=6)
    saved.save_weights(tmp_path / "e.weights.h5")
    load_lite(loaded.layers, str(tmp_path / "e.weights.h5"), field="F")
    image = np.random.default_rng(0).uniform(-1, 1, (1, 8, 8, 6)).astype(np.float32)
    np.testing.assert_allclose(loaded(image)[2], saved(image[..., :3])[2], atol=1e-6)


def message(model: keras.Model, weights: object) -> str:
    before = weights_by_layer(model)
    with pytest.raises(InputError) as error:
        load_lite(model.layers, str(weights), field="model.lite_unet.weights")
    for name, arrays in weights_by_layer(model).items():
        assert all(np.array_equal(*pair) for pair in zip(arrays, before[name], strict=True)), name
    assert "\n" not in str(error.value)
    return str(error.value)


@ignore_keras_copy
def test_a_file_without_the_weights_of_this_encoder_gets_one_line(tmp_path):
    model, field = encoder(4), "model.lite_unet.weights"
    found = message(model, tmp_path / "missing.h5")
    assert found.startswith(f"{field} must be none or the path of a weights file; there is no file")
    (tmp_path / "text.weights.h5").write_text("not HDF5")
    assert "is not a Keras weights file: " in message(model, tmp_path / "text.weights.h5")
    encoder(2).save_weights(tmp_path / "shallow.weights.h5")
    expected = (
        r"does not fit the encoder: no weights for block1_expand, block1_expand_norm, block1_depthwise and 9 more."
    )
    assert message(model, tmp_path / "shallow.weights.h5").endswith(expected)
    encoder(4, channels=6).save_weights(tmp_path / "contrast.weights.h5")
    expected = "does not fit the encoder: other shapes: stem [(3, 3, 6, 32)] instead of [(3, 3, 3, 32)]."
    assert message(model, tmp_path / "contrast.weights.h5").endswith(expected)
    build_fast(FastConfig(widths=(8, 8)), classes=1).save_weights(tmp_path / "fast.weights.h5")
    assert "does not fit the encoder: no weights for " in message(model, tmp_path / "fast.weights.h5")
