"""A training before its first step: the plan, the optimizer, and what is refused."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from configs import DataConfig, InputError, ModelConfig, SegmentConfig, UNetConfig
from pipeline.training import prepare


def with_train(config, **fields):
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **fields))


def test_prepare_writes_nothing(config, records_set, tmp_path):
    prepare(config, [records_set.folder], tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_plan_says_what_will_happen(config, records_set, tmp_path):
    plan = prepare(with_train(config, max_minutes=2.5), [records_set.folder], tmp_path / "run").plan
    tiles = {name: split.records for name, split in records_set.index.splits.items()}
    network, data, devices, cache, epochs = plan.lines()
    assert network == (
        f"network unet: {plan.parameters:,} parameters, stride 4; classes HE, MA; loss bce_dice, "
        f"{config.train.optimizer}"
    )
    assert data == (
        f"{tiles['train']} training tiles of 64 pixels at scale 1, {tiles['validation']} for validation "
        f"({plan.validation_steps} batches)"
    )
    assert (devices, cache) == plan.messages
    assert devices.startswith("on the CPU (no GPU found")
    assert epochs == (
        f"2 epochs of {plan.steps} steps or 2.5 minutes, 4 tiles per step; the weights with the best val_loss are kept "
        f"→ {tmp_path / 'run'}"
    )
    assert not plan.finished


def test_steps_and_validation_steps_are_those_of_the_config(config, records_set, tmp_path):
    run = prepare(with_train(config, steps_per_epoch=7, validation_steps=1), [records_set.folder], tmp_path)
    assert (run.plan.steps, run.plan.validation_steps, len(list(run.validation))) == (7, 1, 1)
    run = prepare(with_train(config, validation_steps=100), [records_set.folder], tmp_path)
    batches = -(-records_set.index.splits["validation"].records // config.train.batch_size)
    assert run.plan.validation_steps == len(list(run.validation)) == batches


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", keras.optimizers.Adam), ("adamw", keras.optimizers.AdamW), ("sgd", keras.optimizers.SGD)],
)
def test_the_optimizer_is_the_configs(config, records_set, tmp_path, name, kind):
    chosen = with_train(config, optimizer=name, clipvalue=0.5, weight_decay=0.03, schedule="constant")
    model = prepare(chosen, [records_set.folder], tmp_path).model
    assert isinstance(model.optimizer, kind)
    assert model.optimizer.clipvalue == 0.5
    assert model.optimizer.weight_decay == (None if name == "adam" else 0.03)
    assert getattr(model.optimizer, "momentum", 0.9) == 0.9
    assert float(model.optimizer.learning_rate.numpy()) == pytest.approx(config.train.learning_rate)
    assert model.jit_compile is False


def test_weight_decay_shrinks_kernels_and_spares_biases_and_normalisation(config, records_set, tmp_path):
    chosen = with_train(config, learning_rate=0.1, weight_decay=0.5, schedule="constant")
    model = prepare(chosen, [records_set.folder], tmp_path).model
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    model.optimizer.apply([tf.zeros(variable.shape) for variable in variables], variables)
    kinds = {variable.name for variable in variables}
    assert kinds == {"kernel", "bias", "gamma", "beta"}
    for variable in variables:
        expected = 1 - 0.1 * 0.5 if variable.name == "kernel" else 1
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6, err_msg=variable.path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tile", 128, r"data\.tile is 64 in the records and 128 in the config"),
        ("scale", 0.5, r"data\.scale is 1\.0 in the records and 0\.5 in the config"),
        ("classes", ("EX", "HE"), r"data\.classes is \('HE', 'MA'\) in the records and \('EX', 'HE'\) in the config"),
    ],
)
def test_records_of_another_config_are_refused_by_the_field(config, records_set, tmp_path, field, value, message):
    other = dataclasses.replace(config, data=dataclasses.replace(config.data, **{field: value}))
    with pytest.raises(InputError, match=message):
        prepare(other, [records_set.folder], tmp_path)


def test_every_field_that_differs_is_named_at_once(config, records_set, tmp_path):
    other = dataclasses.replace(config, data=DataConfig(classes=("HE",), tile=128, stride=128, scale=0.5))
    with pytest.raises(InputError, match=r"data\.classes .*data\.scale .*data\.tile .*data\.stride"):
        prepare(other, [records_set.folder], tmp_path)


def test_a_batch_larger_than_the_training_part_is_refused(config, records_set, tmp_path):
    tiles = records_set.index.splits["train"].records
    with pytest.raises(InputError, match=rf"train\.batch_size is {tiles + 1}, but .* has {tiles} training tiles"):
        prepare(with_train(config, batch_size=tiles + 1), [records_set.folder], tmp_path)
    prepare(with_train(config, batch_size=tiles), [records_set.folder], tmp_path)


def test_records_without_a_training_part_are_refused(config, records_set, shard, tmp_path):
    shard(tmp_path / "records", [records_set.cases["F"]], records_set.index.data)
    with pytest.raises(InputError, match="has 0 training tiles"):
        prepare(config, [tmp_path / "records"], tmp_path / "run")


def test_a_tile_that_the_networks_stride_does_not_divide_is_refused(config, records_set, tmp_path):
    deep = dataclasses.replace(config, model=ModelConfig(unet=UNetConfig(width=1, levels=8)))
    with pytest.raises(InputError, match=r"data\.tile must be a multiple of the network's stride 128; received 64"):
        prepare(deep, [records_set.folder], tmp_path)
    odd = dataclasses.replace(config, segment=SegmentConfig(tile=50))
    with pytest.raises(InputError, match=r"segment\.tile must be a multiple of the network's stride 4; received 50"):
        prepare(odd, [records_set.folder], tmp_path)


def test_an_unknown_network_and_an_unknown_loss_are_refused(config, records_set, tmp_path):
    with pytest.raises(InputError, match="Did you mean 'unet'"):
        prepare(dataclasses.replace(config, model=ModelConfig(network="unett")), [records_set.folder], tmp_path)
    with pytest.raises(InputError, match="Did you mean 'bce_dice'"):
        prepare(with_train(config, loss="bce_dise"), [records_set.folder], tmp_path)


def test_a_folder_without_records_is_refused(config, tmp_path):
    with pytest.raises(InputError, match="no index.json there"):
        prepare(config, [tmp_path], tmp_path / "run")
