"""Properties of every network, tested with narrow options: sizes, precision, learning, files, seeds.

What is particular to one network (the numbers of its paper, its options) is in the test file of its name. The tests
share networks that are built once, with shallow encoders; a test that changes one of them restores its weights.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from configs import (
    AttentionUNetConfig,
    DeepLabV3PlusConfig,
    EfficientUNetConfig,
    FastConfig,
    InputError,
    LiteUNetConfig,
    ModelConfig,
    MultiResUNetConfig,
    PreprocessConfig,
    SwinUNetConfig,
    UNet3PlusConfig,
    UNetConfig,
)
from models import (
    NETWORKS,
    Network,
    TrainingModel,
    build_loss,
    build_network,
    calibrate_logits,
    encoder_layers,
    fold_normalization,
    in_precision,
    of_classes,
    precision_of,
    precision_policy,
    transfer_weights,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shallow_encoders")]


class Narrow(NamedTuple):
    """A network small enough for tests.

    Attributes:
      options: options of the network, without dropout, which would add noise to the training on two tiles.
      side: side of the tiles in pixels; a multiple of the stride, and large enough to learn a disc in a few steps.
      learning_rate: learning rate with which gradient descent with momentum memorises two tiles, or Adam.
      momentum: momentum of gradient descent; None for Adam, whose steps take twice as long to trace.
      steps: number of steps that this takes.
    """

    options: Any
    side: int = 64
    learning_rate: float = 0.1
    momentum: float | None = 0.9
    steps: int = 40

    def optimizer(self) -> keras.optimizers.Optimizer:
        if self.momentum is None:
            return keras.optimizers.Adam(self.learning_rate)
        return keras.optimizers.SGD(self.learning_rate, self.momentum)


NARROW = {
    "attention_unet": Narrow(AttentionUNetConfig(width=4, levels=3), side=32),
    "deeplabv3plus": Narrow(DeepLabV3PlusConfig(width=16, dropout=0.0, normalization="group"), steps=20),
    "efficient_unet": Narrow(EfficientUNetConfig(width=8, normalization="group"), steps=20),
    "fast": Narrow(FastConfig(widths=(8, 8, 16))),
    "lite_unet": Narrow(LiteUNetConfig(widths=(8,))),
    "multires_unet": Narrow(MultiResUNetConfig(width=4, levels=3), side=32),
    "swin_unet": Narrow(
        SwinUNetConfig(width=32, depths=(2, 1), heads=(2, 4), window=4, drop_path=0.0),
        learning_rate=3e-3,
        momentum=None,
    ),
    "unet": Narrow(UNetConfig(width=4, levels=3), side=32),
    "unet3plus": Narrow(UNet3PlusConfig(width=4, levels=3, classification=True), side=32),
}
DEFAULT_PARAMETERS = {  # for one class, as stated in the docstrings of the networks
    "attention_unet": 2_076_468,
    "deeplabv3plus": 40_430_913,
    "efficient_unet": 10_115_373,
    "fast": 2_897_988,
    "lite_unet": 3_637_424,
    "multires_unet": 7_262_748,
    "swin_unet": 27_175_525,
    "unet": 1_946_993,
    "unet3plus": 26_984_833,
}
CLASSES = 2
GRAY = PreprocessConfig(color_space="gray")

every_network = pytest.mark.parametrize("name", NARROW)
ignore_keras_copy = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def build(name: str, classes: int = CLASSES, preprocess: PreprocessConfig | None = None, seed: int = 0) -> Network:
    keras.utils.set_random_seed(seed)
    model = ModelConfig(network=name, preprocess=preprocess or PreprocessConfig(), **{name: NARROW[name].options})
    return build_network(model, classes)


@functools.cache
def shared(name: str) -> Network:
    """Returns the network of `build`."""
    return build(name)


@functools.cache
def shared_in_bfloat16(name: str) -> Network:
    """Returns a network with the weights of `shared` that was built to compute in bfloat16."""
    with precision_policy("mixed_bfloat16"):
        network = build(name)
    network.set_weights(shared(name).get_weights())
    return network


@functools.cache
def shared_of_one_class(name: str) -> Network:
    """Returns a network for a single class, from another seed."""
    return build(name, classes=1, seed=1)


@functools.cache
def shared_in_gray(name: str) -> Network:
    """Returns a network that sees gray images, from the seed of `shared`."""
    return build(name, preprocess=GRAY)


@functools.cache
def trained(name: str) -> tuple[Network, list[float]]:
    """Returns a network trained on `two_tiles`, and its losses."""
    narrow, network = NARROW[name], build(name)
    for layer in encoder_layers(network):  # the moving averages of Keras' layers are too slow for so few steps
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8
    model = TrainingModel(network)
    model.compile(narrow.optimizer(), build_loss("bce_dice"), jit_compile=False)
    model.optimizer.build(model.trainable_variables)  # a step that creates variables is traced twice
    losses = []
    for _ in range(narrow.steps):  # `fit` would take several times as long for epochs of one step
        model.reset_metrics()
        losses.append(model.train_on_batch(*two_tiles(narrow.side)))
    return network, losses


@functools.cache
def expected(name: str) -> np.ndarray:
    """Returns the probabilities of `shared` for `two_tiles`."""
    return shared(name)(two_tiles(NARROW[name].side)[0], training=False).numpy()


@functools.cache
def expected_after_training(name: str) -> np.ndarray:
    """Returns the probabilities of `trained` for `two_tiles`."""
    return trained(name)[0](two_tiles(NARROW[name].side)[0], training=False).numpy()


@contextlib.contextmanager
def restored(network: Network) -> Iterator[Network]:
    """Gives a network that may be changed; its weights are restored afterwards."""
    weights = network.get_weights()
    try:
        yield network
    finally:
        network.set_weights(weights)


@functools.cache
def two_tiles(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images float32 `[2, side, side, 3]` of a bright retina and masks `[2, side, side, CLASSES]`.

    Each tile shows a disc per class, dark for the first class and bright for the second.
    """
    ys, xs = np.mgrid[:side, :side] / side
    random = np.random.default_rng(0)
    images = np.tile([190.0, 110.0, 60.0], (2, side, side, 1))
    masks = np.zeros((2, side, side, CLASSES), np.float32)
    for tile, label in np.ndindex(2, CLASSES):
        y, x = (0.3, 0.7) if label == tile else (0.7, 0.35)
        disc = np.hypot(ys - y, xs - x) < 0.2 + 0.03 * tile
        images[tile][disc] = [[110, 40, 30], [230, 200, 90]][label % 2]
        masks[tile, ..., label] = disc
    return (images + random.uniform(-10, 10, images.shape)).astype(np.float32), masks


def dice(masks: np.ndarray, probabilities: np.ndarray) -> float:
    positive = probabilities >= 0.5
    return 2 * np.sum(positive & (masks > 0)) / (np.sum(positive) + np.sum(masks))


def test_every_network_of_the_table_is_tested():
    assert set(NARROW) == set(DEFAULT_PARAMETERS) == set(NETWORKS)


@pytest.mark.usefixtures("deep_encoders")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_default_options_build_the_network(name):
    network = build_network(ModelConfig(network=name), classes=1)
    assert isinstance(network, Network)
    assert network.output_shape == (None, None, None, 1)
    assert network.output.dtype == "float32"
    assert network.count_params() == DEFAULT_PARAMETERS[name]
    assert 512 % network.stride == 0


@every_network
def test_probabilities_have_the_images_size_in_float32_and_do_not_depend_on_the_batch(name):
    network, side = shared(name), NARROW[name].side
    assert side % network.stride == 0
    for height, width in [(side, 2 * side), (side + network.stride, side)]:
        images = np.random.default_rng(0).uniform(0, 255, (2, height, width, 3)).astype(np.float32)
        probabilities = network(images, training=False).numpy()
        assert probabilities.shape == (2, height, width, CLASSES)
        assert probabilities.dtype == np.float32
        assert np.all((probabilities >= 0) & (probabilities <= 1))
        assert np.ptp(probabilities) > 0
    np.testing.assert_allclose(network(images[1:], training=False), probabilities[1:], atol=1e-4)


@every_network
def test_a_size_that_the_stride_does_not_divide_is_refused(name):
    network, side = shared(name), NARROW[name].side
    message = f"stride {network.stride} takes tiles whose sides are multiples of {network.stride}; received"
    for height, width in [(side, side + 1), (side - 1, side)]:
        with pytest.raises(InputError, match=f"{message} {width}x{height}"):
            network(np.zeros((1, height, width, 3), np.float32))


@every_network
def test_bfloat16_gives_about_the_probabilities_of_float32_and_in_float32(name):
    network = shared_in_bfloat16(name)
    assert any(layer.compute_dtype == "bfloat16" for layer in network.layers)  # otherwise the test would prove nothing
    probabilities = network(two_tiles(NARROW[name].side)[0], training=False).numpy()
    assert probabilities.dtype == np.float32
    assert np.mean(np.abs(probabilities - expected(name))) < 0.02
    # Sigmoids in bfloat16 would leave 8 bits of each number; computed in float32, hardly any ends in zeros.
    assert np.mean(probabilities.view(np.uint32) & 0xFFFF == 0) < 0.1


@every_network
def test_a_network_is_converted_to_another_precision_with_its_weights(name):
    fine, rough = shared(name), shared_in_bfloat16(name)
    images = two_tiles(NARROW[name].side)[0]
    made_fine, made_rough = in_precision(rough, "float32"), in_precision(fine, "mixed_bfloat16")
    assert {layer.compute_dtype for layer in made_fine.layers} == {"float32"}
    np.testing.assert_allclose(made_fine(images, training=False), expected(name), atol=1e-6)
    weighted = [layer.name for layer in rough.layers if layer.weights][:-1]  # logits may be in either
    for layer in weighted:
        assert made_rough.get_layer(layer).dtype_policy.name == rough.get_layer(layer).dtype_policy.name, layer
    probabilities = made_rough(images, training=False).numpy()
    assert probabilities.dtype == np.float32
    assert np.mean(np.abs(probabilities - expected(name))) < 0.02
    assert {weight.dtype for weight in made_rough.weights} == {"float32"}
    assert (precision_of(made_fine), precision_of(made_rough)) == ("float32", "mixed_bfloat16")
    assert in_precision(rough, "mixed_bfloat16") is rough


@every_network
def test_a_network_memorises_two_tiles(name):
    _, losses = trained(name)
    assert losses[-1] < 0.5 * losses[0]
    assert dice(two_tiles(NARROW[name].side)[1], expected_after_training(name)) > 0.8


@ignore_keras_copy
@every_network
def test_a_trained_network_is_saved_and_loaded_unchanged(name, tmp_path):
    network, _ = trained(name)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert isinstance(loaded, Network)
    assert loaded.stride == network.stride
    assert loaded.count_params() == network.count_params()
    probabilities = loaded(two_tiles(NARROW[name].side)[0], training=False)
    np.testing.assert_array_equal(probabilities, expected_after_training(name))


@every_network
def test_folding_the_normalisations_does_not_change_the_probabilities(name):
    network, _ = trained(name)
    folded = fold_normalization(network)
    assert folded.stride == network.stride
    if folded is not network:
        probabilities = folded(two_tiles(NARROW[name].side)[0], training=False)
        np.testing.assert_allclose(probabilities, expected_after_training(name), atol=1e-3)


@every_network
def test_calibrated_logits_are_multiplied_by_a_factor_and_shifted(name):
    calibrated = special.expit(special.logit(expected(name)) * (0.5, 2.0) + (0.25, -0.5))
    calibrated[expected(name) == 0] = 0  # the map of an absent class remains 0
    with restored(shared(name)) as network:
        calibrate_logits(network, factors=(0.5, 2.0), shifts=(0.25, -0.5))
        probabilities = network(two_tiles(NARROW[name].side)[0], training=False)
    np.testing.assert_allclose(probabilities, calibrated, atol=1e-5)


@every_network
def test_some_classes_are_taken_from_a_network_in_any_order(name):
    for channels in ((1,), (1, 0)):
        taken = of_classes(shared(name), channels)
        assert taken.stride == shared(name).stride
        probabilities = taken(two_tiles(NARROW[name].side)[0], training=False)
        np.testing.assert_array_equal(probabilities, expected(name)[..., channels])


@every_network
def test_a_network_of_other_classes_gives_what_it_was_given_of_those_that_both_have(name):
    source, tiles = shared(name), two_tiles(NARROW[name].side)[0]
    with restored(shared_of_one_class(name)) as target:
        transfer_weights(source, target, classes=(1,))
        np.testing.assert_allclose(target(tiles, training=False), expected(name)[..., 1:], atol=1e-6)


@every_network
def test_a_network_of_a_new_class_gets_all_weights_except_those_of_the_heads(name):
    source = shared(name)
    with restored(shared_of_one_class(name)) as target:
        head = {layer.name: layer.get_weights() for layer in target.layers if "logits" in layer.name and layer.weights}
        transfer_weights(source, target, classes=(None,))
        for one, other in zip(source.layers, target.layers, strict=True):
            weights = head.get(other.name, one.get_weights())
            assert all(np.array_equal(*pair) for pair in zip(weights, other.get_weights(), strict=True)), other.name
    assert 1 <= len(head) <= 2


@every_network
@pytest.mark.parametrize("network_in_precision", [shared, shared_in_bfloat16], ids=["float32", "bfloat16"])
def test_every_weight_has_a_finite_gradient(name, network_in_precision):
    images, masks = two_tiles(NARROW[name].side)
    with restored(network_in_precision(name)) as network:
        model = TrainingModel(network)
        model.compile(loss=build_loss("bce_dice"))
        with tf.GradientTape() as tape:
            loss = model.compute_loss(images, masks, model(images, training=True))
        gradients = tape.gradient(loss, model.trainable_weights)
    paths = [weight.path for weight in model.trainable_weights]
    assert [path for path, gradient in zip(paths, gradients, strict=True) if gradient is None] == []
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


@every_network
def test_an_exported_network_gives_the_same_for_a_fixed_size_and_for_any(name, tmp_path):
    module, side = tf.Module(), NARROW[name].side
    module.weights = [weight.value for weight in shared(name).weights]  # layers would be saved one by one, for seconds
    fixed, free = (
        tf.function(
            lambda images: shared(name)(images, training=False),
            input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)],
        )
        for size in (side, None)
    )
    module.free = free
    tf.saved_model.save(module, tmp_path / "exported")
    exported = tf.saved_model.load(tmp_path / "exported")
    images = two_tiles(side)[0]
    np.testing.assert_allclose(fixed(images), expected(name), atol=1e-4)
    np.testing.assert_allclose(exported.free(images), expected(name), atol=1e-4)


@every_network
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(name):
    first, same, other = (network(name) for network in (shared, shared_in_gray, shared_of_one_class))
    assert all(np.array_equal(one, two) for one, two in zip(first.get_weights(), same.get_weights(), strict=True))
    kernels = [
        (one.get_weights()[0], two.get_weights()[0])
        for one, two in zip(first.layers, other.layers, strict=True)
        if isinstance(one, keras.layers.Conv2D) and "logits" not in one.name
    ]
    assert kernels
    assert not any(np.array_equal(one, two) for one, two in kernels)


@every_network
def test_the_preprocessing_reaches_the_network(name):
    images = two_tiles(NARROW[name].side)[0]
    copies = np.repeat(images @ np.float32([0.299, 0.587, 0.114])[:, None], 3, axis=-1)
    gray = shared_in_gray(name)
    of_gray_images = shared(name)(copies, training=False)
    np.testing.assert_allclose(gray(images, training=False), of_gray_images, atol=1e-4)
    np.testing.assert_allclose(gray(copies, training=False), of_gray_images, atol=1e-4)
    assert np.max(np.abs(expected(name) - of_gray_images)) > 1e-3


@every_network
def test_side_outputs_and_presence_have_the_shapes_of_masks_and_classes(name):
    network, side = shared(name), NARROW[name].side
    shapes = [(side_output, (2, side, side, CLASSES)) for side_output in network.side_outputs]
    if network.presence is not None:
        shapes.append((network.presence, (2, CLASSES)))
    for tensor, shape in shapes:
        value = keras.Model(network.input, tensor)(two_tiles(side)[0]).numpy()
        assert (value.shape, value.dtype) == (shape, np.float32)
        assert np.all((value >= 0) & (value <= 1))
