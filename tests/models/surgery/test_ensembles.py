"""Ensembles: the mean of the members' own outputs, and everything that is done to networks done to an ensemble."""

import functools
import io
import zipfile

import h5py
import keras
import numpy as np
import pytest
from scipy import special

from configs import FastConfig, InputError, ModelConfig, PreprocessConfig, UNet3PlusConfig, UNetConfig
from models import (
    AVERAGES,
    Network,
    Teacher,
    build_network,
    calibrate_logits,
    ensemble_network,
    fold_normalization,
    halve_kernels,
    in_precision,
    member_maps,
    number_of_members,
    of_classes,
    precision_of,
)
from models.surgery.ensembles import MemberMean
from models.surgery.half_precision import WEIGHTS_FILE

SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
every_average = pytest.mark.parametrize("average", AVERAGES)


@functools.cache
def members() -> tuple[Network, ...]:
    """Returns three networks of two classes: of other strides, colours, heads, and with a normalisation to fold."""
    keras.utils.set_random_seed(0)
    gray = PreprocessConfig(color_space="gray", sharpening=0.2)
    networks = (
        build_network(ModelConfig(network="fast", fast=FastConfig(widths=(8, 16))), 2),
        build_network(ModelConfig(network="fast", fast=FastConfig(widths=(8, 8, 8)), preprocess=gray), 2),
        build_network(ModelConfig(network="unet", unet=UNetConfig(width=4, levels=2, dropout=0.1)), 2),
    )
    random = np.random.default_rng(0)
    for network, factor in zip(networks, (0.5, 0.1, 4), strict=True):
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.set_weights([random.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
        calibrate_logits(network, (factor, factor), random.uniform(-1, 1, 2))  # neither sure nor all alike
    return networks


@functools.cache
def images() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (2, 16, 32, 3)).astype(np.float32)


@functools.cache
def member_outputs() -> np.ndarray:
    """Returns the members' own probabilities, float64 `[B, h, w, M, C]`."""
    maps = np.stack([network(images(), training=False) for network in members()], axis=3).astype(np.float64)
    assert np.ptp(maps, axis=3).max() > 0.2  # otherwise a mean would prove little
    return maps


@functools.cache
def ensemble(average: str) -> Network:
    return ensemble_network(members(), average=average)


def mean(maps: np.ndarray, average: str) -> np.ndarray:
    return special.expit(special.logit(maps).mean(axis=3)) if average == "logits" else maps.mean(axis=3)


@every_average
def test_an_ensemble_is_the_mean_of_its_members_own_outputs(average):
    network = ensemble(average)
    assert isinstance(network, Network)
    assert network.stride == np.lcm.reduce([member.stride for member in members()]) == 8
    assert number_of_members(network) == 3
    assert number_of_members(members()[0]) == 1
    probabilities = network(images(), training=False).numpy()
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, mean(member_outputs(), average), atol=1e-6)


@every_average
def test_the_maps_of_each_member_are_its_own_outputs(average):
    np.testing.assert_allclose(member_maps(ensemble(average))(images()), member_outputs(), atol=1e-6)
    alone = members()[0]
    np.testing.assert_array_equal(member_maps(alone)(images())[..., 0, :], alone(images(), training=False))


def test_the_mean_and_the_members_come_from_one_pass_and_the_mean_is_bit_identical():
    network = ensemble("probabilities")
    both = keras.Model(network.input, [network.output, member_maps(network).output])
    first_of_members = [layer.name for layer in both.layers if layer.name.endswith("stem")]
    assert len(set(first_of_members)) == len(first_of_members)
    np.testing.assert_array_equal(both(images())[0], network(images(), training=False))


@pytest.mark.parametrize("factor", [1.0, 0.5])
@pytest.mark.parametrize("logit", [0.0, 5.0, 50.0, 200.0, 1e4])
def test_the_mean_of_probabilities_is_exact_however_sure_the_members_are(logit, factor):
    layer = MemberMean("probabilities")
    signs = (1, -1, 1)
    layer.build([(1, 1, 1, 1)] * 3)
    layer.set_weights([np.array([factor]), np.array([0.0])])
    for sign in (1, -1):
        found = float(np.squeeze(layer([np.full((1, 1, 1, 1), sign * one * logit, np.float32) for one in signs])))
        mean = np.mean([special.expit(sign * one * logit) for one in signs])
        assert found == pytest.approx(special.expit(factor * special.logit(mean)), rel=1e-5)
        alike = float(np.squeeze(layer([np.full((1, 1, 1, 1), sign * logit, np.float32)] * 3)))
        assert alike == pytest.approx(special.expit(factor * sign * logit), rel=1e-4, abs=1e-17)


@every_average
def test_classes_are_taken_and_logits_calibrated_of_an_ensemble_and_of_each_member(average):
    network = ensemble_network(members(), average=average)
    calibrate_logits(network, factors=(0.5, 2.0), shifts=(0.25, -0.5))
    taken = of_classes(network, [1])
    expected = special.expit(special.logit(mean(member_outputs(), average)) * (0.5, 2.0) + (0.25, -0.5))
    np.testing.assert_allclose(taken(images(), training=False), expected[..., [1]], atol=3e-6)
    each = special.expit(special.logit(member_outputs()) * (0.5, 2.0) + (0.25, -0.5))[..., [1]]
    np.testing.assert_allclose(member_maps(fold_normalization(taken))(images()), each, atol=3e-5)
    assert number_of_members(taken) == 3


def test_the_normalisations_of_every_member_are_folded():
    network = ensemble("logits")
    folded = fold_normalization(network)
    names = [layer.name for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert names
    assert all(name.startswith("member_2_") for name in names)  # a U-Net's follow an activation
    assert number_of_members(folded) == 3
    np.testing.assert_allclose(folded(images()), network(images(), training=False), atol=1e-5)


def test_another_precision_leaves_colours_heads_and_the_mean_in_float32():
    network = ensemble("probabilities")
    rough = in_precision(network, "mixed_bfloat16")
    assert precision_of(rough) == "mixed_bfloat16"
    for number, member in enumerate(members()):
        alone = in_precision(member, "mixed_bfloat16")
        expected = {layer.name: layer.compute_dtype for layer in alone.layers if layer.name != "image"}
        ours = {layer.name: layer.compute_dtype for layer in rough.layers}
        for name in expected.keys() - {"stride_check", "probabilities"}:
            assert ours[f"member_{number}_{name}"] == expected[name], name
    assert {rough.get_layer(name).compute_dtype for name in ("logits", "member_1_after")} == {"float32"}
    difference = np.abs(rough(images()).numpy() - network(images(), training=False).numpy())
    assert difference.mean() < 0.02


@pytest.mark.slow
@SAVING
def test_an_ensemble_is_saved_halved_and_loaded_with_its_members(tmp_path):
    network = ensemble_network(members()[:2], average="logits")
    calibrate_logits(network, factors=(0.3, 1.7), shifts=(0.1, -0.1))
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    assert isinstance(loaded, Network)
    assert (loaded.stride, number_of_members(loaded)) == (network.stride, 2)
    np.testing.assert_array_equal(loaded(images()), network(images(), training=False))
    halve_kernels(tmp_path / "network.keras")
    halved = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(halved.get_layer("logits").get_weights(), network.get_layer("logits").get_weights())
    np.testing.assert_allclose(halved(images()), network(images(), training=False), atol=0.01)
    with (
        zipfile.ZipFile(tmp_path / "network.keras") as archive,
        h5py.File(io.BytesIO(archive.read(WEIGHTS_FILE))) as weights,
    ):
        kernels = []
        weights.visititems(lambda _, item: kernels.append(item) if getattr(item, "ndim", 0) == 4 else None)
        assert {kernel.dtype for kernel in kernels} == {np.dtype("float16")}


def test_the_members_are_not_changed_and_share_no_weights():
    before = [network.get_weights() for network in members()]
    network = ensemble_network(members(), average="logits")
    network.set_weights([np.zeros_like(weights) for weights in network.get_weights()])
    for network, weights in zip(members(), before, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(network.get_weights(), weights, strict=True))


def test_a_member_that_gates_absent_classes_or_is_an_ensemble_counts_as_any_other():
    keras.utils.set_random_seed(1)
    options = UNet3PlusConfig(width=4, levels=2, classification=True)
    gated = build_network(ModelConfig(network="unet3plus", unet3plus=options), 2)
    kernel, _ = gated.get_layer("presence_logits").get_weights()
    gated.get_layer("presence_logits").set_weights([kernel * 0, np.array([-1.0, 1.0])])  # only the second is present
    inner = ensemble("probabilities")
    outputs = [one(images(), training=False).numpy().astype(np.float64) for one in (gated, inner)]
    assert outputs[0][..., 0].max() == 0
    network = ensemble_network([gated, inner], average="probabilities")
    np.testing.assert_allclose(network(images()), np.mean(outputs, axis=0), atol=2e-6)
    assert number_of_members(network) == 2
    np.testing.assert_allclose(member_maps(network)(images()), np.stack(outputs, 3), atol=2e-6)


def test_a_teacher_may_be_an_ensemble():
    network = ensemble("probabilities")
    teacher = Teacher(network, (0, 1), (0, 1), weight=0.5, temperature=1.0)
    alike, other = network(images()), 1 - network(images())
    assert float(np.mean(teacher.loss(images(), [alike], [1.0]))) < float(
        np.mean(teacher.loss(images(), [other], [1.0]))
    )


def test_one_member_and_members_of_other_classes_are_refused():
    other = build_network(ModelConfig(network="fast", fast=FastConfig(widths=(8, 8))), 1)
    for networks in ([other], [members()[0], other]):
        with pytest.raises(InputError, match=r"two or more members of the same classes; received members of \["):
            ensemble_network(networks, average="logits")
