"""`train.precision` applies only to the network that is built; segmenters use folded networks."""

import csv
import dataclasses
import functools
import math

import keras
import numpy as np
import pytest

from configs import FastConfig, InputError, ModelConfig, TrainConfig
from models import build_network, precision_policy
from pipeline.inference import TiledSegmenter, load_segmenter
from pipeline.training import prepare

pytestmark = pytest.mark.slow

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@pytest.fixture(scope="module")
def fast(config):
    """The smallest config that trains the network "fast"."""
    return dataclasses.replace(
        config,
        model=ModelConfig(network="fast", fast=FastConfig(widths=(8, 8))),
        train=dataclasses.replace(config.train, epochs=1, steps_per_epoch=3, previews=0, optimizer="sgd"),
    )


@pytest.fixture(scope="module")
def trained_in(train, fast, records_set, tmp_path_factory):
    """Trains "fast" in a precision, once each."""
    return functools.cache(
        lambda precision: train(
            with_precision(fast, precision), records_set.folder, tmp_path_factory.mktemp(precision) / "run"
        )
    )


def with_precision(config, precision: str):
    return dataclasses.replace(config, train=dataclasses.replace(config.train, precision=precision))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_training_in_each_precision_leaves_a_model_that_keeps_it(trained_in, precision, fundus):
    run = trained_in(precision)
    with open(run.workdir / "history.csv", newline="") as file:
        assert all(math.isfinite(float(value)) for row in csv.DictReader(file) for value in row.values())
    segmenter = load_segmenter(run.model)
    assert segmenter.network.get_layer("stem").dtype_policy.name == precision
    probabilities = segmenter.segment(fundus(90, 131, seed=5).photograph).numpy()
    assert probabilities.dtype == np.float32
    assert np.all(np.isfinite(probabilities))


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_whole_photographs_map_in_half_precision_is_near_that_in_float32(fast, spec, fundus, precision):
    networks = []
    for policy in ("float32", precision):
        with precision_policy(policy):
            networks.append(build_network(fast.model, classes=2))
    networks[1].set_weights(networks[0].get_weights())
    options = {"classes": ("a", "b"), "tile": 32, "scale": 0.8, "overlap": 0.5, "window": "hann", "flips": 4}
    photograph = fundus(90, 131, seed=5).photograph
    segmenters = [TiledSegmenter(network, spec(**options)) for network in networks]
    full, half = (segmenter.segment(photograph).numpy() for segmenter in segmenters)
    assert half.dtype == np.float32
    assert np.ptp(full) > 0.05
    assert 0 < np.abs(half - full).max() < 0.03


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_precision_does_not_outlast_the_network(fast, records_set, tmp_path, precision):
    run = prepare(with_precision(fast, precision), [records_set.folder], tmp_path)
    assert run.network.get_layer("stem").dtype_policy.name == precision
    assert keras.layers.Dense(1).dtype_policy.name == "float32"


def test_float16_scales_its_loss_and_the_others_do_not(fast, records_set, tmp_path):
    scaled = {}
    for precision in PRECISIONS:
        optimizer = prepare(with_precision(fast, precision), [records_set.folder], tmp_path).model.optimizer
        scaled[precision] = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == {"float32": False, "mixed_bfloat16": False, "mixed_float16": True}


def test_an_unknown_precision_is_answered_with_those_there_are():
    allowed = "float32, mixed_bfloat16, mixed_float16"
    with pytest.raises(InputError, match=rf"train\.precision must be one of {allowed}; received 'bfloat16'"):
        TrainConfig(precision="bfloat16")


def test_a_model_folder_keeps_the_normalisations_and_its_segmenter_runs_without(trained_in, fundus):
    run = trained_in("float32")
    saved = keras.models.load_model(run.model / "network.keras", compile=False)
    segmenter = load_segmenter(run.model)

    def normalizations(network: keras.Model) -> int:
        return sum(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)

    assert normalizations(saved) == 8  # stem, head and three blocks
    assert normalizations(segmenter.network) == 0
    photograph = fundus(90, 131, seed=5).photograph
    unfolded = TiledSegmenter(saved, segmenter.spec)
    expected = unfolded.segment(photograph).numpy()
    np.testing.assert_allclose(segmenter.segment(photograph), expected, atol=1e-5)
    assert np.ptp(expected) > 0.01
