"""Fine-tuning: a training starts from a model's weights, also for other classes, and says so."""

import dataclasses

import numpy as np
import pytest

from configs import InputError, ModelConfig, UNetConfig
from models import build_network, ensemble_network
from pipeline.inference import load_model, load_segmenter, save_model
from pipeline.training import prepare
from pipeline.training.initial_weights import load_initial_weights


@pytest.fixture
def config_of(config, trained):
    """The config of the short training, started from its model; fields of data may be changed."""

    def changed(**data):
        return dataclasses.replace(
            config,
            data=dataclasses.replace(config.data, **data),
            train=dataclasses.replace(config.train, initial_model=str(trained.model), seed=7),
        )

    return changed


def test_a_training_starts_from_the_weights_of_its_initial_model(config_of, records_set, trained, tmp_path):
    run = prepare(config_of(), [records_set.folder], tmp_path / "run")
    saved, _ = load_model(trained.model)
    for expected, weights in zip(saved.get_weights(), run.network.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, expected)
    assert run.plan.seen_before.names == ("A", "B", "C")
    assert run.plan.seen_before.photographs == load_segmenter(trained.model).spec.photographs["train"]
    assert run.plan.messages[-1] == f"starts from the weights of {trained.model}"
    spec = load_segmenter(trained.model).spec  # classes that validation does not show keep their thresholds
    assert (run.plan.thresholds, run.plan.quality_before) == (spec.thresholds, spec.quality)


def test_for_a_new_class_all_but_the_head_is_taken_and_the_message_says_so(config_of, trained):
    config = config_of(classes=("EX",), scale=0.5)
    network = build_network(config.model, 1)
    head = network.get_layer("logits").get_weights()
    message, seen, thresholds, _ = load_initial_weights(trained.model, network, config)
    saved, _ = load_model(trained.model)
    for one, other in zip(saved.layers, network.layers, strict=True):
        expected = head if one.name == "logits" else one.get_weights()
        assert all(np.array_equal(*pair) for pair in zip(expected, other.get_weights(), strict=True))
    assert message == (
        f"starts from the weights of {trained.model}, with a new head for EX (that model has HE, MA); that model was "
        "trained at scale 1, this training uses scale 0.5"
    )
    assert (seen.names, thresholds) == (("A", "B", "C"), None)


def test_of_the_head_those_classes_are_taken_that_both_have(config_of, trained):
    saved, spec = load_model(trained.model)  # of HE and MA
    kernel, bias = saved.get_layer("logits").get_weights()
    config = config_of(classes=("MA",))
    network = build_network(config.model, 1)
    message, _, thresholds, _ = load_initial_weights(trained.model, network, config)
    assert message == f"starts from the weights of {trained.model}, without those of its head for HE"
    assert thresholds == spec.thresholds[1:]
    for weights, whole in zip(network.get_layer("logits").get_weights(), (kernel, bias), strict=True):
        np.testing.assert_array_equal(weights, whole[..., 1::2])

    config = config_of(classes=("EX", "MA", "HE"))
    network = build_network(config.model, 3)
    new = network.get_layer("logits").get_weights()
    message, _, thresholds, _ = load_initial_weights(trained.model, network, config)
    assert message.endswith("with a new head for EX (that model has HE, MA)") and thresholds is None
    for weights, before, whole in zip(network.get_layer("logits").get_weights(), new, (kernel, bias), strict=True):
        np.testing.assert_array_equal(weights[..., 0::3], before[..., 0::3])
        np.testing.assert_array_equal(weights[..., 1::3], whole[..., 1::2])
        np.testing.assert_array_equal(weights[..., 2::3], whole[..., 0::2])


def test_a_network_of_another_build_is_refused_with_what_to_do(config_of, trained):
    config = config_of()
    other = build_network(ModelConfig(network="unet", unet=UNetConfig(width=8, levels=3)), 2)
    with pytest.raises(InputError, match=r"train\.initial_model=.*network 'unet'.*layer .*Copy the section model"):
        load_initial_weights(trained.model, other, config)


def test_a_folder_without_a_model_is_refused_by_the_field(config_of, tmp_path):
    config = config_of()
    with pytest.raises(InputError, match=rf"train\.initial_model={tmp_path}: contains no network\.keras"):
        load_initial_weights(tmp_path, build_network(config.model, 2), config)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_an_ensemble_is_refused_with_what_to_do(config, network, spec, tmp_path):
    members = [network, network.from_config(network.get_config())]
    save_model(tmp_path, ensemble_network(members, average="logits"), spec(classes=("HE", "MA")))
    with pytest.raises(
        InputError, match=r"is an ensemble of 2 models, .* let train\.teacher learn .*--average=weights"
    ):
        load_initial_weights(tmp_path, network, config)
