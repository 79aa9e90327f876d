"""Encoders of keras.applications: the maps of Keras' own models, from every kind of file, and dilated ones.

The maps of every family are compared at full depth; all else with shallow encoders, see `conftest`.
"""

import re

import h5py
import keras
import numpy as np
import pytest

from configs import DeepLabV3PlusConfig, EfficientUNetConfig, InputError
from models.networks.deeplabv3plus import build_deeplabv3plus
from models.networks.efficient_unet import build_efficient_unet
from models.networks.encoders import (
    CAFFE_MEAN_BGR,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    encode,
    encoder_layers,
    scale_input,
)

LAST_MAPS = {  # by stride; names of Keras' layers, of which the last that matches is meant
    "EfficientNetB0": {
        2: "block2a_expand_activation",
        4: "block3a_expand_activation",
        8: "block4a_expand_activation",
        16: "block6a_expand_activation",
        32: "top_activation",
    },
    "EfficientNetV2B0": {
        2: "block1a_project_activation",
        4: "block2b_add",
        8: "block4a_expand_activation",
        16: "block6a_expand_activation",
        32: "top_activation",
    },
    "ResNet50": {
        2: "conv1_relu",
        4: r"conv2_block\d_out",
        8: r"conv3_block\d_out",
        16: r"conv4_block\d_out",
        32: r"conv5_block\d_out",
    },
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("shallow_encoders"),
    pytest.mark.filterwarnings(  # of Keras, when it saves weights
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    ),
]


def images(height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, height, width, 3)).astype(np.float32)


def application(name: str, **kwargs) -> keras.Model:
    """Returns Keras' own model, with weights and statistics that differ from 0 and 1."""
    keras.utils.set_random_seed(1)
    model = getattr(keras.applications, name)(weights=None, **kwargs)
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.7, 1.3, weight.shape) for weight in layer.weights])
    return model


@pytest.fixture(scope="module")
def efficientnet(shallow_encoders) -> keras.Model:
    """Returns EfficientNetB0 without its classifier and without statistics of the input."""
    return application("EfficientNetB0", include_top=False, input_shape=(None, None, 3))


def encoder(name: str, weights: str = "none", output_stride: int = 32) -> keras.Model:
    x = keras.Input((None, None, 3))
    return keras.Model(x, encode(x, name, str(weights), field="model.NET.weights", output_stride=output_stride))


def all_weights(layers: list[keras.layers.Layer]) -> np.ndarray:
    return np.concatenate([weight.ravel() for layer in layers for weight in layer.get_weights()])


def assert_maps_are_those_of(model: keras.Model, name: str, weights: str, inputs=lambda x: x) -> None:
    """Compares the maps of `encode` with those of Keras' model, which gets `inputs` of the images."""
    layers = {s: [one for one in model.layers if re.fullmatch(last, one.name)] for s, last in LAST_MAPS[name].items()}
    reference = keras.Model(model.input, {stride: found[-1].output for stride, found in layers.items()})
    expected, found = reference(inputs(images()), training=False), encoder(name, weights)(images(), training=False)
    assert list(found) == [2, 4, 8, 16, 32]
    for stride, one in found.items():
        assert one.shape[1:3] == (64 // stride, 96 // stride)
        np.testing.assert_allclose(one, expected[stride], atol=1e-4 * np.max(np.abs(expected[stride])))


def write_as_downloaded(model: keras.Model, path) -> None:
    """Writes weights in the layout of Keras 2, as in the files that keras.applications downloads."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.5.0"
        for layer in model.layers:
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=weight)


@pytest.mark.parametrize("file", ["e.weights.h5", "e.keras", "e.h5", "downloaded.h5", "larger.keras", "larger.h5"])
def test_every_kind_of_file_gives_the_maps_of_the_saved_model(efficientnet, file, tmp_path):
    path = tmp_path / file
    larger = keras.Sequential([efficientnet, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    match file:
        case "e.weights.h5":
            efficientnet.save_weights(path)
        case "downloaded.h5":
            write_as_downloaded(efficientnet, path)
        case "larger.keras" | "larger.h5":
            larger.save(path)
        case _:
            efficientnet.save(path)
    assert_maps_are_those_of(efficientnet, "EfficientNetB0", path)


@pytest.mark.parametrize("file", ["e.weights.h5", "downloaded.h5"])
def test_a_classifier_in_the_file_is_ignored(file, tmp_path):
    model = application("EfficientNetB0", include_top=True, classes=3, input_shape=(64, 96, 3))
    if file == "downloaded.h5":
        write_as_downloaded(model, tmp_path / file)
    else:
        model.save_weights(tmp_path / file)
    assert_maps_are_those_of(model, "EfficientNetB0", tmp_path / file)


@pytest.mark.usefixtures("deep_encoders")
@pytest.mark.parametrize("name", LAST_MAPS)
def test_every_family_gives_the_maps_of_keras(name, tmp_path):
    model = application(name, include_top=False, input_shape=(None, None, 3))
    model.save_weights(tmp_path / "e.weights.h5")
    caffe = keras.applications.resnet50.preprocess_input
    inputs = (lambda x: caffe(x.copy())) if name == "ResNet50" else (lambda x: x)
    assert_maps_are_those_of(model, name, tmp_path / "e.weights.h5", inputs)


def test_imagenet_weights_give_the_maps_of_keras_downloaded_or_from_a_file(tmp_path, monkeypatch):
    model = application("EfficientNetB0", include_top=False, input_shape=(None, None, 3))
    statistics = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    statistics.set_weights(
        [np.array(IMAGENET_MEAN), np.array(IMAGENET_DEVIATION), np.array(0)]
    )  # deviations instead of variances, as in the real files
    path = tmp_path / "efficientnetb0_notop.h5"
    write_as_downloaded(model, path)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *args, **kwargs: str(path))
    downloaded = keras.applications.EfficientNetB0(include_top=False, input_shape=(None, None, 3))
    assert_maps_are_those_of(downloaded, "EfficientNetB0", "imagenet")
    assert_maps_are_those_of(downloaded, "EfficientNetB0", path)


def test_other_input_statistics_in_the_file_are_used(efficientnet, tmp_path):
    model = keras.models.clone_model(efficientnet)
    model.set_weights(efficientnet.get_weights())
    statistics = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    statistics.load_own_variables({"0": [0.5, 0.3, 0.2], "1": [0.09, 0.04, 0.01], "2": 7})
    model.save_weights(tmp_path / "e.weights.h5")
    assert_maps_are_those_of(model, "EfficientNetB0", tmp_path / "e.weights.h5")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("EfficientNetB0", lambda x: (x / 255 - IMAGENET_MEAN) / IMAGENET_DEVIATION),
        ("EfficientNetV2B0", lambda x: (x / 255 - IMAGENET_MEAN) / IMAGENET_DEVIATION),
        ("EfficientNetV2S", lambda x: x / 128 - 1),
        ("ResNet50", lambda x: x[..., ::-1] - CAFFE_MEAN_BGR),
    ],
)
def test_without_weights_the_input_is_scaled_in_the_same_way(name, expected):
    x = keras.Input((None, None, 3))
    scaled = keras.Model(x, scale_input(x, name, saved={}))
    np.testing.assert_allclose(scaled(images()), expected(images().astype(np.float64)), atol=2e-5)


def test_every_second_position_of_the_dilated_resnet_equals_the_strided_one(tmp_path):
    resnet = application("ResNet50", include_top=False, input_shape=(None, None, 3))
    resnet.save_weights(tmp_path / "e.weights.h5")
    strided = encoder("ResNet50", tmp_path / "e.weights.h5")(images(), training=False)
    dilated = encoder("ResNet50", tmp_path / "e.weights.h5", output_stride=16)(images(), training=False)
    assert list(dilated) == [2, 4, 8, 16]
    for stride in (2, 4, 8):
        np.testing.assert_array_equal(dilated[stride], strided[stride])
    assert dilated[16].shape == (2, 4, 6, 512)
    expected = strided[32].numpy()
    np.testing.assert_allclose(dilated[16][:, ::2, ::2], expected, atol=1e-5 * np.max(np.abs(expected)))
    assert np.max(np.abs(dilated[16][:, 1::2, 1::2] - expected)) > 1e-2 * np.max(np.abs(expected))


@pytest.mark.parametrize("name", ["EfficientNetB0", "EfficientNetV2B0"])
def test_a_dilated_efficientnet_equals_the_strided_one_where_its_kernels_are_centred(name, tmp_path):
    model = application(name, include_top=False, input_shape=(None, None, 3))
    for layer in model.layers:
        if layer.name.endswith(
            "_se_expand"
        ):  # the excitation is a mean over the map, which has other positions when dilated
            layer.set_weights([0 * weight for weight in layer.get_weights()])
    model.save_weights(tmp_path / "e.weights.h5")
    expected = encoder(name, tmp_path / "e.weights.h5")(images(), training=False)[32].numpy()
    dilated = encoder(name, tmp_path / "e.weights.h5", output_stride=16)(images(), training=False)[16]
    assert dilated.shape == (2, 4, 6, 320)
    # A kernel of stride 2 on an even side is centred on the second of its two positions.
    np.testing.assert_allclose(dilated[:, 1::2, 1::2], expected, atol=1e-4 * np.max(np.abs(expected)))


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (build_efficient_unet, EfficientUNetConfig(width=4)),
        (build_deeplabv3plus, DeepLabV3PlusConfig(width=8, dropout=0.0)),
    ],
)
def test_the_encoder_can_be_frozen_and_trained_again(build, options):
    network = build(options, classes=1)
    part = encoder_layers(network)
    everything, of_the_encoder = len(network.trainable_weights), sum(len(layer.trainable_weights) for layer in part)
    assert 0 < of_the_encoder < everything
    before = all_weights(part)
    for layer in part:
        layer.trainable = False
    network(images(), training=True)
    assert len(network.trainable_weights) == everything - of_the_encoder
    assert np.array_equal(all_weights(part), before)
    for layer in part:
        layer.trainable = True
    network(images(), training=True)  # changes the statistics
    assert len(network.trainable_weights) == everything
    assert not np.array_equal(all_weights(part), before)


def test_a_saved_network_can_be_the_file_of_weights(tmp_path):
    network = build_efficient_unet(EfficientUNetConfig(width=4), classes=1)
    network.save(tmp_path / "network.keras")
    network = keras.models.load_model(tmp_path / "network.keras")
    options = DeepLabV3PlusConfig("EfficientNetB0", weights=str(tmp_path / "network.keras"), width=8)
    again = build_deeplabv3plus(options, classes=1)
    assert np.array_equal(all_weights(encoder_layers(again)), all_weights(encoder_layers(network)))


def message(name: str, weights) -> str:
    with pytest.raises(InputError) as error:
        encoder(name, weights)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_weights_of_another_encoder_are_refused_with_the_layers_that_do_not_fit(efficientnet, tmp_path):
    path = tmp_path / "e.weights.h5"
    efficientnet.save_weights(path)
    found = message("EfficientNetB2", path)
    assert found.startswith(
        f"model.NET.weights {str(path)!r} does not fit the encoder: no weights for block2b_expand_conv, "
    )
    assert re.search(r" and \d+ more; other shapes: ", found)
    assert "block2a_expand_conv" not in found  # the same in both
    assert "other shapes: block7a_" in found
    assert "no weights for conv1_conv, conv1_bn, conv2_block1_1_conv and" in message("ResNet50", path)


def test_a_file_that_has_no_weights_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    (tmp_path / "text.keras").write_text("not a zip")
    assert "there is no file" in message("EfficientNetB0", tmp_path / "missing.h5")
    with h5py.File(tmp_path / "nameless.weights.h5", "w") as file:
        file.create_group("layers/conv2d/vars")["0"] = np.ones(3)
    assert "does not contain the names of layers" in message("EfficientNetB0", tmp_path / "nameless.weights.h5")
    for name in ("text.h5", "text.keras"):
        assert "is not a Keras weights file: " in message("EfficientNetB0", tmp_path / name)


@pytest.mark.usefixtures("deep_encoders")
def test_a_failed_download_of_imagenet_weights_says_what_to_do(monkeypatch):
    def fail(*args, **kwargs):
        raise Exception("URL fetch failure on https://storage.googleapis.com/x.h5: None -- \n [Errno -2] Name unknown")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fail)
    found = message("EfficientNetB0", "imagenet")
    assert found.startswith("model.NET.weights 'imagenet' could not be downloaded (URL fetch failure on https://")
    assert "keras.applications.EfficientNetB0(include_top=False).save_weights('FILE.weights.h5')" in found
    assert "or none for random weights" in found
